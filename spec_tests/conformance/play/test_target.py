"""Addresses and relays that are started, restarted and ended."""

import os
import shlex
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from spec_tests.conformance.judged_relays import specimen
from torq_conformance.errors import TargetError, UsageError
from torq_conformance.model.timing import DEFAULT
from torq_conformance.play.address import Address
from torq_conformance.play.target import SpawnedTarget, Target
from torq_conformance.replay.record import folder_name


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("/tmp/a.sock", "unix:/tmp/a.sock"),
        ("unix:/tmp/a.sock", "unix:/tmp/a.sock"),
        ("tcp:localhost:80", "tcp:localhost:80"),
        ("tcp:[::1]:80", "tcp:[::1]:80"),
    ],
)
def test_an_address_is_read_as_it_is_written(text: str, shown: str) -> None:
    assert str(Address.parse(text)) == shown


@pytest.mark.parametrize(
    "text", ["", "unix:", "tcp:", "tcp:host", "tcp:host:0", "tcp:host:99999", "tcp::80", "/" * 108]
)
def test_a_wrong_address_is_refused_with_what_is_right(text: str) -> None:
    with pytest.raises(UsageError, match=r"use |at most 107 bytes"):
        Address.parse(text)


def test_a_running_relay_that_does_not_answer_is_told_so() -> None:
    with pytest.raises(TargetError, match="is the relay running"), Target(Address(path="/tmp/torq-nobody.sock")):
        pass


def test_a_spawned_relay_listens_and_its_socket_and_process_go_with_it() -> None:
    with SpawnedTarget(specimen("correct", "signal")) as target:
        pid, path = target.pid, target.address.path
        assert pid is not None
        target.address.connect().close()
        assert target.crash() == ""
    assert not Path(path).parent.exists()
    assert not Path(f"/proc/{pid}").exists()


def test_restarting_gives_a_fresh_process_on_a_path_of_its_own() -> None:
    with SpawnedTarget(specimen("correct", "signal")) as target:
        first, path = target.pid, target.address.path
        target.restart()
        assert target.pid != first
        assert target.address.path != path
        target.address.connect().close()


def test_a_relay_over_tcp_gets_a_free_port() -> None:
    with SpawnedTarget("torq-specimen correct --tcp 127.0.0.1:{port} --domain signal") as target:
        with target.address.connect() as sock:
            assert sock.family == socket.AF_INET
        assert target.address.port > 0


def test_a_crash_names_status_or_signal() -> None:
    with SpawnedTarget(specimen("correct", "signal")) as target:
        assert target.pid is not None
        os.kill(target.pid, 9)
        os.waitid(os.P_PID, target.pid, os.WEXITED | os.WNOWAIT)
        assert "SIGKILL" in target.crash()


@pytest.mark.parametrize(
    ("command", "message"),
    [
        ("torq-there-is-no-such-program {socket}", "cannot start"),
        ("torq-specimen nonsense --socket {socket}", "did not start: the relay exited with status 2"),
    ],
)
def test_a_relay_that_does_not_start_is_told_with_its_reason(command: str, message: str) -> None:
    with pytest.raises(TargetError, match=message), SpawnedTarget(command):
        pass


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("./my_relay --listen {socket}", "my_relay"),
        ("torq-specimen first-generic --socket {socket}", "torq-specimen-first-generic"),
        ("/tmp/torq/signal.sock", "tmp-torq-signal.sock"),
        ("unix:/tmp/torq/signal.sock", "tmp-torq-signal.sock"),
        ("tcp:127.0.0.1:7000", "tcp-127.0.0.1-7000"),
        ("sh -c 'exec ../bad \\n relay {socket}'", "sh-exec-bad-n-relay"),
        ("{socket}", "relay"),
        ("x" * 100 + " {socket}", "x" * 60),
    ],
)
def test_counterexamples_of_each_target_have_a_folder_of_their_own(target: str, name: str) -> None:
    assert folder_name(target) == name


INTERRUPTED_IN_THE_LOCK = """
import os, signal, sys
from torq_conformance import interruption
from torq_conformance.play.target import SpawnedTarget

class Lock:
    def __init__(self, lock):
        self.lock, self.release = lock, lock.release

    def acquire(self, *given):
        taken = self.lock.acquire(*given)
        if sys.argv[1:]:
            os.kill(os.getpid(), getattr(signal, sys.argv.pop()))
        return taken

    def __enter__(self):
        return self.acquire()

    def __exit__(self, *given):
        self.release()

interruption.install()
with SpawnedTarget("torq-specimen correct --socket {socket} --domain signal") as target:
    target._process._waitpid_lock = Lock(target._process._waitpid_lock)
    target.crash()
"""


@pytest.mark.parametrize("signal_name", ["SIGINT", "SIGTERM"])
def test_an_interruption_while_the_relay_is_looked_after_leaves_no_lock(signal_name: str) -> None:
    words = [sys.executable, "-c", INTERRUPTED_IN_THE_LOCK, signal_name]
    done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=30, check=False)
    assert done.returncode == (-signal.SIGINT if signal_name == "SIGINT" else 1)


SECOND = """
import os, socket, sys, time
path, while_second = sys.argv[1:]
if os.path.exists(path):
    exec(while_second)
    sys.exit(7)
with socket.socket(socket.AF_UNIX) as listener:
    listener.bind(path)
    listener.listen()
    while True:
        listener.accept()
"""


@pytest.mark.parametrize(
    ("while_second", "status"),
    [("while time.process_time() < 0.6: pass", 7), ("time.sleep(60)", None)],
    ids=["computes", "serves"],
)
def test_a_second_relay_that_still_computes_is_not_taken_for_one_that_serves(
    while_second: str, status: int | None, tmp_path: Path
) -> None:
    program = tmp_path / "relay.py"
    program.write_text(SECOND, "utf-8")
    command = shlex.join([sys.executable, str(program), "{socket}", while_second])
    with SpawnedTarget(command, timing=replace(DEFAULT, computing_factor=600.0)) as target:
        assert target.start_second(0.1, lambda: False) == status
