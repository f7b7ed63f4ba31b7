"""Programs near to others: those that reached something new in the relay are varied, for what is new beside them.

Facts:
- a sweep has a frame once with each value of one byte of its header, of a type or of a size: where a relay compares
  byte after byte, each right one shows as something new, and one program finds it;
- a step that makes no sense where it stands, such as a write of a client that has left, is played as nothing: so any
  sequence of steps is a program, if only its clients connect, and every oracle judges it;
- what a frame's fate is follows from the frame, be it varied or not (:mod:`~torq_conformance.model.legality`).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import msgspec

from ..model.frames import EPOCH_NS, Frame, Raw, Tlv
from ..model.legality import Fate, fate_of
from ..model.program import Program
from ..model.rules import Rules
from ..model.steps import Connect, Finish, Flood, Freeze, Idle, Kill, Resume, Stall, Step, Sync, Thaw, Write
from ..model.wire import decode
from .features.tables import own
from .machine import SIZES
from .minimise import consistent

BYTE = range(256)
MOST_SWEPT_BYTES = 2_000
"""A frame of more bytes is not swept."""
MOST_STEPS = 150
MOST_CONNECTIONS = 12
MOST_BYTES = 500_000
MOST_SILENCE_MS = 300
MOST_FLOODED = 2_000
MOST_REPEATS = 8
MOST_CHANGES = 3
"""Changes that make a variation, at most."""
COUNTERS = ("sequence", "timestamp")
EDGES = (0, 1, 127, 128, 255, 256, 2**16 - 1, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1)


def plainest(rules: Rules) -> Program:
    """One client sends a frame to another."""
    return Program(rules.domain, (Connect(0), Connect(1), Write(0, (own(rules),))))


def sweeps(program: Program, rules: Rules) -> Iterator[Program]:
    """The program with the last frame that it forwards replaced by a row of frames, in each way."""
    for place in range(len(program.steps) - 1, -1, -1):
        step = program.steps[place]
        if not isinstance(step, Write):
            continue
        for index in range(len(step.items) - 1, -1, -1):
            frame = step.items[index]
            if isinstance(frame, Frame) and frame.size <= MOST_SWEPT_BYTES and fate_of(frame, rules)[0] is Fate.FORWARD:
                for row in _rows(frame):
                    items = (*step.items[:index], *row, *step.items[index + 1 :])
                    write = Write(step.conn, items, settle=step.settle)
                    yield Program(program.domain, (*program.steps[:place], write, *program.steps[place + 1 :]))
                return


def _rows(frame: Frame) -> Iterator[list[Frame]]:
    """Rows of frames, each with another value at one place."""
    replace = msgspec.structs.replace
    for name in COUNTERS:
        other = COUNTERS[1 - COUNTERS.index(name)]
        value = getattr(frame, name)
        value = EPOCH_NS * (name == "timestamp") if value is None else value
        for shift in range(0, 64, 8):
            rest = value & ~(255 << shift)
            yield [replace(frame, **{name: rest | byte << shift, other: None}) for byte in BYTE]
    for name in ("flags", "source", "version", "domain"):
        yield [replace(frame, **{name: byte}) for byte in BYTE]
    if frame.tlvs:
        *before, last = frame.tlvs
        yield [replace(frame, tlvs=(*before, replace(last, type=number))) for number in range(255)]
        yield [replace(frame, tlvs=(*before, replace(last, size=size))) for size in BYTE]


def is_legible(program: Program, rules: Rules) -> bool:
    """Whether every oracle can judge it: no bytes that are told as no frame hold a whole one, which no one knows."""
    raw = (item for step in program.steps for item in step.content if isinstance(item, Raw))
    return not any(decode(bytes.fromhex(item.bytes), rules.max_message_size)[0] for item in raw)


def numbered(program: Program) -> Program:
    """The program with the sequences that its frames are sent with written down: they stay when others are left out."""
    steps: list[Step] = []
    number = 0
    for step in program.steps:
        if isinstance(step, Write):
            items = list(step.items)
            for place, item in enumerate(items):
                if isinstance(item, Frame):
                    number += 1
                    items[place] = item if item.sequence is not None else msgspec.structs.replace(item, sequence=number)
            steps.append(msgspec.structs.replace(step, items=tuple(items)))
        else:
            number += len(step.frames)
            steps.append(step)
    return Program(program.domain, tuple(steps))


def parts(program: Program) -> Iterator[Program]:
    """Lighter programs: without half of the items of a write, half of its steps, a quarter ... a single one."""
    candidates = (Program(program.domain, steps) for steps in _parts(program.steps))
    return (each for each in candidates if each.weight < program.weight)


def _parts(steps: tuple[Step, ...]) -> Iterator[tuple[Step, ...]]:
    for place, step in enumerate(steps):
        if isinstance(step, Write) and len(step.items) > 1 and _keeps_framing(step):
            half = len(step.items) // 2
            for items in (step.items[:half], step.items[half:]):
                write = msgspec.structs.replace(step, items=items, cuts=(), every=0, stop=None)
                yield (*steps[:place], write, *steps[place + 1 :])
    size = len(steps) // 2
    while size >= 1:
        for start in range(0, len(steps), size):
            yield sensible(steps[:start] + steps[start + size :])
        size //= 2


class Variations:
    """Varies programs at random, from a seed, for a relay of some rules."""

    def __init__(self, rules: Rules, seed: int) -> None:
        self._rules = rules
        self._random = random.Random(seed)
        self._changes: tuple[Callable[[list[Step], Program], list[Step]], ...] = (
            self._spliced,
            self._repeated,
            self._shortened,
            self._moved,
            self._cut,
            self._changed,
            self._changed,
            self._joined,
        )

    def varied(self, program: Program, other: Program) -> Program:
        """The program after a change or a few; ``other`` may become part of it."""
        steps = list(program.steps)
        for _ in range(self._random.randint(1, MOST_CHANGES)):
            steps = self._random.choice(self._changes)(steps, other)
        return Program(program.domain, sensible(steps))

    def _slice(self, steps: Sequence[Step]) -> tuple[int, int]:
        start = self._random.randrange(len(steps) + 1)
        return start, min(len(steps), start + self._random.randint(1, 4))

    def _spliced(self, steps: list[Step], other: Program) -> list[Step]:
        """With the steps of another program among them, of other clients or of the same."""
        if self._rules.granularity == "reads":  # the bytes of several senders may mix
            return steps
        shift = self._random.choice((0, 1 + max((each.connection or 0 for each in steps), default=0)))
        moved = [
            each if each.connection is None else msgspec.structs.replace(each, conn=each.connection + shift)
            for each in other.steps
        ]
        place = self._random.randrange(len(steps) + 1)
        return steps[:place] + moved + steps[place:]

    def _repeated(self, steps: list[Step], _: Program) -> list[Step]:
        start, stop = self._slice(steps)
        return steps[:stop] + steps[start:stop] * self._random.randint(1, MOST_REPEATS) + steps[stop:]

    def _shortened(self, steps: list[Step], _: Program) -> list[Step]:
        start, stop = self._slice(steps)
        return steps[:start] + steps[stop:]

    def _moved(self, steps: list[Step], _: Program) -> list[Step]:
        start, stop = self._slice(steps)
        rest = steps[:start] + steps[stop:]
        place = self._random.randrange(len(rest) + 1)
        return rest[:place] + steps[start:stop] + rest[place:]

    def _joined(self, steps: list[Step], _: Program) -> list[Step]:
        """With a client that comes, stops reading, reads again or goes on as the others do."""
        conns = [each.conn for each in steps if isinstance(each, Connect)]
        place = self._random.randrange(len(steps) + 1)
        new: Step = Connect(max(conns, default=-1) + 1)
        if conns:
            conn = self._random.choice(conns)
            new = self._random.choice((new, Stall(conn), Resume(conn), Sync()))
        return [*steps[:place], new, *steps[place:]]

    def _cut(self, steps: list[Step], _: Program) -> list[Step]:
        """With a write cut otherwise."""

        def cut(write: Write) -> Write:
            most = max(1, write.size)
            cuts = tuple(sorted({self._random.randrange(1, most + 1) for _ in range(self._random.randint(0, 3))}))
            every = self._random.choice((0, 0, 0, 1, 7, 32)) if most <= MOST_SWEPT_BYTES else 0
            return msgspec.structs.replace(write, cuts=cuts, every=every, settle=self._random.random() < 0.7)

        return self._with_a_write(steps, cut)

    def _changed(self, steps: list[Step], _: Program) -> list[Step]:
        """With another value in a frame."""

        def changed(write: Write) -> Write:
            index = self._random.randrange(len(write.items))
            item = write.items[index]
            if not isinstance(item, Frame):
                return write
            other = self._other(item)
            stop = None if other.size != item.size else write.stop
            items = (*write.items[:index], other, *write.items[index + 1 :])
            return msgspec.structs.replace(write, items=items, stop=stop)

        return self._with_a_write(steps, changed)

    def _other(self, frame: Frame) -> Frame:
        draw, replace = self._random, msgspec.structs.replace
        field = draw.choice(("sequence", "timestamp", "flags", "source", "tlvs", "tlvs"))
        if field in COUNTERS:
            value = draw.choice((None, draw.choice(EDGES), draw.getrandbits(64), 1 << draw.randrange(64)))
            return replace(frame, **{field: value, COUNTERS[1 - COUNTERS.index(field)]: None})
        if field in ("flags", "source"):
            return replace(frame, **{field: draw.randrange(256)})
        types = self._rules.types
        kind = draw.choice((types[draw.randrange(len(types))], *(each.type for each in frame.tlvs)))
        tlv = Tlv(kind, draw.choice((*SIZES, draw.randrange(2000))), extended=draw.random() < 0.3)
        tlvs = list(frame.tlvs)
        if tlvs and draw.random() < 0.7:
            tlvs[draw.randrange(len(tlvs))] = tlv
        else:
            tlvs.append(tlv)
        return replace(frame, tlvs=tuple(tlvs))

    def _with_a_write(self, steps: list[Step], change: Callable[[Write], Write]) -> list[Step]:
        places = [place for place, step in enumerate(steps) if isinstance(step, Write) and step.items]
        if not places:
            return steps
        place = self._random.choice(places)
        write = steps[place]
        return [*steps[:place], change(write), *steps[place + 1 :]] if isinstance(write, Write) else steps


def sensible(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps without those that would make the program dear, or of which nobody can say what must become."""
    return consistent(tuple(_affordable(_framed(steps))))


def _keeps_framing(step: Step) -> bool:
    """Whether all that it sends are frames of the size that they announce."""
    return all(isinstance(item, Frame) and item.claim is None for item in step.content)


def _framed(steps: Sequence[Step]) -> Iterator[Step]:
    """The steps without what clients send behind bytes that are no frame: the relay may take it for their rest."""
    unframed: set[int | None] = set()
    for step in steps:
        if step.sends and not isinstance(step, Finish):
            if step.connection in unframed:
                continue
            if not _keeps_framing(step):
                unframed.add(step.connection)
        yield step


def _affordable(steps: Iterator[Step]) -> Iterator[Step]:
    """The steps without those that would make the program dear; a relay that is stopped goes on at the end."""
    sent = silent = flooded = kills = 0
    connections: set[int] = set()
    frozen = False
    for step in islice(steps, MOST_STEPS):
        if step.connection is not None:
            connections.add(step.connection)
            if len(connections) > MOST_CONNECTIONS:
                connections.discard(step.connection)
                continue
        sent += step.weight.bytes
        silent += step.milliseconds if isinstance(step, Idle) else 0
        flooded += step.count if isinstance(step, Flood) else 0
        kills += isinstance(step, Kill)
        over = (
            isinstance(step, Idle) and silent > MOST_SILENCE_MS,
            isinstance(step, Flood) and flooded > MOST_FLOODED,
            isinstance(step, Kill) and kills > 1,
            frozen and isinstance(step, Connect | Flood | Freeze | Idle | Stall | Sync),  # it would wait in vain
            step.sends and sent > MOST_BYTES,
        )
        if any(over):
            continue
        frozen = isinstance(step, Freeze) or (frozen and not isinstance(step, Thaw | Kill))
        yield step
    if frozen:
        yield Thaw()
