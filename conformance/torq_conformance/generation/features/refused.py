"""Features with what a relay must refuse: foreign domains and types, wrong checksums, garbage."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import rule

from torq_protocol.constants import CHECKSUM_OFFSET, HEADER_SIZE, MAGIC_BYTES

from ...model import wire
from ...model.frames import Frame, Item, Raw, Tlv, encode_frame
from ...model.legality import FIXED_SIZES
from ...model.rules import Rules
from ...model.steps import Write
from ..machine import MAX_CONNECTIONS, PICK, SHAPE, SIZES, SMALL_SIZES, ProgramMachine, Shape

FOREIGN_TYPES = (1, 10, 19, 20, 30, 39, 40, 60, 79, 80, 119, 120, 199, 200, 254)
"""TLV types at the edges of every range and inside."""
WRONG_CHECKSUMS = ("zero", "inverted", "off-by-one", "one-bit", "with-field")
MALFORMATIONS = 10
MOST_KINDS = 60
MANY_KINDS = st.integers(0, MOST_KINDS - 1)
"""An index into a shorter list, taken modulo the list's length."""
ATTEMPTS = 5


class Refusals(ProgramMachine):
    """The base of features with refused frames: every program has one."""

    def until_refused(self, send: Callable[[], None]) -> None:
        """Send until a frame must be refused, a few times at most: a profile may refuse nothing of the kind."""
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
                self.random_pick(), [self.random.randrange(9) for _ in range(3)], self.random.random() < 0.5, 8
            )
        )
        super().ensure()


class ForeignTypes(Refusals):
    """Frames with a TLV type of another range: first, between or last, in both forms."""

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
            place, others = self.random.randrange(4), self.random.randrange(4)
            foreign, extended = self.random.choice(FOREIGN_TYPES), self.random.random() < 0.5
            self.send_foreign_type(self.random_pick(), place, others, foreign, extended, self.random.choice(SIZES))

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
    """Frames with wrong checksums, alone and between valid frames."""

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
                self.random_pick(),
                ["good", self.random.choice(WRONG_CHECKSUMS), "good"],
                self.random.randrange(32),
                self.random_shape(),
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
                self.random_pick(),
                self.random.randrange(3),
                self.random.randrange(MALFORMATIONS),
                self.random.choice((1, 4)),
            )
        )
        super().ensure()


class StrictFieldFaults(Refusals):
    """Frames that only the strict level refuses: for their version, their source, the size of a fixed-size type."""

    @rule(pick=PICK, version=st.sampled_from((1, 0, 2, 255)), source=st.sampled_from((None, 0, 6, 19, 83, 255)))
    def send_invalid_header(self, pick: int, version: int, source: int | None) -> None:
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
    def send_wrong_size(self, pick: int, kind: int, growth: int, extended: bool, before: bool) -> None:
        if (conn := self.writer(pick)) is not None:
            fixed = [number for number in self.promise.types if number in FIXED_SIZES]
            number = fixed[kind % len(fixed)]
            tlv = Tlv(number, FIXED_SIZES[number] + growth, extended)
            first = (Tlv(self.padding_type(), 8),) if before else ()
            self.write(Write(conn, (Frame(self.promise.number, (*first, tlv)),)))

    def ensure(self) -> None:
        def send() -> None:
            self.send_invalid_header(self.random_pick(), self.random.choice((0, 2, 255)), None)
            kind, growth = self.random.randrange(40), self.random.choice((1, -1, 300))
            self.send_wrong_size(self.random_pick(), kind, growth, extended=False, before=self.random.random() < 0.5)

        self.until_refused(send)
        super().ensure()


def oversize_claims(rules: Rules) -> tuple[int, ...]:
    """Payload sizes that no relay takes: one byte too many, and where a counter of 31 or 32 bits wraps around."""
    return (rules.max_message_size - 31, 2**30, 2**31 - 32, 2**31, 2**32 - HEADER_SIZE, 2**32 - 1)


def bytes_without_magic(rules: Rules, tlv_type: int) -> tuple[Raw, ...]:
    """Garbage; the last four are frames with one wrong byte in the magic."""
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
    """Garbage, and headers that announce more than the maximum size."""
    claims = oversize_claims(rules)
    return (
        *bytes_without_magic(rules, tlv_type),
        *(Frame(rules.number, (Tlv(tlv_type, 8),), claim=claim) for claim in claims),
    )


class Garbage(ProgramMachine):
    """A client of its own that sends garbage between frames."""

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
            kind, before = self.random.randrange(MOST_KINDS), self.random.randrange(3)
            self.send_garbage(kind, before, self.random_shape(), self.random.randrange(120))
            self.every_client_sends()
        super().ensure()


class HostileBytes(ProgramMachine):
    """A client of its own that sends random bytes, and then stays or leaves."""

    cells = ("garbage",)

    @rule(
        noise=st.binary(min_size=1, max_size=80),
        with_header=st.booleans(),
        claim=st.sampled_from((0, 1, 100_000, 900_000, 2**31, 2**32 - 1)),
        leaves=st.booleans(),
    )
    def send_noise(self, noise: bytes, with_header: bool, claim: int, leaves: bool) -> None:
        if len(self.open) >= MAX_CONNECTIONS:
            return
        conn = self.connect()
        self.writers.remove(conn)
        if with_header:
            header = (
                b"\xef\xbe\xad\xde" + bytes((self.promise.number, 1, 1, 0)) + bytes(16) + claim.to_bytes(4, "little")
            )
            noise = header + noise
        self.write(Write(conn, (Raw(noise.hex()),)))
        if leaves:
            self.leave(conn, reset=False)

    def ensure(self) -> None:
        """Every program sends frames after the random bytes: the relay must still serve the other clients."""
        if not any(isinstance(item, Raw) for step in self.steps if isinstance(step, Write) for item in step.items):
            noise = self.random.randbytes(1 + self.random.randrange(80))
            self.send_noise(noise, self.random.random() < 0.5, self.random.choice((0, 1, 900_000, 2**31)), leaves=False)
        self.every_client_sends()
        super().ensure()
