"""The process that takes over, until it owns anything: a thin shell around its table (tables.py). Its calls wait.

Facts:
- it has booted whole before it says a word, so that clients wait for nothing but the handover itself;
- it reads, writes and asks nothing of a client's socket before the baton says that it owns it;
- once it has everything, the baton alone decides: whatever the channel says or does not say by then.
"""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ..printable import printable
from .baton import read_baton
from .blob import decoder, opened, unpacked
from .channel import (
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
from .state import SCHEMA, CopyState, RelayState, StateError, WaitingData
from .tables import SUCCESSOR, Action, Event, New

_EVENTS = {Offer: Event.OFFER, Refuse: Event.REFUSED, Early: Event.EARLY, Batch: Event.BATCH, Whole: Event.STATE}


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken: the state, the bytes that wait, descriptors by their roles, and those of the clients.

    ``connections_only``: of the state the paths, the sockets for operators and the audit log are this process's own.
    """

    state: RelayState
    data: WaitingData
    descriptors: dict[str, int]
    clients: list[int]
    connections_only: bool = False

    def of(self, what: str) -> dict[str, int]:
        """The descriptors of one thing, by what they are for it."""
        prefix = f"{what}."
        found = {
            role.removeprefix(prefix): number for role, number in self.descriptors.items() if role.startswith(prefix)
        }
        if not found:
            raise StateError(f"no descriptor of {what} came with the state")
        return found


def connect(path: Path) -> Channel:
    """A channel to the relay that listens for successors at a path. Raises :class:`TakeoverError`."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        sock.connect(os.fspath(path))
    except OSError as error:
        sock.close()
        raise TakeoverError(f"{path}: no relay to take over: {error.strerror}") from None
    return Channel(sock)


def inherited(descriptor: int) -> Channel:
    """A channel that the predecessor has opened for this process. Raises :class:`TakeoverError`."""
    try:
        os.set_inheritable(descriptor, False)
        sock = socket.socket(fileno=descriptor)
    except OSError as error:
        raise TakeoverError(f"descriptor {descriptor} is no channel of a predecessor: {error.strerror}") from None
    if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_SEQPACKET:
        sock.detach()
        raise TakeoverError(f"descriptor {descriptor} is no channel of a predecessor")
    return Channel(sock)


class Successor:
    """One takeover over a channel: :meth:`collect`, then :meth:`claim` or :meth:`give_up`, then :meth:`active`."""

    def __init__(self, channel: Channel, build: str, places: dict[str, str], room: int) -> None:
        self._channel = channel
        self._system = channel.system
        self._state = SUCCESSOR.start
        self._descriptors: list[int] = []
        self._data = WaitingData()
        self._baton = -1
        self._memfd = -1
        self._reason = ""
        self.predecessor = 0
        """The predecessor's process, once it has offered."""
        owner, user = channel.peer().uid, self._system.user()
        if owner != user:
            raise TakeoverError(f"the relay there belongs to user {owner}, we are {user}")
        decoder(RelayState)
        self._say(Hello(self._system.pid(), WIRE, SCHEMA, build, places, room))

    def collect(self) -> Taken:
        """Take what the predecessor gives; nothing of it is ours yet, but to close. Raises :class:`TakeoverError`."""
        while self._state is not New.VERIFYING:
            self._step(self._next_event())
        try:
            taken = self._checked()
        except (StateError, OSError) as error:
            self.give_up(str(error))
            raise TakeoverError(str(error)) from None
        self._descriptors = []
        return taken

    def claim(self) -> None:
        """Say that everything fits, and wait until we own it. Raises :class:`TakeoverError` when we never will."""
        self._step(Event.WHOLE)
        event = read_baton(self._baton, SUCCESSOR.rows[self._state].seconds, self._system)
        if event is Event.REVOKED:
            self._reason = self._refusal()
        self._reason = self._reason or event.value
        self._step(event)

    def active(self, frozen: float) -> None:
        """Tell the predecessor that we serve, and how long nobody did."""
        self._say(Active(frozen))
        self.close()

    def give_up(self, reason: str) -> None:
        """Tell the predecessor why we do not take over."""
        with suppress(TakeoverError):
            self._step(Event.UNUSABLE, reason)

    def close(self) -> None:
        """Let go of the conversation."""
        self._channel.close()
        close_all([number for number in (self._baton, self._memfd) if number >= 0], self._system)
        self._baton = self._memfd = -1

    def _step(self, event: Event, reason: str = "") -> None:
        self._reason = reason or self._reason
        step = SUCCESSOR.step(self._state, event)
        self._state = step.to
        for action in step.actions:
            match action:
                case Action.SAY_READY:
                    self._say(Ready())
                case Action.KEEP_COPY:
                    self._keep_copy()
                case Action.SAY_ACK:
                    self._say(Ack(len(self._descriptors)))
                case Action.SAY_PREPARED:
                    self._say(Prepared())
                case Action.SAY_FAILED:
                    self._say(Failed(printable(self._reason)))
                case _:
                    pass  # the caller's: to verify, to serve, and to say so
        if self._state is New.ENDED:
            close_all(self._descriptors, self._system)
            self.close()
            raise TakeoverError(self._reason)

    def _say(self, message: Message) -> None:
        try:
            self._channel.send(message)
        except TakeoverError:
            return  # the baton says what becomes of us, or the next message, that does not come

    def _next_event(self) -> Event:
        limit = SUCCESSOR.rows[self._state].seconds
        if not self._channel.waits(limit):
            self._reason = f"the relay did not answer within {limit:g} s ({self._state.value})"
            return Event.LATE
        try:
            message, descriptors = self._channel.receive()
        except TakeoverError as error:
            self._reason = error.reason
            return Event.LOST
        event = _EVENTS.get(type(message), Event.LOST)
        self._reason = message.reason if isinstance(message, Refuse) else f"{type(message).__name__} came out of turn"
        if isinstance(message, Offer) and len(descriptors) == 1:
            self._baton, self.predecessor = descriptors[0], message.pid
        elif event in (Event.STATE, Event.EARLY) and len(descriptors) == 1:
            close_all([self._memfd], self._system)
            self._memfd = descriptors[0]
        elif event is Event.BATCH:
            self._descriptors += descriptors
        elif event is not Event.REFUSED:
            close_all(descriptors, self._system)
            return Event.LOST
        return event

    def _keep_copy(self) -> None:
        try:
            self._data.add_early(*unpacked(opened(self._memfd, self._system), CopyState))
        except (StateError, OSError) as error:
            self._step(Event.UNUSABLE, str(error))
        self._say(Kept())

    def _refusal(self) -> str:
        """Why the predecessor serves on, if it says so."""
        try:
            message, _ = self._channel.receive()
        except (BlockingIOError, TakeoverError):
            return ""
        return message.reason if isinstance(message, Refuse) else ""

    def _checked(self) -> Taken:
        """The state, if all descriptors that belong to it are there. Raises StateError, OSError."""
        state, self._data.late = unpacked(opened(self._memfd, self._system), RelayState)
        inodes = [each.inode for each in state.descriptors] + [client.inode for client in state.server.clients]
        if len(inodes) != len(self._descriptors):
            raise StateError(f"{len(self._descriptors)} of {len(inodes)} descriptors have come")
        others = len(state.descriptors)
        for place, (number, inode) in enumerate(zip(self._descriptors, inodes, strict=True)):
            if self._system.inode(number) != inode or (place >= others and not self._system.is_socket(number)):
                raise StateError(f"descriptor {place} is not what the state says")
        roles = {each.role: number for each, number in zip(state.descriptors, self._descriptors, strict=False)}
        return Taken(state, self._data, roles, self._descriptors[others:])
