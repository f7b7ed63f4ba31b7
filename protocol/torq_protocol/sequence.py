"""Sequence numbers by source: gaps, duplicates, and what to ask for (D17, rules of recovery).

Facts:
- every source counts its messages up by one; the first one seen sets the base;
- after ``last`` received in order, ``current`` shows a gap of ``current - last - 1`` messages. Below 100 for
  ``current - last`` the missing ones are asked for again, from 100 on a snapshot; on a retry always a snapshot;
- a gap of more than 10 000 messages is given up: nothing that could fill it is kept anywhere;
- the last 1000 sequences are remembered: one of them again is a duplicate. An older one that is not among them is
  late: it fills a gap, or it is too old to say.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from .constants import RETRANSMIT_BELOW
from .enumerations import RecoveryRequestType
from .errors import FieldValueError

if TYPE_CHECKING:
    from .payloads import RecoveryRequest

LARGEST_GAP: Final = 10_000
"""Missing messages above which a gap is given up."""
REMEMBERED: Final = 1000
"""Sequences kept for each source to tell duplicates."""


class Arrival(Enum):
    """How a sequence number relates to those before it."""

    FIRST = "first"
    NEXT = "next"
    GAP = "gap"
    DUPLICATE = "duplicate"
    LATE = "late"


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages of a source that did not arrive: all between ``last`` (received in order) and ``current``."""

    source: int
    last: int
    current: int

    @property
    def missing(self) -> range:
        """The sequence numbers that did not arrive; there may be more than ``len`` can tell, see :attr:`count`."""
        return range(self.last + 1, self.current)

    @property
    def count(self) -> int:
        """How many messages did not arrive, up to 2^64 - 2."""
        return self.current - self.last - 1

    @property
    def recoverable(self) -> bool:
        """Whether it is worth asking at all."""
        return self.count <= LARGEST_GAP

    def request_type(self, *, retry: bool = False) -> RecoveryRequestType:
        """What to ask for: ``request_type`` of a RecoveryRequest. ``retry`` after a request that failed."""
        if retry or self.current - self.last >= RETRANSMIT_BELOW:
            return RecoveryRequestType.SNAPSHOT
        return RecoveryRequestType.RETRANSMIT

    def request(self, consumer_id: int, *, retry: bool = False) -> RecoveryRequest:
        """The payload that asks for what is missing."""
        from .payloads import RecoveryRequest  # payload classes take long to import: who misses nothing does without

        return RecoveryRequest(self.last, self.current, consumer_id, self.request_type(retry=retry))


@dataclass(frozen=True, slots=True)
class Observation:
    """What one message's sequence number says; ``gap`` only for :attr:`Arrival.GAP`."""

    arrival: Arrival
    gap: Gap | None = None


_FIRST: Final = Observation(Arrival.FIRST)
_NEXT: Final = Observation(Arrival.NEXT)
_DUPLICATE: Final = Observation(Arrival.DUPLICATE)
_LATE: Final = Observation(Arrival.LATE)


class SequenceTracker:
    """Follows the sequence numbers of every source; memory is bounded by ``remembered`` numbers for each of 256."""

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        if remembered < 1:
            raise FieldValueError(f"remembered {remembered}: use 1 or more", expected="1..", got=remembered)
        self._remembered = remembered
        self._sources: dict[int, _Source] = {}

    def observe(self, source: int, sequence: int) -> Observation:
        """Take note of a message's source and sequence, and say what it means."""
        known = self._sources.get(source)
        if known is None:
            self._sources[source] = _Source(sequence, self._remembered)
            return _FIRST
        last = known.last
        if sequence > last:
            known.remember(sequence)
            known.last = sequence
            return _NEXT if sequence == last + 1 else Observation(Arrival.GAP, Gap(source, last, sequence))
        if sequence in known.seen:
            return _DUPLICATE
        known.remember(sequence)
        return _LATE

    def last(self, source: int) -> int | None:
        """The highest sequence seen of a source; None before its first message."""
        known = self._sources.get(source)
        return None if known is None else known.last

    def reset(self, source: int) -> None:
        """Forget a source, as after its restart or a snapshot: its next message sets the base again."""
        self._sources.pop(source, None)


class _Source:
    """The highest sequence of a source, and the last ones seen in the order in which they came."""

    __slots__ = ("_order", "_remembered", "last", "seen")

    def __init__(self, sequence: int, remembered: int) -> None:
        self.last = sequence
        self.seen = {sequence}
        self._order = deque([sequence])
        self._remembered = remembered

    def remember(self, sequence: int) -> None:
        if len(self._order) == self._remembered:
            self.seen.discard(self._order.popleft())
        self._order.append(sequence)
        self.seen.add(sequence)
