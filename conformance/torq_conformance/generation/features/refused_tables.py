"""Programs that every run begins with, of what must be refused: alone, cut, large, behind much that is valid.

Facts: as in :mod:`.tables`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from ...model.legality import FIXED_SIZES, free_type
from ...model.program import Connect, Finish, Flood, Frame, Item, Program, Raw, Step, Tlv, Write
from ...model.rules import Rules
from ...model.wire import tlv
from .refused import FOREIGN_TYPES, garbage, oversize_claims
from .tables import ABOVE_A_READ, TLV_COUNTS, TOGETHER, empty_tlvs, own, programs_of, sized

HOSTILE = 6
"""Clients that write garbage at once."""
OFFENDERS = 8
"""Clients that send garbage in one program."""
TRUSTED = 300
"""Valid frames of a client before its first wrong one: more than a counter of one byte tells apart."""
DISTRUSTED = 240
"""Wrong frames of one client in a row: its connection stays all the same."""

HUGE_SIZES = tuple(2**power + 100 for power in range(17, 20))
"""Bytes of frames above each bound up to which a relay may look into them."""
SPOILT = 100
"""Bytes that a frame may grow by when it is made wrong."""

Spoil = Callable[[Frame], Frame]


def _refused(rules: Rules, wrong: Sequence[Frame], spoil: Spoil) -> tuple[Program, ...]:
    """Wrong frames alone, several between right ones; and one of them cut, large, both, and with many TLVs."""
    good = own(rules)
    writes = [Write(0, (frame,)) for frame in wrong]
    writes.append(Write(0, (good, *wrong[:TOGETHER], good)))
    small, large = spoil(own(rules, 40)), spoil(sized(rules, min(ABOVE_A_READ, rules.max_message_size // 2)))
    writes += [Write(0, (small, good), cuts=(cut,)) for cut in (4, 24, 32, 36, small.size - 1)]
    writes += [Write(0, (good, large, good)), Write(0, (large, good), cuts=(32, large.size // 2))]
    writes += [Write(0, (spoil(Frame(rules.number, empty_tlvs(rules, count))), good)) for count in TLV_COUNTS]
    huge = (size for size in HUGE_SIZES if size + SPOILT <= rules.max_message_size)
    writes += [Write(0, (good, spoil(sized(rules, size)), good)) for size in huge]
    return (*programs_of(rules, writes), *_of_regulars(rules, small), _left_within(rules, small))


def _of_regulars(rules: Rules, wrong: Frame) -> tuple[Program, ...]:
    """Wrong frames of a client that has sent many right ones, and many of one that has sent none."""
    good, some = own(rules), Write(0, (wrong,) * TOGETHER)
    begins = (Connect(0), Connect(1))
    return (
        Program(rules.domain, (*begins, Flood(0, good, TRUSTED), *(some,) * 4, Write(0, (good,)))),
        Program(rules.domain, (*begins, *(some,) * (DISTRUSTED // TOGETHER), Write(0, (good,)))),
    )


def _left_within(rules: Rules, wrong: Frame) -> Program:
    """A wrong frame that is begun, at its header and behind it, while others send right ones."""
    steps: list[Step] = [Connect(0), Connect(1)]
    for stop in (20, 36, wrong.size - 1):
        steps += [Write(0, (wrong,), stop=stop), Write(1, (own(rules),)), Finish(0)]
    return Program(rules.domain, (*steps, Write(0, (own(rules),))))


def foreign_domain_values(rules: Rules) -> tuple[Program, ...]:
    """Every other domain (DOM-1)."""

    def spoil(frame: Frame, domain: int = rules.number % 3 + 1) -> Frame:
        return msgspec.structs.replace(frame, domain=domain)

    others = [number for number in range(256) if number != rules.number]
    return _refused(rules, [spoil(own(rules), number) for number in others], spoil)


def tlv_type_values(rules: Rules) -> tuple[Program, ...]:
    """Every TLV type in both forms (DOM-4)."""
    frames = [
        Frame(rules.number, (Tlv(number, FIXED_SIZES.get(number, 8), extended),))
        for number in range(256)
        for extended in (False, True)
    ]
    return programs_of(rules, (Write(0, (frame,)) for frame in frames))


def foreign_type_values(rules: Rules) -> tuple[Program, ...]:
    """Types of another domain behind the relay's own (DOM-2)."""

    def spoil(frame: Frame, number: int = 100) -> Frame:
        return msgspec.structs.replace(frame, tlvs=(*frame.tlvs, Tlv(number, 8)))

    return _refused(rules, [spoil(own(rules), number) for number in FOREIGN_TYPES if number not in rules.types], spoil)


def single_bit_checksum_errors(rules: Rules) -> tuple[Program, ...]:
    """Checksums with each single bit wrong, and one that is right for an earlier frame only (VAL-1)."""

    def spoil(frame: Frame, bit: int = 31) -> Frame:
        return msgspec.structs.replace(frame, checksum="one-bit", bit=bit)

    same = Frame(rules.number, tail=tlv(free_type(rules), b"the same").hex(), sequence=1, timestamp=1)
    flipped = msgspec.structs.replace(same, checksum="payload-flipped")
    known = Program(rules.domain, (Connect(0), Connect(1), *(Write(0, (frame,)) for frame in (same, flipped, same))))
    return (*_refused(rules, [spoil(own(rules), bit) for bit in range(32)], spoil), known)


def extended_reserved_values(rules: Rules) -> tuple[Program, ...]:
    """Every wrong value of the reserved byte in an extended TLV (VAL-3)."""
    free = free_type(rules)

    def spoil(frame: Frame, reserved: int = 2) -> Frame:
        return msgspec.structs.replace(frame, tail=bytes((255, reserved, free, 4, 0, 1, 2, 3, 4)).hex())

    return _refused(rules, [spoil(own(rules), value) for value in range(1, 256)], spoil)


def strict_field_values(rules: Rules) -> tuple[Program, ...]:
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


def garbage_from_many_clients(rules: Rules) -> tuple[Program, ...]:
    """Garbage of several clients at once, and a frame behind it: what each costs the relay adds up (VAL-6)."""
    most = min(HOSTILE, rules.max_connections - 3) if rules.max_connections else HOSTILE  # sender, receiver, witness
    hostile = range(2, 2 + max(1, most))
    joins = (Connect(0), Connect(1), *map(Connect, hostile))
    writes = (Write(conn, (Raw(bytes(64).hex()),)) for conn in hostile)
    return (Program(rules.domain, (*joins, *writes, Write(0, (own(rules),)))),)


def garbage_split_at_every_byte(rules: Rules) -> tuple[Program, ...]:
    """A frame, bytes that begin none, and a frame, cut at every byte; each from a client of its own (VAL-5).

    And all other garbage, at once and behind a frame; headers of every kind of foreign domain that announce too much:
    their size is looked at first (DOM-1).
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
                    for conn, (items, cut) in enumerate(writes[at : at + OFFENDERS], start=1)
                    for step in (Connect(conn), Write(conn, items, cuts=(cut,) if cut else ()))
                ),
            ),
        )
        for at in range(0, len(writes), OFFENDERS)
    )
