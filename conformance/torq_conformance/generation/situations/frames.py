"""The frame of a situation: its size, its TLVs, and what is wrong with it.

Facts: where a value says "another each time", chance takes one; all of them come in time, none is a table's.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import msgspec

from torq_protocol.constants import CHECKSUM_OFFSET, EXTENDED_MARKER, HEADER_SIZE, MAGIC_BYTES, MAX_STANDARD_VALUE

from ...model import wire
from ...model.frames import SOURCES, Checksum, Frame, Item, Raw, Tlv, encode_frame
from ...model.legality import FIXED_SIZES, free_type
from ...model.rules import Rules
from ..machine import sized_frame
from .dimensions import Situation

Part = Tlv | bytes
"""A TLV, or bytes that are none."""
SMALL_TYPE_BYTES = 60
"""Bytes of the largest value among one of every type, and among those whose size is changed."""
FALSE_MAGIC = MAGIC_BYTES[:3] + bytes(20)
"""What stands before a hidden frame: it begins like a magic, and has an odd number of bytes."""
MANY = 60
"""Empty TLVs of a frame with many."""
MOST_OF_EVERY_TYPE = 12
"""Types of a domain that stand in one frame: as many as fit beside everything else."""
HIDDEN = 3
"""Frames in one value, where several are hidden."""
OTHER_CHECKSUMS: tuple[Checksum, ...] = ("inverted", "off-by-one", "with-field")
HIGH_BITS = range(21, 32)
"""Bits of payload_size that the size of no frame needs."""
MOST_TEXT = b"Torq? No: some text that never was a frame, and does not pretend to be one.\n"


def item_of(situation: Situation, rules: Rules, chance: random.Random) -> Item:
    """The frame of a situation, or the bytes that take its place."""
    size = _size(situation, rules, chance)
    if situation["defect"].name == "text":
        return Raw((MOST_TEXT * (size // len(MOST_TEXT) + 1))[:size].hex())
    frame = _with_defect(situation["defect"].name, _frame(situation, size, rules, chance), rules, chance)
    if situation["defect"].name == "wrong magic":
        return Raw(_with_wrong_magic(encode_frame(frame, conn=0, number=0, sequence=0), chance).hex())
    return frame


def _size(situation: Situation, rules: Rules, chance: random.Random) -> int:
    base = situation["size"].number
    if situation["edge"].name == "between":
        return chance.randrange(base + 2, min(2 * base - 1, rules.max_message_size))
    return base + situation["edge"].number


def _frame(situation: Situation, size: int, rules: Rules, chance: random.Random) -> Frame:
    """A frame of so many bytes with the TLVs of a situation, and with the defect among them that belongs there."""
    free = free_type(rules)
    first, last = _form(situation["TLVs"].name, rules)
    bad = _bad_part(situation["defect"].name, size - HEADER_SIZE - _bytes(first) - _bytes(last), rules, chance)
    beside = [] if situation.is_plain("place") else [Tlv(free, 1)] * 3
    room = size - HEADER_SIZE - _bytes(first) - _bytes(last) - _bytes(bad) - _bytes(beside)
    parts: list[Part] = [*first, *beside, *sized_frame(rules.number, free, HEADER_SIZE + room).tlvs, *last]
    place = {"first of four": 0, "third of four": 2, "last of four": len(parts)}.get(situation["place"].name)
    if place is None:
        movable = bad and isinstance(bad[0], Tlv)
        place = chance.choice((0, len(parts))) if movable else len(parts)
    parts[place:place] = bad
    return _of_parts(rules, parts)


def _bytes(parts: Sequence[Part]) -> int:
    return sum(each.encoded_size if isinstance(each, Tlv) else len(each) for each in parts)


def _of_parts(rules: Rules, parts: list[Part]) -> Frame:
    """A frame of these parts: whatever follows bytes that are no TLV stands behind them as it is."""
    whole = next((at for at, each in enumerate(parts) if isinstance(each, bytes)), len(parts))
    tlvs = tuple(each for each in parts[:whole] if isinstance(each, Tlv))
    tail = b"".join(
        each if isinstance(each, bytes) else wire.tlv(each.type, bytes(each.size), extended=each.extended)
        for each in parts[whole:]
    )
    return Frame(rules.number, tlvs, tail.hex())


def _form(name: str, rules: Rules) -> tuple[list[Part], list[Part]]:
    """The TLVs before those that fill the frame, and behind them."""
    free = free_type(rules)
    match name:
        case "extended first":
            return [Tlv(free, 8, extended=True)], []
        case "empty first":
            return [Tlv(free)], []
        case "empty last":
            return [], [Tlv(free)]
        case "255 first":
            return [Tlv(free, MAX_STANDARD_VALUE)], []
        case "256 first":
            return [Tlv(free, MAX_STANDARD_VALUE + 1)], []
        case "every type":
            sizes = ((number, FIXED_SIZES.get(number, 4)) for number in rules.types)
            every: list[Part] = [Tlv(number, size) for number, size in sizes if size <= SMALL_TYPE_BYTES]
            return every[:MOST_OF_EVERY_TYPE], []
        case "many":
            return [Tlv(free)] * MANY, []
        case "hidden frames":
            return [wire.tlv(free, _hidden(rules) * HIDDEN)], []
        case "hidden at the end":
            return [], [wire.tlv(free, FALSE_MAGIC + _hidden(rules))]
    return [], []


def _hidden(rules: Rules) -> bytes:
    """A valid frame that nobody sends as one."""
    return encode_frame(Frame(rules.number, (Tlv(free_type(rules), 8),)), conn=1, number=0, sequence=2**40)


def _bad_part(defect: str, room: int, rules: Rules, chance: random.Random) -> list[Part]:
    """The TLV that is the defect, or the bytes."""
    free = free_type(rules)
    others = [number for number in range(1, EXTENDED_MARKER) if number not in rules.types]
    match defect:
        case "other type":
            return [Tlv(chance.choice(others), 8)]
        case "other type, extended":
            return [Tlv(chance.choice(others), 8, extended=True)]
        case "inner type 0 or 255":
            return [Tlv(chance.choice((0, EXTENDED_MARKER)), 8, extended=True)]
        case "value one short":
            most = min(MAX_STANDARD_VALUE, room - 12)
            length = chance.choice((1, most, chance.randint(1, most)))
            return [bytes((free, length)) + bytes(length - 1)]
        case "extended value one short":
            length = chance.randint(1, max(1, min(room - 12, 2 * MAX_STANDARD_VALUE)))
            return [bytes((EXTENDED_MARKER, 0, free)) + length.to_bytes(2, "little") + bytes(length - 1)]
        case "TLV header cut":
            whole = chance.choice((bytes((free, 4)), bytes((EXTENDED_MARKER, 0, free, 4, 0))))
            return [whole[: chance.randrange(1, len(whole))]]
        case "reserved byte":
            return [bytes((EXTENDED_MARKER, chance.randint(1, 255), free, 4, 0, 1, 2, 3, 4))]
        case "size of a type":
            fixed = [number for number in rules.types if FIXED_SIZES.get(number, 256) <= SMALL_TYPE_BYTES]
            number = chance.choice(fixed)
            return [Tlv(number, FIXED_SIZES[number] + chance.choice((-1, 1)))]
    return []


def _with_defect(defect: str, frame: Frame, rules: Rules, chance: random.Random) -> Frame:
    """The frame with what is wrong with its header."""
    payload = frame.size - HEADER_SIZE
    change = msgspec.structs.replace
    match defect:
        case "checksum bit":
            return change(frame, checksum="one-bit", bit=chance.randrange(32))
        case "checksum of other bytes":
            return change(frame, checksum=chance.choice(OTHER_CHECKSUMS))
        case "checksum 0":
            return change(frame, checksum="zero")
        case "payload bit":
            return change(frame, checksum="payload-flipped")
        case "other domain":
            return change(frame, domain=chance.choice([number for number in (1, 2, 3) if number != rules.number]))
        case "no domain":
            return change(frame, domain=chance.choice((0, 4, 255, chance.randint(5, 254))))
        case "version":
            return change(frame, version=chance.choice((0, 2, 255, chance.randint(3, 254))))
        case "source":
            return change(frame, source=chance.choice([number for number in range(256) if number not in SOURCES]))
        case "announces one too many":
            return change(frame, claim=rules.max_message_size - HEADER_SIZE + 1)
        case "announces a high bit more":
            return change(frame, claim=payload + (1 << chance.choice(HIGH_BITS)))
        case "announces 2^32 - 32":
            return change(frame, claim=2**32 - HEADER_SIZE)
        case "announces 2^32 - 1":
            return change(frame, claim=2**32 - 1)
    return frame


def _with_wrong_magic(frame: bytes, chance: random.Random) -> bytes:
    wrong = bytearray(frame)
    wrong[chance.randrange(len(MAGIC_BYTES))] ^= 1 << chance.randrange(8)
    wrong[CHECKSUM_OFFSET:HEADER_SIZE] = wire.checksum(bytes(wrong)).to_bytes(4, "little")
    return bytes(wrong)
