"""The state machine that writes programs: it models what each connection may do, and has no rules.

Facts:
- rules only append steps and keep the model; they do no I/O, so no draw ever depends on what the relay answered: the
  same seed writes the same programs for every relay;
- draws are small numbers that the model maps to connections, types and sizes: a draw costs more than what it decides;
- a feature is a class with rules, in ``features``. The scenario of a requirement mixes only the features that it needs,
  so that a fault in one feature hides nothing in another;
- chance does not decide whether a program exercises its requirement: where no rule did, :meth:`ProgramMachine.ensure`
  does at the end, by random choices of a seed that is drawn at the beginning.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize

from ..model.frames import MAX_VALUE, Frame, Tlv
from ..model.legality import FIXED_SIZES, Fate, fate_of, free_type
from ..model.program import Program
from ..model.rules import Rules
from ..model.steps import Close, Connect, Step, Write
from .cells import features_of, is_thin

MAX_CONNECTIONS = 5
MAX_PROGRAM_BYTES = 3_000_000
"""Bytes of one program: far below any queue bound, so that no legal drop looks like a loss."""

PICK = st.integers(0, 11)
SIZES = (8, 0, 1, 2, 40, 64, 254, 255, 256, 1000, 5000)
"""Sizes of values in bytes: the plain one first, then the edges."""
SMALL_SIZES = st.sampled_from(SIZES)
KINDS = range(40)
"""Kinds of TLVs: the model maps them to the types of the relay's range."""
Shape = Sequence[tuple[int, int]]


def _shapes() -> list[Shape]:
    """One TLV of every kind and size, and as many mixtures of two and of three, the plainest first."""
    ones = [(kind, size) for size in SIZES for kind in KINDS]
    mix = random.Random(1)
    return [(one,) for one in ones] + [tuple(mix.choices(ones, k=count)) for count in (2, 3) for _ in ones]


SHAPE = st.sampled_from(_shapes())
"""The TLVs of a frame: (kind, size of the value in bytes) of one to three. One draw, for draws cost the most."""


class ProgramMachine(RuleBasedStateMachine):
    """Writes one program. Subclasses set ``promise`` (what the relay promises) and ``play`` (what to do with it)."""

    promise: ClassVar[Rules]
    play: ClassVar[Callable[[Program], None]]

    cells: ClassVar[tuple[str, ...]] = ()
    """The cells that the rules of a feature fill, by the names of the evidence."""
    tally: ClassVar[Counter[str]] = Counter()
    """How many of this machine's programs have each cell, so far."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.tally = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.open: list[int] = []
        self.writers: list[int] = []
        self.unfinished: list[int] = []
        self.connected = 0
        self.bytes = 0
        self.random = random.Random(0)
        self._outer = sys.exc_info()[1]

    @initialize(seed=st.integers(0, 2**32 - 1))
    def two_clients(self, seed: int) -> None:
        self.random.seed(seed)
        self.connect()
        self.connect()

    def teardown(self) -> None:
        """Play the finished program, unless Hypothesis has abandoned it."""
        if sys.exc_info()[1] is self._outer:
            self.ensure()
            program = Program(self.promise.domain, tuple(self.steps))
            self.tally.update(name for name, count in features_of(program).items() if count)
            type(self).play(program)

    def ensure(self) -> None:
        """Add what the feature stands for, where no rule did. Features extend it and call ``super``."""
        if not any(isinstance(step, Write) for step in self.steps):
            self.every_client_sends()

    # --- the model ------------------------------------------------------------------------------------------------

    def connect(self) -> int:
        """Open the next connection."""
        conn = self.connected
        self.connected += 1
        self.open.append(conn)
        self.writers.append(conn)
        self.steps.append(Connect(conn))
        return conn

    def every_client_sends(self) -> None:
        """One frame of every connection that may send."""
        for conn in self.writers:
            self.write(Write(conn, (self.own_frame(((0, 8),)),)))

    def writer(self, pick: int) -> int | None:
        """A connection that may begin a frame."""
        return self.writers[pick % len(self.writers)] if self.writers else None

    def big_writer(self, pick: int) -> int | None:
        """A connection for a write of several reads: always the same one where the bytes of senders may mix."""
        return self.writer(0 if self.promise.granularity == "reads" else pick)

    def write(self, write: Write) -> None:
        """Append a write, unless the program would grow too big."""
        if self.bytes + write.size <= MAX_PROGRAM_BYTES:
            self.bytes += write.size
            self.steps.append(write)

    def leave(self, conn: int, *, reset: bool) -> None:
        """Close a connection."""
        self.steps.append(Close(conn, reset))
        for group in (self.open, self.writers, self.unfinished):
            if conn in group:
                group.remove(conn)

    def own_frame(self, shape: Shape) -> Frame:
        """A frame that the relay must forward."""
        return Frame(self.promise.number, tuple(self.own_tlv(kind, size) for kind, size in shape))

    def own_tlv(self, kind: int, size: int, *, extended: bool = False) -> Tlv:
        """A TLV of the relay's own range, of the right size where the relay checks sizes."""
        number = self.promise.first_type + kind % len(self.promise.types)
        if self.promise.strict:
            size = FIXED_SIZES.get(number, size)
        return Tlv(number, size, extended)

    def frames(self) -> Iterator[Frame]:
        """The frames of the writes so far, without those of floods."""
        for step in self.steps:
            if isinstance(step, Write):
                yield from (item for item in step.items if isinstance(item, Frame))

    def refuses_something(self) -> bool:
        """Whether the program has a frame that the relay must refuse."""
        return any(fate_of(frame, self.promise)[0] is Fate.REFUSE for frame in self.frames())

    def lacks(self, cell: str) -> bool:
        """Whether a cell is so rare in this machine's programs that this program should fill it."""
        return is_thin(self.tally[cell], self.tally["programs"])

    def has(self, kind: type[Step]) -> bool:
        """Whether the program has a step of this kind."""
        return any(isinstance(step, kind) for step in self.steps)

    def random_pick(self) -> int:
        """A pick for :meth:`ensure`."""
        return self.random.randrange(12)

    def random_shape(self) -> Shape:
        """A shape for :meth:`ensure`."""
        return [(self.random.randrange(40), self.random.choice(SIZES)) for _ in range(self.random.randint(1, 3))]

    def padding_type(self) -> int:
        """A type of the relay's range whose size no rule fixes."""
        return free_type(self.promise)


def sized_frame(domain: int, tlv_type: int, size: int) -> Frame:
    """A frame of exactly ``size`` bytes, made of as few TLVs as that takes."""
    left = size - 32
    tlvs: list[Tlv] = []
    while left > MAX_VALUE + 5:
        value = MAX_VALUE if left - (MAX_VALUE + 5) not in (1, 2, 3, 4) else MAX_VALUE - 5
        tlvs.append(Tlv(tlv_type, value, extended=True))
        left -= value + 5
    if left >= 5:
        tlvs.append(Tlv(tlv_type, left - 5, extended=True))
    elif left >= 2:
        tlvs.append(Tlv(tlv_type, left - 2))
    return Frame(domain, tuple(tlvs))
