"""The limit that relays are measured against does the work that it is said to do, and loses nothing."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from torq_bench.compiler import CompilerError, compiled, compiler_version
from torq_bench.relays import connect, spawned_relay
from torq_bench.traffic import make_frame
from torq_conformance.cli import cli
from torq_protocol.constants import RelayDomain

try:
    compiler_version()
except CompilerError as error:
    pytest.skip(str(error), allow_module_level=True)

OWN = RelayDomain.MARKET_DATA
SILENCE_SECONDS = 10.0


@pytest.fixture(scope="module")
def path() -> Iterator[str]:
    with spawned_relay([str(compiled("plain_relay.c")), "{socket}", str(int(OWN))]) as (path, _):
        yield path


def clients(path: str, count: int, stack: ExitStack) -> list[socket.socket]:
    joined = [stack.enter_context(connect(path)) for _ in range(count)]
    for sock in joined:
        sock.settimeout(SILENCE_SECONDS)
    return joined


def received(sock: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size and (part := sock.recv(size - len(data))):
        data += part
    return data


def test_the_suite_finds_it_to_frame_filter_and_forward_as_a_relay_must() -> None:
    sections = "FWD-1,FWD-2,FWD-3,FWD-4,FWD-7,FRAME-1,FRAME-2,FRAME-3,DOM-1,ORD-1,ORD-2"
    words = ["--exec", f"{compiled('plain_relay.c')} {{socket}} 1", "--domain", "market_data", "--section", sections]
    judged = CliRunner().invoke(cli, [*words, "--max-examples", "4", "--time-budget", "120s"])
    assert judged.exit_code == 0, judged.output
    assert "11 hold" in judged.output


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param(b"x" * 32, id="no magic"),
        pytest.param(make_frame(OWN, 32)[:24] + b"\xff" * 4 + bytes(4), id="too large"),
    ],
)
def test_frames_before_a_bad_header_are_delivered_and_its_sender_leaves(path: str, bad: bytes) -> None:
    good = make_frame(OWN, 74, 1)
    with ExitStack() as stack:
        receiver, sender = clients(path, 2, stack)
        sender.sendall(good * 3 + bad)
        assert received(receiver, 3 * len(good)) == good * 3
        assert received(sender, 4 * len(good)) == good * 3
        receiver.sendall(good)
        assert received(receiver, len(good)) == good


def test_what_a_stalled_receiver_does_not_take_waits_for_it(path: str) -> None:
    frames = [make_frame(OWN, 74, number) for number in range(20_000)]
    with ExitStack() as stack:
        stalled, receiver, sender = clients(path, 3, stack)
        for start in range(0, len(frames), 100):
            part = b"".join(frames[start : start + 100])
            sender.sendall(part)
            assert received(receiver, len(part)) == part
            assert received(sender, len(part)) == part
            if start % 1000 == 0:  # it reads a little, and never all that waits
                part = b"".join(frames[start // 10 : start // 10 + 100])
                assert received(stalled, len(part)) == part
        rest = b"".join(frames[2000:])
        assert received(stalled, len(rest)) == rest


def test_a_receiver_that_goes_with_its_queue_full_harms_nobody(path: str) -> None:
    frame = make_frame(OWN, 74, 1) * 800
    with ExitStack() as stack:
        gone, receiver, sender = clients(path, 3, stack)
        for number in range(40):
            if number == 20:
                gone.close()
            sender.sendall(frame)
            assert received(receiver, len(frame)) == frame
            assert received(sender, len(frame)) == frame


def test_sigterm_ends_it(tmp_path: Path) -> None:
    with subprocess.Popen([compiled("plain_relay.c"), tmp_path / "socket", "1"]) as process:
        process.terminate()
        assert process.wait(SILENCE_SECONDS) == -signal.SIGTERM


@pytest.mark.parametrize("words", [[], ["socket"], ["x" * 108, "1"]])
def test_wrong_usage_exits_2(words: list[str]) -> None:
    run = subprocess.run([compiled("plain_relay.c"), *words], capture_output=True, text=True, check=False)
    assert (run.returncode, "usage: plain_relay SOCKET DOMAIN" in run.stderr) == (2, True)
