"""What the processes of a relay are doing, as far as the kernel tells it in /proc."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

WORDS = {"R": "is computing", "S": "waits", "D": "waits for the disk", "T": "is stopped"}
"""The states of a process as the rest of a sentence."""
BUSY = ("R", "D")
ENDED = ("", "Z", "X")
STOPPED = "T"
LISTENING = "00010000"
"""The flags of a listening socket in /proc/net/unix."""


def doing(pid: int) -> str:
    """What a process is doing, as the rest of a sentence; "" where that cannot be seen."""
    return WORDS.get(_state(Path(f"/proc/{pid}")), "")


def is_busy(pid: int) -> bool:
    """Whether any thread of a process, or of one that it has started, is known to be doing something."""
    return any(_state(task) in BUSY for task in _tasks(pid))


def stand_still(pids: Iterable[int]) -> bool:
    """Whether every one of some processes is stopped, or has ended."""
    return all(_state(Path(f"/proc/{pid}")) in (STOPPED, *ENDED) for pid in pids)


def family(pid: int) -> list[int]:
    """A process and all that it has started, as far as the kernel tells."""
    return list(dict.fromkeys((pid, *(int(task.parent.parent.name) for task in _tasks(pid)))))


def await_end(pids: Iterable[int], seconds: float) -> None:
    """Wait until every one of some processes has ended, for some seconds at most."""
    deadline = time.monotonic() + seconds
    while any(_state(Path(f"/proc/{pid}")) not in ENDED for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.001)


def name_of(pid: int) -> str:
    """The name of a process with its number."""
    try:
        return f"{Path(f'/proc/{pid}/comm').read_text().strip()} (process {pid})"
    except OSError:  # it has ended
        return f"process {pid}"


def listener(pids: Iterable[int], path: str) -> int | None:
    """The first of some processes that holds the listening socket of a path; None where that cannot be seen."""
    try:
        lines = Path("/proc/net/unix").read_text("utf-8", "replace").split("\n")
    except OSError:
        return None
    rows = [line.split(None, 7) for line in lines]  # anybody's path may hold the end of a line, and look like more rows
    held = {f"socket:[{row[6]}]" for row in rows if row[7:] == [path] and row[3] == LISTENING}
    return next((pid for pid in pids if held & _held(pid)), None)


def sockets_of(pid: int) -> frozenset[str]:
    """The sockets that a process holds, by the names that they have in every process."""
    return frozenset(each for each in _held(pid) if each.startswith("socket:"))


def _held(pid: int) -> set[str]:
    """What the descriptors of a process are."""
    held: set[str] = set()
    with contextlib.suppress(OSError):
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                held.add(os.readlink(descriptor))
    return held


def _tasks(pid: int) -> Iterator[Path]:
    """The threads of a process and of all that it has started."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:  # it has ended
        return
    for task in tasks:
        yield task
        try:
            children = (task / "children").read_text("ascii").split()
        except OSError:  # so has this thread, or the kernel does not tell
            continue
        for child in children:
            yield from _tasks(int(child))


def _state(folder: Path) -> str:
    """The letter of the state of a process or thread, from its folder in /proc."""
    try:
        return (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""
