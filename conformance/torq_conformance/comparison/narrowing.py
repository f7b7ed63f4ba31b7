"""Controls that say which values of a field a difference needs: the field is varied, and all else stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import get_args

import msgspec

from torq_protocol.constants import HEADER_SIZE

from ..generation.machine import sized_frame
from ..model.frames import EPOCH_NS, MAX_VALUE, SOURCES, Checksum, Frame, Tlv
from ..model.legality import free_type
from ..model.program import Program
from ..model.rules import Rules
from ..model.steps import Flood, Step, Write
from .causes import class_of
from .circumstances import OF_A_FRAME, Fact

NUMBERS_64 = (0, 1, 2**31, 2**32 - 1, 2**32, EPOCH_NS, EPOCH_NS + 10**18, 2**63 - 1, 2**63, 2**64 - 1)
SIZES = tuple(2**power for power in range(6, 21))
BESIDE_HEADER_ONLY = (HEADER_SIZE + 10, 512)
"""Sizes of a frame with a payload in its place."""
CONTROLS: dict[str, tuple[Fact, ...]] = {
    "checksum": tuple(each for each in get_args(Checksum) if each != "good"),
    "bit": (0, 7, 8, 15, 16, 24, 31),
    "domain": (0, 1, 2, 3, 4, 128, 255),
    "version": (0, 1, 2, 3, 128, 255),
    "source": (0, *SOURCES[::6], 6, 19, 100, 255),
    "flags": (0, 1, 2, 4, 8, 16, 32, 64, 128, 255),
    "sequence": NUMBERS_64,
    "timestamp": NUMBERS_64,
    "announces": (2**20, 2**21, 2**24, 2**27, 2**30, 2**31, 2**32 - 32, 2**32 - 1),
    "size": SIZES,
}
"""What else a field of a frame is made in controls, in ascending order where it is a number."""
IN_FRAMES = {"announces": "claim"}


def controls_of(frame: Frame, name: str) -> list[Fact]:
    """What a field of a frame is made in controls, its own value among them, numbers in ascending order."""
    own = OF_A_FRAME[name](frame)
    assert own is not None
    controls: Iterable[Fact] = CONTROLS[name]
    if name == "size":
        controls = (frame.size - 1, frame.size + 1, *SIZES) if frame.tlvs else BESIDE_HEADER_ONLY
    return list(in_order(dict.fromkeys((*controls, own), True)))


def in_order(shown: Mapping[Fact, bool]) -> dict[Fact, bool]:
    """The same with numbers in ascending order."""
    if all(isinstance(fact, int) for fact in shown):
        return dict(sorted(shown.items()))
    return dict(shown)


def varied(program: Program, frame: Frame, name: str, fact: Fact, rules: Rules) -> Program | None:
    """A program with another value of one field of a frame; None where that would be wrong in another way."""
    changed = _resized(frame, int(fact), rules) if name == "size" else _changed(frame, name, fact)
    if changed is None or class_of(changed, rules) != class_of(frame, rules):
        return None
    return _exchanged(program, frame, changed)


def _exchanged(program: Program, frame: Frame, other: Frame) -> Program:
    """The same program with another frame in the place of each that is like one."""
    steps: list[Step] = []
    for step in program.steps:
        if isinstance(step, Write):
            items = tuple(other if item == frame else item for item in step.items)
            step = msgspec.structs.replace(step, items=items)
        elif isinstance(step, Flood) and step.frame == frame:
            step = msgspec.structs.replace(step, frame=other)
        steps.append(step)
    return Program(program.domain, tuple(steps))


def _changed(frame: Frame, name: str, fact: Fact) -> Frame:
    fields = {name: getattr(frame, name) for name in frame.__struct_fields__} | {IN_FRAMES.get(name, name): fact}
    return msgspec.convert(fields, Frame)


def _resized(frame: Frame, size: int, rules: Rules) -> Frame | None:
    """The same frame in another size: one of its TLVs makes up for it, or it has fewer of them, or more."""
    if size == frame.size or size > rules.max_message_size:
        return frame if size == frame.size else None
    kind = frame.tlvs[0].type if frame.tlvs else free_type(rules)
    room = size - HEADER_SIZE - len(frame.tail) // 2
    fitting = sum(end < room for end in accumulate(each.encoded_size for each in frame.tlvs))
    parts = (frame.tlvs, *(frame.tlvs[:count] for count in (fitting + 1, fitting, 1)))
    for tlvs in filter(None, parts) if frame.tlvs else ((Tlv(kind),),):
        rest = room - sum(each.encoded_size for each in tlvs)
        for place, tlv in enumerate(tlvs):
            for overhead in (2, 5):
                value = rest + tlv.encoded_size - overhead
                other = Tlv(tlv.type, value, tlv.extended)
                if 0 <= value <= MAX_VALUE and other.encoded_size == value + overhead:
                    return msgspec.structs.replace(frame, tlvs=(*tlvs[:place], other, *tlvs[place + 1 :]))
    if size - frame.size <= MAX_VALUE:
        return None
    more = sized_frame(frame.domain, kind, HEADER_SIZE + size - frame.size).tlvs
    return msgspec.structs.replace(frame, tlvs=(*frame.tlvs, *more))


def between(shown: Mapping[Fact, bool]) -> list[int]:
    """Numbers to be tried too: in the middle between a number that showed and one that did not."""
    numbers = [(fact, shows) for fact, shows in shown.items() if isinstance(fact, int)]
    return [(low + high) // 2 for (low, one), (high, other) in pairwise(numbers) if one != other and high - low > 1]


def as_narrow(shown: Mapping[Fact, bool], controls: Sequence[Fact]) -> tuple[Fact, ...]:
    """The values of a field for which a difference showed, of those that were tried; () where it needs none of them.

    Numbers of which all between the least and the greatest showed are a span, open at an end where there are no
    ``controls`` beyond it.
    """
    showing, tried = [fact for fact, shows in shown.items() if shows], list(shown)
    if not showing or (len(showing) == len(tried) > 1):
        return ()
    first, last = tried.index(showing[0]), tried.index(showing[-1])
    if len(showing) == 1 or isinstance(showing[0], str) or last - first + 1 != len(showing):
        return tuple(showing)
    low, high = ("" if showing[0] == controls[0] else showing[0]), ("" if showing[-1] == controls[-1] else showing[-1])
    return (f"{low}..{high}",)
