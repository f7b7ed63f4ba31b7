"""Programs played over real sockets: what the history says is what happened."""

import contextlib
import select
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from spec_tests.conformance.judged_relays import found, played, relay, specimen
from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.errors import CutShortError, TargetError
from torq_conformance.generation.features import garbage_split_at_every_byte
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.model.frames import Frame, Raw, Tlv
from torq_conformance.model.legality import fates_of
from torq_conformance.model.program import Program
from torq_conformance.model.steps import (
    Buffer,
    Close,
    Connect,
    Finish,
    Freeze,
    HalfClose,
    Idle,
    Stall,
    Step,
    Sync,
    Write,
)
from torq_conformance.model.timing import DEFAULT, Timing
from torq_conformance.play.address import Address
from torq_conformance.play.executor import Executor
from torq_conformance.play.target import SpawnedTarget, Target

OWN = Frame(2, (Tlv(30, 8),))
ALL_ORACLES = ("FWD-1", "FWD-2", "FWD-3", "FWD-4", "FWD-5", "ORD-1", "ORD-2", "ORD-3", "FRAME-4", "VAL-5")


@pytest.fixture(scope="module")
def correct() -> Iterator[SpawnedTarget]:
    with relay(specimen("correct", "signal")) as target:
        yield target


def test_every_frame_of_a_program_reaches_every_client_of_a_correct_relay(correct: SpawnedTarget) -> None:
    history = played(correct, Connect(0), Connect(1), Write(0, (OWN, OWN)), Write(1, (OWN,), every=1))
    assert [len(peer.received) for peer in history.peers.values()] == [3, 3]
    assert [received.number for received in history.peers[0].received] == [0, 1, 2]
    assert all(sent.whole and sent.certain for sent in history.sent)
    assert (history.crash, history.stuck, history.broken) == ("", "", set())


def test_a_silence_for_which_no_time_is_left_does_not_begin(correct: SpawnedTarget) -> None:
    executor = Executor(correct, rules_of("signal"))
    executor.deadline = time.monotonic() + 60.0
    with pytest.raises(CutShortError, match="no time was left for a silence of 3600 s"):
        executor.play(Program("signal", (Connect(0), Idle(3_600_000), Write(0, (OWN,)))))


@pytest.mark.parametrize(
    "steps",
    [
        (Connect(0), Write(0, (OWN,), stop=10), Connect(1), Write(1, (OWN,)), Finish(0)),
        (Connect(0), Write(0, (OWN,), stop=10), Connect(1), Write(1, (OWN,)), Close(0, reset=True)),
        (Connect(0), Connect(1), HalfClose(0), Write(1, (OWN,)), Sync(), Write(1, (OWN,))),
        (Connect(0), Write(0, (OWN,) * 300), Sync(), Connect(1), Idle(20), Write(1, (Frame(1),))),
        (Connect(0), Connect(1), Write(0, (Raw("00" * 40),)), Write(1, (OWN,)), Connect(2)),
        (Connect(0), Close(0), Connect(1), Write(1, (OWN,))),
    ],
    ids=["finished", "reset inside a frame", "half-closed", "late", "garbage", "left at once"],
)
def test_no_oracle_contradicts_a_correct_relay(correct: SpawnedTarget, steps: tuple[object, ...]) -> None:
    history = played(correct, *steps)  # type: ignore[arg-type] # steps of several kinds
    for requirement in ALL_ORACLES:
        assert found(requirement, history) == []


def _broadcast(listener: socket.socket, over: socket.socket, ends: Counter[str]) -> None:
    """Send whatever one client writes to all, and count how each of them left, until the test is over."""
    clients: set[socket.socket] = set()
    while (ready := select.select([listener, over, *clients], [], [])[0]) != [over]:
        for each in ready:
            if each is over:
                continue
            if each is listener:
                clients.add(each.accept()[0])
                continue
            try:
                data = each.recv(65_536)
                end = "polite"
            except ConnectionResetError:
                data, end = b"", "reset"
            if not data:
                ends[end] += 1
                clients.remove(each)
                each.close()
            for client in clients:
                with contextlib.suppress(OSError):
                    client.sendall(data)
    for client in clients:
        client.close()


def _forward_reads(listener: socket.socket, over: threading.Event) -> None:
    """A thread for each client sends what it read to all, a moment after it read it."""
    clients: list[socket.socket] = []
    lock = threading.Lock()

    def serve(client: socket.socket) -> None:
        with client, contextlib.suppress(OSError):
            while data := client.recv(65_536):
                over.wait(0.02)
                with lock:
                    for each in clients:
                        with contextlib.suppress(OSError):
                            each.sendall(data)
        with lock:
            clients.remove(client)

    threads = []
    while not over.is_set():
        with contextlib.suppress(TimeoutError):
            client, _ = listener.accept()
            client.setblocking(True)
            with lock:
                clients.append(client)
            threads.append(threading.Thread(target=serve, args=(client,)))
            threads[-1].start()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("joins", [(), (Connect(2),)], ids=["of a writer", "of one who joins"])
def test_the_pieces_of_a_write_are_kept_apart_from_other_clients_of_a_relay_that_forwards_reads(
    joins: tuple[Connect, ...], tmp_path: Path
) -> None:
    path, over = str(tmp_path / "relay.sock"), threading.Event()
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()
    listener.settimeout(0.05)
    thread = threading.Thread(target=_forward_reads, args=(listener, over))
    thread.start()
    large = Frame(1, (Tlv(1, 20_000),))
    steps: list[Step] = [
        Connect(0),
        Connect(1),
        Buffer(0, 1),
        Write(0, (large,), settle=False),
        *joins,
        Write(1, (Frame(1),), settle=False),
    ]
    try:
        for _ in range(3):
            history = played(Target(Address.parse(path)), *steps, domain="market_data", profile="pass-through")
            assert found("FWD-7", history, "market_data", "pass-through") == []
            assert not any(peer.torn for peer in history.peers.values())
            assert {peer.received[-1].number for peer in history.peers.values()} == {1}
    finally:
        over.set()
        thread.join()
        listener.close()


@pytest.mark.parametrize(
    "steps",
    [
        (Connect(0),),
        (Connect(0, reads=False),),
        (Connect(0), Stall(0)),
        (Connect(0), Write(0, (OWN,), stop=10)),
        (Connect(0), Write(0, (OWN,), stop=36)),
    ],
    ids=["reads", "never reads", "stalled", "within a header", "within a payload"],
)
def test_a_client_of_a_unix_socket_that_resets_is_seen_to_reset(steps: tuple[Step, ...], tmp_path: Path) -> None:
    path, ends = str(tmp_path / "relay.sock"), Counter[str]()
    over, end = socket.socketpair()
    with socket.socket(socket.AF_UNIX) as listener, over, end:
        listener.bind(path)
        listener.listen()
        relay = threading.Thread(target=_broadcast, args=(listener, over, ends))
        relay.start()
        for _ in range(20):
            played(Target(Address.parse(path)), *steps, Close(0, reset=True))
        end.close()
        relay.join()
    assert ends["reset"] >= 20, ends


def test_the_rest_of_a_frame_comes_only_with_finish(correct: SpawnedTarget) -> None:
    begun = played(correct, Connect(0), Connect(1), Write(0, (OWN,), stop=36), Write(1, (OWN,)))
    assert [received.number for received in begun.peers[1].received] == [1]
    assert not begun.sent[0].whole
    done = played(correct, Connect(0), Connect(1), Write(0, (OWN,), stop=36), Write(1, (OWN,)), Finish(0))
    assert [received.number for received in done.peers[1].received] == [1, 0]
    assert done.sent[0].whole


def test_frames_that_are_equal_byte_for_byte_are_told_apart_by_their_order(correct: SpawnedTarget) -> None:
    equal = Frame(2, sequence=1, timestamp=1)
    steps = (Connect(0), Connect(1), Write(0, (equal, OWN, equal)), Write(0, (equal,)))
    assert [received.number for received in played(correct, *steps).peers[1].received] == [0, 1, 2, 3]
    with relay(specimen("correct", "signal", "--mutant repeat-ignored")) as target:
        lossy = played(target, *steps)
    assert [received.number for received in lossy.peers[1].received] == [0, 1, 2]
    assert [finding.frames for finding in found("FWD-1", lossy)] == [(3,), (3,)]
    with relay(specimen("correct", "signal", "--mutant echo-twice")) as target:
        doubled = {finding.frames for finding in found("FWD-2", played(target, *steps))}
    assert doubled >= {(1,), (3,)}


def test_what_a_client_wrote_before_a_reset_is_indefinite(correct: SpawnedTarget) -> None:
    history = played(correct, Connect(0), Connect(1), Write(0, (OWN,)), Close(0, reset=True))
    assert not history.sent[0].certain
    assert history.peers[0].left


def test_what_a_client_wrote_before_it_left_politely_must_arrive(correct: SpawnedTarget) -> None:
    history = played(correct, Connect(0), Connect(1), Write(0, (OWN,), settle=False), Close(0))
    assert history.sent[0].certain
    assert [received.number for received in history.peers[1].received] == [0]
    assert history.peers[0].left


def test_val_5_a_client_that_sends_garbage_is_seen_to_be_closed(correct: SpawnedTarget) -> None:
    history = played(correct, Connect(0), Connect(1), Write(0, (OWN, Raw(b"hello, relay!".hex()))), Write(1, (OWN,)))
    assert history.broken == {0}
    assert history.peers[0].closed
    assert history.peers[1].open


def test_a_frame_above_the_limit_breaks_its_connection(correct: SpawnedTarget) -> None:
    history = played(correct, Connect(0), Connect(1), Write(0, (Frame(2, (), claim=2**30),)))
    assert history.broken == {0}
    assert history.peers[0].closed


def test_a_crash_is_told_with_its_wait_status() -> None:
    with relay(specimen("correct", "signal", "--mutant crash-on-empty")) as target:
        history = played(target, Connect(0), Connect(1), Write(0, (Frame(2),)))
    assert history.crash.startswith("the relay ")
    assert any(finding.kind == "crashed" for finding in found("FWD-6", history))


def test_a_torn_stream_is_recognised_without_a_long_wait() -> None:
    with relay(specimen("first-generic", "signal")) as target:
        history = played(target, Connect(0), Connect(1), Write(0, (OWN,), cuts=(36,)))
        assert {"torn"} <= {finding.kind for finding in found("FRAME-1", history)}


def test_a_lost_frame_is_proven_by_a_fence_behind_it() -> None:
    with relay(specimen("correct", "signal", "--mutant split-last-byte-lost")) as target:
        history = played(target, Connect(0), Connect(1), Write(0, (OWN,), cuts=(OWN.size - 1,)), Write(0, (OWN,)))
        lost = [finding for finding in found("FRAME-1", history) if finding.kind == "lost"]
        assert lost
        assert all("a later fence of A arrived" in finding.seen for finding in lost)


def test_a_relay_that_forwards_nothing_is_played_without_fences() -> None:
    with relay(specimen("legacy-sink", "signal")) as target:
        history = played(target, Connect(0), Connect(1), Write(0, (OWN,)), profile="sink")
        assert not any(peer.received for peer in history.peers.values())
        assert found("FWD-2", history, profile="sink") == []


def test_an_unreachable_relay_is_an_error_of_the_target_not_of_the_relay() -> None:
    missing = Target(Address(path="/tmp/torq-there-is-no-such.sock"))
    with pytest.raises(TargetError, match="cannot connect"):
        Executor(missing, rules_of("signal")).play(Program("signal", (Connect(0),)))


@pytest.mark.parametrize("given_to", ["target", "executor"])
def test_a_wait_is_as_long_as_timing_says(given_to: str, tmp_path: Path) -> None:
    short = Timing(stuck_seconds=0.1)
    address = Address(path=str(tmp_path / "s"))
    with socket.socket(socket.AF_UNIX) as never_reads:
        never_reads.bind(address.path)
        never_reads.listen()
        target = Target(address, timing=short if given_to == "target" else DEFAULT)
        executor = Executor(target, rules_of("signal", "sink"), timing=short if given_to == "executor" else None)
        history = executor.play(Program("signal", (Connect(0), Write(0, (Frame(2, (Tlv(30, 60_000),)),) * 10))))
    assert history.stuck == "the relay took no byte of A for 0.1 s"


def test_a_play_that_is_cut_short_leaves_no_relay_stopped(correct: SpawnedTarget) -> None:
    executor = Executor(correct, rules_of("signal"))
    executor.deadline = 0.0
    with pytest.raises(CutShortError):
        executor.play(Program("signal", (Connect(0), Freeze(), Idle(1))))
    history = played(correct, Connect(0), Connect(1), Write(0, (OWN,)))
    assert [len(peer.received) for peer in history.peers.values()] == [1, 1]


def test_the_play_room_needs_no_library_of_the_command_line() -> None:
    code = "import sys, torq_conformance.play.executor; print(*{'click', 'rich', 'hypothesis'} & {*sys.modules})"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "\n"


@pytest.mark.parametrize("policy", ["close", "resync"])
def test_val_5_frames_around_garbage_that_is_cut_at_every_byte(policy: str) -> None:
    rules = msgspec.structs.replace(rules_of("signal"), on_framing_error=policy)
    forwarded = {"close": 1, "resync": 2}[policy]
    with relay(specimen("correct", "signal", "--on-framing-error", policy)) as target:
        executor = Executor(target, rules)
        for program in garbage_split_at_every_byte(rules):
            history = executor.play(program)
            assert SCENARIOS["VAL-5"].judge(history, rules) == []
            assert len(history.peers[0].received) == forwarded * (len(history.peers) - 1)
            assert [(sent.fate, sent.why) for sent in history.sent] == list(fates_of(program, rules).values())


@pytest.mark.parametrize("fault", ["garbage-loses-frames-before", "garbage-frames-behind-forwarded"])
def test_val_5_a_frame_lost_before_or_forwarded_behind_garbage_is_found(fault: str) -> None:
    with relay(specimen("correct", "signal", "--mutant", fault)) as target:
        history = played(target, Connect(0), Connect(1), Write(0, (OWN, Raw(b"no frame".hex()), OWN)))
    assert {finding.kind for finding in found("VAL-5", history)} == {"lost" if "loses" in fault else "leaked"}


def test_a_client_that_is_told_twice_to_connect_connects_once() -> None:
    with relay(specimen("correct", "signal")) as target:
        history = played(target, Connect(0), Connect(1), Connect(0), Connect(1, reads=False), Write(0, (Frame(2),)))
        assert len(history.peers) == 2
        assert [[each.number for each in peer.received] for peer in history.peers.values()] == [[0], [0]]
        assert all(peer.reads for peer in history.peers.values())
