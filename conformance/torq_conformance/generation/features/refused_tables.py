"""Programs that every run begins with: refused frames alone, cut, large, and after many valid frames.

Facts: as in :mod:`.tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from torq_protocol.constants import EXTENDED_MARKER

from ...model.frames import Frame, Item, Raw, Tlv, encode_frame
from ...model.legality import FIXED_SIZES, free_type
from ...model.program import Program
from ...model.rules import Rules
from ...model.steps import Connect, Finish, Flood, Step, Write
from ...model.wire import tlv
from .refused import FOREIGN_TYPES, garbage, oversize_claims
from .tables import ABOVE_A_READ_BYTES, FRAMES_PER_WRITE, TLV_COUNTS, empty_tlvs, own, programs_of, sized

GARBAGE_SENDERS = 6
"""Clients of one program that send garbage together (VAL-6)."""
GARBAGE_SENDERS_PER_PROGRAM = 8
"""Clients of one program that each send garbage (VAL-5)."""
VALID_FRAMES_FIRST = 300
"""Valid frames of a client before its first invalid one: more than a counter of one byte counts."""
INVALID_FRAMES_IN_A_ROW = 240
"""Invalid frames of one client in a row: the relay must keep its connection."""

FEW = range(2, 45)
"""TLVs before one that must be refused: every place that a short table or a hand-unrolled loop may end at."""
HUGE_SIZES = tuple(2**power + 100 for power in range(17, 20))
"""Bytes of frames above each size up to which a relay may validate frames."""
INVALID_FRAME_GROWTH = 100
"""Bytes that a frame may grow by when it is made invalid."""

Invalidate = Callable[[Frame], Frame]


def hidden_frame(rules: Rules) -> bytes:
    """A valid frame for the payload of an invalid one: a relay that searches refused bytes for a magic forwards it."""
    return encode_frame(own(rules), conn=1, number=0, sequence=2**40)


def _refused(rules: Rules, wrong: Sequence[Frame], invalidate: Invalidate) -> tuple[Program, ...]:
    """Invalid frames alone and several between valid ones; one of them cut, large, both, and with many TLVs."""
    good = own(rules)
    writes = [Write(0, (frame,)) for frame in wrong]
    writes.append(Write(0, (good, *wrong[:FRAMES_PER_WRITE], good)))
    small, large = (
        invalidate(own(rules, 40)),
        invalidate(sized(rules, min(ABOVE_A_READ_BYTES, rules.max_message_size // 2))),
    )
    writes += [Write(0, (small, good), cuts=(cut,)) for cut in (4, 24, 32, 36, small.size - 1)]
    writes += [Write(0, (good, large, good)), Write(0, (large, good), cuts=(32, large.size // 2))]
    writes += [Write(0, (invalidate(Frame(rules.number, empty_tlvs(rules, count))), good)) for count in TLV_COUNTS]
    hiding = Frame(rules.number, tail=tlv(free_type(rules), hidden_frame(rules)).hex())
    writes += [Write(0, (invalidate(hiding),)), Write(0, (good, invalidate(hiding), good))]
    huge = (size for size in HUGE_SIZES if size + INVALID_FRAME_GROWTH <= rules.max_message_size)
    writes += [Write(0, (good, invalidate(sized(rules, size)), good)) for size in huge]
    return (*programs_of(rules, writes), *_after_many_frames(rules, small), _begun_and_finished(rules, small))


def _after_many_frames(rules: Rules, wrong: Frame) -> tuple[Program, ...]:
    """Invalid frames of a client that has sent many valid ones, and many invalid frames of a new client."""
    good, some = own(rules), Write(0, (wrong,) * FRAMES_PER_WRITE)
    begins = (Connect(0), Connect(1))
    return (
        Program(rules.domain, (*begins, Flood(0, good, VALID_FRAMES_FIRST), *(some,) * 4, Write(0, (good,)))),
        Program(rules.domain, (*begins, *(some,) * (INVALID_FRAMES_IN_A_ROW // FRAMES_PER_WRITE), Write(0, (good,)))),
    )


def _begun_and_finished(rules: Rules, wrong: Frame) -> Program:
    """An invalid frame that pauses within its header or payload while another client sends a valid frame."""
    steps: list[Step] = [Connect(0), Connect(1)]
    for stop in (20, 36, wrong.size - 1):
        steps += [Write(0, (wrong,), stop=stop), Write(1, (own(rules),)), Finish(0)]
    return Program(rules.domain, (*steps, Write(0, (own(rules),))))


def foreign_domain_values(rules: Rules) -> tuple[Program, ...]:
    """Every other domain (DOM-1)."""

    def invalidate(frame: Frame, domain: int = rules.number % 3 + 1) -> Frame:
        return msgspec.structs.replace(frame, domain=domain)

    others = [number for number in range(256) if number != rules.number]
    return _refused(rules, [invalidate(own(rules), number) for number in others], invalidate)


def tlv_type_values(rules: Rules) -> tuple[Program, ...]:
    """Every TLV type in both forms (DOM-4)."""
    frames = [
        Frame(rules.number, (Tlv(number, FIXED_SIZES.get(number, 8), extended),))
        for number in range(256)
        for extended in (False, True)
    ]
    return programs_of(rules, (Write(0, (frame,)) for frame in frames))


def foreign_type_values(rules: Rules) -> tuple[Program, ...]:
    """Types of another domain after the relay's own (DOM-2)."""

    def invalidate(frame: Frame, number: int = 100) -> Frame:
        return msgspec.structs.replace(frame, tlvs=(*frame.tlvs, Tlv(number, 8)))

    wrong = [invalidate(own(rules), number) for number in FOREIGN_TYPES if number not in rules.types]
    behind_many = (invalidate(Frame(rules.number, empty_tlvs(rules, count))) for count in (*FEW, *TLV_COUNTS))
    fitting = [frame for frame in behind_many if frame.size <= rules.max_message_size]
    return _refused(rules, [*wrong, *fitting], invalidate)


def single_bit_checksum_errors(rules: Rules) -> tuple[Program, ...]:
    """Checksums with each single bit wrong, and a checksum that was right for an earlier frame (VAL-1)."""

    def invalidate(frame: Frame, bit: int = 31) -> Frame:
        return msgspec.structs.replace(frame, checksum="one-bit", bit=bit)

    same = Frame(rules.number, tail=tlv(free_type(rules), b"the same").hex(), sequence=1, timestamp=1)
    flipped = msgspec.structs.replace(same, checksum="payload-flipped")
    known = Program(rules.domain, (Connect(0), Connect(1), *(Write(0, (frame,)) for frame in (same, flipped, same))))
    return (*_refused(rules, [invalidate(own(rules), bit) for bit in range(32)], invalidate), known)


def extended_reserved_values(rules: Rules) -> tuple[Program, ...]:
    """Every wrong value of the reserved byte in an extended TLV (VAL-3)."""
    free = free_type(rules)

    def invalidate(frame: Frame, reserved: int = 2) -> Frame:
        return msgspec.structs.replace(frame, tail=frame.tail + bytes((255, reserved, free, 4, 0, 1, 2, 3, 4)).hex())

    wrong = [invalidate(own(rules), value) for value in range(1, 256)]
    return _refused(rules, [*wrong, *_one_byte_short(rules)], invalidate)


def _one_byte_short(rules: Rules) -> list[Frame]:
    """A last TLV of every length whose last byte is missing, in both forms."""
    free = free_type(rules)
    short = [bytes((free, length)) + bytes(length - 1) for length in range(1, 256)]
    extended = ((length, length.to_bytes(2, "little")) for length in (*range(1, 300, 7), 1_000, 65_535))
    short += [bytes((EXTENDED_MARKER, 0, free)) + announced + bytes(length - 1) for length, announced in extended]
    frames = (Frame(rules.number, own(rules).tlvs * (number % 8), tail.hex()) for number, tail in enumerate(short))
    return [frame for frame in frames if frame.size <= rules.max_message_size]


def strict_field_values(rules: Rules) -> tuple[Program, ...]:
    """Every version and source, and every size about that of each fixed-size type (VAL-4)."""

    def invalidate(frame: Frame) -> Frame:
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
    return _refused(rules, strange, invalidate)


def garbage_from_many_clients(rules: Rules) -> tuple[Program, ...]:
    """Several clients send garbage together, then another client a frame: the relay's costs add up (VAL-6)."""
    most = (
        min(GARBAGE_SENDERS, rules.max_connections - 3) if rules.max_connections else GARBAGE_SENDERS
    )  # sender, receiver, witness
    hostile = range(2, 2 + max(1, most))
    joins = (Connect(0), Connect(1), *map(Connect, hostile))
    writes = (Write(conn, (Raw(bytes(64).hex()),)) for conn in hostile)
    return (Program(rules.domain, (*joins, *writes, Write(0, (own(rules),)))),)


def garbage_split_at_every_byte(rules: Rules) -> tuple[Program, ...]:
    """A frame, garbage and a frame, cut at every byte, each from a client of its own (VAL-5).

    All other garbage, uncut and cut after the first frame. Headers of foreign domains that announce too much: the
    size decides before the domain (DOM-1).
    """
    good = own(rules, 6)
    writes: list[tuple[tuple[Item, ...], int]] = []
    too_large = Frame(rules.number, (Tlv(free_type(rules), 8),), claim=oversize_claims(rules)[0])
    for item in (Raw(b"no frame".hex()), too_large):
        items: tuple[Item, ...] = (good, item, good)
        writes += ((items, cut) for cut in range(sum(each.size for each in items)))
    for item in garbage(rules, free_type(rules)):
        writes += (((good, item, good), cut) for cut in (0, good.size))
    foreign = [number for number in (0, 1, 2, 3, 255) if number != rules.number]
    for claim in (rules.max_message_size - 31, 2**32 - 1):
        for domain in foreign:
            claims_much = msgspec.structs.replace(good, domain=domain, claim=claim)
            writes.append(((good, claims_much, good), good.size + 32))
    return tuple(
        Program(
            rules.domain,
            (
                Connect(0),
                *(
                    step
                    for conn, (items, cut) in enumerate(writes[at : at + GARBAGE_SENDERS_PER_PROGRAM], start=1)
                    for step in (Connect(conn), Write(conn, items, cuts=(cut,) if cut else ()))
                ),
            ),
        )
        for at in range(0, len(writes), GARBAGE_SENDERS_PER_PROGRAM)
    )
