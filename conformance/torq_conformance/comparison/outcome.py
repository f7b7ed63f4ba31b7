"""What a comparison came to: one value that the last sentence, the JSON report and the exit code are all made of.

Facts:
- EQUIVALENT is never said alone: it has its level, its bound, and what was not compared;
- what was not compared for want of time leaves the verdict open, but for situations, of which the 2-way figure says how
  many were met; what could not be compared at all is a gap of it;
- an accepted difference is stale only where what would show it was compared, and never where it has a rate: what shows
  now and then may not show;
- an accepted difference accepts nothing that shows more often than its rate, nor anything behind its last day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import msgspec

from ..counting import counted
from ..exits import Exit
from ..model.program import Program
from .accepted import AcceptedDifference, sort_out
from .chance import shows_above
from .circumstances import Fact
from .figures import part_of
from .fixed import check_of
from .found import ENDED, OUT_OF_TIME
from .topics import Level


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One difference in the JSON report. ``needs`` says in words which values it needs, ``when`` as an entry says it.

    ``accepted_as`` is the accepted difference under whose circumstances it shows. ``runs`` is how often its program, or
    its check, was played on each relay to measure its rate.
    """

    id: str
    text: str
    in_a: str
    in_b: str
    status: str = "DIFFERENT"
    reason: str = ""
    needs: str = ""
    when: dict[str, Fact | list[Fact]] = {}
    accepted_as: str = ""
    program: Program | None = None
    differs_in_b: int = 0
    differs_in_copy_of_a: int = 0
    runs: int = 0

    @property
    def listed(self) -> str:
        """What accepts it: the key of an entry that it shows under, or its id."""
        return self.accepted_as or self.id

    @property
    def gravity(self) -> tuple[bool, float]:
        """What is more is worse: whether it repeats, and in what share of the runs it shows."""
        return self.status == "DIFFERENT", self.differs_in_b / max(self.runs, 1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that was found and left open. ``gaps`` says of each thing that was not compared why.

    Those of them in ``unfinished`` lacked time alone. ``entries`` are sorted out: accepted ones say why they are.
    """

    level: Level
    programs: int
    entries: Sequence[Entry]
    gaps: Mapping[str, str] = field(default_factory=dict)
    unfinished: frozenset[str] = frozenset()
    stale: Sequence[AcceptedDifference] = ()
    expired: Sequence[AcceptedDifference] = ()

    @property
    def code(self) -> Exit:
        """The exit code."""
        if self._unaccepted or self.stale or self.expired:
            return Exit.FAIL
        return Exit.UNKNOWN if self.unfinished or not self.programs else Exit.PASS

    @property
    def _unaccepted(self) -> list[Entry]:
        return [each for each in self.entries if each.status != "ACCEPTED"]

    @property
    def verdict(self) -> str:
        """The last sentence."""
        level = f"at level {self.level.value}"
        different = [each for each in self._unaccepted if each.status == "DIFFERENT"]
        flaky = len(self._unaccepted) - len(different)
        accepted = len(self.entries) - len(self._unaccepted)
        parts = [
            f"{_counted(len(different))} not accepted",
            *([f"{_counted(flaky)} FLAKY"] if flaky else []),
            *([f"{_counted(len(self.expired))} EXPIRED"] if self.expired else []),
            *([f"{_counted(len(self.stale))} STALE"] if self.stale else []),
            f"{accepted} accepted",
        ]
        played = counted(self.programs, "program")
        match self.code:
            case Exit.FAIL:
                words = (("DIFFERENT", different), ("FLAKY", flaky), ("EXPIRED", self.expired), ("STALE", self.stale))
                word = next(each for each, holds in words if holds)
                said = f"{word} {level}: {', '.join(parts)}"
            case Exit.UNKNOWN if not self.programs and not self.unfinished:
                said = f"UNKNOWN {level}: nothing was compared"
            case Exit.UNKNOWN if any(self.gaps[name] == OUT_OF_TIME for name in self.unfinished):
                said = f"UNKNOWN {level}: the time budget ended the comparison; give more --time-budget"
            case Exit.UNKNOWN:
                said = f"UNKNOWN {level}: not everything that was asked for could be compared"
            case _ if accepted:
                said = f"EQUIVALENT {level} but for {counted(accepted, 'accepted difference')}, in {played}"
            case _:
                bound = f"below {300 / self.programs:.2f} % with 95 % confidence"
                said = f"EQUIVALENT {level}: 0 of {played} differ ({bound})"
        return f"{said}; {self.left_out}" if self.gaps else said

    @property
    def complaints(self) -> list[tuple[str, str]]:
        """What is wrong with the list of accepted differences: a word, and the sentence that says it."""
        advice = "mend the difference, or give the entry another date"
        expired = (f"{each.key} was accepted until {each.expires} ({each.reason}); {advice}" for each in self.expired)
        stale = (f"{each.key} is accepted but does not appear" for each in self.stale)
        return [*(("EXPIRED", each) for each in expired), *(("STALE", each) for each in stale)]

    @property
    def left_out(self) -> str:
        """What was not compared, by the reason."""
        reasons = by_reason(self.gaps)
        if ENDED in reasons:
            reasons[ENDED] = ["all the rest"]
        return "not compared: " + "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())


def by_reason(gaps: Mapping[str, str]) -> dict[str, list[str]]:
    """What was not compared, of each reason."""
    reasons: dict[str, list[str]] = defaultdict(list)
    for name, reason in gaps.items():
        reasons[reason].append(name)
    return reasons


def outcome(
    level: Level,
    programs: int,
    entries: Sequence[Entry],
    accepted: Sequence[AcceptedDifference],
    gaps: Mapping[str, str],
    unfinished: frozenset[str],
    explained: frozenset[str] = frozenset(),
    today: date | None = None,
) -> Outcome:
    """Differences held against the accepted ones. Those that others have ``explained`` did show: they are not stale."""
    today = today or date.today()
    worst = gravest(entries)

    def compared(entry: AcceptedDifference) -> bool:
        if entry.key in explained or entry.rate or entry.has_expired(today):
            return False
        part = check_of(entry.id) or part_of(entry.id)
        return part not in gaps if part else programs > 0 and not unfinished

    ids = sort_out((entry.listed for entry in worst), accepted, level, compared)
    judged = [
        _judged(entry, ids.accepted[entry.listed], today) if entry.listed in ids.accepted else entry for entry in worst
    ]
    expired = [each for each in accepted if each.level in ("", level.value) and each.has_expired(today)]
    return Outcome(level, programs, judged, gaps, unfinished, ids.stale, expired)


def gravest(entries: Iterable[Entry]) -> list[Entry]:
    """Of all that the same thing would accept, the first of the worst: what is accepted as rare hides nothing."""
    worst: dict[str, Entry] = {}
    for entry in entries:
        if worst.setdefault(entry.listed, entry).gravity < entry.gravity:
            worst[entry.listed] = entry
    return list(worst.values())


def _judged(entry: Entry, listed: AcceptedDifference, today: date) -> Entry:
    """A difference by the entry that names it: accepted, or why it is not."""
    if listed.has_expired(today):
        return msgspec.structs.replace(entry, reason=f"it was accepted until {listed.expires}: {listed.reason}")
    if listed.rate and shows_above(listed.most, entry.differs_in_b, entry.runs):
        seen = f"it shows in {entry.differs_in_b} of {counted(entry.runs, 'run')}"
        return msgspec.structs.replace(entry, reason=f"accepted in at most {listed.rate}, but {seen}: {listed.reason}")
    return msgspec.structs.replace(entry, status="ACCEPTED", reason=listed.reason)


def _counted(number: int) -> str:
    return counted(number, "difference")
