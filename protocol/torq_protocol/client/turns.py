"""Who may do what at a time, without a lock that its own holder could wait for.

Facts:
- a signal handler and a finalizer run in the middle of whatever their thread does. A plain lock that the thread holds
  then is never given back to them: they wait for ever. Nothing here makes a thread wait for itself;
- an exception of a handler (Ctrl-C) comes between any two steps. So a turn is asked for *inside* the ``try`` whose
  ``finally`` gives it back, and giving back what one does not hold does nothing;
- ``dict.setdefault`` and ``dict.pop`` are one step: of several threads, one gets the turn.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from types import TracebackType
from typing import Final

_LOOK_AGAIN_SECONDS: Final = 1.0
"""How long to wait at most for a holder that a handler's exception may have kept from telling that it is done."""


class Ticket:
    """One caller's claim to a turn."""

    __slots__ = ("_done", "thread")

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self._done = threading.Lock()  # given back when the turn is; nobody else ever holds it for longer than a step
        self._done.acquire()

    def done(self) -> None:
        """Wake who waits for this claim to end."""
        self._done.release()

    def wait(self, seconds: float | None) -> None:
        """Wait until the claim has ended, or a while; raises :class:`RuntimeError` in the thread that it is of."""
        if self.thread == threading.get_ident():
            raise RuntimeError(interrupted("connecting"))
        if self._done.acquire(timeout=_LOOK_AGAIN_SECONDS if seconds is None else min(seconds, _LOOK_AGAIN_SECONDS)):
            self._done.release()


class Closing:
    """Whether a client was closed, for who waits: any thread, signal handler or finalizer may tell it, again too.

    A plain lock, taken until then. ``queue.SimpleQueue.get`` would not do: where its time is over before it looks for
    the second time, it waits for ever (CPython 3.11 to 3.13).
    """

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open = threading.Lock()
        self._open.acquire()

    def tell(self) -> None:
        """Let all who wait go on."""
        with suppress(RuntimeError):  # it was told before
            self._open.release()

    def wait(self, seconds: float) -> None:
        """Wait until it is told, or for some seconds."""
        if self._open.acquire(timeout=min(max(0.0, seconds), threading.TIMEOUT_MAX)):
            self.tell()  # the next who waits goes on as well


class Turn:
    """What one caller does at a time."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: dict[str, Ticket] = {}

    def claim(self, ticket: Ticket) -> Ticket | None:
        """Take the turn; None, or the claim that stands in the way."""
        holder = self._held.setdefault("holder", ticket)
        return None if holder is ticket else holder

    def give_back(self, ticket: Ticket) -> None:
        """End the turn, if it is the ticket's."""
        if self._held.get("holder") is ticket:
            del self._held["holder"]
            ticket.done()


class Visit:
    """A call that must not overlap with calls from other threads: ``with Visit(inside): ...``.

    ``inside`` holds the calls under way. Each notes itself first and looks at the others then, so that of two at least
    one sees the other. Raises :class:`RuntimeError`.
    """

    __slots__ = ("_inside",)

    def __init__(self, inside: dict[Visit, int]) -> None:
        self._inside = inside

    def __enter__(self) -> None:
        thread = threading.get_ident()
        self._inside[self] = thread
        if any(each != thread for each in self._inside.copy().values()):
            del self._inside[self]
            raise RuntimeError(
                "another thread uses this asynchronous client: call it in that thread's event loop "
                "(asyncio.run_coroutine_threadsafe, anyio.from_thread), or use a blocking client with threads"
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._inside.pop(self, None)


def interrupted(doing: str) -> str:
    """What a call is told that came in the middle of one of its own thread's."""
    return (
        f"this thread is {doing} on this client already: a signal handler, finalizer or on_event that comes in between "
        "may close() it or look at it; leave the rest to the code that it interrupts"
    )


def seconds_left(deadline: float | None) -> float | None:
    """Seconds until a time of the monotonic clock, 0 when it is over; None for ever."""
    return None if deadline is None else max(0.0, deadline - time.monotonic())


def deadline_in(seconds: float | None, name: str) -> float | None:
    """The monotonic time in so many seconds; None, for ever, also of an infinite number.

    Raises :class:`TypeError` for what is no number, :class:`ValueError` for a NaN.
    """
    if seconds is None:
        return None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        raise TypeError(f"{name} {seconds!r}: use a number of seconds, or None for ever")
    if seconds != seconds:
        raise ValueError(f"{name} {seconds!r}: use a number of seconds, or None for ever")
    return None if seconds == float("inf") else time.monotonic() + seconds
