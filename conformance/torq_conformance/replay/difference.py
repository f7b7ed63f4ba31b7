"""Differences of two relays as files: what showed one, with all that is needed to see it again years later.

Facts: a program is played by what each relay was seen to do then (:class:`Played`), and a fixed check under what A was
seen to promise (:class:`Checked`); so a replay need not probe a relay that has changed since.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Literal

import msgspec

from ..errors import UsageError
from ..model.profile import Profile
from ..model.program import Program
from ..model.rules import Domain, Rules
from .record import MIN_PASSES, check_playable, is_command, passes_that_prove, read_stored

DIFFERENCE_VERSION = 1
CHECK_PASSES = 5
"""Passes that a difference of a fixed check takes at least until it is gone: a check is long, and seldom flaky."""
DIGEST_DIGITS = 8


class Played(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A program whose histories differ: what B does, and to which class of frames ("" if to none).

    ``a`` and ``b`` are the rules by which the relays play it; by ``strictest`` every fault of a frame has a name.
    """

    effect: str
    program: Program
    a: Rules
    b: Rules
    strictest: Rules
    frames: str = ""


class Checked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A fixed check that finds something of a kind on one relay alone: on B where it ``breaks`` the requirement."""

    requirement: str
    kind: str
    breaks: bool
    profile: Profile


class DifferenceRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A difference of relay B from relay A: what it is, what showed it, and how often.

    ``differs_in_copy_of_a`` is how often the second copy of A differed from A in the same way. Exactly one of
    ``played`` and ``checked`` says what showed it.
    """

    id: str
    text: str
    in_a: str
    in_b: str
    a: str
    b: str
    domain: Domain
    seed: int
    differs_in_b: int
    differs_in_copy_of_a: int
    runs: int
    played: Played | None = None
    checked: Checked | None = None
    format: Literal["torq-conformance difference"] = "torq-conformance difference"
    version: int = DIFFERENCE_VERSION

    @property
    def started(self) -> bool:
        """Whether the suite had started both relays."""
        return is_command(self.a) and is_command(self.b)

    @property
    def runs_that_prove_it_gone(self) -> int | None:
        """How many runs without the difference prove that it is gone; None where no number does."""
        return passes_that_prove(self.differs_in_b, self.runs, MIN_PASSES if self.played else CHECK_PASSES)

    @property
    def runs_worth_playing(self) -> int:
        """How often a replay plays it: until it is proven gone, else as often as the comparison did."""
        return self.runs_that_prove_it_gone or max(MIN_PASSES if self.played else CHECK_PASSES, self.runs)


def is_difference(path: Path) -> bool:
    """Whether a file holds a difference, whatever else is wrong with it."""
    try:
        kind = msgspec.json.decode(path.read_bytes(), type=dict[str, msgspec.Raw]).get("format", msgspec.Raw(b'""'))
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return False
    return bytes(kind).strip() == b'"torq-conformance difference"'


def load_difference(path: Path) -> DifferenceRecord:
    """Read a difference. Raises UsageError with what is wrong with the file."""
    record = read_stored(path, DifferenceRecord, "difference")
    if record.version != DIFFERENCE_VERSION:
        raise UsageError(f"{path} has format version {record.version}; this suite reads {DIFFERENCE_VERSION}")
    if (record.played is None) == (record.checked is None):
        raise UsageError(f"{path} has to hold one of played and checked")
    program = record.played.program if record.played else Program(record.domain, ())
    check_playable(program, record.differs_in_b, record.runs, path)
    if not 0 <= record.differs_in_copy_of_a <= record.runs:
        raise UsageError(f"{path}: the copy of A cannot differ in {record.differs_in_copy_of_a} of {record.runs} runs")
    return record


def difference_file(identifier: str, domain: str) -> str:
    """The name of the file of a difference, such as ``closes-half-closed-signal.json``.

    One that shows under the circumstances of an accepted one has a digest of these in its name.
    """
    name, _, under = identifier.partition(" ")
    digest = f"-{hashlib.sha256(under.encode()).hexdigest()[:DIGEST_DIGITS]}" if under else ""
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', name)}{digest}-{domain}.json"
