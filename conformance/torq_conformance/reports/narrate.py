"""Programs and counterexamples as text for people: numbered steps, bytes, what was expected and what was seen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from torq_protocol.constants import MAX_STANDARD_VALUE

from ..counting import counted, inflected
from ..judging.verdict import Counterexample, Result, Verdict
from ..model.findings import Finding
from ..model.history import History
from ..model.program import (
    Act,
    Buffer,
    Close,
    Connect,
    Finish,
    Flood,
    Frame,
    Freeze,
    HalfClose,
    Idle,
    Item,
    Kill,
    Program,
    Raw,
    Resume,
    Sip,
    Stall,
    Step,
    Sync,
    Thaw,
    Tlv,
    Write,
)
from ..model.program import connection_name as name
from ..play.state import WITNESS

SHOWN_BYTES = 48
SHOWN_ITEMS = 4
"""Items of a write whose bytes are shown in any case."""
MOST_JOINED = 3
"""Items of a write that are described in its line."""
MAX_NAMES = 6
"""Clients that are named; more are counted."""
DOMAINS = {1: "market data", 2: "signal", 3: "execution", 4: "system"}


def narrate(program: Program, history: History, findings: Sequence[Finding] = ()) -> Iterator[str]:
    """The steps of a program, numbered from 1, with the bytes of what was sent; who else is connected stands first.

    Of many items in one write the first are shown, and those that ``findings`` name.
    """
    named = set(islice((number for finding in findings for number in finding.frames), MOST_JOINED))
    number = 0
    sent = history.by_number()
    beside = witness_words(program)
    if beside:
        yield f"     {beside}"
    for position, step in enumerate(program.steps):
        yield f"{position + 1:>3}  {_describe(step, number)}"
        if isinstance(step, Write):
            for place, item in enumerate(step.items):
                if not isinstance(item, Frame):
                    if place < SHOWN_ITEMS:
                        yield f"       {_hex(bytes.fromhex(item.bytes), ())}"
                    continue
                if number in sent and (place < SHOWN_ITEMS or number in named):
                    if place >= MOST_JOINED:
                        yield f"       {_describe_item(item, name(step.conn), number)}:"
                    yield f"       {_hex(sent[number].data, _cuts(step))}"
                number += 1
        elif isinstance(step, Flood):
            number += step.count
    resumed = stalled_to_the_end(program)
    if resumed:
        reads = inflected(len(resumed), "reads", "read")
        yield f"     when all is sent, {_listed([name(conn) for conn in resumed])} {reads} again"


def witness_words(program: Program) -> str:
    """The connection that no step names, for whoever repeats them by hand; empty for a fixed check, which has none."""
    if program.in_words:
        return ""
    names = [name(conn) for conn in dict.fromkeys(step.conn for step in program.steps if isinstance(step, Connect))]
    beside = f"the {len(names)} that follow" if len(names) > MAX_NAMES else _listed(names)
    client = f"one more client beside {beside}" if names else "a client"
    stays = "stays (and comes again after a kill)" if any(isinstance(step, Kill) for step in program.steps) else "stays"
    does = f"{stays}, reads everything and sends nothing but fences"
    return f"first the suite's witness {name(WITNESS)} connects, {client}: it {does}"


def _listed(names: list[str]) -> str:
    """Names as a sentence has them: ``A``, ``A and B``, ``A, B and C``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def stalled_to_the_end(program: Program) -> list[int]:
    """The connections that the program leaves stalled; all of them read again when it is over."""
    stalled: set[int] = set()
    for step in program.steps:
        match step:
            case Stall(conn=conn):
                stalled.add(conn)
            case Resume(conn=conn) | Close(conn=conn) | Connect(conn=conn):
                stalled.discard(conn)
            case Kill():
                stalled.clear()
    return sorted(stalled)


def describe_steps(program: Program) -> Iterator[str]:
    """Each step of a program in words, in one line."""
    number = 0
    for step in program.steps:
        yield _describe(step, number)
        number += frames_in(step)


def frames_in(step: Step) -> int:
    """How many frames of the program a step sends."""
    if isinstance(step, Flood):
        return step.count
    return sum(isinstance(item, Frame) for item in step.items) if isinstance(step, Write) else 0


def _describe(step: object, number: int) -> str:
    match step:
        case Connect(conn=conn, reads=reads):
            return f"{name(conn)} connects{'' if reads else ' and never reads'}"
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
        case Buffer(conn=conn, size=size):
            return f"{name(conn)} gets a send buffer of {counted(size, 'byte')} (SO_SNDBUF)"
        case Stall(conn=conn):
            return f"{name(conn)} stops reading"
        case Sip(conn=conn, size=size):
            return f"{name(conn)} reads at most {size} {inflected(size, 'byte')}"
        case Resume(conn=conn):
            return f"{name(conn)} reads again"
        case Flood(conn=conn, frame=frame, count=count):
            described = _describe_item(frame, name(conn), number)
            times = f"{count} {inflected(count, 'time')}"
            return f"{name(conn)} sends {described} {times}, no faster than those who read get it"
        case Freeze():
            return "the relay's process is stopped (SIGSTOP)"
        case Thaw():
            return "the relay's process goes on (SIGCONT)"
        case Kill():
            return "the relay is killed (SIGKILL) and started again on the same path"
        case Act(text=text):
            return text
        case _:
            return step_words(step)


def step_words(step: object) -> str:
    """A step of a kind without a text of its own: who, the kind, and its settings."""
    kind = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(step).__name__).lower()
    fields = msgspec.structs.asdict(step) if isinstance(step, msgspec.Struct) else {}
    conn = fields.pop("conn", None)
    settings = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in fields.items())
    who = f"{name(conn)}: " if isinstance(conn, int) else ""
    return f"{who}{kind}{f' ({settings})' if settings else ''}"


def _describe_write(step: Write, number: int) -> str:
    described: list[str] = []
    for item in step.items:
        described.append(_describe_item(item, name(step.conn), number))
        number += isinstance(item, Frame)
    text = f"{name(step.conn)} writes {_join(described)}"
    if step.stop is not None:
        whole = sum(item.size for item in step.items)
        text += f", but only the first {step.size} of {whole} {inflected(whole, 'byte')}"
    sizes = [stop - start for start, stop in step.pieces()]
    if len(sizes) > 1:
        listed = _join([str(size) for size in sizes], most=6)
        text += f", in {len(sizes)} writes of {listed} {inflected(max(sizes), 'byte')}"
    elif len(step.items) > 1:
        text += ", in one write"
    return text


def _describe_item(item: Item, sender: str, number: int) -> str:
    if isinstance(item, Raw):
        return f"{item.size} {inflected(item.size, 'byte that is', 'bytes that are')} no frame"
    facts = [f"{DOMAINS.get(item.domain, 'invalid')} domain {item.domain}", f"{item.size} bytes"]
    if item.tlvs:
        facts.append(f"TLV {_join([_describe_tlv(tlv) for tlv in item.tlvs], most=4)}")
    if item.tail:
        facts.append(f"then the bytes {item.tail}")
    if item.checksum != "good":
        facts.append(f"checksum {item.wrong_checksum or item.checksum}")
    if item.version != 1:
        facts.append(f"version {item.version}")
    if item.source is not None:
        facts.append(f"source {item.source}")
    if item.flags:
        facts.append(f"flags {item.flags:#04x}")
    if item.sequence is not None:
        facts.append(f"sequence {item.sequence}")
    if item.timestamp is not None:
        facts.append(f"timestamp {item.timestamp}")
    if item.claim is not None:
        facts.append(f"payload_size says {item.claim}")
    return f"frame {sender}{number} ({', '.join(facts)})"


def _describe_tlv(tlv: Tlv) -> str:
    return f"{tlv.type}{' extended' if tlv.extended or tlv.size > MAX_STANDARD_VALUE else ''} of {tlv.size}"


def _join(parts: list[str], *, most: int = MOST_JOINED) -> str:
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


def prose(counterexample: Counterexample) -> str:
    """The contradiction in one or two sentences: what was due, and what came instead."""
    findings = counterexample.findings
    if not findings:
        return "No contradiction was seen."
    first = findings[0]
    same = [finding for finding in findings if finding.kind == first.kind]
    receivers = [name(conn) for finding in same if finding.frames == first.frames for conn in finding.conns]
    others = len({number for finding in same for number in finding.frames}) - 1
    more = f"; {counted(others, 'more frame is', 'more frames are')} lost as well" if others > 0 else ""
    text = first.sentence(receivers=_listed(receivers), more=more)
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def evidence(result: Result) -> str:
    """The evidence of a verdict in a few words, such as ``0 of 412 programs fail, 9 800 frames``."""
    shown = result.counterexample
    if shown is not None:
        listed = f", as listed: {result.reason}" if result.verdict is Verdict.EXPECTED_FAIL else ""
        if shown.runs and all(isinstance(step, Act) for step in shown.program.steps):
            return f"the check fails {shown.failures} of {counted(shown.runs, 'time')}{listed}"
        found = f"a program of {counted(len(shown.program.steps), 'step')}"
        if not shown.minimal:
            found += ", perhaps not minimal (--shrink-budget was used up),"
        if not shown.runs:
            return f"{found} failed once; {result.reason or 'not confirmed'}"
        after = counted(result.evidence["programs"], "program")
        if not shown.failures:
            return f"{found} failed once, then in 0 of {counted(shown.runs, 'run')}{listed}; found after {after}"
        return f"{found} fails {shown.failures} of {counted(shown.runs, 'run')}{listed}; found after {after}"
    if result.verdict in (Verdict.UNSUPPORTED, Verdict.UNKNOWN) and result.reason:
        return result.reason
    frames = counted(result.evidence["frames"], "frame")
    if result.exercised == 1:
        text = f"holds in 1 program, {frames}"
    else:
        below = f"below {percent(upper_bound(result.exercised))} with 95 % confidence"
        text = f"0 of {counted(result.exercised, 'program')} fail ({below}), {frames}"
    return f"{text}; {result.reason}" if result.reason else text


def upper_bound(count: int) -> float:
    """The rate of failing programs that ``count`` passes rule out with 95 % confidence; 1 where nothing was tried."""
    return 1.0 - 0.05 ** (1 / count) if count else 1.0


def percent(share: float) -> str:
    """A share as a percentage of two significant digits, such as ``0.062 %``."""
    return f"{float(f'{share * 100:.2g}'):g} %"
