"""Simpler programs than a given one, in the order in which :func:`.search.shrink` tries them: the simplest first.

Every candidate is strictly lighter (:attr:`Program.weight <torq_conformance.model.program.Program.weight>`) or equally
light with plainer fields, so that taking the first that still fails, again and again, ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import msgspec

from ..model.frames import Frame, Item, Tlv
from ..model.program import Program
from ..model.steps import Close, FailedTakeover, Flood, Step, Sync, Takeover, Write

SMALL_SIZES = (0, 1, 8)
Thing = TypeVar("Thing")


def simpler_programs(program: Program) -> Iterator[Program]:
    """Candidates: without a connection, step, item, cut or TLV; with smaller values; with plainer fields."""
    seen = {program}
    for steps in _fewer(program.steps):
        candidate = _renumbered(Program(program.domain, steps))
        if candidate not in seen and candidate.weight < program.weight:
            seen.add(candidate)
            yield candidate
    for steps in _plainer(program.steps):
        candidate = Program(program.domain, steps)
        if candidate not in seen and candidate.weight <= program.weight:
            seen.add(candidate)
            yield candidate


def _fewer(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    for conn in sorted({step.connection for step in steps if step.opens and step.connection is not None}, reverse=True):
        yield tuple(step for step in steps if step.connection != conn)
    half = len(steps) // 2
    while half > 1:
        for start in range(0, len(steps), half):
            yield consistent(steps[:start] + steps[start + half :])
        half //= 2
    for index in range(len(steps) - 1, -1, -1):
        yield consistent(steps[:index] + steps[index + 1 :])


def consistent(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps without those of connections that no step opens."""
    opened: set[int | None] = {None}
    kept: list[Step] = []
    for step in steps:
        if step.opens:
            opened.add(step.connection)
        if step.connection in opened:
            kept.append(step)
    return tuple(kept)


def _renumbered(program: Program) -> Program:
    """The same program, its connections numbered in the order in which they open."""
    names = {conn: name for name, conn in enumerate(program.connections)}
    steps = (
        step
        if step.connection is None
        else msgspec.structs.replace(step, conn=names.get(step.connection, step.connection))
        for step in program.steps
    )
    return Program(program.domain, tuple(steps))


def _plainer(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    for index, step in enumerate(steps):
        if isinstance(step, Write):
            for write in _plainer_writes(step):
                yield (*steps[:index], write, *steps[index + 1 :])
        elif isinstance(step, Flood):
            for flood in _plainer_floods(step):
                yield (*steps[:index], flood, *steps[index + 1 :])
        elif isinstance(step, Close) and step.reset:
            yield (*steps[:index], Close(step.conn), *steps[index + 1 :])
        elif isinstance(step, Takeover) and step.halted:
            yield (*steps[:index], Takeover(), *steps[index + 1 :])
        elif isinstance(step, FailedTakeover) and step != FailedTakeover():
            for plain in (FailedTakeover(), FailedTakeover(holds=step.holds)):
                if plain != step:
                    yield (*steps[:index], plain, *steps[index + 1 :])
        elif isinstance(step, Sync) and index + 1 < len(steps) and isinstance(steps[index + 1], Sync):
            yield steps[:index] + steps[index + 1 :]


def _plainer_floods(flood: Flood) -> Iterator[Flood]:
    """Floods of fewer frames, to the thousand and then to the hundred, and of smaller frames."""
    for count in (1, 100, flood.count // 2, flood.count - flood.count % 1000, flood.count - 1000, flood.count - 100):
        if 0 < count < flood.count:
            yield msgspec.structs.replace(flood, count=count)
    for frame in _plainer_items(flood.frame):
        if isinstance(frame, Frame):
            yield msgspec.structs.replace(flood, frame=frame)


def _plainer_writes(write: Write) -> Iterator[Write]:
    replace = msgspec.structs.replace
    count = len(write.items)
    if count > 2 and all(isinstance(item, Frame) and item.tlvs for item in write.items):
        yield replace(write, items=_two_of_the_same_total_size(write.items), cuts=(), every=0)
    for items in _without_some(write.items):
        if items:
            yield replace(write, items=items)
    if write.every:
        for every in (write.size // 2, 32):
            if every > write.every:
                yield replace(write, every=every)
        yield replace(write, every=0, cuts=(32,))
        yield replace(write, every=0, cuts=(1,))
    for index in range(len(write.cuts)):
        yield replace(write, cuts=write.cuts[:index] + write.cuts[index + 1 :])
        for cut in (1, 32):
            if cut < write.cuts[index]:
                yield replace(write, cuts=tuple(sorted({*write.cuts[:index], cut, *write.cuts[index + 1 :]})))
    if write.stop is not None and write.stop > 1:
        for stop in (1, 32):
            if stop < write.stop:
                yield replace(write, stop=stop)
    for index, item in enumerate(write.items):
        for plain in _plainer_items(item):
            yield replace(write, items=(*write.items[:index], plain, *write.items[index + 1 :]))


def _without_some(things: tuple[Thing, ...]) -> Iterator[tuple[Thing, ...]]:
    """The things without a run of neighbours: without all, each half, each quarter ... and each single one."""
    size = len(things)
    while size >= 1:
        for start in range(0, len(things), size):
            yield things[:start] + things[start + size :]
        size //= 2


def _two_of_the_same_total_size(items: tuple[Item, ...]) -> tuple[Item, ...]:
    """Two frames with the domain and type of the first, and together about as many bytes as all."""
    first = next(item for item in items if isinstance(item, Frame))
    each = min(sum(item.size for item in items) // 2 + 100, 65_536)
    frame = Frame(first.domain, (Tlv(first.tlvs[0].type, each - 37, extended=True),))
    return (frame, frame)


def _plainer_items(item: Item) -> Iterator[Item]:
    if not isinstance(item, Frame):
        return
    replace = msgspec.structs.replace
    for kept in _without_some(item.tlvs):
        yield replace(item, tlvs=kept)
    for changed in (
        replace(item, version=1),
        replace(item, source=None),
        replace(item, flags=0),
        replace(item, sequence=None),
        replace(item, timestamp=None),
        replace(item, checksum="good" if item.checksum != "made-zero" else item.checksum, bit=0),
        replace(item, bit=0),
    ):
        if changed != item:
            yield changed
    for index, tlv in enumerate(item.tlvs):
        for plain in _plainer_tlvs(tlv):
            yield replace(item, tlvs=(*item.tlvs[:index], plain, *item.tlvs[index + 1 :]))


def _plainer_tlvs(tlv: Tlv) -> Iterator[Tlv]:
    steps = (tlv.size >> shift for shift in range(1, tlv.size.bit_length()))
    for size in (*SMALL_SIZES, *(tlv.size - step for step in steps)):
        if size < tlv.size:
            yield Tlv(tlv.type, size, tlv.extended)
    if tlv.extended:
        yield Tlv(tlv.type, tlv.size)
