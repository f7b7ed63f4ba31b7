"""What both clients have in common: the present connection, what is sent and received on it, and what is told.

Nothing here waits. The clients wait for sockets and time, each in its own way.

Facts:
- any thread, signal handler or finalizer may close, in the middle of whatever stands here; so nothing is locked, and
  what is put where a closer finds it is put there before ``closed`` is looked at;
- a forked process has its parent's connections too. A part of a message from each of them would tear the stream, and
  one that closes would close for both: the child's clients are closed when it begins, without a word to the relay.
"""

from __future__ import annotations

import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from weakref import WeakSet

from ..arguments import octets
from ..builder import MessageBuilder
from ..constants import RelayDomain
from ..decoder import FrameDecoder, Refusal
from ..message import Message, parse_frame, parse_message
from ..policy import FramePolicy, ValidationLevel
from ..sequence import SequenceTracker
from ..tlv import Tlv
from .address import Address, domain_of
from .errors import ClientError, ClosedError, ConnectError, ConnectionLostError
from .events import ClientState, Connected, Event, GapSeen, Lost, OnEvent, Reconnected, Refused
from .link import Followed, Inbox, Link, Torn
from .settings import ClientSettings

_LEVELS = {RelayDomain.MARKET_DATA: ValidationLevel.PERFORMANCE, RelayDomain.EXECUTION: ValidationLevel.SECURITY}
"""What the relays of the domains check; reliability for the others."""


class Session:
    """The state of one client over all its connections: one caller receives, one sends, any close."""

    def __init__(
        self, address: Address, domain: RelayDomain | None, settings: ClientSettings, on_event: OnEvent | None
    ) -> None:
        if on_event is not None and not callable(on_event):
            raise TypeError(f"on_event {on_event!r:.40}: use a function that takes an event")
        domain = domain_given(domain)
        self.address = address
        self.domain = domain_of(address) if domain is None else domain
        self.settings = settings
        self.tracker = SequenceTracker() if settings.track_sequences else None
        self.link: Link | None = None
        self.failure: ClientError = ConnectError(f"{address}: not connected yet")
        self.closed = False
        self.sending_ended = False
        self.received = 0
        self.sent = 0
        self.reconnects = 0
        self._on_event = on_event
        self.inbox: Inbox = deque()
        """What was read and decoded and not yet taken, of any connection."""
        self.backlog: Link | None = None
        """A connection that was given up with something unread on it."""
        self.forked = False
        self._receives = False
        self._connected_at: float | None = None
        self._lost_at = time.monotonic()
        self._retry_at: float | None = None
        self._attempts = 0
        self._received_before = 0
        self._delay = settings.backoff.first_seconds
        self._outgoing_policy = self._policy_of_domain()
        _SESSIONS.add(self)

    @property
    def state(self) -> ClientState:
        """Where the client stands."""
        if self.closed:
            return ClientState.CLOSED
        return ClientState.DISCONNECTED if self.link is None else ClientState.CONNECTED

    def decoder(self, on_refused: Callable[[Refusal], None]) -> FrameDecoder:
        """A decoder for a new connection."""
        settings, verify = self.settings, self.settings.verify_checksum
        if verify is None:
            verify = self.domain is not RelayDomain.MARKET_DATA
        policy = None
        if self.domain is not None:
            policy = FramePolicy(
                self.domain,
                verify_checksum=verify,
                accept_zero_checksum=settings.accept_zero_checksum,
                check_tlvs=True,
                max_message_size=settings.max_message_size,
            )
        return FrameDecoder(
            policy,
            verify_checksum=verify,
            accept_zero_checksum=settings.accept_zero_checksum,
            max_message_size=settings.max_message_size,
            on_fault=settings.on_fault,
            on_refused=on_refused,
        )

    def linked(self, sock: socket.socket) -> Link:
        """A connection on a connected socket."""
        return Link(sock, self.decoder, self.inbox)

    def outgoing(self, messages: tuple[Message | bytes, ...]) -> bytes:
        """The bytes of messages, checked. Raises the :class:`ProtocolError` of one that is wrong, and
        :class:`ClosedError` after ``end_sending``."""
        if self.sending_ended:
            self.check_sending()
        frames = [message if isinstance(message, bytes) else _frame_of(message) for message in messages]
        policy = self._outgoing_policy
        if policy is not None:
            for frame in frames:
                parse_frame(frame, policy)
        else:
            check, limit = self.settings.check_outgoing, self.settings.max_message_size
            for frame in frames:
                parse_message(frame, verify_checksum=check, check_tlvs=check, max_message_size=limit)
        return frames[0] if len(frames) == 1 else b"".join(frames)

    def domain_of_publisher(self, domain: RelayDomain | None) -> RelayDomain:
        """The domain of messages to be built. Raises :class:`ValueError` where none is known."""
        found = domain_given(domain) or self.domain
        if found is None:
            raise ValueError(f"{self.address}: of which domain? Use publisher(source, domain=RelayDomain...)")
        return found

    def check_sending(self) -> None:
        """Raises :class:`ClosedError` after ``end_sending``."""
        if self.sending_ended:
            raise ClosedError("sending was ended on this client; connect again to send")

    def established(self, link: Link) -> None:
        """Take a new connection into use. Raises :class:`ClosedError` if the client was closed meanwhile."""
        first = self._connected_at is None
        self._retry_at, self._connected_at = None, time.monotonic()
        attempts, seconds = self._attempts + 1, self._connected_at - self._lost_at
        self._received_before = self.received
        self.reconnects += not first
        self.link = link
        if self.closed:  # looked at when the connection can be seen: one of us closes it
            self.link = None
            link.close()
            raise self.closed_error()
        if self.sending_ended:
            link.end_sending()
        self.tell(Connected(self.address) if first else Reconnected(self.address, attempts, seconds))

    def lost(self, link: Link, error: ClientError) -> None:
        """Give a connection up, unless that has been done; messages that had arrived on it are kept to be received."""
        if self.link is link:
            self.failure = error
            self._lost_at, self._attempts = time.monotonic(), 0
            lasted = self._lost_at - (self._connected_at or 0.0)
            if self.received > self._received_before or lasted > self.settings.backoff.longest_seconds:
                self._delay = self.settings.backoff.first_seconds
            if self._receives and self.backlog is None and link.keep_unread():
                self.backlog = link
            self.link = None
        link.close()
        if self.closed:
            self._forget_unread()
        elif link.give_up():
            self.tell(Lost(self.address, error))

    def close(self) -> None:
        """Close the client, from any thread, signal handler or finalizer; again does nothing."""
        self.closed = True
        link, self.link = self.link, None
        if link is not None:
            link.close()
        self._forget_unread()

    def disown(self) -> None:
        """Close the client in a process that was forked: the connection goes on in the one that made it."""
        self.closed = self.forked = True
        for link in (self.link, self.backlog):
            if link is not None:
                link.disown()
        self.link = self.backlog = None
        self.inbox.clear()

    def end_sending(self) -> None:
        """Shut down the sending side, of connections to come as well."""
        self.sending_ended = True
        link = self.link
        if link is not None:
            link.end_sending()

    def take(self) -> Message | None:
        """The next message that has been read, its events told; None if a socket must be read.

        A stream that is torn is a connection that is lost, None its next message.
        """
        self._receives = True
        while True:
            if self.closed:
                raise self.closed_error()
            try:
                item = self.inbox.popleft()
            except IndexError:
                return None
            if isinstance(item, Message):
                self.received += 1
                if self.tracker is not None:
                    self._follow(item, self.tracker)
                return item
            if isinstance(item, Refusal):
                self.tell(Refused(item))
            elif isinstance(item, Torn):
                self.lost(item.link, item.error)
            elif isinstance(item, Followed):
                return item.message
            else:
                raise item

    def read_backlog(self) -> bool:
        """Read once what had arrived on a connection that was given up; False if nothing is left of one."""
        link = self.backlog
        if link is None:
            return False
        try:
            link.hold("reader", closed_too=True)
            if link.try_receive():
                return True
        except ConnectionLostError:  # it was told
            pass
        finally:
            link.leave("reader")
        self._forget_backlog()
        return False

    def _forget_unread(self) -> None:
        self.inbox.clear()
        self._forget_backlog()

    def _forget_backlog(self) -> None:
        link, self.backlog = self.backlog, None
        if link is not None:
            link.leave("backlog")

    def cut_off(self, error: ConnectionLostError, written: int, size: int) -> ConnectionLostError:
        """The error of a send whose connection broke."""
        text = f"{self.address}: {error}; {written} of {size} bytes had left and are not sent again"
        return ConnectionLostError(text, offset=error.offset)

    def retry_in(self) -> float:
        """Seconds until the next attempt to connect is due, however often one asks.

        Raises :class:`ConnectError` when it is time to give up, :class:`ClosedError`.
        """
        if self.closed:
            raise self.closed_error()
        now = time.monotonic()
        limit = self.settings.give_up_after_seconds
        if limit is not None and now - self._lost_at >= limit:
            text = f"{self.address}: given up after {self._attempts} attempts in {limit} s: {self.failure}"
            raise ConnectError(text, attempts=self._attempts) from self.failure
        if self._retry_at is None:
            self._retry_at = now + self.settings.backoff.shortened(self._delay)
            self._delay = self.settings.backoff.longer(self._delay)
        return max(0.0, self._retry_at - now)

    def attempt_failed(self, error: ClientError) -> None:
        """Take note of an attempt to connect that failed."""
        self._attempts += 1
        self._retry_at, self.failure = None, error

    def checked(self) -> Link | None:
        """The present connection; None if a new one may be made. Raises why there is none otherwise."""
        if self.closed:
            raise self.closed_error()
        if self.link is None and not self.settings.reconnect:
            raise self.failure
        return self.link

    def torn_by(self, link: Link, error: BaseException, written: int, size: int) -> None:
        """Give a connection up on which a message was cut off, so that no other can follow its first part."""
        reason = f"sending was broken off after {written} of {size} bytes ({type(error).__name__})"
        self.lost(link, ConnectionLostError(f"{self.address}: {reason}", offset=link.offset))

    def closed_error(self) -> ClosedError:
        """The error of calls on a closed client."""
        if self.forked:
            return ClosedError(f"the client of {self.address} is of the process that was forked; connect in this one")
        return ClosedError(f"the client of {self.address} is closed; connect again")

    def _follow(self, message: Message, tracker: SequenceTracker) -> None:
        header = message.header
        gap = tracker.observe(header.source, header.sequence).gap
        if gap is None:
            return
        try:
            self.tell(GapSeen(gap, gap.request(self.settings.consumer_id) if gap.recoverable else None))
        except BaseException:  # such as of a request that could not be sent: the message itself has arrived
            self.inbox.appendleft(Followed(message))
            raise

    def tell(self, event: Event) -> None:
        """Tell the owner."""
        if self._on_event is not None:
            self._on_event(event)

    def _policy_of_domain(self) -> FramePolicy | None:
        if self.domain is None:
            return None
        size = self.settings.max_message_size
        if not self.settings.check_outgoing:
            return None
        level = _LEVELS.get(self.domain, ValidationLevel.RELIABILITY)
        return FramePolicy.for_domain(self.domain, level).with_max_message_size(size)


def _frame_of(message: object) -> bytes:
    """The bytes of a message. Raises :class:`TypeError` for what is none, with what to do about it."""
    if isinstance(message, Message):
        return message.to_bytes()
    if isinstance(message, bytearray | memoryview):
        return octets(message)
    from ..payloads.payload import Record  # payload classes take long to import: who sends right does without

    kind = type(message).__name__
    if isinstance(message, MessageBuilder):
        advice = "send(builder.build(sequence=..., timestamp=...))"
    elif hasattr(message, "tlv_type") or isinstance(message, Record | Tlv):
        advice = "build a message, MessageBuilder(domain, source).add(...).build(...), or use publisher(source)"
    elif isinstance(message, Iterable) and not isinstance(message, str):
        advice = "give each message by itself: send(*messages)"
    else:
        advice = "use a Message or its bytes, which MessageBuilder builds"
    raise TypeError(f"{kind} is no message ({message!r:.40}): {advice}")


def domain_given(domain: object) -> RelayDomain | None:
    """The domain that a caller means. Raises :class:`TypeError` or :class:`ValueError`."""
    if domain is None or isinstance(domain, RelayDomain):
        return domain
    if isinstance(domain, int):
        return RelayDomain(domain)
    known = {each.name.lower(): each for each in RelayDomain}
    close = get_close_matches(str(domain).lower().replace(" ", "_"), known, 1) if isinstance(domain, str) else []
    advice = f"RelayDomain.{known[close[0]].name}" if close else "a RelayDomain, such as RelayDomain.SIGNAL"
    raise TypeError(f"domain {domain!r:.40}: use {advice}")


_SESSIONS: WeakSet[Session] = WeakSet()


def _disown_all() -> None:
    for session in list(_SESSIONS):
        session.disown()


os.register_at_fork(after_in_child=_disown_all)


class Client:
    """What both clients tell of themselves; made by connecting."""

    def __init__(self, session: Session) -> None:
        self._session = session

    @property
    def address(self) -> Address:
        """Where the relay is."""
        return self._session.address

    @property
    def state(self) -> ClientState:
        """Whether a connection stands. A loss is noticed by the next call that sends or receives."""
        return self._session.state

    @property
    def received(self) -> int:
        """Messages received, over all connections."""
        return self._session.received

    @property
    def sent(self) -> int:
        """Messages given to the kernel whole, over all connections."""
        return self._session.sent

    @property
    def reconnects(self) -> int:
        """How often a lost connection was replaced."""
        return self._session.reconnects

    @property
    def sequences(self) -> SequenceTracker | None:
        """The sequence numbers seen, with ``track_sequences``; ``reset`` a source there when it starts anew."""
        return self._session.tracker
