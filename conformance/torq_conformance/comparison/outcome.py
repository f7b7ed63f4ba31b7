"""What a comparison came to: one value that the last sentence, the JSON report and the exit code are all made of.

Facts:
- EQUIVALENT is never said alone: it has its level, its bound, and what was not compared;
- what was not compared for want of time leaves the verdict open, but for situations, of which the 2-way figure says how
  many were met; what could not be compared at all is a gap of it;
- an accepted difference is stale only where what would show it was compared.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from ..counting import counted
from ..exits import Exit
from ..model.program import Program
from .accepted import AcceptedDifference, sort_out
from .differential import OUT_OF_TIME
from .figures import part_of
from .fixed import check_of
from .topics import Level


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One difference in the JSON report. ``needs`` are the values of a situation that it needs.

    ``runs`` is how often its program, or its check, was played on each relay to measure its rate.
    """

    id: str
    text: str
    in_a: str
    in_b: str
    status: str = "DIFFERENT"
    reason: str = ""
    needs: str = ""
    program: Program | None = None
    differs_in_b: int = 0
    differs_in_copy_of_a: int = 0
    runs: int = 0


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

    @property
    def code(self) -> Exit:
        """The exit code."""
        if self._unaccepted or self.stale:
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
            *([f"{_counted(len(self.stale))} STALE"] if self.stale else []),
            f"{accepted} accepted",
        ]
        played = counted(self.programs, "program")
        match self.code:
            case Exit.FAIL:
                word = "DIFFERENT" if different else "FLAKY" if flaky else "STALE"
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
    def left_out(self) -> str:
        """What was not compared, by the reason."""
        reasons: dict[str, list[str]] = defaultdict(list)
        for name, reason in self.gaps.items():
            reasons[reason].append(name)
        return "not compared: " + "; ".join(f"{', '.join(names)} ({reason})" for reason, names in reasons.items())


def outcome(
    level: Level,
    programs: int,
    entries: Sequence[Entry],
    accepted: Sequence[AcceptedDifference],
    gaps: Mapping[str, str],
    unfinished: frozenset[str],
    explained: frozenset[str] = frozenset(),
) -> Outcome:
    """Differences held against the accepted ones. Those that others have ``explained`` did show: they are not stale."""
    merged: dict[str, Entry] = {}
    for entry in entries:
        before = merged.setdefault(entry.id, entry)
        if before.status == "FLAKY" and entry.status == "DIFFERENT":
            merged[entry.id] = entry

    def compared(entry: AcceptedDifference) -> bool:
        if entry.id in explained:
            return False
        part = check_of(entry.id) or part_of(entry.id)
        return part not in gaps if part else programs > 0 and not unfinished

    ids = sort_out(merged, accepted, level, compared)
    judged = [
        msgspec.structs.replace(entry, status="ACCEPTED", reason=ids.accepted[entry.id].reason)
        if entry.id in ids.accepted
        else entry
        for entry in merged.values()
    ]
    return Outcome(level, programs, judged, gaps, unfinished, ids.stale)


def _counted(number: int) -> str:
    return counted(number, "difference")
