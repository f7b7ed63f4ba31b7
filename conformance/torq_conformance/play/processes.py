"""What the processes of a relay are doing, as far as the kernel tells it in /proc."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

WORDS = {"R": "is computing", "S": "waits", "D": "waits for the disk", "T": "is stopped"}
"""The states of a process as the rest of a sentence."""
BUSY = ("R", "D")
ENDED = ("", "Z", "X")


def doing(pid: int) -> str:
    """What a process is doing, as the rest of a sentence; "" where that cannot be seen."""
    return WORDS.get(_state(Path(f"/proc/{pid}")), "")


def is_busy(pid: int) -> bool:
    """Whether any thread of a process, or of one that it has started, is known to be doing something."""
    return any(_state(task) in BUSY for task in _tasks(pid))


def family(pid: int) -> list[int]:
    """A process and all that it has started, as far as the kernel tells."""
    return list(dict.fromkeys((pid, *(int(task.parent.parent.name) for task in _tasks(pid)))))


def await_end(pids: Iterable[int], seconds: float) -> None:
    """Wait until every one of some processes has ended, for some seconds at most."""
    deadline = time.monotonic() + seconds
    while any(_state(Path(f"/proc/{pid}")) not in ENDED for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.001)


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
