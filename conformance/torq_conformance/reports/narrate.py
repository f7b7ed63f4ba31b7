"""Programs and counterexamples as text for people: numbered steps, bytes, what was expected and what was seen."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import islice

from ..counting import counted, inflected
from ..judging.verdict import Counterexample, Result, Verdict
from ..model.frames import MOST_LISTED
from ..model.history import History, Sent
from ..model.program import Act, Frame, Kill, Program, Write
from ..model.program import connection_name as name
from ..oracles.traffic import Finding
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
    if first.kind == "lost":
        return _prose_of_losses(same, counterexample.history)
    seen = re.sub(r" \((?:[0-9a-f]{2} ){3,}[0-9a-f]{2}\)", "", first.seen)
    for noted, told, sentence in _TOLD.get(first.kind, ()):
        if noted in first.expected:
            return _sentence(sentence.format(expected=first.expected.replace(noted, told, 1), seen=seen))
    return _sentence(_PROSE.get(first.kind, _PLAIN).format(expected=first.expected, seen=seen))


def evidence(result: Result) -> str:
    """The evidence of a verdict in a few words, such as ``0 of 412 programs fail, 9 800 frames``."""
    shown = result.counterexample
    if shown is not None:
        listed = f", as listed: {result.reason}" if result.verdict.value == "EXPECTED-FAIL" else ""
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


_PLAIN = "the suite expected {expected}, but saw this: {seen}"
"""A whole sentence whatever was seen, be it a clause or no more than a figure."""
_CLAUSE = "the suite expected {expected}, but {seen}"
_YET = "{expected}; yet {seen}"
_PROSE = {
    "torn": "the suite expected {expected}, but {seen}: what comes can no longer be cut into frames",
    "echoed": "echo is off, so {expected} may come, yet {seen}",
    "replayed": "{expected} may come, yet {seen}",
    "reordered": "{seen}; yet {expected} is required: both cannot hold",
    "status": "the suite expected {expected}, but it was {seen}",
    "left behind": "the suite expected {expected}, but there is {seen}",
    **dict.fromkeys(("duplicated", "altered", "held back", "kept", "closed", "dropped", "stuck", "crashed"), _CLAUSE),
    **dict.fromkeys(("stolen", "silent", "started", "open", "admitted", "disturbed", "down", "unbounded"), _CLAUSE),
}
"""The sentence for each kind of finding: what is filled in has no full stop and begins with a small letter."""
_TOLD = {
    "unserved": ((" to get ", " was to get ", "the relay accepted the connection, and {expected}, but {seen}"),),
    "mixed": ((" apart at ", " were to stay apart at ", "{expected}, but what came holds {seen}"),),
    "leaked": (
        (" nowhere,", " was to reach nobody,", _YET),
        (" nowhere", " was to reach nobody", _YET),
        ("nothing of frame", "nobody was to get anything of frame", _YET),
    ),
    "reordered": ((" before ", " was to come before ", _YET),),
    "held back": ((" at ", " was due at ", "{expected}, but {seen}"),),
}
"""Where what was expected has a part of these: that part made a verb, and the sentence for it."""


def _prose_of_losses(findings: list[Finding], history: History) -> str:
    """All receivers that lack the same frame, in one sentence, with what proves that it will never come."""
    first = findings[0]
    by_number = history.by_number()
    if not first.frames or first.frames[0] not in by_number:
        return _sentence(_PLAIN.format(expected=first.expected, seen=first.seen))
    frame = by_number[first.frames[0]]
    receivers = [name(conn) for finding in findings if finding.frames == first.frames for conn in finding.conns]
    proof = first.proof
    others = len({number for finding in findings for number in finding.frames}) - 1
    more = f"; {counted(others, 'more frame is', 'more frames are')} lost as well" if others else ""
    never = f"{_listed(receivers)} never got {frame}"
    if proof.startswith("nothing that "):
        after = proof.removeprefix("nothing that ").removesuffix(" arrived either")
        return _sentence(f"{never}, nor anything that {after}{more}")
    if proof:
        return _sentence(f"{never}, although {proof}: what was sent before has come or never will{more}")
    return _sentence(never + more)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."
