"""What contradicts a requirement: its kind, its facts, and the words that are made of them, here and nowhere else.

Facts: whoever asks what was found reads the fields; the texts are for people, and nothing is ever read back out of one.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from ..counting import counted, grouped
from .history import Peer, Sent
from .legality import Reason


class Kind(StrEnum):
    """What is wrong, in the field's words. Lists of expected failures and reports name the values."""

    LOST = "lost"
    HELD_BACK = "held back"
    UNSERVED = "unserved"
    DUPLICATED = "duplicated"
    ALTERED = "altered"
    TORN = "torn"
    MIXED = "mixed"
    LEAKED = "leaked"
    ECHOED = "echoed"
    REPLAYED = "replayed"
    REORDERED = "reordered"
    CLOSED = "closed"
    KEPT = "kept"
    STUCK = "stuck"
    CRASHED = "crashed"
    DELAYED = "delayed"
    DROPPED = "dropped"
    UNBOUNDED = "unbounded"
    COSTLY = "costly"
    REFUSED = "refused"
    STOLEN = "stolen"
    SILENT = "silent"
    ADMITTED = "admitted"
    DISTURBED = "disturbed"
    STATUS = "status"
    LEFT_BEHIND = "left behind"
    OPEN = "open"
    STARTED = "started"
    DOWN = "down"
    MISCOUNTED = "miscounted"
    UNRECORDED = "unrecorded"
    UNNOTICED = "unnoticed"
    NOT_REPLACED = "not replaced"


Fact = str | int | float

_PLAIN = "the suite expected {expected}, but saw this: {seen}"
"""A whole sentence whatever was seen, be it a clause or no more than a figure."""
CLAUSE = "the suite expected {expected}, but {seen}"
_FIGURES = (Kind.LOST, Kind.LEAKED, Kind.DELAYED, Kind.COSTLY, Kind.REFUSED)
"""Kinds of which what was seen may be a figure, or half a sentence."""
_SENTENCES: dict[str, str] = {
    **dict.fromkeys(set(Kind).difference(_FIGURES), CLAUSE),
    Kind.STATUS: "the suite expected {expected}, but it was {seen}",
    Kind.LEFT_BEHIND: "the suite expected {expected}, but there is {seen}",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One contradiction between what a relay did and a requirement: its kind, what was expected and what was seen.

    ``kind`` is a :class:`Kind`, or a name of your own. ``frames`` and ``conns`` are the numbers of the frames and the
    connections that it is about, ``facts`` what else is known of it, ``told`` the template of its sentence. Two
    findings are the same when they say the same.
    """

    kind: str
    expected: str
    seen: str
    frames: tuple[int, ...] = field(default=(), compare=False)
    conns: tuple[int, ...] = field(default=(), compare=False)
    facts: Mapping[str, Fact] = field(default_factory=dict, compare=False)
    told: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.kind}: expected {self.expected}; seen {self.seen}"

    def sentence(self, **more: Fact) -> str:
        """What was due and what came instead, without its capital and full stop; ``more`` is put before the facts."""
        template = self.told or _SENTENCES.get(self.kind, _PLAIN)
        return _render(template, {"expected": self.expected, "seen": self.seen, **self.facts, **more})


@dataclass(frozen=True, slots=True)
class Wording:
    """How contradictions of one form read: templates of what was expected and seen, and of the sentence for both.

    In a template ``{size:count byte}`` is a number with its noun, and ``{size:grouped}`` one with spaces in it.
    Called with the facts, as frames, receivers, reasons, texts and numbers, it gives the finding.
    """

    kind: Kind
    expected: str
    seen: str
    sentence: str = ""

    def __call__(self, frames: Iterable[Sent] = (), /, **given: Sent | Peer | Reason | Fact) -> Finding:
        facts = {name: value if isinstance(value, int | float) else str(value) for name, value in given.items()}
        if isinstance(reason := given.get("reason"), Reason):
            facts["defect"] = reason.name
        return Finding(
            self.kind,
            _render(self.expected, facts),
            _render(self.seen, facts),
            frames=tuple(each.number for each in (*frames, *given.values()) if isinstance(each, Sent)),
            conns=tuple(each.conn for each in given.values() if isinstance(each, Peer)),
            facts=facts,
            told=self.sentence,
        )


class _Words(string.Formatter):
    """Fills templates in; a number stands as the template says."""

    def format_field(self, value: object, format_spec: str) -> str:
        match format_spec.partition(" "), value:
            case ("count", _, nouns), int():
                return counted(value, *nouns.split("|"))
            case ("grouped", _, _), int():
                return grouped(value)
        return str(super().format_field(value, format_spec))


def _render(template: str, facts: Mapping[str, Fact]) -> str:
    return _Words().vformat(template, (), facts)
