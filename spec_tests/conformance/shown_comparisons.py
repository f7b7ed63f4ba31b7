"""Comparisons with every kind of difference, made by hand: what their reports, diagrams and files are tested with."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from spec_tests.conformance.histories import Chronicle
from spec_tests.conformance.program_strategies import rules_of
from spec_tests.conformance.shown_runs import frame
from torq_conformance.comparison.accepted import AcceptedDifference
from torq_conformance.comparison.arms import refused_by_either
from torq_conformance.comparison.circumstances import Circumstances
from torq_conformance.comparison.course import Course
from torq_conformance.comparison.equivalence import Comparison
from torq_conformance.comparison.evidence.report import Ending, Report, Setting, build
from torq_conformance.comparison.figures import Figure, Measured, Ratio, label_of
from torq_conformance.comparison.fixed import CheckDifference, CheckResult
from torq_conformance.comparison.found import OUT_OF_TIME, FoundDifference, TopicResult
from torq_conformance.comparison.topics import Level
from torq_conformance.errors import NotServingError
from torq_conformance.exits import Exit
from torq_conformance.model.history import History
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Connect, HalfClose, Step, Write

PAIR = (Connect(0), Connect(1))
LEFT_OUT = "the profile does not say how"


def found_in(a: History, b: History, *steps: Step, in_b: int = 10, flaky: bool = False) -> FoundDifference:
    """The gravest difference of two histories of a program."""
    strictest = refused_by_either("signal")
    program = Program("signal", steps)
    difference = Comparison(strictest, rules_of("signal")).differences(a, b)[0]
    cause = difference.signature.frames or Circumstances(program, strictest).causes(difference)[0]
    return FoundDifference(difference.signature, cause, program, difference, a, b, in_b, 0, 10, flaky=flaky)


def two_frames(*, second_to_b: bool = True, torn: bool = False) -> History:
    """Client A sends two frames, each in a write of its own; client B gets both, or the first alone."""
    chronicle = Chronicle(rules_of("signal"), 2)
    for number in range(2):
        sent = chronicle.sends(0, frame())
        sent.step = 2 + number
        chronicle.gets(0, sent)
        if not number or second_to_b:
            chronicle.gets(1, sent)
    for peer in chronicle.history.peers.values():
        peer.fenced_by.add(0)
    if torn:
        chronicle.peer(1).rest, chronicle.peer(1).rest_at, chronicle.peer(1).torn = b"\x00" * 9, chronicle.tick(), True
    return chronicle.history


def half_closed(*, closes: bool) -> History:
    """Client A shuts down its sending side, and stays connected or not."""
    chronicle = Chronicle(rules_of("signal"), 1)
    peer = chronicle.peer(0)
    peer.half_closed = True
    if closes:
        peer.closed, peer.closed_at = "end of stream", chronicle.tick()
    return chronicle.history


def crashed() -> History:
    history = two_frames()
    history.crash, history.remains = "the relay was ended by signal SIGSEGV", ["its last output: <b>ouch</b>"]
    return history


def swapped() -> History:
    """Client B gets the second frame first."""
    history = two_frames()
    first, second = history.peers[1].received
    history.peers[1].received = [replace(second, tick=first.tick), replace(first, tick=second.tick)]
    return history


SENDING = (*PAIR, Write(0, (frame(),)), Write(0, (frame(),)))


def lost(*, flaky: bool = False) -> FoundDifference:
    """Relay B loses the second of two frames."""
    return found_in(two_frames(), two_frames(second_to_b=False), *SENDING, in_b=1 if flaky else 10, flaky=flaky)


def closed() -> FoundDifference:
    """Relay B closes who shuts down its sending side."""
    found = found_in(half_closed(closes=False), half_closed(closes=True), Connect(0), HalfClose(0))
    found.needs = "sender: half-closes behind it"
    return found


def torn() -> FoundDifference:
    """Relay B tears a stream."""
    return found_in(two_frames(), two_frames(torn=True), *SENDING)


def crashes() -> FoundDifference:
    """Relay B crashes."""
    return found_in(two_frames(), crashed(), *SENDING)


def figures() -> list[Measured]:
    """A figure above its bound, one that costs more, one that costs the same, and one that was not measured."""

    def of(name: Figure, ratio: float, bound: float | None = None) -> Measured:
        about = Ratio(ratio, ratio * 0.98, ratio * 1.02)
        return Measured(
            name=name, text=f"the {name}", unit="us", blocks=9, rounds=90, a=100.0, copy=100.0, b=100.0 * ratio,
            ratio=about, noise=Ratio(1.0, 0.99, 1.01), bound=bound,
        )  # fmt: skip

    return [
        of(Figure.DELIVERY, 3.0, 1.5),
        of(Figure.STREAM, 2.0),
        of(Figure.PROCESSOR, 1.0),
        Measured(name=Figure.MEMORY, text="memory", unit="KiB", bound=1.1, reason=OUT_OF_TIME),
    ]


def course(*found: FoundDifference, checks: bool = True, costs: bool = False) -> Course:
    """A comparison that is at its end: differences in topics, one of a check, gaps, and figures if it has ``costs``."""
    shown = Course(planned=("FWD-1", "FWD-2", "ISO-1", "CONN-2 (fixed check)", "LIFE-1 (fixed check)"))
    topics = [TopicResult("FWD-1", found=list(found)), TopicResult("FWD-2"), TopicResult("ISO-1")]
    for each in topics:
        each.evidence["programs"] = 20
    topics[2].cut_short = OUT_OF_TIME
    shown.topics = topics
    shown.ended.update(each.name for each in topics)
    if checks:
        shown.add_check(CheckResult("CONN-2", [CheckDifference("CONN-2", "stolen", "it keeps it", "stolen", 3, 0, 3)]))
        shown.add_check(CheckResult("LIFE-1", skipped=LEFT_OUT))
    if costs:
        shown.planned = (*shown.planned, *(label_of(each.name) for each in figures() if each.bound))
        shown.add_figures(figures())
    return shown


def not_serving() -> NotServingError:
    return NotServingError("'new {socket}' did not start", ["<script>alert(1)</script>"])


def setting(a: str = "old {socket}", b: str = "new {socket}", *accepted: AcceptedDifference) -> Setting:
    return Setting(
        a=a,
        b=b,
        domain="signal",
        level=Level.EXACT,
        seed=7,
        accepted=accepted,
        command=f"torq-conformance diff --exec-a '{a}' --exec-b '{b}'",
        relays=f"--exec-a '{a}' --exec-b '{b}'",
        started="2025-01-31T12:00:00Z",
        file_of=lambda identifier: f"torq-failures/new/{identifier.replace(':', '-')}.json",
    )


ACCEPTED = (
    AcceptedDifference("closes:half-closed", "no client | of ours <does>"),
    AcceptedDifference("tears:garbage", "old"),
)


def report(b: str = "new {socket}", *, stopped: str = "") -> Report:
    """A report with a difference of each kind, an accepted one, and gaps."""
    shown = course(lost(), closed(), crashes(), torn(), costs=True)
    return build(setting("old {socket}", b, *ACCEPTED), shown, Ending(3.5, stopped, None if stopped else Exit.FAIL))


def with_many(count: int) -> Report:
    """A report with so many differences that no comment could hold them all."""
    whole = report()
    entry = whole.differences[0]
    entries = [msgspec.structs.replace(entry, id=f"{entry.id}-{number}") for number in range(count)]
    evidence = {each.id: whole.evidence[entry.id] for each in entries}
    return msgspec.structs.replace(whole, differences=entries, evidence=evidence)
