"""What spec/relay.md says must happen to a single frame: forwarded, refused, or the end of its connection's framing.

Facts:
- the header's domain decides first (DOM-1); a market data relay looks no further (DOM-3, VAL-2);
- signal and execution look at checksum and at every TLV, the inner type of an extended one included (DOM-2, VAL-1,
  VAL-3); execution also at version, source and the sizes of fixed-size types (VAL-4);
- a checksum field of 0 says that none was computed: it passes where the profile accepts that (D9, VAL-1);
- a size above the limit cannot be stepped over (VAL-5);
- sizes and sources are stated here once more, for the relay takes them from the registry: a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from torq_protocol.constants import EXTENDED_MARKER, HEADER_SIZE, VERSION

from .frames import SOURCES, Frame, Raw, Tlv
from .program import Program
from .rules import Rules
from .wire import decode

FIXED_SIZES = {
    1: 40, 2: 56, 3: 2456, 10: 208, 11: 208, 12: 208, 13: 208, 14: 64, 15: 192, 16: 160, 17: 56, 18: 32, 19: 1,
    20: 16, 21: 24, 22: 32, 23: 84, 24: 12, 25: 24, 26: 16, 27: 44, 28: 40, 29: 24, 32: 170,
    40: 32, 41: 24, 42: 32, 43: 16, 44: 24, 45: 48, 60: 32, 63: 48, 66: 40, 69: 32, 71: 24,
    86: 48, 88: 32, 89: 40, 100: 16, 105: 64, 106: 224, 107: 48, 108: 32, 110: 24, 200: 88,
}  # fmt: skip
"""The size in bytes of each TLV type that has one size only (D6)."""


class Fate(Enum):
    """What must become of a frame."""

    FORWARD = "forward"
    REFUSE = "refuse"
    BREAK = "break"


class Defect(Enum):
    """What can be wrong with a frame: its name in the ids of differences between two relays, and its words."""

    OVERSIZE = "oversize", "it announces {got} bytes, above the limit of {due}"
    WRONG_CLAIM = "wrong-claim", "it announces another size than it has"
    FOREIGN_DOMAIN = "foreign-domain", "its header names domain {got}, the relay serves {due}"
    VERSION = "version", "its version is {got}"
    UNKNOWN_SOURCE = "unknown-source", "its source {got} is unknown"
    WRONG_CHECKSUM = "wrong-checksum", "its checksum is wrong ({got})"
    MALFORMED_TLVS = "malformed-tlvs", "its TLVs are malformed"
    BAD_INNER_TYPE = "malformed-tlvs", "an extended TLV has inner type {got}"
    FOREIGN_TYPE = "foreign-type", "TLV type {got} is outside {due}"
    WRONG_SIZE = "wrong-size", "TLV type {tlv_type} has {got} bytes, not {due}"
    AFTER_AN_ERROR = "after-an-error", "it stands behind bytes that begin no frame"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a frame may not be forwarded: its defect, what it holds, and what it should."""

    defect: Defect
    got: int | str = ""
    due: int | str = ""
    tlv_type: int | None = None

    @property
    def name(self) -> str:
        """The name of the defect."""
        return str(self.defect.value[0])

    def __str__(self) -> str:
        _, words = self.defect.value
        return words.format(got=self.got, due=self.due, tlv_type=self.tlv_type)


BEHIND_AN_ERROR = (Fate.BREAK, Reason(Defect.AFTER_AN_ERROR))


def fate_of(frame: Frame, rules: Rules) -> tuple[Fate, Reason | None]:
    """What must become of a frame, and why it may not be forwarded (None if it may)."""
    announced = HEADER_SIZE + frame.claim if frame.claim is not None else frame.size
    if announced > rules.max_message_size:
        return Fate.BREAK, Reason(Defect.OVERSIZE, announced, rules.max_message_size)
    if frame.claim is not None and announced != frame.size:
        return Fate.BREAK, Reason(Defect.WRONG_CLAIM, announced, frame.size)
    reason = _refusal(frame, rules)
    return (Fate.REFUSE, reason) if reason else (Fate.FORWARD, None)


def fates_of(program: Program, rules: Rules) -> dict[int, tuple[Fate, Reason | None]]:
    """What must become of each frame of a program, by its number; where the relay closes, a framing error ends all."""
    fates: dict[int, tuple[Fate, Reason | None]] = {}
    broken: set[int | None] = set()
    for step in program.steps:
        for item in step.content:
            if isinstance(item, Frame):
                fates[len(fates)] = BEHIND_AN_ERROR if step.connection in broken else fate_of(item, rules)
            ends = fates[len(fates) - 1][0] is Fate.BREAK if isinstance(item, Frame) else begins_no_frame(item, rules)
            if ends and rules.on_framing_error == "close":
                broken.add(step.connection)
    return fates


def begins_no_frame(item: Raw, rules: Rules) -> bool:
    """Whether bytes are a framing error (VAL-5), whatever stands behind them."""
    return decode(bytes.fromhex(item.bytes), rules.max_message_size)[2]


def _refusal(frame: Frame, rules: Rules) -> Reason | None:
    if rules.domain_filter and frame.domain != rules.number:
        return Reason(Defect.FOREIGN_DOMAIN, frame.domain, rules.number)
    if rules.strict and frame.version != VERSION:
        return Reason(Defect.VERSION, frame.version, VERSION)
    if rules.strict and frame.source is not None and frame.source not in SOURCES:
        return Reason(Defect.UNKNOWN_SOURCE, frame.source)
    not_computed = frame.checksum == "zero" and rules.zero_checksum == "accept"
    if rules.checksum and frame.wrong_checksum and not not_computed:
        return Reason(Defect.WRONG_CHECKSUM, frame.wrong_checksum)
    return _payload_refusal(frame, rules)


def _payload_refusal(frame: Frame, rules: Rules) -> Reason | None:
    tail = bytes.fromhex(frame.tail)
    for tlv in (*frame.tlvs, *(tlvs_of(tail) or ())):
        extended = tlv.extended or tlv.size > 255
        if rules.check_tlvs and extended and tlv.type in (0, EXTENDED_MARKER):
            return Reason(Defect.BAD_INNER_TYPE, tlv.type)
        if rules.type_filter and tlv.type not in rules.types:
            return Reason(Defect.FOREIGN_TYPE, tlv.type, f"{rules.first_type} to {rules.last_type}")
        if rules.strict and FIXED_SIZES.get(tlv.type, tlv.size) != tlv.size:
            return Reason(Defect.WRONG_SIZE, tlv.size, FIXED_SIZES[tlv.type], tlv.type)
    if rules.check_tlvs and tlvs_of(tail) is None:
        return Reason(Defect.MALFORMED_TLVS)
    return None


def tlvs_of(payload: bytes) -> list[Tlv] | None:
    """The TLVs that bytes hold; None where they are no sequence of TLVs (D7)."""
    found: list[Tlv] = []
    position = 0
    while position < len(payload):
        rest = payload[position:]
        if rest[0] == EXTENDED_MARKER:
            if len(rest) < 5 or rest[1] != 0 or rest[2] in (0, EXTENDED_MARKER):
                return None
            found.append(Tlv(rest[2], int.from_bytes(rest[3:5], "little"), extended=True))
            position += 5 + found[-1].size
        else:
            if len(rest) < 2:
                return None
            found.append(Tlv(rest[0], rest[1]))
            position += 2 + found[-1].size
    return found if position == len(payload) else None


def free_type(rules: Rules) -> int:
    """The first TLV type of the domain whose size no rule fixes: fences and ordinary frames carry it."""
    return next(number for number in rules.types if number not in FIXED_SIZES)
