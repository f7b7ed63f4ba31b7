"""How a play ends: what comes only behind something else was held back, what comes late by itself was not."""

import shlex
import sys
from pathlib import Path

import msgspec
import pytest

from spec_tests.conformance.judged_relays import found, played, relay, specimen
from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.model.frames import Frame, Tlv
from torq_conformance.model.history import Delay
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Connect, Flood, Write
from torq_conformance.model.timing import DEFAULT
from torq_conformance.play.executor import Executor
from torq_conformance.play.state import Patience

OWN = Frame(2, (Tlv(30, 8),))
LATE = """
import select, socket, sys, time
listener, clients, waiting = socket.socket(socket.AF_UNIX), [], []
listener.bind(sys.argv[1])
listener.listen()
how, seconds = sys.argv[2], float(sys.argv[3])
def forward(data):
    for client in clients:
        client.sendall(data)
while True:
    left = [max(0, waiting[0][0] - time.monotonic())] if waiting else []
    for sock in select.select([listener, *clients], [], [], *left)[0]:
        if sock is listener:
            clients.append(listener.accept()[0])
        elif not (data := sock.recv(65536)):
            clients.remove(sock)
        elif how == "halves" and len(data) > 1000:
            forward(data[:500])
            time.sleep(seconds)
            forward(data[500:])
        elif how != "delays" and len(data) > 32:
            forward(data)
        elif how == "computes":
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                pass
            forward(data)
        else:
            waiting.append((time.monotonic() + seconds, data))
    while waiting and waiting[0][0] <= time.monotonic():
        forward(waiting.pop(0)[1])
"""
"""A relay that is slow with header-only frames: it computes meanwhile, or lets the others pass; or slow with all.

Or it pauses within large ones.
"""


def late_relay(folder: Path, how: str, seconds: float) -> str:
    """The command of a slow relay."""
    script = folder / "late.py"
    script.write_text(LATE)
    return f"{shlex.join([sys.executable, str(script)])} {{socket}} {how} {seconds}"


def test_fwd_6_a_frame_that_only_a_fence_pushes_out_is_held_back() -> None:
    with relay(specimen("correct", "signal", "--mutant", "header-only-held")) as target:
        executor = Executor(target, rules_of("signal"))
        program = Program("signal", (Connect(0), Connect(1), Write(0, (OWN, Frame(2)))))
        for _ in range(3):  # the relay is known then, and gets less patience
            history = executor.play(program)
            assert {(finding.kind, finding.frames) for finding in found("FWD-6", history)} == {("held back", (1,))}


def test_fwd_6_a_relay_that_loses_the_last_frame_does_not_hold_it_back() -> None:
    with relay(specimen("correct", "signal", "--mutant", "drop-header-only")) as target:
        history = played(target, Connect(0), Connect(1), Write(0, (OWN, Frame(2))))
    assert {finding.kind for finding in found("FWD-6", history)} == {"lost"}
    assert history.late == {}


def test_fwd_6_a_frame_that_anybody_pushes_out_is_held_back_too() -> None:
    with relay(specimen("correct", "signal", "--mutant", "held-until-anybody-sends")) as target:
        executor = Executor(target, rules_of("signal"))
        program = Program("signal", (Connect(0), Connect(1), Write(0, (OWN,)), Write(1, (Frame(2),))))
        for _ in range(3):
            history = executor.play(program)
            assert {finding.kind for finding in found("FWD-6", history)} == {"held back"}
            assert set(history.late.values()) == {"another client"}


@pytest.mark.parametrize("how", ["computes", "waits"])
def test_fwd_1_a_relay_that_is_merely_slow_holds_nothing_back(how: str, tmp_path: Path) -> None:
    with relay(late_relay(tmp_path, how, DEFAULT.holding_seconds * 1.3)) as target:
        history = played(target, Connect(0), Connect(1), Write(0, (Frame(2),)))
    assert [received.number for received in history.peers[1].received] == [0]
    assert found("FWD-6", history) == []


def test_iso_4_the_rest_of_a_frame_that_pauses_on_its_way_is_waited_for_however_little_patience_is_left(
    tmp_path: Path,
) -> None:
    rules = rules_of("signal")
    with relay(late_relay(tmp_path, "halves", DEFAULT.silence_seconds / 2)) as target:
        executor = Executor(target, rules, Patience(forwarding=DEFAULT.least_share, holding=DEFAULT.least_share))
        large = Write(0, (Frame(2, (Tlv(30, 1_200),)),), settle=False)
        history = executor.play(Program("signal", (Connect(0), Connect(1), large)))
    assert [(peer.name, peer.rest) for peer in history.peers.values()] == [("A", b""), ("B", b"")]


def test_a_fence_that_was_under_way_before_proves_nothing(tmp_path: Path) -> None:
    late = 0.3  # so long that each part of a flood is followed by several fences
    large = Frame(2, (Tlv(30, 20_000),))
    with relay(late_relay(tmp_path, "delays", late)) as target:
        history = played(target, Connect(0), Connect(1), Flood(0, large, 8))
    assert len(history.delays) == 4
    assert all(each.seconds >= late for each in history.delays)
    assert [int.from_bytes(sent.data[8:16], "little") for sent in history.sent] == list(range(1, 9))


@pytest.mark.parametrize("policy", ["drop_oldest", "disconnect"])
def test_iso_3_what_a_small_queue_loses_of_a_reader_is_held_against_no_relay(policy: str) -> None:
    rules = msgspec.structs.replace(rules_of("signal"), overflow=policy, queue_frames=20, queue_bytes=50_000)
    small = ("--overflow", policy, "--queue-frames", "20", "--queue-bytes", "50000")
    much = tuple(Write(0, (Frame(2, (Tlv(30, size),)),) * 10, settle=False) for size in (40_000, 8, 8, 60_000))
    with relay(specimen("correct", "signal", *small)) as target:
        executor = Executor(target, rules)
        for _ in range(5):
            history = executor.play(Program("signal", (Connect(0), Connect(1), *much)))
            for name in ("FWD-1", "FWD-7", "ISO-1", "ISO-2", "ISO-3"):
                assert SCENARIOS[name].judge(history, rules) == []
            assert any(stall.reading for peer in history.peers.values() for stall in peer.stalls)


def test_a_large_frame_is_not_slow_by_its_size() -> None:
    assert Delay(True, 0.004).of_a_part == Delay(True, 0.004, 0.5).of_a_part == 0.004
    assert Delay(True, 0.035, 17.5).of_a_part == pytest.approx(0.002)
    with relay(specimen("correct", "signal")) as target:
        history = played(target, Connect(0), Connect(1), Flood(0, Frame(2, (Tlv(30, 60_000),) * 10), 2))
    assert [round(each.size) for each in history.delays] == [10, 10]
