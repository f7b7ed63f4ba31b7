"""Leaves no relay behind: a process of its own that ends what the suite has started when the suite is gone.

Facts:
- nothing runs in a process that is killed by SIGKILL; but the kernel closes its end of a pipe, which the guard reads;
- a relay that daemonizes leaves its process group and its parent, and keeps its environment: a mark stands there;
- a process that ends while /proc is looked through may have started another that was not listed yet: one looks again;
- a process that is just becoming another program shows neither its words nor its environment for a moment;
- PR_SET_PDEATHSIG would reach only the first process of a wrapped relay, and follow the thread that started it;
- the guard is this file run by itself, so it imports the standard library alone.
"""

from __future__ import annotations

import contextlib
import os
import pkgutil
import secrets
import signal
import sys
import time
from pathlib import Path

VARIABLE = "STARTED_BY_CONFORMANCE_SUITE"
"""The environment variable of a relay that holds its mark; a name with TORQ_ in front would be read as a setting."""
END_ROUNDS = 5
"""How often the guard looks for what is left: a process may start another while it is being ended."""
BECOMING_SECONDS = 1.0
"""The longest time that a process is waited for which is becoming another program; most take microseconds."""
_pipes: dict[int, int] = {}
"""The pipe to the guard of a process, by the process that holds it."""
_SOURCE = (pkgutil.get_data(__package__, "guard.py") or b"").decode() if __package__ else ""
"""This file, read now: a replay script imports it from an archive and removes that."""
_run = secrets.token_hex(8)


def mark(number: int) -> str:
    """The mark of the relay of this number that this process starts: another is no prefix of it."""
    return f"{_run}.{os.getpid()}.{number}."


def marked(text: str) -> list[int]:
    """The living processes whose mark begins with a text, as far as this user may see them."""
    sought = f"{VARIABLE}={text}".encode()
    for _ in range(END_ROUNDS):
        found = {pid: _environment(pid) for pid in _processes()}
        if None not in found.values():
            break
    return [pid for pid, words in found.items() if any(each.startswith(sought) for each in words or ())]


def _processes() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def _environment(pid: int) -> list[bytes] | None:
    """The environment of a process; None where it has ended since it was listed."""
    deadline = time.monotonic() + BECOMING_SECONDS
    folder = Path(f"/proc/{pid}")
    try:
        while not (environment := (folder / "environ").read_bytes()) and _is_becoming(folder):
            if time.monotonic() > deadline:
                break
            time.sleep(0.0002)
    except (FileNotFoundError, ProcessLookupError):
        return None
    except OSError:  # another user's
        return []
    return environment.split(b"\0")


def _is_becoming(folder: Path) -> bool:
    """Whether a process without an environment is just becoming another program: neither the kernel's nor dead.

    Raises OSError where it has ended, or is another user's.
    """
    if (folder / "cmdline").read_bytes():
        return False
    try:
        os.readlink(folder / "exe")
    except FileNotFoundError:
        return False
    return True


def begin() -> None:
    """Let the guard of this process be there before it starts a relay. Raises OSError."""
    _pipe()


def watch(group: int) -> None:
    """Let the guard of this process end a process group too, whatever its processes have made of their environment."""
    with contextlib.suppress(OSError):  # it finds the relay by its mark
        os.write(_pipe(), b"+%d\n" % group)


def forget(group: int) -> None:
    """The group has ended: its number may belong to another from now on."""
    if os.getpid() in _pipes:
        with contextlib.suppress(OSError):
            os.write(_pipes[os.getpid()], b"-%d\n" % group)


def _pipe() -> int:
    """The pipe to the guard of this process, which is started when somebody first needs it. Raises OSError."""
    if os.getpid() not in _pipes:
        reader, writer = os.pipe()
        try:
            os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", "-c", _SOURCE, f"{_run}.{os.getpid()}."],
                {},
                file_actions=[
                    (os.POSIX_SPAWN_DUP2, reader, 0),
                    (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
                    (os.POSIX_SPAWN_DUP2, 1, 2),
                ],
                setsid=True,
                setsigmask=(),
                setsigdef=signal.valid_signals(),
            )
        except BaseException:
            os.close(writer)
            raise
        finally:
            os.close(reader)
        _pipes[os.getpid()] = writer
    return _pipes[os.getpid()]


def _guard(started: str) -> None:
    """Wait until the suite is gone; then end its relays."""
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))  # what the suite inherited is not the guard's to hold open
    groups: set[int] = set()
    for line in sys.stdin:
        groups ^= {int(line[1:])}
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for _ in range(END_ROUNDS):
        for pid in marked(started):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    _guard(sys.argv[1])
