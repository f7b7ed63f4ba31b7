"""How a relay starts and stops, as facts that two relays can be compared by: for targets that the suite starts itself.

Facts:
- LIFE-1: SIGTERM ends a relay with exit status 0 and without its socket file;
- CONN-2: a second relay on the path of one that runs refuses to start and leaves that one alone;
- SEC-1: socket and directory are not open to other users.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .address import Address
from .equivalence import Difference, Signature
from .errors import TargetError

START_SECONDS = 10.0
STOP_SECONDS = 5.0
SECOND_SECONDS = 3.0
"""How long a second relay on the same path may take to give up or to take over."""


@dataclass(frozen=True, slots=True)
class LifeCycle:
    """What one start and stop of a relay showed."""

    exits_cleanly: bool
    removes_socket: bool
    refuses_live_path: bool
    private_socket: bool


ASPECTS: tuple[tuple[str, str, str, str], ...] = (
    ("exits_cleanly", "stops-hard", "stops-gently", "exit status 0"),
    ("removes_socket", "stops-hard", "stops-gently", "removal of its socket file"),
    ("refuses_live_path", "takes-over", "gives-way", "the socket path"),
    ("private_socket", "opens", "protects", "its socket"),
)
"""Field of LifeCycle; what B does where only A has it; where only B has it; what is spoken of."""


def observe(command: str, domain: str) -> LifeCycle:
    """Start a relay, start a second one on its path, and stop it. Raises TargetError when it does not start.

    ``{socket}`` in the command becomes the path, and ``{domain}`` the domain's name.
    """
    command = command.replace("{domain}", domain)
    with tempfile.TemporaryDirectory(prefix="torq-") as folder:
        path = Path(folder) / "relay" / "life.sock"
        first = _start(command, path)
        try:
            private = not stat.S_IMODE(path.stat().st_mode) & 0o007 or not path.parent.stat().st_mode & 0o007
            inode = path.stat().st_ino
            refuses = _second_gives_way(command, path, inode, first)
            if not refuses:
                _end(first)
                first = _start(command, path)
            first.send_signal(signal.SIGTERM)
            try:
                status = first.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                status = None
            return LifeCycle(status == 0, not path.exists(), refuses, private)
        finally:
            _end(first)


def _start(command: str, path: Path) -> subprocess.Popen[bytes]:
    process = _spawn(command, path)
    deadline = time.monotonic() + START_SECONDS
    while not _answers(path):
        if process.poll() is not None or time.monotonic() > deadline:
            _end(process)
            raise TargetError(f"{command!r} does not listen on {path}: start it by hand to see why")
        time.sleep(0.005)
    return process


def _spawn(command: str, path: Path) -> subprocess.Popen[bytes]:
    words = [word.replace("{socket}", str(path)) for word in shlex.split(command)]
    beside = str(Path(sys.executable).parent)
    words[0] = shutil.which(words[0]) or shutil.which(words[0], path=beside) or words[0]
    return subprocess.Popen(  # noqa: S603 - running the user's command is the purpose
        words,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _second_gives_way(command: str, path: Path, inode: int, first: subprocess.Popen[bytes]) -> bool:
    """Whether a second relay on the path ends by itself and leaves the socket file of the first."""
    second = _spawn(command, path)
    try:
        deadline = time.monotonic() + SECOND_SECONDS
        while second.poll() is None and time.monotonic() < deadline:
            if _inode(path) != inode:
                return False
            time.sleep(0.005)
        same = _inode(path) == inode
        return second.poll() is not None and same and _answers(path) and first.poll() is None
    finally:
        _end(second)


def _inode(path: Path) -> int | None:
    """The number of the file at a path; None while there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def _answers(path: Path) -> bool:
    try:
        Address(path=str(path)).connect().close()
    except OSError:
        return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def life_cycle_differences(a: LifeCycle, copy: LifeCycle, b: LifeCycle) -> list[tuple[str, Difference]]:
    """Where B starts or stops otherwise than A and its copy, which agree: (subject, difference)."""
    found = []
    for name, without, having, subject in ASPECTS:
        in_a, in_copy, in_b = (bool(getattr(each, name)) for each in (a, copy, b))
        if in_a == in_copy != in_b:
            words = ("no", "yes")
            found.append((subject, Difference(Signature(without if in_a else having), "", words[in_a], words[in_b])))
    return found
