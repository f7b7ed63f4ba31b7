"""Whatever ends the suite or the relay's first process, no relay is left behind."""

import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from spec_tests.conformance.judged_relays import specimen
from torq_conformance.errors import TargetError
from torq_conformance.play import guard
from torq_conformance.play import started as started_module
from torq_conformance.play.target import SpawnedTarget

CORRECT = f"{Path(sys.executable).parent}/{specimen('correct', 'signal')}"
DAEMON = """import os, sys
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
LATE_DAEMON = """import os, socket, sys, time
path = sys.argv[sys.argv.index("--socket") + 1]
if not os.fork():
    os.setsid()
    os.execvp(sys.argv[1], sys.argv[1:])
while True:
    try:
        socket.socket(socket.AF_UNIX).connect(path)
        os._exit(0)
    except OSError:
        time.sleep(0.001)  # a path that appears gives no event
"""
CHILDREN = 3
CROWD = f"""import os, signal, sys
for _ in range({CHILDREN}):
    if not os.fork():
        os.setsid()
        signal.pause()
os.execvp(sys.argv[1], sys.argv[1:])
"""
WRAPPER = '"$@"\nexit $?\n'
SUITE = """import sys
from torq_conformance.play.target import SpawnedTarget
with SpawnedTarget(sys.argv[1]) as target:
    print(target.address.path, flush=True)
    sys.stdin.read()
"""


def daemon(folder: Path, source: str = DAEMON) -> str:
    script = folder / "daemon.py"
    script.write_text(source)
    return f"{shlex.quote(sys.executable)} {script} {CORRECT}"


def wrapped(folder: Path) -> str:
    script = folder / "wrapper.sh"
    script.write_text(WRAPPER)
    return f"sh {script} {CORRECT}"


def serving(text: str) -> list[str]:
    """The processes whose command line names something."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                words = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if text.encode() in words:
                found.append(folder.name)
    return found


def comes(true: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not (seen := true()) and time.monotonic() < deadline:
        time.sleep(0.01)  # processes that are no children of this one begin and end without an event
    return seen


def workers_of(suite: int) -> list[int]:
    children = Path(f"/proc/{suite}/task/{suite}/children").read_text().split()
    return [int(each) for each in children if b"spawn_main" in Path(f"/proc/{each}/cmdline").read_bytes()]


def test_a_relay_that_daemonizes_is_told_to_stay_in_the_foreground_and_ended(tmp_path: Path) -> None:
    target = SpawnedTarget(daemon(tmp_path), folder=tmp_path)
    with pytest.raises(TargetError, match="must stay in the foreground"), target:
        pass
    assert serving(str(tmp_path)) == []


def test_what_a_process_starts_while_it_is_being_ended_is_ended_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the processes that live only one is seen at a time, as if each had started the next in the meantime."""
    marked = guard.marked
    with SpawnedTarget(daemon(tmp_path, CROWD), folder=tmp_path) as target:
        assert len(serving(target.address.path)) == 1 + CHILDREN
        monkeypatch.setattr(guard, "marked", lambda mark: marked(mark)[:1])
        monkeypatch.setattr(started_module, "family", lambda _: [])
    assert serving(str(tmp_path)) == []


def test_a_relay_that_daemonizes_late_is_told_so_too_and_ended(tmp_path: Path) -> None:
    with SpawnedTarget(daemon(tmp_path, LATE_DAEMON), folder=tmp_path) as target:
        assert "left 1 process running: a relay must stay in the foreground" in target.crash(20.0)
        target.restart()
        assert len(serving(target.address.path)) >= 1
    assert serving(str(tmp_path)) == []


@pytest.mark.parametrize("command", [lambda _: CORRECT, wrapped], ids=["relay", "wrapper"])
def test_a_suite_that_is_killed_leaves_no_relay(tmp_path: Path, command: Callable[[Path], str]) -> None:
    words = (sys.executable, "-c", SUITE, command(tmp_path))
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as suite:
        assert suite.stdout is not None
        path = suite.stdout.readline().strip()
        assert path
        assert serving(path)
        suite.kill()
    assert comes(lambda: not serving(path)), serving(path)


@pytest.mark.parametrize("ended", ["suite", "worker"])
def test_a_run_with_workers_that_is_killed_leaves_none(
    tmp_path: Path, request: pytest.FixtureRequest, ended: str
) -> None:
    words = [sys.executable, "-m", "torq_conformance", "--exec", wrapped(tmp_path), "--domain", "signal"]
    words += ["--workers", "2", "--section", "LIFE-1,FWD,ORD,ISO", "--failures", str(tmp_path / "failures")]
    name = str(tmp_path / "wrapper.sh")
    short = tempfile.mkdtemp(prefix="t")  # a socket's path has 107 bytes at most
    request.addfinalizer(lambda: shutil.rmtree(short))
    with subprocess.Popen(
        words, env={**os.environ, "TMPDIR": short}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as suite:
        started = lambda: len([each for each in serving(name) if each != str(suite.pid)]) >= 2  # noqa: E731
        assert comes(started)
        if ended == "suite":
            suite.kill()
        else:
            assert comes(lambda: bool(workers_of(suite.pid)))
            os.kill(workers_of(suite.pid)[0], signal.SIGKILL)
    assert comes(lambda: not serving(name) and not serving(short), 60.0), serving(short)


def test_who_gets_the_signals_in_place_of_the_relay_is_named(tmp_path: Path) -> None:
    with SpawnedTarget(wrapped(tmp_path)) as target:
        assert "sh (process" in target.stand_in
        assert "exec" in target.stand_in
    with SpawnedTarget(CORRECT) as target:
        assert target.stand_in == ""
