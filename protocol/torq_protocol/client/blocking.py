"""The blocking client, on plain sockets: the same shape as the asynchronous one."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self, Unpack

from ..constants import RelayDomain
from ..message import Message
from .address import Address, AddressLike, UnixAddress, parse_address
from .errors import (
    ClosedError,
    ConnectError,
    ConnectionLostError,
    SendTimeoutError,
    StreamEndedError,
    UnsafeDirectoryError,
)
from .events import OnEvent
from .link import Link
from .publisher import BlockingPublisher, Clock
from .session import Client, Session
from .settings import ClientOptions, ClientSettings, settings_of
from .sockets import Connecting, cannot_connect, connecting, connecting_unix
from .turns import Closing, Ticket, Turn, deadline_in, interrupted, seconds_left

_LONGEST_POLL_SECONDS: Final = 86_400.0
"""poll takes no more than some days."""


class BlockingRelay(Client, Iterator[Message]):
    """A connection to a relay, replaced when it is lost; made by :func:`connect_blocking`.

    ``for message in relay`` gives whole messages, ``send`` sends them. One thread may receive while others send, and
    any may close, signal handlers and finalizers included: calls that wait then end. Nothing runs in the background, as
    with :class:`Relay`.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._sending = threading.RLock()
        self._writing = False  # while a thread that has the lock is in the middle of a message
        self._connecting = Turn()
        self._receiving = Turn()
        self._closing = Closing()

    def send(self, *messages: Message | bytes) -> None:
        """Send messages, in one piece; returns when the kernel has taken all of them.

        At most once, with the errors of :meth:`Relay.send`. Interrupted in the middle of a message (Ctrl-C), the
        connection is given up, since nothing may follow a part of a message. Raises :class:`RuntimeError` in a signal
        handler or finalizer that has interrupted a ``send`` of its own thread.
        """
        session = self._session
        data = session.outgoing(messages)
        while True:
            link = session.link
            if link is None or session.closed:
                link = self._linked(None)
            with self._sending:
                if self._writing:
                    raise RuntimeError(interrupted("sending"))
                try:
                    self._writing = True
                    if session.sending_ended:
                        session.check_sending()
                    if link is session.link and self._write(link, data):
                        session.sent += len(messages)
                        return
                finally:
                    self._writing = False
                    if session.sending_ended:
                        session.end_sending()

    def publisher(
        self, source: int, *, domain: RelayDomain | None = None, sequence: int = 1, clock: Clock = time.time_ns
    ) -> BlockingPublisher:
        """Sends payloads as messages of a source; see :class:`BlockingPublisher`."""
        return BlockingPublisher(self, self._session.domain_of_publisher(domain), source, sequence, clock)

    def receive(self, timeout: float | None = None, *, timeout_seconds: float | None = None) -> Message:
        """The next message. Raises :class:`TimeoutError` if none comes in time (which loses nothing), and as
        :meth:`Relay.receive`; :class:`RuntimeError` if another thread, or what a signal handler has interrupted, is
        waiting for one.

        ``timeout`` is in seconds, None for ever; ``timeout_seconds`` is its older name."""
        deadline = deadline_in(timeout if timeout_seconds is None else timeout_seconds, "timeout")
        message = self._session.take()
        return self._received(deadline) if message is None else message

    def _received(self, deadline: float | None) -> Message:
        ticket = Ticket()
        try:
            other = self._receiving.claim(ticket)
            if other is not None and other.thread == ticket.thread:
                raise RuntimeError(interrupted("receiving"))
            if other is not None:
                raise RuntimeError("another thread is receiving on this client; let one thread receive for all")
            while (message := self._session.take()) is None:
                if not self._session.read_backlog():
                    self._read(self._linked(deadline), deadline)
            return message
        finally:
            self._receiving.give_back(ticket)

    def end_sending(self) -> None:
        """Say that nothing more will be sent, and go on receiving (CONN-7); sending raises from now on."""
        if self._session.closed:
            return
        with self._sending:
            self._session.sending_ended = True
            if not self._writing:  # a message that is being sent ends first
                self._session.end_sending()

    def send_eof(self) -> None:
        """Another name of :meth:`end_sending`."""
        self.end_sending()

    def close(self) -> None:
        """Close, from any thread, signal handler or finalizer. Calls that wait raise :class:`ClosedError`, loops over
        messages end. Closing again does nothing. In a forked process it closes nothing of its parent's."""
        self._session.close()
        self._closing.tell()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        try:
            return self.receive()
        except (ClosedError, StreamEndedError):
            raise StopIteration from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _linked(self, deadline: float | None) -> Link:
        """The present connection, or a new one, which one caller makes for all."""
        while (link := self._session.checked()) is None:
            ticket = Ticket()
            try:
                other = self._connecting.claim(ticket)
                if other is None:
                    return self._session.checked() or self._reconnect(deadline)
            finally:
                self._connecting.give_back(ticket)
            left = seconds_left(deadline)
            if left == 0:
                raise TimeoutError(f"{self.address}: not connected again in time")
            other.wait(left)
        return link

    def _reconnect(self, deadline: float | None) -> Link:
        while True:
            delay = self._session.retry_in()
            left = delay if deadline is None else deadline - time.monotonic()
            self._closing.wait(min(delay, left))
            if left < delay:
                raise TimeoutError(f"{self.address}: not connected again in time: {self._session.failure}")
            try:
                link = open_link(self._session)
            except (ConnectError, UnsafeDirectoryError) as error:
                self._session.attempt_failed(error)
            else:
                self._session.established(link)
                return link

    def _read(self, link: Link, deadline: float | None) -> None:
        """Read once what the relay sends, waiting for it; a connection that ends is given up."""
        try:
            link.hold("reader")
            while not link.try_receive():
                if not _ready(link.socket, select.POLLIN, deadline):
                    raise TimeoutError(f"{self.address}: no message in time")
        except ConnectionLostError as error:
            self._session.lost(link, error)
        finally:
            link.leave("reader")

    def _write(self, link: Link, data: bytes) -> bool:
        """Write all; False if the connection broke before the first byte and may be replaced."""
        written, unsure = 0, False
        try:
            link.hold("writer")
            while True:
                unsure = True  # an exception of a signal handler may hide how much the socket took
                count = link.try_send(memoryview(data)[written:] if written else data)
                written, unsure = written + count, False
                if written == len(data):
                    return True
                if count == 0:
                    self._writable(link.socket, written, len(data))
        except ConnectionLostError as error:
            self._session.lost(link, error)
            if self._session.closed:
                raise self._session.closed_error() from error
            if written or not self._session.settings.reconnect:
                raise self._session.cut_off(error, written, len(data)) from error
            return False
        except BaseException as error:
            if unsure or 0 < written < len(data):
                self._session.torn_by(link, error, written, len(data))
            raise
        finally:
            link.leave("writer")

    def _writable(self, sock: socket.socket, written: int, size: int) -> None:
        limit = self._session.settings.send_timeout_seconds
        if not _ready(sock, select.POLLOUT, deadline_in(limit, "send_timeout_seconds")):
            raise SendTimeoutError(f"{self.address}: the relay took {written} of {size} bytes, and none for {limit} s")


def connect_blocking(
    address: AddressLike,
    *,
    domain: RelayDomain | None = None,
    settings: ClientSettings | None = None,
    on_event: OnEvent | None = None,
    **options: Unpack[ClientOptions],
) -> BlockingRelay:
    """Connect to a relay: ``with connect_blocking("/tmp/torq/signal.sock") as relay: ...``. As :func:`connect`."""
    session = Session(parse_address(address), domain, settings_of(settings, **options), on_event)
    patience_ends = time.monotonic() + session.settings.wait_for_relay_seconds
    while session.link is None:
        try:
            session.established(open_link(session))
        except ConnectError as error:
            session.attempt_failed(error)
            if time.monotonic() + session.retry_in() > patience_ends:
                raise
            time.sleep(session.retry_in())
    return BlockingRelay(session)


def open_link(session: Session) -> Link:
    """One attempt to connect. Raises :class:`ConnectError` or :class:`UnsafeDirectoryError`."""
    try:
        return session.linked(connected_socket(session.address, session.settings))
    except UnsafeDirectoryError:
        raise
    except OSError as error:
        raise cannot_connect(session.address, error) from error


def connected_socket(address: Address, settings: ClientSettings) -> socket.socket:
    """A connected socket that never blocks. Raises :class:`OSError`."""
    deadline = time.monotonic() + settings.connect_timeout_seconds
    steps = _steps(address, settings)
    try:
        while True:
            if not _ready(next(steps), select.POLLOUT, deadline):
                raise TimeoutError("no answer in time")
    except StopIteration as done:
        connected: socket.socket = done.value
        return connected
    finally:
        steps.close()


def _steps(address: Address, settings: ClientSettings) -> Connecting:
    if isinstance(address, UnixAddress):
        return connecting_unix(address, settings)
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return connecting([(family, place) for family, _, _, _, place in found], settings)


def _ready(sock: socket.socket, events: int, deadline: float | None) -> bool:
    """Wait until a socket is ready (or broken, which the next call on it tells); False if it is not in time."""
    poll = select.poll()
    poll.register(sock, events)
    while True:
        left = seconds_left(deadline)
        if poll.poll(min(_LONGEST_POLL_SECONDS if left is None else left, _LONGEST_POLL_SECONDS) * 1000):
            return True
        if left is not None and left <= _LONGEST_POLL_SECONDS:
            return False
