"""What programs have used of what they could: counts for the evidence, and the cells of it that are thin.

Facts: a cell is a requirement and a thing that the features of its programs bring about, such as a freeze in a program
about batches. Chance leaves some of them nearly empty; those are brought about on purpose, and named if they stay thin.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from torq_protocol.constants import RelayDomain

from ..model.program import (
    Buffer,
    Close,
    Connect,
    Flood,
    Frame,
    Freeze,
    HalfClose,
    Idle,
    Kill,
    Program,
    Raw,
    Stall,
    Sync,
    Write,
)

THIN_SHARE = 0.1
"""The share of its programs below which a cell is thin."""


def is_thin(count: int, programs: int) -> bool:
    """Whether a cell that was met so often in so many programs is thin."""
    return count < THIN_SHARE * programs


def thin_cells(names: Iterable[str], evidence: Mapping[str, int]) -> dict[str, int]:
    """Of the cells that programs could fill, those that they hardly did, with their counts."""
    counts = {name: evidence.get(name, 0) for name in names}
    return {name: count for name, count in sorted(counts.items()) if is_thin(count, evidence.get("programs", 0))}


def features_of(program: Program) -> dict[str, int]:
    """How often a program uses what requirements are about: counts for the evidence."""
    writes = [step for step in program.steps if isinstance(step, Write)]
    floods = [step for step in program.steps if isinstance(step, Flood)]
    kinds = Counter(type(step) for step in program.steps)
    first = next((at for at, step in enumerate(program.steps) if isinstance(step, Write | Flood)), len(program.steps))
    return {
        "programs": 1,
        "steps": len(program.steps),
        "bytes": sum(write.size for write in writes) + sum(flood.count * flood.frame.size for flood in floods),
        "two or more senders": int(len({write.conn for write in writes} | {flood.conn for flood in floods}) > 1),
        "three or more clients": int(kinds[Connect] > 2),
        "cut writes": sum(len(write.pieces()) > 1 for write in writes),
        "coalesced writes": sum(len(write.items) > 1 for write in writes),
        "writes at once": sum(not write.settle for write in writes),
        "unfinished frames": sum(write.stop is not None for write in writes),
        "garbage": sum(isinstance(item, Raw) for write in writes for item in write.items),
        "joins mid-stream": sum(isinstance(step, Connect) for step in program.steps[first:]),
        "half-closes": kinds[HalfClose],
        "leaves": kinds[Close],
        "tiny buffers": kinds[Buffer],
        "stalls": kinds[Stall] + sum(isinstance(step, Connect) and not step.reads for step in program.steps),
        "floods": kinds[Flood],
        "silences": kinds[Idle],
        "waits for all": kinds[Sync],
        "freezes": kinds[Freeze],
        "kills": kinds[Kill],
        **_features_of_frames(program, writes, floods),
    }


def _features_of_frames(program: Program, writes: list[Write], floods: list[Flood]) -> dict[str, int]:
    frames = [item for write in writes for item in write.items if isinstance(item, Frame)]
    own = RelayDomain[program.domain.upper()]
    return {
        "frames": len(frames) + sum(flood.count for flood in floods),
        "frames above 64 KiB": sum(frame.size > 65_536 for frame in frames),
        "header-only frames": sum(not (frame.tlvs or frame.tail) for frame in frames),
        "extended TLVs": sum(any(tlv.extended or tlv.size > 255 for tlv in frame.tlvs) for frame in frames),
        "foreign domains": sum(frame.domain != own for frame in frames),
        "wrong checksums": sum(bool(frame.wrong_checksum) for frame in frames),
        "right checksums of 0": sum(frame.checksum == "made-zero" for frame in frames),
        "foreign types": sum(any(tlv.type not in own.type_range for tlv in frame.tlvs) for frame in frames),
        "malformed payloads": sum(bool(frame.tail) for frame in frames),
    }
