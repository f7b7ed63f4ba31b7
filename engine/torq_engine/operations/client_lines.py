"""Lines about clients, bounded: what a client causes in a loop is told at once, and from then on by its number.

Facts:
- in one interval of the log ``in_all`` lines at most are written at once, ``of_one_client`` of them at most about one
  client and reason. The others are told when the interval is over: a line for each of the ``_MOST_NAMED`` clients with
  most of them, and one without a name for the rest of each reason. Their numbers are added up: none is lost;
- a client is a process. Of ``_MOST_CLIENTS`` at most the interval's memory is kept apart; the rest is one number;
- with an interval of 0 every line is written.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ..port import Peer
from .configuration import LogLevel
from .logs import EventLog, Field, of_peer

_MOST_NAMED = 10
_MOST_CLIENTS = 256


class _Kind(NamedTuple):
    """What is counted together: an event and, where the event does not say it, the reason."""

    event: str
    reason: str | None


@dataclass(slots=True)
class _Held:
    """Lines that were not written: how many, and the sums of their numbers."""

    lines: int = 0
    sums: Counter[str] = field(default_factory=Counter)

    def add(self, lines: int, sums: Mapping[str, int]) -> None:
        self.lines += lines
        self.sums.update(sums)


class ClientLines:
    """Writes lines about clients at one level, so many at once, and counts the others."""

    def __init__(self, log: EventLog, level: LogLevel, *, of_one_client: int, in_all: int) -> None:
        self._log = log
        self._level: LogLevel = level
        self._of_one_client = of_one_client
        self._in_all = in_all
        self._written: Counter[tuple[_Kind, Peer]] = Counter()
        self._held: dict[tuple[_Kind, Peer], _Held] = {}
        self._rest: dict[_Kind, _Held] = {}
        self._counting = False

    def tell(
        self, event: str, peer: Peer, reason: str | None, details: Mapping[str, Field], numbers: Mapping[str, int]
    ) -> None:
        """Write a line of ``details`` and ``numbers``, or hold it back and tell the sums of the numbers later."""
        kind = _Kind(event, reason)
        key = (kind, peer)
        if not self._log.repeat_interval:
            self._write(kind, details, numbers)
        elif self._written[key] < self._of_one_client and self._written.total() < self._in_all:
            self._written[key] += 1
            self._write(kind, details, numbers)
            self._count_later()
        elif key in self._held or len(self._held) < _MOST_CLIENTS:
            self._held.setdefault(key, _Held()).add(1, numbers)
        else:
            self._rest.setdefault(kind, _Held()).add(1, numbers)

    def flush(self) -> None:
        """Tell what was held back, and begin a new interval."""
        held = sorted(self._held.items(), key=lambda item: item[1].lines, reverse=True)
        for (kind, peer), one in held[:_MOST_NAMED]:
            self._write(kind, of_peer(peer), {"repeated": one.lines, **one.sums})
        for (kind, _), one in held[_MOST_NAMED:]:
            self._rest.setdefault(kind, _Held()).add(one.lines, one.sums)
        for kind, rest in self._rest.items():
            self._write(kind, {}, {"repeated": rest.lines, **rest.sums})
        self._written.clear()
        self._held.clear()
        self._rest.clear()

    def _write(self, kind: _Kind, details: Mapping[str, Field], numbers: Mapping[str, int]) -> None:
        self._log.write(self._level, kind.event, {"reason": kind.reason, **details, **numbers})

    def _count_later(self) -> None:
        if self._log.later is not None and not self._counting:
            self._counting = True
            self._log.later(self._log.repeat_interval, self._interval_over)

    def _interval_over(self) -> None:
        self._counting = False
        self.flush()
