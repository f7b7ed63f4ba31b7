"""Runs with every verdict, made by hand: what reports, diagrams and screens are tested with."""

from collections import Counter
from itertools import islice

import msgspec

from spec_tests.conformance.histories import Chronicle
from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.judging.meeting import chosen
from torq_conformance.judging.plan import Plan
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.judging.verdict import Counterexample, Meeting, Result, Verdict
from torq_conformance.model.findings import Finding
from torq_conformance.model.frames import Frame, Tlv
from torq_conformance.model.history import History, Stalled
from torq_conformance.model.profile import load_profile
from torq_conformance.model.program import Program
from torq_conformance.model.requirements import requirements
from torq_conformance.model.steps import Act, Connect, Resume, Stall, Step, Write
from torq_conformance.oracles.isolation import overflow_policy_broken
from torq_conformance.reports.build import Ending, Entry, Setting, build
from torq_conformance.reports.model import Report

HOSTILE = "<script>alert('1')</script> & \"quoted\" | `ticks` ]]> \x00\x1b[31m\ud7ff\ufffe -- é"
"""A target whose name tries to break out of every format."""


def frame() -> Frame:
    return Frame(2, (Tlv(30, 8),))


def lost_frame(clients: int = 3) -> Counterexample:
    """Client A sends a frame that B never gets."""
    chronicle = Chronicle(rules_of("signal"), clients)
    sent = chronicle.sends(0, frame())
    for conn in range(clients):
        if conn != 1:
            chronicle.gets(conn, sent)
    chronicle.peer(1).fenced_by.add(0)
    return _counterexample("FWD-1", chronicle, [*map(Connect, range(clients)), Write(0, (frame(),))])


def two_orders() -> Counterexample:
    """B and C see two frames of A and C in opposite orders."""
    chronicle = Chronicle(rules_of("signal"), 3)
    first, second = chronicle.sends(0, frame()), chronicle.sends(2, frame())
    chronicle.gets(1, first, second)
    chronicle.gets(2, second, first)
    chronicle.gets(0, first, second)
    steps: list[Step] = [*map(Connect, range(3)), Write(0, (frame(),)), Write(2, (frame(),))]
    return _counterexample("ORD-2", chronicle, steps)


def _counterexample(requirement: str, chronicle: Chronicle, steps: list[Step]) -> Counterexample:
    for sent in chronicle.history.sent:
        sent.step = [position for position, step in enumerate(steps) if isinstance(step, Write)][sent.number]
    findings = SCENARIOS[requirement].judge(chronicle.history, chronicle.rules)
    assert findings
    program = Program("signal", tuple(steps))
    return Counterexample(requirement, program, findings, chronicle.history, failures=58, runs=60)


def crash() -> Counterexample:
    """The relay is gone; nobody knows which frame did it."""
    chronicle = Chronicle(rules_of("signal"), 1)
    chronicle.history.crash = "the relay was ended by signal SIGSEGV"
    finding = Finding("crashed", "the relay to go on serving", chronicle.history.crash)
    return Counterexample("VAL-6", Program("signal", (Connect(0),)), [finding], chronicle.history, 20, 20)


def newest_dropped(queue_frames: int = 2, *, resumes: bool = False) -> Counterexample:
    """B stops reading while A sends five frames; the queue holds fewer, and B gets the oldest of them."""
    rules = msgspec.structs.replace(rules_of("signal"), queue_frames=queue_frames, socket_bytes=0)
    chronicle = Chronicle(rules, 2)
    peer = chronicle.peer(1)
    stall = Stalled(chronicle.tick())
    sent = [chronicle.sends(0, frame()) for _ in range(5)]
    chronicle.gets(0, *sent)
    stall.frames, stall.bytes = len(sent), sum(len(each.data) for each in sent)
    stall.forwarded_frames, stall.forwarded_bytes = stall.frames, stall.bytes
    stall.ended = chronicle.tick()
    peer.stalls.append(stall)
    chronicle.gets(1, *sent[:queue_frames])
    for each in sent:
        each.step = 3
    steps: list[Step] = [Connect(0), Connect(1), Stall(1), Write(0, (frame(),) * 5)]
    steps += [Resume(1)] if resumes else []
    findings = list(overflow_policy_broken(chronicle.history, rules))
    assert findings
    return Counterexample("ISO-3", Program("signal", tuple(steps)), findings, chronicle.history, 5, 5)


def failed_check(requirement: str = "LIFE-1") -> Counterexample:
    """A fixed check failed: its steps are words."""
    finding = Finding("status", "exit status 0 after SIGTERM", "1")
    steps = (Act("start the relay: their_relay /tmp/a.sock"), Act("send SIGTERM to the relay"))
    return Counterexample(requirement, Program("signal", steps), [finding], History(), 5, 5)


def thorough(requirement: str, programs: int) -> Counter[str]:
    """The evidence of so many programs, each of which used every case that it could."""
    cells = SCENARIOS[requirement].cells if requirement in SCENARIOS else ()
    return Counter({**dict.fromkeys(cells, programs), "programs": programs, "frames": 98_000})


def results() -> list[Result]:
    """One result for each verdict there is."""
    known = requirements()
    made = [
        Result(known["FWD-1"], Verdict.FAIL, counterexample=lost_frame()),
        Result(known["FWD-2"], Verdict.PASS, exercised=4812, evidence=thorough("FWD-2", 4812)),
        Result(known["FRAME-5"], Verdict.UNSUPPORTED, "not visible from outside"),
        Result(known["ORD-2"], Verdict.FLAKY, counterexample=two_orders()),
        Result(known["DOM-5"], Verdict.UNKNOWN, "the time budget was used up"),
        Result(known["VAL-6"], Verdict.FAIL, counterexample=crash()),
    ]
    for result in made:
        result.seconds = 0.25
    return made


def plan(names: list[str] | None = None) -> Plan:
    known = requirements()
    chosen = names or [result.requirement.id for result in results()]
    return Plan(
        domain="signal",
        profile=load_profile("reference"),
        requirements=[known[name] for name in chosen],
        max_examples=10,
        seed=7,
        time_budget=60.0,
    )


def setting(target: str = "my_relay --socket {socket}") -> Setting:
    return Setting(
        target=target,
        command=f"torq-conformance --exec '{target}' --domain signal",
        started="2025-01-31T12:00:00Z",
        file_of=lambda requirement: f"torq-failures/{requirement}.json",
        replay_of=lambda shown: f"torq-conformance replay torq-failures/{shown.requirement}.json --target 'x <y> & z'",
    )


def report(target: str = "my_relay --socket {socket}", shown: list[Result] | None = None) -> Report:
    shown = results() if shown is None else shown
    entries = [Entry(result.requirement, index * 0.5, result) for index, result in enumerate(shown)]
    return build(
        plan(),
        setting(target),
        entries,
        Ending(3.5, complete=True, exit_code=1),
        Meeting(list(islice(chosen(plan()), 40))),
    )
