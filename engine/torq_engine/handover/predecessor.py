"""The relay that serves, as it hands over: a thin shell around its table (tables.py), on its own loop.

Facts:
- until the successor is ready, clients are served between all steps;
- what waits for slow receivers is copied before the relay stands still, some of it in a turn of the loop: most of its
  bytes do not change any more, so little is left to be copied then;
- from FREEZE to the end of the handover one call runs, and the loop does not: so no client is read or written, no timer
  fires and no operator changes anything. Rolling back is returning from that call;
- time limits bound that call; that of the successor's check grows with the bytes it has to look at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ..port import Buffer
from ..printable import printable
from .baton import Baton
from .blob import SlowCopy, packed, sealed
from .channel import (
    BATCH,
    WIRE,
    Ack,
    Active,
    Batch,
    Channel,
    Early,
    Failed,
    Hello,
    Kept,
    Message,
    Offer,
    Prepared,
    Ready,
    Refuse,
    TakeoverError,
    Whole,
    close_all,
)
from .state import SCHEMA, RelayState
from .tables import PREDECESSOR, Action, Event, Old

_CHECKED_BYTES_PER_SECOND = 50_000_000
_SPARE_DESCRIPTORS = 16
_COPIED_IN_A_TURN = 1 << 20
_PLAIN = {Ready: Event.READY, Kept: Event.KEPT, Prepared: Event.PREPARED, Active: Event.ACTIVE, Failed: Event.FAILED}


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a relay holds: connections, all descriptors of the handover, and bytes that wait or are incomplete."""

    connections: int
    descriptors: int
    held_bytes: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a handover ended: whether the successor serves, why not, its process and build, and what was handed over.

    ``possible``: a rehearsal found nothing against it. ``frozen`` is how long no client was served, in seconds.
    """

    taken: bool
    possible: bool
    reason: str
    pid: int
    holdings: Holdings
    frozen: float = 0.0
    successor: str = ""


class Owner(Protocol):
    """The relay, as the handover sees it."""

    def places(self) -> dict[str, str]:
        """What it holds, by key."""
        ...

    def unwilling(self) -> str:
        """Why it cannot be taken over just now; empty when it can."""
        ...

    def holdings(self) -> Holdings:
        """What it holds."""
        ...

    def begin_copy(self) -> list[memoryview]:
        """The bytes that wait and will not change: from now on an export leaves them out."""
        ...

    def end_copy(self) -> None:
        """The copy is not needed any more."""
        ...

    def export(self, frozen_at: float) -> tuple[RelayState, list[memoryview], list[int]]:
        """Everything, the bytes that wait, and the descriptors in the order of the state. Raises OSError."""
        ...

    def leave(self) -> None:
        """Let go of everything: the successor serves."""
        ...


class Predecessor:
    """One handover over a channel; ``done`` is told its outcome, once. ``rehearsal``: it ends before the freeze."""

    def __init__(
        self, owner: Owner, channel: Channel, done: Callable[[Outcome], None], *, rehearsal: bool = False
    ) -> None:
        self._owner = owner
        self._channel = channel
        self._system = channel.system
        self._done = done
        self._rehearsal = rehearsal
        self._loop = asyncio.get_running_loop()
        self._state = PREDECESSOR.start
        self._pid = 0
        self._holdings = Holdings(0, 0, 0)
        self._baton: Baton | None = None
        self._descriptors: list[int] = []
        self._sent = 0
        self._copy: SlowCopy | None = None
        self._blob: list[Buffer] = []
        self._reason = ""
        self._successor = ""
        self._possible = False
        self._frozen_at = self._frozen = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop.add_reader(channel.fileno(), self._readable)
        self._wait()

    def abandon(self, reason: str) -> None:
        """End the handover, as its successor will not come. It has not begun, or is over already."""
        if self._state in PREDECESSOR.rows:
            self._reason = self._reason or reason
            self._happened(Event.LOST)

    # Events

    def _wait(self) -> None:
        self._timer = self._loop.call_later(PREDECESSOR.rows[self._state].seconds, self._late)

    def _late(self) -> None:
        self._happened(self._expired())

    def _readable(self) -> None:
        event = self._next_event()
        if event is not None:
            self._happened(event)

    def _happened(self, event: Event) -> None:
        """Take a step, and with it all of a freeze; the loop turns between the other steps."""
        if self._timer is not None:
            self._timer.cancel()
        self._step(event)
        while self._state in PREDECESSOR.rows and self._state not in PREDECESSOR.serving:
            self._step(self._awaited_event())
        if self._state in PREDECESSOR.rows:
            self._wait()
        else:
            self._end()

    def _awaited_event(self) -> Event:
        """The next event of a relay that stands still."""
        limit = self._system.clock() + self._limit()
        while self._channel.waits(limit - self._system.clock()):
            event = self._next_event()
            if event is not None:
                return event
        return self._expired()

    def _limit(self) -> float:
        extra = self._holdings.held_bytes / _CHECKED_BYTES_PER_SECOND if self._state is Old.JUDGED else 0.0
        return PREDECESSOR.rows[self._state].seconds + extra

    def _expired(self) -> Event:
        self._reason = self._reason or f"no answer of the successor within {self._limit():g} s ({self._state.value})"
        return Event.LATE

    def _next_event(self) -> Event | None:
        try:
            message, descriptors = self._channel.receive()
        except BlockingIOError:
            return None
        except TakeoverError as error:
            self._reason = self._reason or error.reason
            return Event.LOST
        close_all(descriptors, self._system)  # a successor has none to give
        return self._event(message)

    def _event(self, message: Message) -> Event:
        if isinstance(message, Hello):
            self._reason = self._misfit(message)
            return Event.MISFIT if self._reason else Event.FITS
        if isinstance(message, Ack) and self._state is Old.SENDING:
            if message.descriptors != self._sent:
                self._reason = f"the successor has {message.descriptors} of {self._sent} descriptors"
                return Event.LOST
            return Event.LAST_ACK if self._sent == len(self._descriptors) else Event.ACK
        if isinstance(message, Failed):
            self._reason = message.reason
        if isinstance(message, Active):
            self._frozen = message.frozen
        event = _PLAIN.get(type(message), Event.LOST)
        if event not in PREDECESSOR.rows[self._state].at:
            self._reason = self._reason or f"the successor said {type(message).__name__} out of turn"
        return event

    def _misfit(self, hello: Hello) -> str:
        """Why a successor cannot take over; empty when it can."""
        self._pid, self._successor = hello.pid, hello.build
        self._holdings = self._owner.holdings()
        if hello.wire != WIRE:
            return f"the successor speaks version {hello.wire} of the handover, this relay {WIRE}"
        if hello.schema < SCHEMA:
            return f"the successor reads states up to schema {hello.schema}, this relay writes {SCHEMA}"
        if unwilling := self._owner.unwilling():
            return unwilling
        ours = self._owner.places()
        for key in sorted({*ours, *hello.places}):
            here, there = ours.get(key, ""), hello.places.get(key, "")
            if here != there:
                return f"{key} is {here or 'not set'} here and {there or 'not set'} in the successor"
        if hello.room < self._holdings.descriptors + _SPARE_DESCRIPTORS:
            wanted = self._holdings.descriptors + _SPARE_DESCRIPTORS
            return f"the successor has room for {hello.room} descriptors, {wanted} are needed (ulimit -n, LimitNOFILE=)"
        self._possible = self._rehearsal
        return "nothing was handed over: this was a rehearsal" if self._rehearsal else ""

    # Actions

    def _step(self, event: Event) -> None:
        step = PREDECESSOR.step(self._state, event)
        self._state = step.to
        for action in step.actions:
            try:
                follows = self._act(action)
            except Exception as error:  # whatever it is, the relay goes on
                self._reason = self._reason or f"{type(error).__name__}: {error}"
                follows = Event.UNABLE
            if follows is not None:
                self._step(follows)
                return

    def _act(self, action: Action) -> Event | None:
        match action:
            case Action.SAY_OFFER:
                self._baton = Baton(self._system)
                held = self._holdings
                offer = Offer(self._system.pid(), held.connections, held.descriptors, held.held_bytes)
                self._channel.send(offer, [self._baton.reading])
            case Action.COPY:
                self._copy = SlowCopy(self._owner.begin_copy(), self._system)
                self._loop.call_soon(self._copy_on)
            case Action.SEND_COPY:
                self._channel.send(Early(), [self._held_copy().descriptor])
            case Action.FREEZE:
                self._frozen_at = self._system.clock()
                state, data, self._descriptors = self._owner.export(self._frozen_at)
                self._blob = packed(state, data)
            case Action.SEND_BATCH:
                batch = self._descriptors[self._sent : self._sent + BATCH]
                self._channel.send(Batch(), batch)
                self._sent += len(batch)
            case Action.SEND_STATE:
                memfd = sealed(self._blob, self._system)
                try:
                    self._channel.send(Whole(), [memfd])
                finally:
                    self._system.close(memfd)
            case Action.COMMIT:
                self._held_baton().commit()
            case Action.TAKE_BACK:
                return self._held_baton().take_back()
            case Action.REVOKE:
                if self._baton is not None:
                    self._baton.revoke()
            case Action.SAY_REFUSE:
                self._refuse()
            case Action.LEAVE:
                self._owner.leave()
            case _:
                raise AssertionError(action)
        return None

    def _copy_on(self) -> None:
        if self._state is not Old.COPYING:
            return
        try:
            done = self._held_copy().write(_COPIED_IN_A_TURN)
        except OSError as error:
            self._reason = f"what waits cannot be copied: {error.strerror}"
            self._happened(Event.UNABLE)
            return
        if done:
            self._happened(Event.COPIED)
        else:
            self._loop.call_soon(self._copy_on)

    def _held_copy(self) -> SlowCopy:
        assert self._copy is not None
        return self._copy

    def _held_baton(self) -> Baton:
        assert self._baton is not None
        return self._baton

    def _refuse(self) -> None:
        try:
            self._channel.send(Refuse(printable(self._reason)))
        except TakeoverError:
            return  # nobody is there who would want to know

    def _end(self) -> None:
        if self._channel.fileno() >= 0:
            self._loop.remove_reader(self._channel.fileno())
            self._channel.close()
        if self._baton is not None:
            self._baton.close()
            self._baton = None
        if self._copy is not None:
            self._copy.close()
            self._owner.end_copy()
        self._blob, self._descriptors = [], []
        taken = self._state is Old.LEFT
        frozen = self._frozen or (self._system.clock() - self._frozen_at if self._frozen_at else 0.0)
        reason = "" if taken else self._reason
        self._done(Outcome(taken, self._possible, reason, self._pid, self._holdings, frozen, self._successor))
