"""Which features programs have used: counts for the evidence, and the cells that are thin.

Facts: a cell is a requirement and one thing that the features of its programs may do, such as a freeze in a program
about batches. Chance leaves some cells nearly empty: the machine fills them on purpose, and reports name those that
stay thin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import get_args

from torq_protocol.constants import RelayDomain

from ..model.program import Program
from ..model.steps import Step, Write

TALLIES: tuple[str, ...] = tuple(name for kind in get_args(Step) for name in kind.tallies)
"""What steps say of themselves, by the names of the evidence."""
THIN_SHARE = 0.1
"""The share of its programs below which a cell is thin."""


def is_thin(count: int, programs: int) -> bool:
    """Whether a cell with this count, in so many programs, is thin."""
    return count < THIN_SHARE * programs


def thin_cells(names: Iterable[str], evidence: Mapping[str, int]) -> dict[str, int]:
    """The thin cells among ``names``, with their counts."""
    counts = {name: evidence.get(name, 0) for name in names}
    return {name: count for name, count in sorted(counts.items()) if is_thin(count, evidence.get("programs", 0))}


def features_of(program: Program) -> dict[str, int]:
    """How often a program has each thing that the evidence counts."""
    counts = Counter(dict.fromkeys(TALLIES, 0))
    for step in program.steps:
        counts.update(step.tally())
    first = next((at for at, step in enumerate(program.steps) if step.sends), len(program.steps))
    return {
        "programs": 1,
        "steps": len(program.steps),
        "bytes": program.weight[3],
        "two or more senders": int(len({step.connection for step in program.steps if step.sends}) > 1),
        "three or more clients": int(sum(step.opens for step in program.steps) > 2),
        "joins mid-stream": sum(step.opens for step in program.steps[first:]),
        **counts,
        **_features_of_frames(program),
    }


def _features_of_frames(program: Program) -> dict[str, int]:
    writes = [step for step in program.steps if isinstance(step, Write)]
    frames = [frame for write in writes for frame in write.frames]
    own = RelayDomain[program.domain.upper()]
    return {
        "frames": sum(len(step.frames) for step in program.steps),
        "frames above 64 KiB": sum(frame.size > 65_536 for frame in frames),
        "header-only frames": sum(not (frame.tlvs or frame.tail) for frame in frames),
        "extended TLVs": sum(any(tlv.extended or tlv.size > 255 for tlv in frame.tlvs) for frame in frames),
        "foreign domains": sum(frame.domain != own for frame in frames),
        "wrong checksums": sum(bool(frame.wrong_checksum) for frame in frames),
        "right checksums of 0": sum(frame.checksum == "made-zero" for frame in frames),
        "foreign types": sum(any(tlv.type not in own.type_range for tlv in frame.tlvs) for frame in frames),
        "malformed payloads": sum(bool(frame.tail) for frame in frames),
    }
