"""Programs and counterexamples as text for people: numbered steps, bytes, what was expected and what was seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice

from ..counting import counted, inflected
from ..judging.verdict import Counterexample, Result, Verdict
from ..model.findings import Finding
from ..model.frames import MOST_LISTED, Frame
from ..model.frames import connection_name as name
from ..model.history import History, Sent
from ..model.program import Program
from ..model.steps import Act, Kill, Write
from ..play.state import WITNESS

SHOWN_BYTES = 48
SHOWN_ITEMS = 4
"""Items of a write whose bytes are shown in any case."""
MAX_NAMES = 6
"""Clients that are named; more are counted."""


def narrate(program: Program, history: History, findings: Sequence[Finding] = ()) -> Iterator[str]:
    """The steps of a program, numbered from 1, with the bytes of what was sent; who else is connected stands first.

    Of many items in one write the first are shown, and those that ``findings`` name.
    """
    named = set(islice((number for finding in findings for number in finding.frames), MOST_LISTED))
    sent = history.by_number()
    beside = witness_words(program)
    if beside:
        yield f"     {beside}"
    for place, step in program.placed():
        yield f"{place.position + 1:>3}  {step.words(place)}"
        if isinstance(step, Write):
            yield from _bytes_of(step, place.number, sent, named)
    afterwards = closing_words(program)
    if afterwards:
        yield f"     {afterwards}"


def _bytes_of(write: Write, number: int, sent: dict[int, Sent], named: set[int]) -> Iterator[str]:
    """The bytes of the first items of a write, and of its frames that are named; ``number`` is that of the first."""
    for place, item in enumerate(write.items):
        if not isinstance(item, Frame):
            if place < SHOWN_ITEMS:
                yield f"       {_hex(bytes.fromhex(item.bytes), ())}"
            continue
        if number in sent and (place < SHOWN_ITEMS or number in named):
            if place >= MOST_LISTED:
                yield f"       {item.words(str(sent[number]))}:"
            yield f"       {_hex(sent[number].data, _cuts(write))}"
        number += 1


def witness_words(program: Program) -> str:
    """The connection that no step names, for whoever repeats them by hand; empty for a fixed check, which has none."""
    if program.in_words:
        return ""
    names = [name(conn) for conn in program.connections]
    beside = f"the {len(names)} that follow" if len(names) > MAX_NAMES else _listed(names)
    client = f"one more client beside {beside}" if names else "a client"
    stays = "stays (and comes again after a kill)" if any(isinstance(step, Kill) for step in program.steps) else "stays"
    does = f"{stays}, reads everything and sends nothing but fences"
    return f"first the suite's witness {name(WITNESS)} connects, {client}: it {does}"


def closing_words(program: Program) -> str:
    """Who reads again behind the last step; empty where nobody was left stalled."""
    resumed = program.stalled_to_the_end
    reads = inflected(len(resumed), "reads", "read")
    return f"when all is sent, {_listed([name(conn) for conn in resumed])} {reads} again" if resumed else ""


def _listed(names: list[str]) -> str:
    """Names as a sentence has them: ``A``, ``A and B``, ``A, B and C``."""
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


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
    receivers = [name(conn) for finding in same if _of_one_sentence(finding, first) for conn in finding.conns]
    others = len({number for finding in same for number in finding.frames}) - 1
    more = f"; {counted(others, 'more frame is', 'more frames are')} lost as well" if others > 0 else ""
    text = first.sentence(receivers=_listed(receivers), more=more)
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _of_one_sentence(finding: Finding, first: Finding) -> bool:
    return (finding.frames, finding.told, finding.facts.get("later")) == (
        first.frames,
        first.told,
        first.facts.get("later"),
    )


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
