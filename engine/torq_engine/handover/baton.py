"""The baton: a pipe that says who owns the connections. What its bytes mean, tables.py tells."""

from __future__ import annotations

from .system import KERNEL, System
from .tables import Event

_COMMIT, _REVOKE = b"C", b"R"
_EVENTS = {_COMMIT: Event.COMMITTED, _REVOKE: Event.REVOKED, b"": Event.ORPHANED}


class Baton:
    """The predecessor's hold on it: both ends."""

    def __init__(self, system: System = KERNEL) -> None:
        self._system = system
        self.reading, self._writing = system.pipe()

    def commit(self) -> None:
        """Give it away: the successor that reads this owns everything."""
        self._system.write(self._writing, _COMMIT)

    def take_back(self) -> Event:
        """Read it without waiting: TAKEN_BACK when the successor has not, GONE when it has."""
        try:
            self._system.read(self.reading, 1)
        except BlockingIOError:
            return Event.GONE
        return Event.TAKEN_BACK

    def revoke(self) -> None:
        """Tell the successor that it will never own anything."""
        self._system.write(self._writing, _REVOKE)

    def close(self) -> None:
        """Let go of both ends."""
        self._system.close(self.reading)
        self._system.close(self._writing)


def read_baton(reading: int, seconds: float, system: System = KERNEL) -> Event:
    """The successor's read: wait for what the predecessor writes, or for its end; LATE when nothing comes."""
    if not system.wait(reading, seconds):
        return Event.LATE
    try:
        return _EVENTS[system.read(reading, 1)]
    except BlockingIOError:  # the predecessor took it back between the two calls
        return Event.LATE
