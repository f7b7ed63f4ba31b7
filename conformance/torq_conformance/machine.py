"""The state machine that writes programs, and the features that it can be made of.

Facts:
- rules only append steps and keep a model of which connections may do what; they do no I/O, so no draw ever depends on
  what the relay answered, which would make shrinking meaningless;
- draws are small numbers that the model maps to connections, types and sizes: they shrink to the simplest program;
- a feature is a class with rules. The scenario of a requirement mixes only the features that it needs, so that a fault
  in one feature hides nothing in another.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from .legality import FIXED_SIZES
from .profile import Rules
from .program import (
    MAX_VALUE,
    Close,
    Connect,
    Finish,
    Frame,
    Freeze,
    HalfClose,
    Idle,
    Item,
    Program,
    Raw,
    Step,
    Sync,
    Thaw,
    Tlv,
    Write,
)

MAX_CONNECTIONS = 5
MAX_PROGRAM_BYTES = 3_000_000
"""What one program may send: far below any queue bound, so that no legal drop can look like a loss."""

PICK = st.integers(0, 11)
SMALL_SIZES = st.sampled_from((8, 0, 1, 2, 40, 64, 254, 255, 256, 1000, 5000))
SHAPE = st.lists(st.tuples(st.integers(0, 39), SMALL_SIZES), min_size=1, max_size=3)
Shape = Sequence[tuple[int, int]]


class ProgramMachine(RuleBasedStateMachine):
    """Writes one program. Subclasses set ``promise`` (what the relay promises) and ``play`` (what to do with it)."""

    promise: ClassVar[Rules]
    play: ClassVar[Callable[[Program], None]]

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[Step] = []
        self.open: list[int] = []
        self.writers: list[int] = []
        self.unfinished: list[int] = []
        self.connected = 0
        self.bytes = 0
        self._outer = sys.exc_info()[1]

    @initialize()
    def two_clients(self) -> None:
        self.connect()
        self.connect()

    def teardown(self) -> None:
        """Play the finished program; not one that Hypothesis has given up on half-way."""
        if sys.exc_info()[1] is self._outer:
            if not any(isinstance(step, Write) for step in self.steps):
                self.everybody_sends()
            type(self).play(Program(self.promise.domain, tuple(self.steps)))

    # --- the model ------------------------------------------------------------------------------------------------

    def connect(self) -> int:
        """Open the next connection."""
        conn = self.connected
        self.connected += 1
        self.open.append(conn)
        self.writers.append(conn)
        self.steps.append(Connect(conn))
        return conn

    def everybody_sends(self) -> None:
        """One frame of every connection that may send."""
        for conn in self.writers:
            self.write(Write(conn, (self.own_frame(((0, 8),)),)))

    def writer(self, pick: int) -> int | None:
        """A connection that may begin a frame."""
        return self.writers[pick % len(self.writers)] if self.writers else None

    def big_writer(self, pick: int) -> int | None:
        """A connection for a write that takes several reads: always the same one where senders' bytes may mix."""
        return self.writer(0 if self.promise.granularity == "reads" else pick)

    def write(self, write: Write) -> None:
        """Append a write, unless the program has become too big."""
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
        """A TLV of the relay's own range, of the right size where the relay checks it."""
        number = self.promise.first_type + kind % len(self.promise.types)
        if self.promise.strict:
            size = FIXED_SIZES.get(number, size)
        return Tlv(number, size, extended)

    def padding_type(self) -> int:
        """A type of the relay's range whose size no rule fixes."""
        return next(number for number in self.promise.types if number not in FIXED_SIZES)


class Traffic(ProgramMachine):
    """One frame a write."""

    @rule(pick=PICK, shape=SHAPE)
    def send(self, pick: int, shape: Shape) -> None:
        if (conn := self.writer(pick)) is not None:
            self.write(Write(conn, (self.own_frame(shape),)))


class Streams(ProgramMachine):
    """Many frames of one client, each in a write of its own."""

    @rule(pick=PICK, count=st.sampled_from((25, 60)))
    def send_many(self, pick: int, count: int) -> None:
        if (conn := self.writer(pick)) is not None:
            for _ in range(count):
                self.write(Write(conn, (self.own_frame(((0, 8),)),), settle=False))


class ZeroChecksums(ProgramMachine):
    """A frame whose right checksum is 0, which is an ordinary value (D9)."""

    @rule(pick=PICK, size=st.sampled_from((8, 40)))
    def send_zero(self, pick: int, size: int) -> None:
        if (conn := self.writer(pick)) is not None:
            frame = Frame(self.promise.number, (Tlv(self.padding_type(), size),), checksum="made-zero")
            self.write(Write(conn, (frame,)))


class Rush(ProgramMachine):
    """Writes that do not wait for each other, from several clients."""

    @rule(picks=st.lists(st.tuples(PICK, SHAPE), min_size=2, max_size=8))
    def send_at_once(self, picks: list[tuple[int, Shape]]) -> None:
        for pick, shape in picks:
            if (conn := self.writer(pick)) is not None:
                self.write(Write(conn, (self.own_frame(shape),), settle=False))


class Batches(ProgramMachine):
    """Several frames in one write, up to several read buffers of them."""

    @rule(
        pick=PICK,
        groups=st.lists(
            st.tuples(st.sampled_from((8, 40, 0, 255, 256, 30_000, 65_000)), st.sampled_from((1, 2, 64))),
            min_size=1,
            max_size=3,
        ),
    )
    def send_batch(self, pick: int, groups: list[tuple[int, int]]) -> None:
        if (conn := self.big_writer(pick)) is not None:
            items: list[Item] = []
            for size, count in groups:
                frame = Frame(self.promise.number, (Tlv(self.padding_type(), size),))
                items += [frame] * (min(count, 4) if size > 1000 else count)
            self.write(Write(conn, tuple(items)))

    @rule(pick=PICK, count=st.integers(885, 2000))
    def send_more_than_a_read(self, pick: int, count: int) -> None:
        if (conn := self.big_writer(pick)) is not None:
            self.write(Write(conn, (Frame(self.promise.number, (Tlv(self.padding_type(), 40),)),) * count))


class Cuts(ProgramMachine):
    """Frames cut anywhere over several writes."""

    @rule(
        pick=PICK,
        shapes=st.lists(SHAPE, min_size=1, max_size=3),
        cuts=st.lists(
            st.one_of(st.integers(1, 90), st.sampled_from((4, 24, 28, 31, 32, 33, 34, 37, 300, 1040))),
            min_size=1,
            max_size=4,
        ),
    )
    def send_cut(self, pick: int, shapes: list[Shape], cuts: list[int]) -> None:
        if (conn := self.big_writer(pick)) is not None:
            self.write(Write(conn, tuple(self.own_frame(shape) for shape in shapes), tuple(sorted(set(cuts)))))

    @rule(pick=PICK, kind=st.integers(0, 39), every=st.sampled_from((1, 2, 3, 7, 31)))
    def send_in_crumbs(self, pick: int, kind: int, every: int) -> None:
        if (conn := self.big_writer(pick)) is not None:
            self.write(Write(conn, (Frame(self.promise.number, (self.own_tlv(kind, 8),)),), every=every))


class Interleaving(ProgramMachine):
    """Frames that stop half-way, while others write, and are finished later."""

    @rule(pick=PICK, shape=SHAPE, stop=st.integers(1, 80))
    def begin(self, pick: int, shape: Shape, stop: int) -> None:
        conn = self.writer(pick)
        frame = self.own_frame(shape)
        if conn is not None and stop < frame.size and len(self.writers) > 1:
            self.write(Write(conn, (frame,), stop=stop))
            self.writers.remove(conn)
            self.unfinished.append(conn)

    @rule(pick=PICK)
    def finish(self, pick: int) -> None:
        if self.unfinished:
            conn = self.unfinished.pop(pick % len(self.unfinished))
            self.writers.append(conn)
            self.steps.append(Finish(conn))

    def teardown(self) -> None:
        self.steps += [Finish(conn) for conn in self.unfinished]
        super().teardown()


class Incomplete(ProgramMachine):
    """Frames of which the rest never comes."""

    @rule(pick=PICK, shape=SHAPE, stop=st.integers(1, 120))
    def begin_only(self, pick: int, shape: Shape, stop: int) -> None:
        conn = self.writer(pick)
        frame = self.own_frame(shape)
        if conn is not None and stop < frame.size and len(self.writers) > 1:
            self.write(Write(conn, (frame,), stop=stop))
            self.writers.remove(conn)


class Visitors(ProgramMachine):
    """Clients that come while others send, without waiting to be served."""

    @rule(pick=PICK, count=st.integers(1, 3))
    def come_unannounced(self, pick: int, count: int) -> None:
        conn = self.writer(pick)
        if conn is not None and len(self.open) < MAX_CONNECTIONS and self.connected < 12:
            self.steps += [Connect(self.connected, reads=False), Idle(1)]
            self.connected += 1
            for _ in range(count):
                self.write(Write(conn, (self.own_frame(((0, 8),)),)))


class Joins(ProgramMachine):
    """Clients that come later."""

    @rule()
    def join(self) -> None:
        if len(self.open) < MAX_CONNECTIONS:
            self.connect()

    @rule()
    def join_after_all_has_come(self) -> None:
        if len(self.open) < MAX_CONNECTIONS:
            if not any(isinstance(step, Write) for step in self.steps):
                self.everybody_sends()
            self.steps.append(Sync())
            self.connect()


class Leaves(ProgramMachine):
    """Clients that leave, politely or not, at any byte of a frame."""

    @rule(pick=PICK, writers=st.lists(PICK, min_size=1, max_size=3))
    def leave_while_the_relay_is_stopped(self, pick: int, writers: list[int]) -> None:
        """It finds frames, and the end of their sender or of a receiver, at once."""
        if len(self.open) > 2:
            self.steps.append(Freeze())
            for other in writers:
                if (conn := self.writer(other)) is not None:
                    self.write(Write(conn, (self.own_frame(((0, 8),)),), settle=False))
            self.leave(self.open[pick % len(self.open)], reset=False)
            self.steps.append(Thaw())

    @rule(pick=PICK, reset=st.booleans())
    def leave_between_frames(self, pick: int, reset: bool) -> None:
        if len(self.open) > 2:
            self.leave(self.open[pick % len(self.open)], reset=reset)

    @rule(pick=PICK, shape=SHAPE, stop=st.integers(1, 120), reset=st.booleans())
    def leave_inside_a_frame(self, pick: int, shape: Shape, stop: int, reset: bool) -> None:
        conn = self.writer(pick)
        frame = self.own_frame(shape)
        if conn is not None and len(self.open) > 2 and stop < frame.size:
            self.write(Write(conn, (frame,), stop=stop))
            self.leave(conn, reset=reset)


class HalfCloses(ProgramMachine):
    """Clients that shut down their sending side and go on receiving."""

    @rule(pick=PICK)
    def half_close(self, pick: int) -> None:
        conn = self.writer(pick)
        if conn is not None and len(self.writers) > 1:
            self.steps.append(HalfClose(conn))
            self.writers.remove(conn)
            self.everybody_sends()


class Idles(ProgramMachine):
    """Clients that are silent for a while before they send."""

    @rule(milliseconds=st.sampled_from((110, 150)))
    def idle(self, milliseconds: int) -> None:
        if not any(isinstance(step, Idle) for step in self.steps):
            self.steps.append(Idle(milliseconds))


class Replies(ProgramMachine):
    """Clients that send because of what they got."""

    @rule(pick=PICK, answer=PICK, shape=SHAPE)
    def reply(self, pick: int, answer: int, shape: Shape) -> None:
        first, second = self.writer(pick), self.writer(answer)
        if first is not None and second is not None and first != second:
            self.write(Write(first, (self.own_frame(shape),)))
            self.steps.append(Sync())
            self.write(Write(second, (self.own_frame(shape),)))


class Silences(ProgramMachine):
    """Waiting until all that was sent has come."""

    @rule()
    def sync(self) -> None:
        self.steps.append(Sync())


class UnusualHeaders(ProgramMachine):
    """Header fields that a relay has no business with, at their edges."""

    @rule(
        pick=PICK,
        flags=st.sampled_from((0, 1, 127, 128, 255)),
        timestamp=st.sampled_from((None, 0, 1, 2**63, 2**64 - 1)),
        source=st.sampled_from((None, 0, 6, 99, 255)),
        version=st.sampled_from((1, 0, 2, 255)),
        size=SMALL_SIZES,
    )
    def send_unusual(
        self, pick: int, flags: int, timestamp: int | None, source: int | None, version: int, size: int
    ) -> None:
        if (conn := self.writer(pick)) is not None:
            strict = self.promise.strict
            frame = Frame(
                self.promise.number,
                (Tlv(self.padding_type(), size),),
                flags=flags,
                timestamp=timestamp,
                source=None if strict else source,
                version=1 if strict else version,
            )
            self.write(Write(conn, (frame,)))


class HeaderOnly(ProgramMachine):
    """Frames of 32 bytes."""

    @rule(pick=PICK, count=st.sampled_from((1, 2, 5)))
    def send_empty(self, pick: int, count: int) -> None:
        if (conn := self.writer(pick)) is not None:
            self.write(Write(conn, (Frame(self.promise.number),) * count))


class BigFrames(ProgramMachine):
    """Frames around and above a read buffer, up to the maximum."""

    @rule(
        pick=PICK,
        size=st.sampled_from((65_536, 65_503, 65_504, 65_535, 65_537, 65_540, 65_572, 100_000, 131_072, 262_144)),
    )
    def send_big(self, pick: int, size: int) -> None:
        if (conn := self.big_writer(pick)) is not None:
            self.write(Write(conn, (self.frame_of(min(size, self.promise.max_message_size)),)))

    @rule(pick=PICK)
    def send_biggest(self, pick: int) -> None:
        conn = self.big_writer(pick)
        if conn is not None and self.bytes < MAX_PROGRAM_BYTES // 2 and self.promise.max_message_size <= 2_000_000:
            self.write(Write(conn, (self.frame_of(self.promise.max_message_size),)))

    def frame_of(self, size: int) -> Frame:
        return sized_frame(self.promise.number, self.padding_type(), size)


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


class ManyTlvs(ProgramMachine):
    """Many TLVs in a frame, known, reserved and unknown types, both forms."""

    @rule(
        pick=PICK,
        tlvs=st.lists(st.tuples(st.integers(0, 39), SMALL_SIZES, st.booleans()), min_size=1, max_size=40),
    )
    def send_many(self, pick: int, tlvs: list[tuple[int, int, bool]]) -> None:
        if (conn := self.writer(pick)) is not None:
            built = tuple(self.own_tlv(kind, size, extended=extended) for kind, size, extended in tlvs)
            self.write(Write(conn, (Frame(self.promise.number, built),)))


class Foreign(ProgramMachine):
    """Frames of other domains among the relay's own, in one write and in several."""

    @rule(
        pick=PICK,
        domains=st.lists(st.sampled_from((0, 1, 2, 3, 4, 5, 6, 7, 8)), min_size=1, max_size=6),
        together=st.booleans(),
        size=st.sampled_from((8, 0, 255, 256, 40_000)),
    )
    def send_mixed(self, pick: int, domains: list[int], together: bool, size: int) -> None:
        if (conn := self.writer(pick)) is not None:
            numbers = (self.promise.number, *(n for n in (1, 2, 3, 4, 0, 5, 127, 255) if n != self.promise.number))
            frames = tuple(Frame(numbers[index % len(numbers)], (Tlv(self.padding_type(), size),)) for index in domains)
            for write in (frames,) if together else tuple((frame,) for frame in frames):
                self.write(Write(conn, write))


class ForeignTypes(ProgramMachine):
    """TLV types of other ranges, first, between or last, in both forms."""

    @rule(
        pick=PICK,
        place=st.integers(0, 3),
        others=st.integers(0, 3),
        foreign=st.sampled_from((1, 10, 19, 20, 30, 39, 40, 60, 79, 80, 119, 120, 199, 200, 254)),
        extended=st.booleans(),
        size=SMALL_SIZES,
    )
    def send_foreign_type(self, pick: int, place: int, others: int, foreign: int, extended: bool, size: int) -> None:
        if (conn := self.writer(pick)) is not None:
            tlvs = [Tlv(self.padding_type(), 8)] * others
            tlvs.insert(place % (others + 1), Tlv(foreign, size, extended))
            self.write(Write(conn, (Frame(self.promise.number, tuple(tlvs)),)))


class EdgeTypes(ProgramMachine):
    """The types on both sides of every edge between ranges."""

    @rule(
        pick=PICK,
        number=st.sampled_from((19, 20, 39, 40, 79, 80, 0, 1, 254, 119, 120, 199, 200)),
        extended=st.booleans(),
    )
    def send_edge(self, pick: int, number: int, extended: bool) -> None:
        if (conn := self.writer(pick)) is not None:
            tlv = Tlv(number, FIXED_SIZES.get(number, 8), extended and number not in (0, 255))
            self.write(Write(conn, (Frame(self.promise.number, (tlv,)),)))

    @rule(pick=PICK)
    def send_marker_as_type(self, pick: int) -> None:
        """255 is the extended marker and never a type: as an inner type it makes the payload malformed."""
        conn = self.writer(pick)
        if conn is not None and self.promise.check_tlvs:
            self.write(Write(conn, (Frame(self.promise.number, (Tlv(255, 8, extended=True),)),)))


class Checksums(ProgramMachine):
    """Wrong checksums, alone and between right ones."""

    @rule(
        pick=PICK,
        kinds=st.lists(
            st.sampled_from(("good", "zero", "inverted", "off-by-one", "high-bit", "with-field")),
            min_size=1,
            max_size=4,
        ),
        shape=st.one_of(SHAPE, st.just(())),
    )
    def send_checksums(self, pick: int, kinds: list[str], shape: Shape) -> None:
        if (conn := self.writer(pick)) is not None:
            frames = tuple(
                Frame(self.promise.number, self.own_frame(shape).tlvs, checksum=kind)  # type: ignore[arg-type] # a literal drawn above
                for kind in kinds
            )
            self.write(Write(conn, frames))


class Malformed(ProgramMachine):
    """Payloads that are no sequence of TLVs."""

    @rule(pick=PICK, others=st.integers(0, 2), fault=st.integers(0, 9), size=st.sampled_from((4, 1, 100)))
    def send_malformed(self, pick: int, others: int, fault: int, size: int) -> None:
        if (conn := self.writer(pick)) is not None:
            number = self.padding_type()
            value = bytes(size)
            tails = (
                bytes((number,)),
                bytes((number, size + 1)) + value,
                bytes((255, 1, number)) + size.to_bytes(2, "little") + value,
                bytes((255, 0, number)) + (size + 1).to_bytes(2, "little") + value,
                bytes((255, 0, 0)) + size.to_bytes(2, "little") + value,
                bytes((255, 0, 255)) + size.to_bytes(2, "little") + value,
                bytes((255,)),
                bytes((255, 0)),
                bytes((255, 0, number)),
                bytes((255, 0, number, size)),
            )
            tlvs = (Tlv(number, 8),) * others
            self.write(Write(conn, (Frame(self.promise.number, tlvs, tails[fault].hex()),)))


class Strictness(ProgramMachine):
    """What only the security level refuses: version, source, sizes of fixed-size types."""

    @rule(pick=PICK, version=st.sampled_from((1, 0, 2, 255)), source=st.sampled_from((None, 0, 6, 19, 83, 255)))
    def send_strange_header(self, pick: int, version: int, source: int | None) -> None:
        if (conn := self.writer(pick)) is not None:
            tlvs = (Tlv(self.padding_type(), 8),)
            self.write(Write(conn, (Frame(self.promise.number, tlvs, version=version, source=source),)))

    @rule(
        pick=PICK,
        kind=st.integers(0, 39),
        growth=st.sampled_from((0, 1, -1, 300)),
        extended=st.booleans(),
        before=st.booleans(),
    )
    def send_strange_size(self, pick: int, kind: int, growth: int, extended: bool, before: bool) -> None:
        if (conn := self.writer(pick)) is not None:
            fixed = [number for number in self.promise.types if number in FIXED_SIZES]
            number = fixed[kind % len(fixed)]
            tlv = Tlv(number, FIXED_SIZES[number] + growth, extended)
            first = (Tlv(self.padding_type(), 8),) if before else ()
            self.write(Write(conn, (Frame(self.promise.number, (*first, tlv)),)))


class Garbage(ProgramMachine):
    """Bytes that cannot begin a frame, and headers that announce too much, from a client of its own."""

    @rule(kind=st.integers(0, 6), before=st.integers(0, 2), shape=SHAPE)
    def send_garbage(self, kind: int, before: int, shape: Shape) -> None:
        if len(self.open) >= MAX_CONNECTIONS:
            return
        conn = self.connect()
        self.writers.remove(conn)
        limit = self.promise.max_message_size
        garbage: tuple[Item, ...] = (
            Raw(b"hello, relay! this line is no frame at all, and says so.\n".hex()),
            Raw(bytes(64).hex()),
            Raw((b"\xde\xad\xbe\xef" + bytes(60)).hex()),
            Raw((b"\xef\xbe\xad\xdf" + bytes(60)).hex()),
            Frame(self.promise.number, (Tlv(self.padding_type(), 8),), claim=limit - 31),
            Frame(self.promise.number, (Tlv(self.padding_type(), 8),), claim=2**30),
            Frame(self.promise.number, (Tlv(self.padding_type(), 8),), claim=2**32 - 1),
        )
        own = self.own_frame(shape)
        again = self.promise.on_framing_error == "resync"
        self.write(Write(conn, (*((own,) * before), garbage[kind], *((own,) if again else ()))))
        if again:
            rest = garbage[kind].size + own.size
            self.write(Write(conn, (own, garbage[kind], own), cuts=(rest + 2,)))


class Hostility(ProgramMachine):
    """Whatever a broken or malicious client might write, and then stay or go."""

    @rule(
        noise=st.binary(min_size=1, max_size=80),
        headed=st.booleans(),
        claim=st.sampled_from((0, 1, 100_000, 900_000, 2**31, 2**32 - 1)),
        goes=st.booleans(),
    )
    def send_noise(self, noise: bytes, headed: bool, claim: int, goes: bool) -> None:
        if len(self.open) >= MAX_CONNECTIONS:
            return
        conn = self.connect()
        self.writers.remove(conn)
        if headed:
            header = (
                b"\xef\xbe\xad\xde" + bytes((self.promise.number, 1, 1, 0)) + bytes(16) + claim.to_bytes(4, "little")
            )
            noise = header + noise
        self.write(Write(conn, (Raw(noise.hex()),)))
        if goes:
            self.leave(conn, reset=False)
