"""Processes that the suite has started: how they end, with all that they have started in turn."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import time
from collections.abc import Iterable

from .. import interruption
from . import guard
from .processes import await_end, family, is_busy, sockets_of, stand_still

TURN_SECONDS = 0.02
"""The longest turn of a process that does not wait for anything."""
STOP_SECONDS = 1.0
"""A process that is to stop stands still within this time: it may wait for a core first."""
LOOK_SECONDS = 0.0002
LOOKS = 2
"""Looks in a row at which a process must be seen to wait."""


class Started(subprocess.Popen[bytes]):
    """A process that the suite has started, and the mark that it and all that it starts carry."""

    mark = ""

    @property
    def left(self) -> list[int]:
        """The living processes of it, itself too."""
        return list(dict.fromkeys((*family(self.pid), *guard.marked(self.mark))))

    @property
    def sockets(self) -> frozenset[str]:
        """The sockets that it and its children hold: the same ones in another process have been handed over."""
        return frozenset().union(*map(sockets_of, family(self.pid)))

    def pause(self) -> None:
        """Stop it and its group (SIGSTOP), and wait until all of them stand still, wrapped or not."""
        self.tell(signal.SIGSTOP)
        deadline = time.monotonic() + STOP_SECONDS
        while not stand_still(family(self.pid)) and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS / 2)

    def go_on(self) -> None:
        """Let it and its group go on (SIGCONT)."""
        self.tell(signal.SIGCONT)

    def tell(self, number: signal.Signals) -> None:
        """Send a signal to it and its group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    def take_turn(self) -> None:
        """Let it go on until it waits for something, for some time at most; then stop it."""
        self.go_on()
        deadline, waits = time.monotonic() + TURN_SECONDS, 0
        while waits < LOOKS and time.monotonic() < deadline:
            time.sleep(LOOK_SECONDS)
            waits = 0 if is_busy(self.pid) else waits + 1
        self.pause()


def end(process: Started, seconds: float) -> None:
    """End a process and its group by SIGTERM, whatever is left after some seconds by SIGKILL."""
    with interruption.deferred():
        started = family(process.pid)
        process.tell(signal.SIGTERM)
        wait_for(process, seconds)
        kill(process, seconds, started)


def kill(process: Started, seconds: float, started: Iterable[int] = ()) -> None:
    """End a process and all that it has started by SIGKILL; ``started`` is what must have ended then too."""
    started = {*started, *process.left}  # a wrapper ends before the relay that it has started
    process.tell(signal.SIGKILL)
    wait_for(process, math.inf)
    guard.forget(process.pid)
    for _ in range(guard.END_ROUNDS):  # a process may start another while it is being ended
        left = guard.marked(process.mark)
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        started |= {*left}
        await_end(started, seconds)
        if not left:
            return


def status_of(process: Started) -> int | None:
    """The exit status of a process, None while it runs.

    An interruption waits until this is over: else the lock of the Popen stays taken, and the next wait lasts for ever.
    """
    with interruption.deferred():
        return process.poll()


def wait_for(process: Started, seconds: float) -> int | None:
    """The exit status of a process; None while it runs on for some seconds."""
    deadline, pause = time.monotonic() + seconds, 0.0005
    while (status := status_of(process)) is None and (left := deadline - time.monotonic()) > 0:
        pause = min(pause * 2, left, 0.05)
        time.sleep(pause)
    return status
