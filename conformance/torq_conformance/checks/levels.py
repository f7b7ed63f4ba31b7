"""Levels of a relay's process, read from /proc."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import TargetError
from ..play.target import SpawnedTarget


def memory(pid: int) -> int:
    """The resident memory of a process in bytes."""
    with _while_it_runs():
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


def peak_memory(pid: int) -> int:
    """The largest resident memory that a process has had, in bytes."""
    with _while_it_runs():
        status = Path(f"/proc/{pid}/status").read_text()
    for line in status.splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    raise TargetError("the relay has ended")


def descriptors(pid: int) -> int:
    """How many descriptors a process holds."""
    with _while_it_runs():
        return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid: int) -> int:
    """How many threads a process has."""
    with _while_it_runs():
        return len(os.listdir(f"/proc/{pid}/task"))


@contextmanager
def _while_it_runs() -> Iterator[None]:
    """Raises TargetError where /proc cannot be read for a process, as when that has ended."""
    try:
        yield
    except OSError as error:
        raise TargetError(f"the relay has ended, or may not be looked at: {error.strerror}") from error


def pid_of(target: SpawnedTarget) -> int:
    """The process id of a relay. Raises TargetError when it has ended."""
    if target.pid is None:
        raise TargetError("the relay has ended")
    return target.pid


def busy_share(pid: int, seconds: float) -> float:
    """How much of a core a process takes within some seconds, where it gets one: waiting for a core does not count.

    So one that always has something to do shows it on busy cores too. Threads add up.
    """
    before, began = _scheduled(pid), time.monotonic()
    select.select([], [], [], seconds)
    after, elapsed = _scheduled(pid), time.monotonic() - began
    share = 0.0
    for task, (ran, waited) in after.items():
        ran_before, waited_before = before.get(task, (0.0, 0.0))
        could_run = max(elapsed - (waited - waited_before), ran - ran_before, 1e-9)
        share += (ran - ran_before) / could_run
    return share


def _scheduled(pid: int) -> dict[str, tuple[float, float]]:
    """For each thread the seconds that it ran, and that it waited for a core."""
    found = {}
    with _while_it_runs():
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    for task in tasks:
        with suppress(OSError, ValueError):  # a thread that has just ended, or a kernel that does not tell
            ran, waited, _ = (task / "schedstat").read_text(encoding="ascii").split()
            found[task.name] = int(ran) / 1e9, int(waited) / 1e9
    return found or {"all": (processor_seconds(pid), 0.0)}


def processor_seconds(pid: int) -> float:
    """The processor time that a process has used, with all its threads, in seconds."""
    with _while_it_runs():
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def settles(measure: Callable[[], int], goal: int, seconds: float) -> int:
    """The level of ``measure``: as soon as it is at most ``goal``, or else after some seconds."""
    deadline = time.monotonic() + seconds
    while (level := measure()) > goal and time.monotonic() < deadline:
        select.select([], [], [], 0.02)
    return level
