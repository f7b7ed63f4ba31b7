"""What about a program may bring a difference about: its causes, each with the words that end a sentence.

Facts:
- a cause is something that a program has: a step, a defect of a frame, a field, a size. That the smallest program still
  has it says that the difference needs it: what can be taken away or made plain is gone by then;
- the order is that of particularity: a difference is named by the first cause that its smallest program has.
"""

from __future__ import annotations

from torq_protocol.constants import CHECKSUM_OFFSET, HEADER_SIZE, MAGIC_BYTES

from ..model.frames import SOURCES, Frame, Raw
from ..model.legality import fate_of
from ..model.program import Program
from ..model.rules import Rules
from ..model.steps import Buffer, Close, Connect, Finish, Flood, Freeze, HalfClose, Idle, Kill, Stall, Step, Write

READ_BYTES = 65_536
"""What a relay reads at once, most often."""
MANY_CLIENTS = 4
"""Clients from which on a difference is said to need many."""
LONG_STREAM = 100
"""Frames from which on a difference is said to need a long stream."""
LEAST_SIZE = 64
"""Bytes of a frame above which a difference is said to need its size."""

CAUSES: dict[str, str] = {
    "garbage": " when a client sends bytes that begin no frame",
    "oversize": " when a header announces more than max_message_size",
    "wrong-claim": " when a header announces another size than the frame has",
    "foreign-domain": " next to a frame of another domain",
    "wrong-checksum": " next to a frame with a wrong checksum",
    "malformed-tlvs": " next to a frame with malformed TLVs",
    "foreign-type": " next to a frame with a TLV type of another range",
    "version": " next to a frame of another version",
    "unknown-source": " next to a frame of an unknown source",
    "wrong-size": " next to a fixed-size TLV of another size",
    "killed": " when the relay is killed and started again",
    "late-reader": " when a client does not read for a while",
    "never-reads": " when a client never reads",
    "checksum-0": " when the checksum field of a frame is 0",
    "timestamp": " when a frame has an unusual timestamp",
    "sequence": " when a frame has an unusual sequence",
    "source": " when a client sends with a source of another",
    "flags": " when a frame has flags",
    "ended-in-header": " when the stream of a client ends inside a header",
    "ended-in-payload": " when the stream of a client ends inside a payload",
    "interleaved": " when others send while a frame is unfinished",
    "incomplete": " when a frame is begun and never finished",
    "above-a-read": " when a frame is larger than 64 KiB",
    "large-write": " when 64 KiB or more come in one write",
    "cut": " when a frame is cut over several writes",
    "half-closed": " when a client shuts down its sending side",
    "reset": " when a client resets its connection",
    "left": " when a client leaves",
    "frozen": " when everything comes to the relay at once",
    "small-buffer": " when a client writes through a small buffer",
    "silent": " when clients are silent for a while",
    "many-clients": " when there are many clients",
    "long-stream": " when many frames are sent",
    "size": " when a frame has a certain size",
    "several-tlvs": " when a frame has several TLVs",
    "empty-tlv": " when a TLV is empty",
    "extended": " when a TLV has the extended form",
    "coalesced": " when several frames are in one write",
    "header-only": " when a frame has no TLV",
    "late-join": " when a client joins late",
    "plain": "",
}
"""What about a program may bring a difference about, the most particular first."""

FAULTY: dict[str, str] = {
    "foreign-domain": "frames of another domain",
    "version": "frames of another version",
    "unknown-source": "frames of an unknown source",
    "wrong-checksum": "frames with a wrong checksum",
    "malformed-tlvs": "frames with malformed TLVs",
    "foreign-type": "frames with a TLV type of another range",
    "wrong-size": "frames with a fixed-size TLV of another size",
    "oversize": "frames above max_message_size",
    "wrong-claim": "frames that announce another size than they have",
}
"""What can be wrong with a frame, as the frames are called in sentences."""


def class_of(frame: Frame, rules: Rules) -> str:
    """What is wrong with a frame by the strictest reading of the wire format; "" if nothing.

    ``rules`` are those of :func:`.arms.refused_by_either`.
    """
    _, reason = fate_of(frame, rules)
    return reason.name if reason else ""


def causes_in(program: Program, rules: Rules) -> list[str]:
    """What about a program may bring a difference about, the most particular first; ``plain`` when nothing does."""
    found = {"plain"}
    unfinished: dict[int, int] = {}  # of each connection that is within a frame, how many bytes of that it has sent
    wrote = False
    for step in program.steps:
        if isinstance(step, Write):
            found |= _causes_of_write(step, rules)
            if unfinished.keys() - {step.conn}:
                found.add("interleaved")
            if step.stop is not None:
                unfinished[step.conn] = _begun(step)
            wrote = True
        elif isinstance(step, Finish):
            unfinished.pop(step.conn, None)
            found.add("cut")
        elif isinstance(step, Connect):
            found |= {name for name, holds in (("late-join", wrote), ("interleaved", bool(unfinished))) if holds}
        elif isinstance(step, HalfClose | Close) and unfinished.get(step.conn):
            found.add("ended-in-header" if unfinished[step.conn] < HEADER_SIZE else "ended-in-payload")
        found |= _causes_of_step(step, rules)
    if unfinished:
        found.add("incomplete")
    if sum(isinstance(step, Connect) for step in program.steps) >= MANY_CLIENTS:
        found.add("many-clients")
    if sum(len(step.content) for step in program.steps) >= LONG_STREAM:
        found.add("long-stream")
    return [name for name in CAUSES if name in found]


def _begun(write: Write) -> int:
    """The bytes of the last frame that a write has sent, where it stops within one; 0 elsewhere."""
    left = write.size
    for item in write.items:
        if left < item.size:
            return left
        left -= item.size
    return 0


CAUSE_OF: dict[type[Step], str] = {
    HalfClose: "half-closed",
    Close: "left",
    Stall: "late-reader",
    Freeze: "frozen",
    Buffer: "small-buffer",
    Idle: "silent",
    Kill: "killed",
}
"""What steps of a kind may bring about, whatever they hold."""


def _causes_of_step(step: Step, rules: Rules) -> set[str]:
    found = {CAUSE_OF[type(step)]} if type(step) in CAUSE_OF else set()
    if isinstance(step, Connect) and not step.reads:
        found.add("never-reads")
    if isinstance(step, Close) and step.reset:
        found.add("reset")
    if isinstance(step, Flood):
        found |= _causes_of_frame(step.frame, rules)
    return found


def _causes_of_write(write: Write, rules: Rules) -> set[str]:
    found: set[str] = set()
    pieces = write.pieces()
    if len(pieces) > 1:
        found.add("cut")
    if len(write.items) > 1:
        found.add("coalesced")
        if any(stop - start >= READ_BYTES for start, stop in pieces):
            found.add("large-write")
    for item in write.items:
        if isinstance(item, Raw):
            found.add(class_of_raw(bytes.fromhex(item.bytes), rules.max_message_size))
        else:
            found |= _causes_of_frame(item, rules)
    return found


def _causes_of_frame(frame: Frame, rules: Rules) -> set[str]:
    wrong = class_of(frame, rules)
    facts = {
        "checksum-0": not wrong and frame.checksum in ("zero", "made-zero"),
        "timestamp": frame.timestamp is not None,
        "sequence": frame.sequence is not None,
        "source": frame.source is not None and frame.source in SOURCES,
        "flags": frame.flags != 0,
        "above-a-read": frame.size > READ_BYTES,
        "several-tlvs": len(frame.tlvs) > 1,
        "empty-tlv": any(not tlv.size for tlv in frame.tlvs),
        "extended": any(tlv.extended for tlv in frame.tlvs),
        "size": frame.size > LEAST_SIZE,
        "header-only": not frame.tlvs and not frame.tail,
    }
    return {wrong, *(name for name, holds in facts.items() if holds)} - {""}


def class_of_raw(data: bytes, limit: int) -> str:
    """What bytes that are no frame of a program are to a relay: garbage, oversize, or an incomplete frame."""
    if not data.startswith(MAGIC_BYTES[: len(data)]):
        return "garbage"
    if len(data) < CHECKSUM_OFFSET:
        return "incomplete"
    size = HEADER_SIZE + int.from_bytes(data[24:28], "little")
    if size > limit:
        return "oversize"
    return "incomplete" if size > len(data) else "garbage"
