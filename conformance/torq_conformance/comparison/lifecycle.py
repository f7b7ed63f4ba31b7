"""How a relay starts and stops, as facts that two relays can be compared by: for targets that the suite starts itself.

Facts:
- LIFE-1: SIGTERM ends a relay with exit status 0 and without its socket file;
- CONN-2: a second relay on the path of a running relay refuses to start and leaves the first alone;
- SEC-1: socket and directory are not open to other users.
"""

from __future__ import annotations

import os
import signal
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..checks.levels import pid_of
from ..play.address import Address
from ..play.target import SpawnedTarget
from .equivalence import Difference, Signature


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
"""Field of LifeCycle, effect where only A has it, effect where only B has it, subject of the sentence."""


def slug(subject: str) -> str:
    """A subject as the ids of differences have it, such as ``the-socket-path``."""
    return subject.replace(" ", "-")


def observe(command: str, domain: str) -> LifeCycle:
    """Start a relay, start a second one on its path, and stop it. Raises TargetError when it does not start.

    ``command`` has ``{socket}`` in it, as :class:`SpawnedTarget` takes it.
    """
    with (
        tempfile.TemporaryDirectory(prefix="torq-") as folder,
        SpawnedTarget(command, domain, folder=Path(folder) / "relay") as target,
    ):
        path = Path(target.address.path)
        private = not stat.S_IMODE(path.stat().st_mode) & 0o007 or not path.parent.stat().st_mode & 0o007
        refuses = _second_gives_way(target, path)
        if not refuses:
            target.revive()
        os.kill(pid_of(target), signal.SIGTERM)
        return LifeCycle(target.wait(target.timing.prompt_seconds) == 0, not path.exists(), refuses, private)


def _second_gives_way(target: SpawnedTarget, path: Path) -> bool:
    """Whether a second relay on the path ends by itself and leaves the socket file of the first."""
    inode = _inode(path)
    status = target.start_second(target.timing.takeover_seconds, lambda: _inode(path) != inode)
    return status is not None and _inode(path) == inode and _answers(target.address) and not target.crash()


def _answers(address: Address) -> bool:
    try:
        address.connect().close()
    except OSError:
        return False
    return True


def _inode(path: Path) -> int | None:
    """The number of the file at a path; None while there is none."""
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return None


def life_cycle_differences(a: LifeCycle, copy: LifeCycle, b: LifeCycle) -> list[tuple[str, Difference]]:
    """Where B starts or stops otherwise than A and its copy, which agree: (subject, difference)."""
    found = []
    for name, without, having, subject in ASPECTS:
        in_a, in_copy, in_b = (bool(getattr(each, name)) for each in (a, copy, b))
        if in_a == in_copy != in_b:
            words = ("no", "yes")
            found.append((subject, Difference(Signature(without if in_a else having), words[in_a], words[in_b])))
    return found
