"""Programs that every run begins with: whole tables of small differences, and states too rare to be left to chance.

Facts: each program is small, so that what fails in it is soon made smaller still; none overflows a queue, and none
waits for anything but a silent client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import product

import msgspec

from ..legality import FIXED_SIZES
from ..machine import sized_frame
from ..profile import Rules
from ..program import (
    Buffer,
    Connect,
    Finish,
    Flood,
    Frame,
    Freeze,
    Idle,
    Item,
    Program,
    Raw,
    Step,
    Thaw,
    Tlv,
    Write,
    encode_frame,
)
from ..wire import tlv
from .refused import FOREIGN_TYPES, garbage

HOSTILE = 6
"""Clients that write garbage at once."""
WRITES = 40
"""Writes of one program."""
PROGRAM_BYTES = 2_000_000
"""What one program may send: far below any queue bound, so that no legal drop can look like a loss."""
TOGETHER = 8
"""Frames in a write that has several."""
OFFENDERS = 8
"""Clients that send garbage in one program."""
ABOVE_A_READ = 70_000
"""Bytes of a frame that no read holds."""
SMALL_FRAME_SIZES = range(34, 601)
"""Bytes of frames that are written alone."""
TLV_COUNTS = (2, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1_000, 1_024, 4_096)
"""TLVs of a frame: about every number that a list may be made for."""
CLIENTS = 12
"""Clients of one program that all do the same."""
MIDDLE_FRAME_SIZES = range(601, 4_200)
"""Bytes of frames of which several are written at once."""
BUFFER_SIZES = tuple(2**power for power in range(10, 21))
"""Bytes that buffers are made for: frames of about these sizes, and reads of exactly these, are tried."""
LEAST_BUFFER = 1
"""Bytes of a send buffer that asks for the kernel's least, some 4 kB."""
SEQUENCES = (0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
SILENCES_MS = (1_150, 2_500)
"""Silences that a relay may take for the end of a client; the short one first, for what fails there fails sooner."""
LONG_STREAM = 300
"""Frames of one client: more than a counter of one byte tells apart."""
LONGER_STREAM = 2**16 + 400
"""The same for a counter of two bytes."""

Spoil = Callable[[Frame], Frame]


def free_type(rules: Rules) -> int:
    """A type of the relay's range whose size no rule fixes."""
    return next(number for number in rules.types if number not in FIXED_SIZES)


def own(rules: Rules, size: int = 8) -> Frame:
    return Frame(rules.number, (Tlv(free_type(rules), size),))


def _empty_tlvs(rules: Rules, count: int) -> tuple[Tlv, ...]:
    return (Tlv(free_type(rules)),) * count


def sized(rules: Rules, size: int) -> Frame:
    return sized_frame(rules.number, free_type(rules), size)


def _programs(rules: Rules, writes: Iterable[Write]) -> tuple[Program, ...]:
    """The writes in their order, between two clients that are both there from the beginning."""
    groups: list[list[Write]] = [[]]
    for write in writes:
        if len(groups[-1]) == WRITES or sum(each.size for each in groups[-1]) + write.size > PROGRAM_BYTES:
            groups.append([])
        groups[-1].append(write)
    return tuple(Program(rules.domain, (Connect(0), Connect(1), *group)) for group in groups)


# --- frames that must be forwarded ----------------------------------------------------------------------------------


def silence_and_speech(rules: Rules) -> tuple[Program, ...]:
    """Clients that are silent for more than a second, before or after they speak, and one that hardly ends (CONN-3)."""
    one, other, third = (Write(conn, (own(rules),)) for conn in range(3))
    silences: list[tuple[Step, ...]] = [
        (one, third, Idle(milliseconds), other, one, third) for milliseconds in SILENCES_MS
    ]
    speech = (Flood(0, own(rules), LONGER_STREAM), one, other)
    return tuple(Program(rules.domain, (*map(Connect, range(3)), *steps)) for steps in (*silences, speech))


def long_stream(rules: Rules) -> tuple[Program, ...]:
    """Many frames of one client (FWD-1)."""
    writes = (Write(0, (own(rules),), settle=False),) * LONG_STREAM
    return (Program(rules.domain, (Connect(0), Connect(1), *writes)),)


def every_header(rules: Rules) -> tuple[Program, ...]:
    """Every value of the flags, and the edges of sequence and timestamp, each twice and of two clients (FWD-3)."""
    frame = msgspec.structs.replace
    one = own(rules)
    flags = [Write(0, (frame(one, flags=value),)) for value in range(256)]
    sequences = [Write(conn, (frame(one, sequence=value),)) for value in SEQUENCES for conn in (0, 0, 1)]
    times = [Write(conn, (frame(one, timestamp=value),)) for value in SEQUENCES for conn in (0, 0, 1)]
    sources = [Write(conn, (frame(one, source=20),)) for conn in (0, 1, 1, 0)]
    return _programs(rules, (*flags, *sequences, *times, *sources))


def repeats(rules: Rules) -> tuple[Program, ...]:
    """Frames that are equal byte for byte, each of which is forwarded: a relay remembers none (FWD-2).

    Those of two senders too, where senders get their own back: elsewhere theirs could not be told from the others'.
    """
    same = Frame(rules.number, tail=tlv(free_type(rules), b"the same").hex(), sequence=1, timestamp=1)
    writes = [Write(conn, (same,) * count) for count in (3, 1, 1) for conn in (0, 1)]
    if rules.echo:
        of_both = msgspec.structs.replace(same, source=20)
        writes += [Write(conn, (of_both,)) for conn in (0, 1, 1, 0, 0, 1)]
    return _programs(rules, writes)


def _ends(rules: Rules, before: Iterable[Frame], last: Iterable[Frame]) -> tuple[Program, ...]:
    """A last frame of each kind behind one of another client, of each kind: nothing follows it."""
    return tuple(
        Program(rules.domain, (Connect(0), Connect(1), Write(0, (one,)), Write(1, (other,))))
        for one, other in product(before, last)
    )


def every_end(rules: Rules) -> tuple[Program, ...]:
    """A small or a large frame as the last (FWD-1)."""
    kinds = (own(rules), sized(rules, min(ABOVE_A_READ, rules.max_message_size)))
    return _ends(rules, kinds, kinds)


def header_only_ends(rules: Rules) -> tuple[Program, ...]:
    """A header-only frame as the last, or the last but one (FWD-6)."""
    header_only = Frame(rules.number)
    kinds = (own(rules), sized(rules, min(ABOVE_A_READ, rules.max_message_size)))
    return (*_ends(rules, (header_only, *kinds), (header_only,)), *_ends(rules, (header_only,), kinds))


def whatever_is_valid(rules: Rules) -> tuple[Program, ...]:
    """Every header, repeats, and every end (FWD-1)."""
    return (*every_header(rules), *repeats(rules), *every_end(rules))


def every_size(rules: Rules) -> tuple[Program, ...]:
    """Frames of every size up to 4 kB, about every size of a buffer, the largest, and large ones in pieces (FWD-7)."""
    about = {size + off + header for size in BUFFER_SIZES for off in (-1, 0, 1) for header in (0, 32)}
    sizes = [*SMALL_FRAME_SIZES, *sorted(size for size in about if 600 < size <= rules.max_message_size)]
    writes = [Write(0, (sized(rules, size),)) for size in sizes]
    middle = range(MIDDLE_FRAME_SIZES.start, min(MIDDLE_FRAME_SIZES.stop, rules.max_message_size + 1))
    groups = (middle[start : start + TOGETHER] for start in range(0, len(middle), TOGETHER))
    writes += [Write(0, tuple(sized(rules, size) for size in group)) for group in groups]
    if rules.max_message_size <= PROGRAM_BYTES:
        writes.append(Write(0, (own(rules), sized(rules, rules.max_message_size), own(rules))))
    large = sized(rules, min(ABOVE_A_READ, rules.max_message_size))
    clients = range(min(CLIENTS, rules.max_connections - 1) if rules.max_connections else CLIENTS)  # one is the witness
    of_each = (Write(conn, (large,)) for conn in (clients if rules.granularity == "frames" else clients[:1]))
    in_pieces = (Connect(0), Connect(1), Buffer(0, LEAST_BUFFER), Write(0, (own(rules), large, own(rules))))
    return (
        *_programs(rules, writes),
        Program(rules.domain, (*map(Connect, clients), *of_each)),
        Program(rules.domain, in_pieces),
    )


def every_count(rules: Rules) -> tuple[Program, ...]:
    """Frames with many TLVs (FWD-8)."""
    return _programs(rules, (Write(0, (Frame(rules.number, _empty_tlvs(rules, count)),)) for count in TLV_COUNTS))


def every_cut(rules: Rules) -> tuple[Program, ...]:
    """A frame for every byte that it can be cut at; one with frames in its payload, cut where they begin (FRAME-1)."""
    frame = own(rules)
    inner = encode_frame(frame, conn=0, number=0, sequence=0)
    outer = Frame(rules.number, frame.tlvs, tail=tlv(free_type(rules), inner + inner).hex())
    begins = outer.size - 2 * len(inner)
    cuts = (begins - 1, begins, begins + 1, begins + 4, begins + 32, begins + len(inner))
    return _programs(
        rules,
        (
            *(Write(0, (frame,), cuts=(cut,)) for cut in range(1, frame.size)),
            *(Write(0, (outer,), cuts=(cut,)) for cut in cuts),
            Write(0, (outer, outer)),
        ),
    )


def every_full_read(rules: Rules) -> tuple[Program, ...]:
    """Frames that end where a buffer is full, and nothing behind them (FRAME-2)."""
    return tuple(
        Program(
            rules.domain,
            (
                Connect(0),
                Connect(1),
                Freeze(),
                Write(0, (sized(rules, 64),) * (size // 64), settle=False),
                Thaw(),
            ),
        )
        for size in BUFFER_SIZES
        if size <= 131_072
    )


def all_within_a_frame(rules: Rules) -> tuple[Program, ...]:
    """Five clients that are all within a frame while one more joins, and end it in another order (FRAME-3)."""
    clients = range(5)
    return (
        Program(
            rules.domain,
            (
                *map(Connect, clients),
                *(Write(conn, (own(rules),), stop=5 + 8 * conn) for conn in clients),
                Connect(5),
                *(Finish(conn) for conn in (3, 0, 4, 1, 2)),
            ),
        ),
    )


def large_before_small(rules: Rules) -> tuple[Program, ...]:
    """Frames that no read holds, with small ones close behind them (ORD-1)."""
    large, small = sized(rules, min(ABOVE_A_READ, rules.max_message_size)), own(rules)
    together = Write(0, (large, small, large, small))
    apart = (Write(0, (large,), settle=False), Write(0, (small,), settle=False))
    return _programs(rules, (together, *apart, *apart))


# --- frames that must be refused ------------------------------------------------------------------------------------


def _refused(rules: Rules, wrong: Sequence[Frame], spoil: Spoil) -> tuple[Program, ...]:
    """Wrong frames alone, several between right ones; and one of them cut, large, both, and with many TLVs."""
    good = own(rules)
    writes = [Write(0, (frame,)) for frame in wrong]
    writes.append(Write(0, (good, *wrong[:TOGETHER], good)))
    small, large = spoil(own(rules, 40)), spoil(sized(rules, min(ABOVE_A_READ, rules.max_message_size // 2)))
    writes += [Write(0, (small, good), cuts=(cut,)) for cut in (4, 24, 32, 36, small.size - 1)]
    writes += [Write(0, (good, large, good)), Write(0, (large, good), cuts=(32, large.size // 2))]
    writes += [Write(0, (spoil(Frame(rules.number, _empty_tlvs(rules, count))), good)) for count in TLV_COUNTS]
    return _programs(rules, writes)


def every_domain(rules: Rules) -> tuple[Program, ...]:
    """Every other domain (DOM-1)."""

    def spoil(frame: Frame, domain: int = rules.number % 3 + 1) -> Frame:
        return msgspec.structs.replace(frame, domain=domain)

    others = [number for number in range(256) if number != rules.number]
    return _refused(rules, [spoil(own(rules), number) for number in others], spoil)


def every_type(rules: Rules) -> tuple[Program, ...]:
    """Every TLV type in both forms (DOM-4)."""
    frames = [
        Frame(rules.number, (Tlv(number, FIXED_SIZES.get(number, 8), extended),))
        for number in range(256)
        for extended in (False, True)
    ]
    return _programs(rules, (Write(0, (frame,)) for frame in frames))


def foreign_types(rules: Rules) -> tuple[Program, ...]:
    """Foreign types behind own ones (DOM-2)."""

    def spoil(frame: Frame, number: int = 100) -> Frame:
        return msgspec.structs.replace(frame, tlvs=(*frame.tlvs, Tlv(number, 8)))

    return _refused(rules, [spoil(own(rules), number) for number in FOREIGN_TYPES if number not in rules.types], spoil)


def every_wrong_bit(rules: Rules) -> tuple[Program, ...]:
    """Checksums with one wrong bit, every one of them (VAL-1)."""

    def spoil(frame: Frame, bit: int = 31) -> Frame:
        return msgspec.structs.replace(frame, checksum="one-bit", bit=bit)

    return _refused(rules, [spoil(own(rules), bit) for bit in range(32)], spoil)


def every_reserved_byte(rules: Rules) -> tuple[Program, ...]:
    """Every wrong value of the reserved byte in an extended TLV (VAL-3)."""
    free = free_type(rules)

    def spoil(frame: Frame, reserved: int = 2) -> Frame:
        return msgspec.structs.replace(frame, tail=bytes((255, reserved, free, 4, 0, 1, 2, 3, 4)).hex())

    return _refused(rules, [spoil(own(rules), value) for value in range(1, 256)], spoil)


def every_strange_field(rules: Rules) -> tuple[Program, ...]:
    """Every version and source, and every size about that of each fixed-size type (VAL-4)."""

    def spoil(frame: Frame) -> Frame:
        return msgspec.structs.replace(frame, version=2)

    strange = [msgspec.structs.replace(own(rules), version=value) for value in range(256)]
    strange += [msgspec.structs.replace(own(rules), source=value) for value in range(256)]
    strange += [
        Frame(rules.number, (Tlv(number, FIXED_SIZES[number] + growth, extended),))
        for number in rules.types
        if number in FIXED_SIZES
        for growth in (-1, 0, 1)
        for extended in (False, True)
    ]
    return _refused(rules, strange, spoil)


# --- bytes that are no frame ----------------------------------------------------------------------------------------


def garbage_of_many(rules: Rules) -> tuple[Program, ...]:
    """Garbage of several clients at once, and a frame behind it: what each costs the relay adds up (VAL-6)."""
    most = min(HOSTILE, rules.max_connections - 3) if rules.max_connections else HOSTILE  # sender, receiver, witness
    hostile = range(2, 2 + max(1, most))
    joins = (Connect(0), Connect(1), *map(Connect, hostile))
    writes = (Write(conn, (Raw(bytes(64).hex()),)) for conn in hostile)
    return (Program(rules.domain, (*joins, *writes, Write(0, (own(rules),)))),)


def every_cut_around_garbage(rules: Rules) -> tuple[Program, ...]:
    """A frame, bytes that begin none, and a frame, cut at every byte; each from a client of its own (VAL-5).

    And headers of every kind of foreign domain that announce too much: their size is looked at first (DOM-1).
    """
    good = own(rules, 6)
    writes: list[tuple[tuple[Item, ...], int]] = []
    for item in (Raw(b"no frame".hex()), garbage(rules, free_type(rules))[4]):
        items: tuple[Item, ...] = (good, item, good)
        writes += ((items, cut) for cut in range(sum(each.size for each in items)))
    foreign = [number for number in (0, 1, 2, 3, 255) if number != rules.number]
    for claim in (rules.max_message_size - 31, 2**32 - 1):
        for domain in foreign:
            too_large = msgspec.structs.replace(good, domain=domain, claim=claim)
            writes.append(((good, too_large, good), good.size + 32))
    return tuple(
        Program(
            rules.domain,
            (
                Connect(0),
                *(
                    step
                    for conn, (items, cut) in enumerate(writes[at : at + OFFENDERS], start=1)
                    for step in (Connect(conn), Write(conn, items, cuts=(cut,) if cut else ()))
                ),
            ),
        )
        for at in range(0, len(writes), OFFENDERS)
    )
