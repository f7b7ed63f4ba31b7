"""Programs and counterexamples as text for people: numbered steps, bytes, what was expected and what was seen."""

from __future__ import annotations

from collections.abc import Iterator

from .history import History
from .program import Close, Connect, Finish, Frame, HalfClose, Idle, Item, Program, Raw, Step, Sync, Tlv, Write
from .program import connection_name as name
from .runner import Counterexample

SHOWN_BYTES = 48
DOMAINS = {1: "market data", 2: "signal", 3: "execution", 4: "system"}


def narrate(program: Program, history: History) -> Iterator[str]:
    """The steps of a program, numbered from 1, with the bytes of what was sent."""
    number = 0
    sent = history.by_number()
    for position, step in enumerate(program.steps):
        yield f"{position + 1:>3}  {_describe(step, number)}"
        if isinstance(step, Write):
            for item in step.items[:4]:
                if isinstance(item, Frame):
                    if number in sent:
                        yield f"       {_hex(sent[number].data, _cuts(step))}"
                    number += 1
                else:
                    yield f"       {_hex(bytes.fromhex(item.bytes), ())}"
            number += sum(isinstance(item, Frame) for item in step.items[4:])


def _describe(step: Step, number: int) -> str:
    match step:
        case Connect(conn=conn):
            return f"{name(conn)} connects"
        case Write():
            return _describe_write(step, number)
        case Finish(conn=conn):
            return f"{name(conn)} writes the rest of what it began"
        case Sync():
            return "everything sent so far has arrived"
        case HalfClose(conn=conn):
            return f"{name(conn)} shuts down its sending side"
        case Close(conn=conn, reset=reset):
            return f"{name(conn)} {'resets' if reset else 'closes'} its connection"
        case Idle(milliseconds=milliseconds):
            return f"nobody sends for {milliseconds} ms"


def _describe_write(step: Write, number: int) -> str:
    described: list[str] = []
    for item in step.items:
        described.append(_describe_item(item, name(step.conn), number))
        number += isinstance(item, Frame)
    text = f"{name(step.conn)} writes {_join(described)}"
    if step.stop is not None:
        text += f", but only the first {step.size} of {sum(item.size for item in step.items)} bytes"
    sizes = [stop - start for start, stop in step.pieces()]
    if len(sizes) > 1:
        text += f", in {len(sizes)} writes of {_join([str(size) for size in sizes], most=6)} bytes"
    elif len(step.items) > 1:
        text += ", in one write"
    return text


def _describe_item(item: Item, sender: str, number: int) -> str:
    if isinstance(item, Raw):
        return f"{item.size} bytes that are no frame"
    facts = [f"{DOMAINS.get(item.domain, 'invalid')} domain {item.domain}", f"{item.size} bytes"]
    if item.tlvs:
        facts.append(f"TLV {_join([_describe_tlv(tlv) for tlv in item.tlvs], most=4)}")
    if item.tail:
        facts.append(f"then the bytes {item.tail}")
    if item.checksum != "good":
        facts.append(f"checksum {item.checksum}")
    if item.version != 1:
        facts.append(f"version {item.version}")
    if item.source is not None:
        facts.append(f"source {item.source}")
    if item.flags:
        facts.append(f"flags {item.flags:#04x}")
    if item.claim is not None:
        facts.append(f"payload_size says {item.claim}")
    return f"frame {sender}{number} ({', '.join(facts)})"


def _describe_tlv(tlv: Tlv) -> str:
    return f"{tlv.type}{' extended' if tlv.extended else ''} of {tlv.size}"


def _join(parts: list[str], *, most: int = 3) -> str:
    if len(parts) > most:
        return f"{', '.join(parts[:most])} ... ({len(parts)} in all)"
    return ", ".join(parts)


def _cuts(step: Write) -> tuple[int, ...]:
    return tuple(stop for _, stop in step.pieces()) if len(step.items) == 1 else ()


def _hex(data: bytes, cuts: tuple[int, ...]) -> str:
    words = []
    for place, byte in enumerate(data[:SHOWN_BYTES]):
        if place in cuts:
            words.append("|")
        words.append(f"{byte:02x}")
    more = f" ... {len(data) - SHOWN_BYTES} more" if len(data) > SHOWN_BYTES else ""
    return " ".join(words) + more


def contradictions(counterexample: Counterexample, most: int = 3) -> Iterator[str]:
    """What was expected and what was seen, the plainest contradiction first."""
    for finding in counterexample.findings[:most]:
        yield f"     {finding.kind:<10} expected {finding.expected};"
        yield f"     {'':<10} seen: {finding.seen}"
    if len(counterexample.findings) > most:
        yield f"     and {len(counterexample.findings) - most} more"
