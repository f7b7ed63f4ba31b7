"""What the processes of a relay are doing, as the kernel tells it in /proc; nothing where it tells nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

WORDS = {"R": "is computing", "S": "waits", "D": "waits for the disk", "T": "is stopped"}
"""The states of a process as the rest of a sentence."""
BUSY = ("R", "D")


def doing(pid: int) -> str:
    """What a process is doing, as the rest of a sentence; "" where that cannot be seen."""
    return WORDS.get(_state(Path(f"/proc/{pid}")), "")


def is_busy(pid: int) -> bool:
    """Whether any thread of a process, or of one that it has started, is known to be doing something."""
    return any(_state(task) in BUSY for task in _tasks(pid))


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
