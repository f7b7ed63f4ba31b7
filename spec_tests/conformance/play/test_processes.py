"""What the kernel tells of a relay's processes: one that computes is busy, whichever thread or child does so."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from torq_conformance.play.processes import doing, is_busy, listener

COMPUTES = "print(flush=True)\nwhile True: pass"
WAITS = "import signal; print(flush=True); signal.pause()"
COMPUTES_IN_A_THREAD = f"import threading; threading.Thread(target=exec, args=({COMPUTES!r},)).start()"
COMPUTES_IN_A_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {COMPUTES!r}])"


@contextmanager
def process(code: str) -> Iterator[int]:
    """A process that has said that it is there."""
    command = (sys.executable, "-c", code)
    running = subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True)
    assert running.stdout is not None
    try:
        running.stdout.readline()
        yield running.pid
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        running.stdout.close()


@pytest.mark.parametrize("code", [COMPUTES, COMPUTES_IN_A_THREAD, COMPUTES_IN_A_CHILD])
def test_a_process_that_computes_in_any_thread_or_child_is_busy(code: str) -> None:
    with process(code) as pid:
        assert is_busy(pid)


def test_a_process_that_waits_is_not_busy() -> None:
    with process(WAITS) as pid:
        while doing(pid) != "waits":  # it has said so just before
            pass
        assert not is_busy(pid)


def test_a_process_that_is_stopped_is_not_busy() -> None:
    with process(COMPUTES) as pid:
        os.kill(pid, signal.SIGSTOP)
        while doing(pid) != "is stopped":
            pass
        assert not is_busy(pid)


def test_a_process_that_has_ended_does_nothing() -> None:
    with process(WAITS) as pid:
        pass
    assert not is_busy(pid)
    assert doing(pid) == ""


@pytest.mark.parametrize("name", ["a\nb", "a\n1 2 3 00010000", "a\x1cb", "a\x85b", "a\r", "\udcff"])
def test_a_listener_is_found_whatever_else_listens_on_the_machine(name: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as odd, socket.socket(socket.AF_UNIX) as plain:
        for sock, path in ((odd, tmp_path / name), (plain, tmp_path / "s")):
            sock.bind(str(path))
            sock.listen()
        assert listener([os.getpid()], str(tmp_path / "s")) == os.getpid()
        assert listener([os.getpid()], str(tmp_path / "t")) is None
