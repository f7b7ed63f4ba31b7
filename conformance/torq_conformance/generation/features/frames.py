"""Features with valid frames only: their sizes, TLVs, batches and cuts."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import rule

from ...model.frames import Frame, Item, Tlv
from ...model.steps import Buffer, Freeze, Write
from ..machine import KINDS, MAX_PROGRAM_BYTES, PICK, SHAPE, SIZES, SMALL_SIZES, ProgramMachine, Shape, sized_frame

EDGE_CUTS = (4, 24, 28, 31, 32, 33, 34, 37, 300, 1040)
"""Byte offsets of cuts: the edges of header fields, of the header, of the first TLV, and of an edge size."""
CUT = st.sampled_from((*range(1, 91), *EDGE_CUTS))
ANY_TLV = st.sampled_from([(kind, size, extended) for extended in (False, True) for size in SIZES for kind in KINDS])
"""One TLV: kind, size of the value in bytes, whether in the extended form."""
BIG_SIZES = (65_536, 65_503, 65_504, 65_535, 65_537, 65_540, 65_572, 100_000, 131_072, 262_144)
"""Frame sizes in bytes around and above a read buffer."""
TINY_BUFFERS = (1, 5_000, 20_000)
"""Send buffers in bytes: the kernel makes about 4 kB of the first, and a frame of 64 KiB arrives in 15 to 30 reads."""
LABEL = 8
"""Bytes of a value that hold any frame's label."""
MORE_THAN_A_READ = (885, 1_300)
"""Frames of 74 bytes, at least and at most, that take more than one read of 64 KiB."""


class Traffic(ProgramMachine):
    """Writes of one frame."""

    @rule(pick=PICK, shape=SHAPE)
    def send(self, pick: int, shape: Shape) -> None:
        if (conn := self.writer(pick)) is not None:
            self.write(Write(conn, (self.own_frame(shape),)))


class Streams(ProgramMachine):
    """Many frames of one client, a write for each."""

    cells = ("concurrent writes",)

    @rule(pick=PICK, count=st.sampled_from((25, 60)))
    def send_many(self, pick: int, count: int) -> None:
        if (conn := self.writer(pick)) is not None:
            for _ in range(count):
                self.write(Write(conn, (self.own_frame(((0, 8),)),), settle=False))


class ZeroChecksums(ProgramMachine):
    """Frames whose right checksum is 0, an ordinary value (D9)."""

    cells = ("right checksums of 0",)

    @rule(pick=PICK, size=st.sampled_from((8, 40)))
    def send_zero(self, pick: int, size: int) -> None:
        if (conn := self.writer(pick)) is not None:
            frame = Frame(self.promise.number, (Tlv(self.padding_type(), size),), checksum="made-zero")
            self.write(Write(conn, (frame,)))

    def ensure(self) -> None:
        if self.lacks("right checksums of 0"):
            self.send_zero(self.random_pick(), 8)
        super().ensure()


class ConcurrentWrites(ProgramMachine):
    """Writes of several clients that wait for no other write."""

    cells = ("concurrent writes",)

    @rule(picks=st.lists(st.tuples(PICK, SHAPE), min_size=2, max_size=8))
    def send_at_once(self, picks: list[tuple[int, Shape]]) -> None:
        for pick, shape in picks:
            if (conn := self.writer(pick)) is not None:
                self.write(Write(conn, (self.own_frame(shape),), settle=False))

    def ensure(self) -> None:
        if self.lacks("concurrent writes"):
            self.send_at_once([(self.random_pick(), self.random_shape()) for _ in range(4)])
        super().ensure()


class CoalescedFrames(ProgramMachine):
    """Writes of several frames, up to several read buffers."""

    cells = ("coalesced writes",)
    longest_written = False

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

    @rule(pick=PICK, count=st.integers(*MORE_THAN_A_READ))
    def send_more_than_a_read(self, pick: int, count: int) -> None:
        """At most one such write in a program: it costs as much as a hundred others."""
        if not self.longest_written and (conn := self.big_writer(pick)) is not None:
            self.longest_written = True
            self.write(Write(conn, (Frame(self.promise.number, (Tlv(self.padding_type(), 40),)),) * count))

    def ensure(self) -> None:
        if not any(len(step.items) > 1 for step in self.steps if isinstance(step, Write)):
            self.send_batch(self.random_pick(), [(self.random.choice(SIZES), 2 + self.random.randrange(5))])
        super().ensure()


class SplitWrites(ProgramMachine):
    """Frames that are cut anywhere over several writes."""

    cells = ("split writes",)

    @rule(
        pick=PICK,
        shapes=st.lists(SHAPE, min_size=1, max_size=3),
        cuts=st.lists(CUT, min_size=1, max_size=4),
    )
    def send_cut(self, pick: int, shapes: list[Shape], cuts: list[int]) -> None:
        if (conn := self.big_writer(pick)) is not None:
            self.write(Write(conn, tuple(self.own_frame(shape) for shape in shapes), tuple(sorted(set(cuts)))))

    @rule(pick=PICK, kind=st.integers(0, 39), every=st.sampled_from((1, 2, 3, 7, 31)))
    def send_in_small_pieces(self, pick: int, kind: int, every: int) -> None:
        if (conn := self.big_writer(pick)) is not None:
            self.write(Write(conn, (Frame(self.promise.number, (self.own_tlv(kind, 8),)),), every=every))

    def ensure(self) -> None:
        if not any(len(step.pieces()) > 1 for step in self.steps if isinstance(step, Write)):
            cut = 1 + self.random.randrange(33)
            self.send_cut(self.random_pick(), [self.random_shape()], [cut])
        super().ensure()


class UnusualHeaders(ProgramMachine):
    """Header fields that a relay must not judge, at their edges."""

    @rule(
        pick=PICK,
        flags=st.sampled_from((0, 1, 127, 128, 255)),
        sequence=st.sampled_from((None, 0, 2**32 - 1, 2**32, 2**63, 2**64 - 1)),
        timestamp=st.sampled_from((None, 0, 1, 2**63, 2**64 - 1)),
        source=st.sampled_from((None, 0, 6, 99, 255)),
        version=st.sampled_from((1, 0, 2, 255)),
        size=SMALL_SIZES,
    )
    def send_unusual(
        self,
        pick: int,
        flags: int,
        sequence: int | None,
        timestamp: int | None,
        source: int | None,
        version: int,
        size: int,
    ) -> None:
        if (conn := self.writer(pick)) is not None:
            strict = self.promise.strict
            frame = Frame(
                self.promise.number,
                (Tlv(self.padding_type(), size),),
                flags=flags,
                sequence=None if timestamp is not None and size < LABEL else sequence,
                timestamp=timestamp,
                source=None if strict else source,
                version=1 if strict else version,
            )
            self.write(Write(conn, (frame,)))


class HeaderOnlyFrames(ProgramMachine):
    """Frames of 32 bytes."""

    cells = ("header-only frames",)

    @rule(pick=PICK, count=st.sampled_from((1, 2, 5)))
    def send_empty(self, pick: int, count: int) -> None:
        if (conn := self.writer(pick)) is not None:
            self.write(Write(conn, (Frame(self.promise.number),) * count))

    def ensure(self) -> None:
        if self.lacks("header-only frames"):
            self.send_empty(self.random_pick(), 2)
        super().ensure()


class LargeFrames(ProgramMachine):
    """Frames around and above a read buffer, up to the maximum."""

    cells = ("frames above 64 KiB",)

    @rule(
        pick=PICK,
        size=st.sampled_from(BIG_SIZES),
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
        """A frame of exactly ``size`` bytes."""
        return sized_frame(self.promise.number, self.padding_type(), size)

    def ensure(self) -> None:
        if not any(frame.size > 65_536 for frame in self.frames()):
            self.send_big(self.random_pick(), self.random.choice([size for size in BIG_SIZES if size > 65_536]))
        super().ensure()


class SmallSendBuffers(ProgramMachine):
    """Clients with the smallest send buffer of the kernel, or a little more: large frames arrive in pieces.

    Where the bytes of senders may mix, one client has it, in programs in which no other writes at the same time.
    """

    cells = ("small send buffers",)

    @rule(pick=PICK, size=st.sampled_from(TINY_BUFFERS))
    def shrink_send_buffer(self, pick: int, size: int) -> None:
        if (conn := self.big_writer(pick)) is not None and not self.may_mix():
            self.steps.append(Buffer(conn, size))

    def may_mix(self) -> bool:
        """Whether the relay may legally put pieces of a frame between those of another client."""
        return self.promise.granularity == "reads" and self.has(Freeze)

    def ensure(self) -> None:
        if (
            self.lacks("small send buffers") and not self.may_mix()
        ):  # for one of the two first clients, before it writes
            conn = self.random.randrange(2) if self.promise.granularity == "frames" else 0
            self.steps.insert(2, Buffer(conn, min(TINY_BUFFERS)))
        super().ensure()


class ManyTlvs(ProgramMachine):
    """Frames of many TLVs: known, reserved and unknown types in both forms."""

    cells = ("extended TLVs",)

    @rule(
        pick=PICK,
        tlvs=st.lists(ANY_TLV, min_size=1, max_size=40),
    )
    def send_many(self, pick: int, tlvs: list[tuple[int, int, bool]]) -> None:
        if (conn := self.writer(pick)) is not None:
            built = tuple(self.own_tlv(kind, size, extended=extended) for kind, size, extended in tlvs)
            self.write(Write(conn, (Frame(self.promise.number, built),)))
