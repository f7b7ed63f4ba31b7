"""Stalls, floods, a stopped and a killed relay: played over real sockets, and judged from hand-made histories."""

import socket
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.conformance.histories import Chronicle
from spec_tests.conformance.judged_relays import judged, plan_for, relay, specimen
from spec_tests.conformance.program_strategies import rules_of, small_rules_of
from torq_conformance.generation.minimise import simpler_programs
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.judging.selftest_cases import SMALL_BOUNDS
from torq_conformance.judging.verdict import Verdict
from torq_conformance.model.findings import Finding
from torq_conformance.model.frames import Frame, Tlv, encode_frame
from torq_conformance.model.history import Delay, History, Peer, Received, Stalled
from torq_conformance.model.program import Program
from torq_conformance.model.steps import (
    Buffer,
    Connect,
    Flood,
    Freeze,
    Kill,
    Resume,
    Sip,
    Stall,
    Step,
    Sync,
    Thaw,
    Write,
)
from torq_conformance.model.timing import DEFAULT
from torq_conformance.oracles import isolation as i
from torq_conformance.oracles import traffic as o
from torq_conformance.play.executor import Executor
from torq_conformance.play.fences import Fences, ProgressTimeout
from torq_conformance.play.recorder import Recorder, encoded_flood
from torq_conformance.play.state import Link, Patience, State
from torq_conformance.play.streams import Streams
from torq_conformance.play.target import SpawnedTarget

SMALL = Frame(2, (Tlv(30, 40),))
LARGE = Frame(2, (Tlv(30, 60_000),))
OVERFLOWING: tuple[Step, ...] = (
    Connect(0),
    Connect(1),
    Stall(1),
    Flood(0, LARGE, 8),
    Flood(0, SMALL, 17_000),
    Sip(1, 1000),
    Resume(1),
    Sync(),
)
RULES = small_rules_of("signal")
SMALL_QUEUE = msgspec.structs.replace(rules_of("signal"), queue_frames=3)


def bounded(*arguments: str) -> str:
    """The command of the correct specimen, whose queues are small enough to overflow."""
    return specimen("correct", "signal", *SMALL_BOUNDS, *arguments)


def played(target: SpawnedTarget, *steps: Step) -> History:
    return Executor(target, RULES).play(Program("signal", steps))


def found(requirement: str, history: History) -> list[Finding]:
    return SCENARIOS[requirement].judge(history, RULES)


@pytest.fixture(scope="module")
def correct() -> Iterator[SpawnedTarget]:
    with relay(bounded()) as target:
        yield target


def test_fwd_7_what_a_tiny_buffer_sends_is_read_in_pieces() -> None:
    large = Frame(2, (Tlv(30, 35_000, extended=True),) * 2)
    written: tuple[Step, ...] = (Connect(0), Connect(1), Write(0, (large,)))
    with relay(bounded("--mutant", "many-reads-lose-large")) as target:
        assert found("FWD-7", played(target, *written)) == []
        lost = found("FWD-7", played(target, *written[:2], Buffer(0, 1), written[2]))
    assert {finding.kind for finding in lost} == {"lost"}


def test_a_stalled_reader_gets_what_its_queue_holds_once_it_reads_again(correct: SpawnedTarget) -> None:
    history = played(correct, Connect(0), Connect(1), Stall(1), Flood(0, SMALL, 500), Write(0, (SMALL,)), Resume(1))
    assert [received.number for received in history.peers[1].received] == list(range(501))
    assert found("FWD-1", history) == []
    assert history.peers[1].stalls[0].frames >= 501


def test_past_its_queue_a_stalled_reader_legally_lacks_the_oldest_frames(correct: SpawnedTarget) -> None:
    history = played(correct, *OVERFLOWING, Write(0, (SMALL,)))
    numbers = [received.number for received in history.peers[1].received]
    assert 9_000 < len(numbers) < 17_000
    assert numbers[-1] == 17_008
    for requirement in ("FWD-1", "ISO-1", "ISO-2", "ISO-3", "ISO-4", "ISO-5"):
        assert found(requirement, history) == []


@pytest.mark.parametrize(
    ("mutant", "requirement", "kind"),
    [
        ("overflow-drops-newest", "ISO-3", "dropped"),
        ("overflow-disconnects", "ISO-3", "closed"),
        ("overflow-torn", "ISO-4", "torn"),
        ("queue-unbounded", "ISO-2", "unbounded"),
        ("overflow-goes-silent", "ISO-5", "lost"),
    ],
)
def test_a_wrong_overflow_is_found(mutant: str, requirement: str, kind: str) -> None:
    with relay(bounded("--mutant", mutant)) as target:
        history = played(target, *OVERFLOWING, Write(0, (SMALL,)))
    assert kind in {finding.kind for finding in found(requirement, history)}


def test_iso_7_who_never_reads_is_served_as_a_sender(correct: SpawnedTarget) -> None:
    history = played(correct, Connect(0), Connect(1, reads=False), Flood(1, SMALL, 15_000), Write(1, (SMALL,)))
    assert found("ISO-7", history) == []
    assert history.peers[0].received[-1].number == 15_000
    assert history.peers[1].open


def test_a_stopped_relay_finds_all_that_was_written_meanwhile(correct: SpawnedTarget) -> None:
    writes = [Write(conn, (SMALL,), settle=False) for conn in (0, 1, 0)]
    history = played(correct, Connect(0), Connect(1), Freeze(), *writes, Thaw())
    assert sorted(received.number or 0 for received in history.peers[0].received) == [0, 1, 2]


def test_life_2_clients_of_a_killed_relay_come_back(correct: SpawnedTarget) -> None:
    pid = correct.pid
    history = played(correct, Connect(0), Write(0, (SMALL,)), Kill(), Connect(1), Connect(2), Write(1, (SMALL,)))
    assert correct.pid != pid
    assert found("LIFE-2", history) == []
    assert [received.number for received in history.peers[2].received] == [1]


def test_life_2_a_relay_that_does_not_start_again_is_a_crash() -> None:
    with relay(bounded("--mutant stale-socket-refused")) as target:
        result = judged(target, plan_for("LIFE-2", shrink_seconds=0.1))["LIFE-2"]
    assert result.verdict is Verdict.FAIL


def test_a_flood_shrinks_to_the_hundred() -> None:
    program = Program("signal", (Connect(0), Flood(0, SMALL, 12_345)))

    def fails(candidate: Program) -> bool:
        return any(isinstance(step, Flood) and step.count > 3_210 for step in candidate.steps)

    while (following := next((each for each in simpler_programs(program) if fails(each)), None)) is not None:
        assert following.weight <= program.weight
        program = following
    assert isinstance(flood := program.steps[-1], Flood)
    assert 3_210 < flood.count <= 3_311
    assert flood.frame == Frame(2)


# --- histories made by hand ------------------------------------------------------------------------------------------


def stalled(frames: int, *, ended: bool = True) -> Chronicle:
    """C does not read while A sends some frames that everybody else gets."""
    chronicle = Chronicle(SMALL_QUEUE)
    dealt_with = (frames * 10_000, frames * 10_000 * 500)
    stall = Stalled(chronicle.tick(), 0, frames, frames * 500, *dealt_with)
    chronicle.peer(2).stalls.append(stall)
    for _ in range(frames):
        sent = chronicle.sends(0)
        chronicle.gets(0, sent)
        chronicle.gets(1, sent)
    stall.ended = chronicle.tick() if ended else 0
    return chronicle


def test_iso_2_what_the_relay_may_not_have_dealt_with_yet_overflows_nothing_for_certain() -> None:
    chronicle = stalled(5)
    (stall,) = chronicle.peer(2).stalls
    stall.forwarded_frames = stall.forwarded_bytes = 0
    for sent in list(chronicle.history.sent):
        chronicle.gets(2, sent)
    assert kinds(chronicle, i.unbounded, i.overflow_policy_broken) == []


def kinds(chronicle: Chronicle, *oracles: o.Oracle) -> list[str]:
    return [finding.kind for oracle in oracles for finding in oracle(chronicle.history, chronicle.rules)]


def test_what_an_overflow_dropped_is_not_lost_but_the_newest_must_come() -> None:
    chronicle = stalled(5)
    assert kinds(chronicle, o.lost) == []
    assert kinds(chronicle, i.overflow_policy_broken) == ["dropped"]
    chronicle.gets(2, *chronicle.history.sent[2:])
    assert kinds(chronicle, i.overflow_policy_broken, i.unbounded, i.not_resumed) == []


def test_iso_2_a_stalled_reader_that_gets_everything_was_held_too_much() -> None:
    chronicle = stalled(5)
    chronicle.gets(2, *chronicle.history.sent)
    assert kinds(chronicle, i.unbounded) == ["unbounded"]


def test_iso_3_who_overflows_is_disconnected_exactly_where_the_profile_says_so() -> None:
    dropping = stalled(5)
    dropping.peer(2).closed = "reset"
    assert kinds(dropping, i.overflow_policy_broken) == ["closed"]
    assert kinds(dropping, o.closed_unexpectedly) == ["closed"]
    disconnecting = stalled(5)
    disconnecting.rules = msgspec.structs.replace(SMALL_QUEUE, overflow="disconnect", socket_bytes=0)
    assert kinds(disconnecting, i.overflow_policy_broken) == []  # nobody can tell yet that it reads (ISO-7)
    peer = disconnecting.peer(2)
    peer.received.append(Received(None, b"read before", 0))
    peer.stalls.insert(0, Stalled(0, ended=peer.stalls[0].begun, bytes=1))
    assert kinds(disconnecting, i.overflow_policy_broken) == ["kept"]
    disconnecting.peer(2).closed = "reset"
    assert kinds(disconnecting, i.overflow_policy_broken, o.closed_unexpectedly) == []


def test_iso_5_what_is_sent_after_reading_again_must_come() -> None:
    chronicle = stalled(5)
    chronicle.gets(2, chronicle.history.sent[-1])
    chronicle.all_get(chronicle.sends(1))
    assert kinds(chronicle, i.not_resumed, o.lost) == []
    chronicle.gets(0, chronicle.sends(1))
    assert "lost" in kinds(chronicle, i.not_resumed)


def test_iso_1_traffic_that_becomes_slow_behind_a_stalled_reader_is_delayed() -> None:
    chronicle = stalled(5)
    chronicle.history.delays = [Delay(False, 0.001)] * 6 + [Delay(True, 0.001)] * 4
    assert kinds(chronicle, i.delayed) == []
    chronicle.history.delays += [Delay(True, 0.05)] * 8
    assert kinds(chronicle, i.delayed) == []  # the machine may have become busy: nothing was sent after the stall
    chronicle.history.delays += [Delay(False, 0.05)] * 6
    assert kinds(chronicle, i.delayed) == []
    chronicle.history.delays[-6:] = [Delay(False, 0.001)] * 6
    assert kinds(chronicle, i.delayed) == ["delayed"]
    chronicle.history.delays = [Delay(False, 0.04)] * 6 + [Delay(True, 0.05)] * 8
    assert kinds(chronicle, i.delayed) == []


def test_iso_3_half_of_what_a_queue_holds_is_kept_however_many_are_dropped_at_once() -> None:
    rules = msgspec.structs.replace(SMALL_QUEUE, queue_frames=6)  # of which one may be partly sent, and an old one
    chronicle = stalled(8)
    oldest, *_, last_but_one, newest = chronicle.history.sent
    chronicle.gets(2, oldest, newest)
    (finding,) = i.overflow_policy_broken(chronicle.history, rules)
    assert (finding.kind, finding.frames) == ("dropped", (last_but_one.number,))
    chronicle.gets(2, last_but_one)
    assert list(i.overflow_policy_broken(chronicle.history, rules)) == []


@pytest.mark.parametrize(("fences", "kinds_seen"), [(0, ["dropped"]), (2, ["dropped"]), (3, [])])
def test_iso_3_fences_behind_the_newest_frame_may_have_displaced_it(fences: int, kinds_seen: list[str]) -> None:
    rules = msgspec.structs.replace(SMALL_QUEUE, queue_frames=6)
    chronicle = stalled(8)
    (stall,) = chronicle.peer(2).stalls
    stall.frames += fences
    chronicle.gets(2, *chronicle.history.sent[:-1])
    assert [finding.kind for finding in i.overflow_policy_broken(chronicle.history, rules)] == kinds_seen


@given(
    tlvs=st.lists(st.builds(Tlv, st.integers(20, 39), st.sampled_from((0, 1, 8, 200, 255, 256, 1_400))), max_size=2),
    tail=st.sampled_from(("", "ff")),
    first=st.sampled_from((0, 8, 9_999)),
    conn=st.integers(0, 4),
)
@settings(max_examples=40, deadline=None)
def test_a_flood_holds_the_frames_that_a_program_names(tlvs: list[Tlv], tail: str, first: int, conn: int) -> None:
    step = Flood(conn, Frame(2, tuple(tlvs), tail), 3)
    numbers = [first, first + 1, first + 2]
    one_by_one = [encode_frame(step.frame, conn=conn, number=n, sequence=70 + n - first) for n in numbers]
    assert list(encoded_flood(step, numbers, 70)) == one_by_one


def test_a_flood_ends_where_the_relay_falls_silent_so_that_nobody_becomes_slow_by_it() -> None:
    with relay(specimen("correct", "signal", "--mutant hang-after-200")) as target:
        history = played(target, Connect(0), Connect(1), Flood(0, Frame(2, (Tlv(30, 1_000),)), 3_000))
    assert 200 <= len(history.sent) < 500


@pytest.mark.parametrize(("backlog", "pieces"), [(0, 4), (2 * DEFAULT.slow_bytes, 12)])
def test_a_frame_that_comes_piece_by_piece_is_progress_for_as_long_as_a_backlog_takes(
    backlog: int, pieces: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("torq_conformance.play.fences.time.monotonic", lambda: now[0])
    with socket.socket() as unused, relay(specimen("correct", "signal")) as target:
        state = State(rules_of("signal"), DEFAULT, Patience())
        link = state.links[0] = Link(unused, Peer(0, connected=0, joined=1))
        recorder = Recorder(state)
        link.awaited_bytes = backlog
        timeout = Fences(state, target, recorder, Streams(state, target, recorder)).timeout(1.0)
        data = encode_frame(Frame(2, (Tlv(30, 400),)), conn=3, number=0, sequence=1)
        for piece in range(pieces):
            now[0] += 0.9
            recorder.take(link, data[piece * 30 : (piece + 1) * 30])
            assert not timeout.expired()
        now[0] += 1.1
        assert timeout.expired()


def test_who_still_forwards_is_slow_and_not_silent_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = {"now": 0.0, "arrived": 0.0}
    monkeypatch.setattr("torq_conformance.play.fences.time.monotonic", lambda: seen["now"])

    def is_over(timeout: ProgressTimeout, now: float, arrived: int) -> bool:
        seen.update(now=now, arrived=arrived)
        return timeout.expired()

    slow = ProgressTimeout(2.0, 5.0, lambda: int(seen["arrived"]))
    assert not any(is_over(slow, 1.9 * turn, turn) for turn in range(1, 6))
    assert is_over(slow, 10.1, 6)
    silent = ProgressTimeout(2.0, 5.0, lambda: int(seen["arrived"]))
    assert not is_over(silent, 12.0, 6)
    assert is_over(silent, 12.2, 6)
