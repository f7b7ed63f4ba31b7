"""Ctrl-C, SIGTERM and the end of the terminal as interruptions that cannot get lost.

Facts: Python drops an exception that a signal handler raises while a finaliser or a callback of the garbage collector
runs (Hypothesis has one). So a signal is also remembered, and code that works in rounds asks in each round. A
signal soon after another does not interrupt again: it would tear the ending that the first signal has begun. Signals
interrupt the main thread alone: in others nothing is deferred, and none of them takes an interruption away.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType


class Terminated(KeyboardInterrupt):
    """SIGTERM, or SIGHUP: what runs is ended and what is known is written, as after Ctrl-C."""

    def __init__(self, number: int = signal.SIGTERM) -> None:
        super().__init__()
        self.signal_name = signal.Signals(number).name


AGAIN_AFTER = 3.0
"""Seconds after an interruption in which no further signal interrupts."""
_pending: list[KeyboardInterrupt] = []
_deferring: list[None] = []
_interrupted: list[float] = []
"""When it was interrupted last."""


def install() -> None:
    """Let these signals interrupt from now on; a signal that the process ignored at its start stays ignored."""
    _pending.clear()
    _interrupted.clear()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    sys.unraisablehook = _report_unless_interrupted


def _report_unless_interrupted(dropped: sys.UnraisableHookArgs) -> None:
    """An interruption that was dropped is remembered: nobody needs to read of it."""
    if not issubclass(dropped.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(dropped)


def check() -> None:
    """Raises the interruption that a signal has asked for, if there is one."""
    if _pending and _is_interruptible():
        _interrupted[:] = [time.monotonic()]
        raise _pending.pop()


@contextlib.contextmanager
def deferred() -> Iterator[None]:
    """No signal interrupts the block, so that the block ends; a signal of that time counts after it."""
    if not _is_interruptible():
        yield
        return
    _deferring.append(None)
    try:
        yield
    finally:
        _deferring.pop()
    if not _deferring:
        check()


def _is_interruptible() -> bool:
    return threading.current_thread() is threading.main_thread()


def _interrupt(number: int, _: FrameType | None) -> None:
    now = time.monotonic()
    if _interrupted and now - _interrupted[0] < AGAIN_AFTER:
        return
    _pending[:] = [KeyboardInterrupt() if number == signal.SIGINT else Terminated(number)]
    if not _deferring:
        _interrupted[:] = [now]
        raise _pending[0]
