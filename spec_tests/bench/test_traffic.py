"""The measuring client counts every byte, in both languages: what a relay loses, doubles or swaps is seen."""

from __future__ import annotations

import ctypes
import shutil
import socket
import sys
import threading
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torq_bench.client_loops import CLoops, Loops, Plan, PythonLoops, Receiver, client_loops
from torq_bench.compiler import COMPILERS, CompilerError, compiled
from torq_bench.latency import measure_latency
from torq_bench.relays import RelayError, spawned_relay
from torq_bench.traffic import FanOut, Hold, Load, fan_out, fan_out_alone, frame_ring
from torq_protocol.constants import RelayDomain

DOMAIN = RelayDomain.MARKET_DATA
needs_compiler = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C compiler on this machine")
both_languages = pytest.mark.parametrize("loops_of", [pytest.param(CLoops, marks=needs_compiler), PythonLoops])
LoopsOf = Callable[[], Loops]


def specimen(name: str, *flags: str) -> list[str]:
    code = "from torq_conformance.specimens.cli import main; main()"
    return [sys.executable, "-c", code, name, "--socket", "{socket}", "--domain", "market_data", *flags]


def through(command: list[str], load: Load, loops_of: LoopsOf) -> FanOut:
    with spawned_relay(command) as (path, process):
        return fan_out(path, DOMAIN, load, process, loops_of())


@both_languages
def test_a_right_relay_loses_nothing(loops_of: LoopsOf) -> None:
    seen = through(specimen("correct"), Load(2000, receivers=3), loops_of)
    assert (seen.fault, seen.echo, seen.delivered) == ("", True, 6000)
    assert min(seen.seconds, seen.processor_seconds, seen.wanted_seconds, seen.peak_bytes) > 0


@both_languages
def test_what_is_lost_is_not_delivered(loops_of: LoopsOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torq_bench.traffic._END_SILENCE", 0.5)
    with spawned_relay(specimen("correct", "--mutant", "drop-every-10th")) as (path, _):
        seen = fan_out(path, DOMAIN, Load(2000, receivers=2), loops=loops_of())
    assert (seen.delivered, seen.lost) == (2 * 1800, 3 * 200)
    assert seen.frames_out_per_second == seen.delivered / seen.seconds


@both_languages
def test_a_relay_without_echo_owes_none(loops_of: LoopsOf) -> None:
    seen = through(specimen("correct", "--no-echo"), Load(2000), loops_of)
    assert (seen.fault, seen.echo) == ("", False)


@both_languages
@pytest.mark.parametrize(
    ("mutant", "fault"),
    [
        ("drop-every-100th", "frames lost"),
        ("echo-stops", "frames lost"),
        ("duplicate-every-50th", "held other frames than were due"),
        ("swap-in-batch", "held other frames than were due"),
    ],
)
def test_what_a_wrong_relay_does_is_found(
    mutant: str, fault: str, loops_of: LoopsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torq_bench.traffic._END_SILENCE", 0.5)
    assert fault in through(specimen("correct", "--mutant", mutant), Load(2000, batch=7), loops_of).fault


@both_languages
@pytest.mark.parametrize("hold", [Hold(500, 0.02), Hold(0, 0.02, from_sent=True)])
def test_a_receiver_that_stops_and_reads_again_gets_all_that_a_relay_kept(
    hold: Hold, loops_of: LoopsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Load(5000, batch=50, rate=1e6, hold=hold)
    assert through(specimen("correct"), load, loops_of).fault == ""
    monkeypatch.setattr("torq_bench.traffic._END_SILENCE", 0.5)
    assert "frames lost" in through(specimen("correct", "--queue-frames", "1"), load, loops_of).fault


@both_languages
def test_the_client_alone_loses_nothing(loops_of: LoopsOf) -> None:
    seen = fan_out_alone(DOMAIN, Load(20_000, receivers=5), loops_of())
    assert (seen.fault, seen.processor_seconds) == ("", 0.0)


@both_languages
def test_latency_is_of_frames_that_come_back_and_the_others_are_counted(
    loops_of: LoopsOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    with spawned_relay(specimen("correct")) as (path, _):
        seen = measure_latency(path, DOMAIN, 2, 50, loops_of())
    assert (seen.samples, seen.lost) == (50, 0)
    assert 0 < seen.p50 <= seen.p95 <= seen.p99
    monkeypatch.setattr("torq_bench.latency._LIMIT_SECONDS", 1)
    with spawned_relay(specimen("correct", "--mutant", "drop-every-100th")) as (path, _):
        assert measure_latency(path, DOMAIN, 2, 50, loops_of()).lost > 450


def test_who_gets_nothing_has_not_joined() -> None:
    with spawned_relay(specimen("legacy-sink")) as (path, _), pytest.raises(RelayError, match="1 of 1 receivers got"):
        fan_out(path, DOMAIN, Load(10))


@both_languages
@given(st.lists(st.integers(1, 400), max_size=20), st.integers(0, 39))
def test_a_changed_header_is_seen_at_either_end_of_a_read(loops_of: LoopsOf, cuts: list[int], changed: int) -> None:
    """However the stream is cut: nothing is out of place in the right one, and one read at most in the changed one."""
    ring = frame_ring(DOMAIN, 74, 40)[: 40 * 74]
    stream = bytearray(ring)
    stream[changed * 74 + 8] ^= 0xFF
    right, wrong = (_faults(loops_of(), ring, bytes(data), cuts) for data in (ring, stream))
    assert right == 0
    assert wrong <= 1
    if not cuts:
        assert wrong == (changed in (0, 39))


def _faults(loops: Loops, ring: bytes, stream: bytes, cuts: list[int]) -> int:
    """Reads of the stream, one for each piece, that the loops find out of place."""
    plan = Plan(frame_bytes=74, ring_frames=40, total_bytes=len(stream), hold_at=-1, silence_ns=10**10)
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with left, right:
        seen = (Receiver * 1)(Receiver(right.fileno(), 0, 0))
        position = 0
        reading = threading.Thread(target=loops.receive_load, args=(plan, ring, seen, ctypes.c_int64(0)))
        reading.start()
        for size in [*cuts, len(stream)]:
            left.sendall(stream[position : position + size])
            position = min(len(stream), position + size)
        reading.join()
        return int(seen[0].faults)


def test_without_a_compiler_the_client_is_python(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled.cache_clear()
    monkeypatch.setenv("CC", "/nonexistent/cc -O1")
    with pytest.raises(CompilerError, match="/nonexistent/cc: cannot be run: No such file or directory; set CC to"):
        compiled("plain_relay.c")
    monkeypatch.setenv("CC", "false")
    with pytest.raises(CompilerError, match="exit code 1"):
        compiled("plain_relay.c")
    assert client_loops().language == "Python"
    monkeypatch.delenv("CC")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CompilerError, match="no C compiler"):
        compiled("plain_relay.c")


@pytest.mark.parametrize(
    ("size", "batch", "frames"), [(74, 64, 4096), (74, 885, 3540), (74, 1, 4096), (70_000, 64, 64)]
)
def test_a_ring_holds_whole_batches_and_stays_small(size: int, batch: int, frames: int) -> None:
    assert len(frame_ring(DOMAIN, size, batch)) == frames * size
