"""Counterexamples in words: the contradiction is named, not only drawn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.conformance import shown_runs
from spec_tests.conformance.histories import Chronicle
from spec_tests.conformance.program_strategies import programs
from torq_conformance.judging.verdict import Counterexample, Verdict
from torq_conformance.model.findings import Finding, Kind
from torq_conformance.model.frames import Frame, connection_name, encode_frame
from torq_conformance.model.history import History, Sent
from torq_conformance.model.legality import Defect, Fate, Reason
from torq_conformance.model.profile import load_profile, rules_for
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Act, Close, Connect, Kill, Step, Write
from torq_conformance.oracles import wordings as w
from torq_conformance.oracles.traffic import lost, reordered_within_sender, replayed
from torq_conformance.reports.narrate import (
    contradictions,
    evidence,
    narrate,
    prose,
    upper_bound,
    witness_words,
)


def said(*findings: Finding) -> str:
    return prose(Counterexample("FWD-1", Program("signal", ()), list(findings), History()))


def test_ord_2_names_both_orders() -> None:
    words = prose(shown_runs.two_orders())
    assert words == (
        "C saw C1 before A0, B saw A0 before C1; yet one order of all frames at every receiver is required: "
        "both cannot hold."
    ) or words.startswith(("C saw C1 before A0, A saw A0 before C1", "C saw C1 before A0, B saw A0 before C1"))


def test_a_loss_names_receiver_frame_and_proof() -> None:
    assert prose(shown_runs.lost_frame()) == (
        "B never got A0, although a later fence of A arrived: what was sent before has come or never will."
    )


def said_of_losses(*receivers: str) -> str:
    """The prose of what the receivers lack, by the oracle itself: A sends twice, and nobody is fenced."""
    chronicle = Chronicle(rules_for(load_profile("reference"), "signal"))
    sent = [chronicle.sends(0), chronicle.sends(0)]
    for conn in range(3):
        if connection_name(conn) not in receivers:
            chronicle.gets(conn, *sent)
    findings = list(lost(chronicle.history, chronicle.rules))
    return prose(Counterexample("FWD-1", Program("signal", ()), findings, chronicle.history))


def test_a_relay_that_forwards_nothing_is_not_called_a_contradiction_of_fences() -> None:
    assert said_of_losses("B") == "B never got A0, nor anything that A sent after it; 1 more frame is lost as well."


def test_losses_of_one_frame_are_one_sentence() -> None:
    assert said_of_losses("B", "C").startswith("B and C never got A0, nor anything")
    assert said_of_losses("A", "B", "C").startswith("A, B and C never got A0, nor anything")


def test_a_leak_says_why_the_frame_had_to_be_refused() -> None:
    finding = w.LEAKED(frame="A1", reason=Reason(Defect.FOREIGN_DOMAIN, 1, 2), receiver="B")
    assert finding.facts["defect"] == "foreign-domain"
    assert finding.expected == "frame A1 nowhere, because its header names domain 1, the relay serves 2"
    assert said(finding) == (
        "Frame A1 was to reach nobody, because its header names domain 1, the relay serves 2; yet it came to B."
    )


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(("lost", "torn", "mixed", "leaked", "reordered", "closed", "crashed", "a kind of tomorrow")),
    expected=st.text(min_size=1, max_size=40),
    seen=st.text(min_size=1, max_size=40),
)
def test_every_finding_makes_a_sentence(kind: str, expected: str, seen: str) -> None:
    assert said(Finding(kind, expected, seen)).endswith(".")


def test_a_pass_says_what_it_rules_out() -> None:
    passed = next(result for result in shown_runs.results() if result.verdict is Verdict.PASS)
    assert evidence(passed) == "0 of 4 812 programs fail (below 0.062 % with 95 % confidence), 98 000 frames"


@given(count=st.integers(1, 100_000))
def test_the_bound_of_a_pass_is_the_rate_that_would_have_shown_in_19_of_20_such_runs(count: int) -> None:
    rate = upper_bound(count)
    assert 0 < rate < 1
    assert abs((1 - rate) ** count - 0.05) < 1e-9
    assert rate < upper_bound(max(count - 1, 0)) or count == 1


@settings(max_examples=60, deadline=None)
@given(program=programs())
def test_every_step_of_every_program_has_its_words(program: Program) -> None:
    steps = list(program.words())
    assert all(step.strip() and "\n" not in step for step in steps)
    numbered = [line for line in narrate(program, History()) if line[:3].strip()]
    assert [line[5:] for line in numbered] == steps


def test_a_connection_that_is_kept_reads_as_a_sentence() -> None:
    assert (
        said(w.KEPT(receiver="A"))
        == "The suite expected A to be closed after its framing error, but it stays connected."
    )


def test_fwd_5_a_replay_reads_as_a_sentence() -> None:
    chronicle = Chronicle(rules_for(load_profile("reference"), "signal"))
    old = chronicle.sends(0)
    chronicle.gets(1, old)
    chronicle.join(2)
    chronicle.gets(2, old)
    assert said(*replayed(chronicle.history, chronicle.rules)) == (
        "Only frames sent after C joined may come, yet frame A0, which others had got before C connected, came as well."
    )


def test_ord_1_two_frames_of_one_sender_exchanged_read_as_a_sentence() -> None:
    chronicle = Chronicle(rules_for(load_profile("reference"), "signal"))
    one, two = chronicle.sends(1), chronicle.sends(1)
    chronicle.gets(0, two, one)
    assert said(*reordered_within_sender(chronicle.history, chronicle.rules)) == (
        "B0 was to come before B1 at A, because B sent them so; yet B1 came first."
    )


@pytest.mark.parametrize(
    ("finding", "expected", "seen", "sentence"),
    [
        (w.UNSERVED(receiver="A"), "A to get what others send", "it got nothing at all",
         "The relay accepted the connection, and A was to get what others send, but it got nothing at all."),
        (w.HELD_BACK(frame="A0", step=2, receiver="B", follower="B"),
         "frame A0 of step 2 at B, although nothing follows it", "it came only when a fence of B followed",
         "Frame A0 of step 2 was due at B, although nothing follows it, but it came only when a fence of B followed."),
        (w.DUPLICATED(frame="A0", receiver="B", count=2), "frame A0 once at B", "it came 2 times",
         "The suite expected frame A0 once at B, but it came 2 times."),
        (w.RESIZED(frame="A0", receiver="B", size=31, due=32),
         "frame A0 byte for byte at B", "31 bytes came instead of 32",
         "The suite expected frame A0 byte for byte at B, but 31 bytes came instead of 32."),
        (w.ALTERED(frame="A0", receiver="B", place=5, old=1, new=254),
         "frame A0 byte for byte at B", "byte 5 is 0xfe, not 0x01",
         "The suite expected frame A0 byte for byte at B, but byte 5 is 0xfe, not 0x01."),
        (w.NEVER_SENT(receiver="B", size=32), "B to get frames that were sent", "32 bytes came that nobody sent",
         "The suite expected B to get frames that were sent, but 32 bytes came that nobody sent."),
        (w.TORN(receiver="A", whole=1, size=5, rest="be ad de 02 01", with_fence=""),
         "whole frames at A", "behind 1 whole frame came 5 bytes that begin no frame (be ad de 02 01)",
         "The suite expected whole frames at A, but behind 1 whole frame came 5 bytes that begin no frame: "
         "what comes can no longer be cut into frames."),
        (w.INCOMPLETE(receiver="A", size=1, rest="ef"),
         "whole frames at A", "the last 1 byte is an incomplete frame (ef)",
         "The suite expected whole frames at A, but the last 1 byte is an incomplete frame: "
         "what comes can no longer be cut into frames."),
        (w.MIXED(receiver="B", size=64, senders="A and C"),
         "bytes of each sender apart at B", "64 bytes in which those of A and C mix",
         "Bytes of each sender were to stay apart at B, but what came holds 64 bytes in which those of A and C mix."),
        (w.LEAKED_IN_PART(frame="A0", receiver="B"),
         "nothing of frame A0, which was never sent whole", "it came to B",
         "Nobody was to get anything of frame A0, which was never sent whole; yet it came to B."),
        (w.LEAKED_ACROSS(domain="execution", relay="signal"),
         "a frame for execution, sent to signal, nowhere", "it came there",
         "A frame for execution, sent to signal, was to reach nobody; yet it came there."),
        (Finding(Kind.LEAKED, "7 descriptors again after 50 guests", "57"),
         "7 descriptors again after 50 guests", "57",
         "The suite expected 7 descriptors again after 50 guests, but saw this: 57."),
        (w.ECHOED(frame="A0", receiver="A"), "no frame of its own at A", "A0 came back",
         "Echo is off, so no frame of its own at A may come, yet A0 came back."),
        (w.CAUSE_LAST(frame="A0", other="B1", receiver="C", sender="B"),
         "A0 before B1 at C, because B had got the one before it sent the other", "B1 came first",
         "A0 was to come before B1 at C, because B had got the one before it sent the other; yet B1 came first."),
        (w.CLOSED(receiver="A", how="reset"), "A to stay connected", "the relay closed it (reset)",
         "The suite expected A to stay connected, but the relay closed it (reset)."),
        (Finding(Kind.STUCK, "the relay to end after SIGTERM", "it still runs, although its backlog was read"),
         "the relay to end after SIGTERM", "it still runs, although its backlog was read",
         "The suite expected the relay to end after SIGTERM, but it still runs, although its backlog was read."),
        (w.CRASHED(how="the relay was ended by signal SIGSEGV"),
         "the relay to go on serving", "the relay was ended by signal SIGSEGV",
         "The suite expected the relay to go on serving, but the relay was ended by signal SIGSEGV."),
        (Finding(Kind.OPEN, "a socket closed to other users", "its mode is 0666"),
         "a socket closed to other users", "its mode is 0666",
         "The suite expected a socket closed to other users, but its mode is 0666."),
        (Finding(Kind.DOWN, "the relay to start and to serve", "a client is not served"),
         "the relay to start and to serve", "a client is not served",
         "The suite expected the relay to start and to serve, but a client is not served."),
        (Finding(Kind.STATUS, "exit status 0 after SIGTERM", "1"), "exit status 0 after SIGTERM", "1",
         "The suite expected exit status 0 after SIGTERM, but it was 1."),
        (Finding(Kind.LEFT_BEHIND, "no socket file after SIGTERM", "/tmp/a.sock"),
         "no socket file after SIGTERM", "/tmp/a.sock",
         "The suite expected no socket file after SIGTERM, but there is /tmp/a.sock."),
        (w.NOTHING_AFTER_A_STALL(receiver="B"), "B to get the newest of what it missed", "none of it",
         "The suite expected B to get the newest of what it missed, but saw this: none of it."),
        (w.DELAYED(slow_ms=12.3, usual_ms=1.0, compared_with="before"),
         "traffic of the others as fast as without the stalled consumer", "12 ms for what took 1.0 ms before",
         "The suite expected traffic of the others as fast as without the stalled consumer, but saw this: "
         "12 ms for what took 1.0 ms before."),
    ],
    ids=lambda value: value.kind if isinstance(value, Finding) else None,
)  # fmt: skip
def test_each_kind_of_finding_is_a_whole_sentence(finding: Finding, expected: str, seen: str, sentence: str) -> None:
    assert (finding.expected, finding.seen) == (expected, seen)
    assert said(finding) == sentence


def test_iso_3_the_bound_of_the_queue_stands_beside_what_came() -> None:
    assert prose(shown_runs.newest_dropped()) == (
        "The suite expected the newest frame A4 kept for B, and the oldest dropped past the bound of its queue "
        "(2 frames or 268 435 456 bytes), but A4 was dropped: of 5 frames that were sent while B did not read 2 "
        "came, without the newest."
    )


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ((Connect(0), Connect(1)), "one more client beside A and B: it stays, reads"),
        ((Connect(0), Close(0), Connect(0)), "one more client beside A: it stays, reads"),
        (tuple(map(Connect, range(40))), "one more client beside the 40 that follow: it stays, reads"),
        ((Connect(0), Kill()), "one more client beside A: it stays (and comes again after a kill), reads"),
        ((), "a client: it stays, reads"),
    ],
)
def test_the_witness_stands_before_the_first_step(steps: tuple[Step, ...], words: str) -> None:
    first, *rest = narrate(Program("signal", steps), History())
    assert first.startswith(f"     first the suite's witness W connects, {words} everything")
    assert not any("witness" in line for line in rest)


def test_a_fixed_check_has_no_witness() -> None:
    assert witness_words(Program("signal", (Act("send SIGTERM to the relay"),))) == ""


@pytest.mark.parametrize("resumes", [False, True])
def test_who_stalls_to_the_end_is_said_to_read_again(resumes: bool) -> None:
    shown = shown_runs.newest_dropped(resumes=resumes)
    lines = list(narrate(shown.program, shown.history))
    assert ("     when all is sent, B reads again" in lines) is not resumes
    assert ("  5  B reads again" in lines) is resumes


@pytest.mark.parametrize("count", [1, 3, 7])
def test_the_plainest_contradictions_come_first_and_the_rest_is_counted(count: int) -> None:
    findings = [Finding("lost", f"frame A{number}", "it never came") for number in range(count)]
    lines = list(contradictions(Counterexample("FWD-1", Program("signal", ()), findings, History())))
    assert lines[0].split() == ["lost", "expected", "frame", "A0;"]
    assert (f"and {count - 3} more" in lines[-1]) is (count > 3)


def test_of_many_frames_in_one_write_the_accused_one_is_shown_wherever_it_stands() -> None:
    frames = tuple(Frame(5 if number == 5 else 2) for number in range(8))
    program = Program("signal", (Connect(0), Write(0, frames)))
    sent = [
        Sent(number, 1, 0, frame, encode_frame(frame, conn=0, number=number, sequence=number), Fate.FORWARD, None, 1)
        for number, frame in enumerate(frames)
    ]
    lines = list(narrate(program, History(sent=sent), [Finding("leaked", "nowhere", "at A", frames=(5,))]))
    place = next(place for place, line in enumerate(lines) if "frame A5 (invalid domain 5" in line)
    assert lines[place + 1].split() == [f"{byte:02x}" for byte in sent[5].data]
    assert not any(word in line for line in lines for word in ("A4 (", "A6 (", "A7 ("))


@pytest.mark.parametrize(
    ("sent", "missing", "words"),
    [
        (1, {0}, "B never got A0, the last frame of A; no fence of A has arrived since."),
        (2, {1}, "B never got A1, the last frame of A; no fence of A has arrived since."),
        (2, {0}, "B never got A0, although A1 arrived, which A sent after it."),
        (3, {0, 1}, "B never got A0, although A2 arrived, which A sent after it; 1 more frame is lost as well."),
        (2, {0, 1}, "B never got A0, nor anything that A sent after it; 1 more frame is lost as well."),
    ],
)
def test_of_what_followed_a_lost_frame_only_what_was_seen_is_said(sent: int, missing: set[int], words: str) -> None:
    chronicle = Chronicle(rules_for(load_profile("reference"), "signal"), clients=2)
    frames = [chronicle.sends(0) for _ in range(sent)]
    chronicle.gets(0, *frames)
    chronicle.gets(1, *(frame for frame in frames if frame.number not in missing))
    findings = list(lost(chronicle.history, chronicle.rules))
    assert prose(Counterexample("FWD-1", Program("signal", ()), findings, chronicle.history)).startswith(words)
