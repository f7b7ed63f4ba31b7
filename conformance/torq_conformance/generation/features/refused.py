"""Features of programs with what a relay must refuse: foreign domains and types, wrong checksums, garbage."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import rule

from torq_protocol.constants import CHECKSUM_OFFSET, HEADER_SIZE, MAGIC_BYTES

from ...model import wire
from ...model.legality import FIXED_SIZES
from ...model.program import Frame, Item, Raw, Tlv, Write, encode_frame
from ...model.rules import Rules
from ..machine import MAX_CONNECTIONS, PICK, SHAPE, SIZES, SMALL_SIZES, ProgramMachine, Shape

FOREIGN_TYPES = (1, 10, 19, 20, 30, 39, 40, 60, 79, 80, 119, 120, 199, 200, 254)
"""TLV types at the edges of every range and inside."""
WRONG_CHECKSUMS = ("zero", "inverted", "off-by-one", "one-bit", "with-field")
MALFORMATIONS = 10
MOST_KINDS = 60
MANY_KINDS = st.integers(0, MOST_KINDS - 1)
"""One of things of which there are fewer: taken modulo their number."""
ATTEMPTS = 5


class Refusals(ProgramMachine):
    """What features with refused frames have in common: no program without one."""

    def until_refused(self, send: Callable[[], None]) -> None:
        """Send frames until one must be refused; a profile that refuses nothing of the kind gets one all the same."""
        for _ in range(ATTEMPTS):
            if self.refuses_something():
                return
            send()


class ForeignDomains(Refusals):
    """Frames of other domains among the relay's own, in one write and in several."""

    cells = ("foreign domains",)

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

    def ensure(self) -> None:
        self.until_refused(
            lambda: self.send_mixed(
                self.lucky_pick(), [self.luck.randrange(9) for _ in range(3)], self.luck.random() < 0.5, 8
            )
        )
        super().ensure()


class ForeignTypes(Refusals):
    """TLV types of other ranges, first, between or last, in both forms."""

    cells = ("foreign types",)

    @rule(
        pick=PICK,
        place=st.integers(0, 3),
        others=st.integers(0, 3),
        foreign=st.sampled_from(FOREIGN_TYPES),
        extended=st.booleans(),
        size=SMALL_SIZES,
    )
    def send_foreign_type(self, pick: int, place: int, others: int, foreign: int, extended: bool, size: int) -> None:
        if (conn := self.writer(pick)) is not None:
            tlvs = [Tlv(self.padding_type(), 8)] * others
            tlvs.insert(place % (others + 1), Tlv(foreign, size, extended))
            self.write(Write(conn, (Frame(self.promise.number, tuple(tlvs)),)))

    def ensure(self) -> None:
        def send() -> None:
            place, others = self.luck.randrange(4), self.luck.randrange(4)
            foreign, extended = self.luck.choice(FOREIGN_TYPES), self.luck.random() < 0.5
            self.send_foreign_type(self.lucky_pick(), place, others, foreign, extended, self.luck.choice(SIZES))

        self.until_refused(send)
        super().ensure()


class BoundaryTypes(ProgramMachine):
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


class WrongChecksums(Refusals):
    """Wrong checksums, alone and between right ones."""

    cells = ("wrong checksums",)

    @rule(
        pick=PICK,
        kinds=st.lists(
            st.sampled_from(("good", *WRONG_CHECKSUMS)),
            min_size=1,
            max_size=4,
        ),
        bit=st.integers(0, 31),
        shape=st.one_of(SHAPE, st.just(())),
    )
    def send_checksums(self, pick: int, kinds: list[str], bit: int, shape: Shape) -> None:
        if (conn := self.writer(pick)) is not None:
            own = Frame(self.promise.number, self.own_frame(shape).tlvs)
            frames = tuple(
                msgspec.structs.replace(own, checksum=kind, bit=bit if kind == "one-bit" else 0) for kind in kinds
            )
            self.write(Write(conn, frames))

    def ensure(self) -> None:
        self.until_refused(
            lambda: self.send_checksums(
                self.lucky_pick(),
                ["good", self.luck.choice(WRONG_CHECKSUMS), "good"],
                self.luck.randrange(32),
                self.lucky_shape(),
            )
        )
        super().ensure()


class MalformedTlvs(Refusals):
    """Payloads that are no sequence of TLVs."""

    cells = ("malformed payloads",)

    @rule(
        pick=PICK, others=st.integers(0, 2), fault=st.integers(0, MALFORMATIONS - 1), size=st.sampled_from((4, 1, 100))
    )
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

    def ensure(self) -> None:
        self.until_refused(
            lambda: self.send_malformed(
                self.lucky_pick(), self.luck.randrange(3), self.luck.randrange(MALFORMATIONS), self.luck.choice((1, 4))
            )
        )
        super().ensure()


class StrictFieldFaults(Refusals):
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

    def ensure(self) -> None:
        def send() -> None:
            self.send_strange_header(self.lucky_pick(), self.luck.choice((0, 2, 255)), None)
            kind, growth = self.luck.randrange(40), self.luck.choice((1, -1, 300))
            self.send_strange_size(self.lucky_pick(), kind, growth, extended=False, before=self.luck.random() < 0.5)

        self.until_refused(send)
        super().ensure()


def oversize_claims(rules: Rules) -> tuple[int, ...]:
    """Sizes of payloads that no relay takes: by one byte, and where counting in 31 or 32 bits wraps around."""
    return (rules.max_message_size - 31, 2**30, 2**31 - 32, 2**31, 2**32 - HEADER_SIZE, 2**32 - 1)


def bytes_without_magic(rules: Rules, tlv_type: int) -> tuple[Raw, ...]:
    """Bytes that cannot begin a frame; the last four would be one but for a byte of the magic."""
    frame = encode_frame(Frame(rules.number, (Tlv(tlv_type, 8),)), conn=0, number=0, sequence=0)
    return (
        Raw(b"hello, relay! this line is no frame at all, and says so.\n".hex()),
        Raw(bytes(64).hex()),
        Raw((b"\xde\xad\xbe\xef" + bytes(60)).hex()),
        *(Raw(_with_wrong_magic(frame, place).hex()) for place in range(len(MAGIC_BYTES))),
    )


def _with_wrong_magic(frame: bytes, place: int) -> bytes:
    wrong = frame[:place] + bytes((frame[place] ^ 1,)) + frame[place + 1 :]
    return wrong[:CHECKSUM_OFFSET] + wire.checksum(wrong).to_bytes(4, "little") + wrong[HEADER_SIZE:]


def garbage(rules: Rules, tlv_type: int) -> tuple[Item, ...]:
    """Bytes that cannot begin a frame, and headers that announce too much."""
    claims = oversize_claims(rules)
    return (
        *bytes_without_magic(rules, tlv_type),
        *(Frame(rules.number, (Tlv(tlv_type, 8),), claim=claim) for claim in claims),
    )


class Garbage(ProgramMachine):
    """Bytes that cannot begin a frame, between frames, from a client of its own."""

    cells = ("garbage",)
    garbage_sent = False

    @rule(kind=MANY_KINDS, before=st.integers(0, 2), shape=SHAPE, cut=st.integers(0, 120))
    def send_garbage(self, kind: int, before: int, shape: Shape, cut: int) -> None:
        if len(self.open) >= MAX_CONNECTIONS:
            return
        conn = self.connect()
        self.writers.remove(conn)
        kinds = garbage(self.promise, self.padding_type())
        item = kinds[kind % len(kinds)]
        own = self.own_frame(shape)
        self.write(Write(conn, (*((own,) * before), item, own), cuts=(cut,) if cut else ()))
        if self.promise.on_framing_error == "resync":
            self.write(Write(conn, (own, item, own), cuts=(item.size + own.size + 2,)))
        self.garbage_sent = True

    def ensure(self) -> None:
        if not self.garbage_sent:
            kind, before = self.luck.randrange(MOST_KINDS), self.luck.randrange(3)
            self.send_garbage(kind, before, self.lucky_shape(), self.luck.randrange(120))
            self.everybody_sends()
        super().ensure()


class HostileBytes(ProgramMachine):
    """Whatever a broken or malicious client might write, and then stay or go."""

    cells = ("garbage",)

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

    def ensure(self) -> None:
        """Whatever was written, others must still be served behind it."""
        if not any(isinstance(item, Raw) for step in self.steps if isinstance(step, Write) for item in step.items):
            noise = self.luck.randbytes(1 + self.luck.randrange(80))
            self.send_noise(noise, self.luck.random() < 0.5, self.luck.choice((0, 1, 900_000, 2**31)), goes=False)
        self.everybody_sends()
        super().ensure()
