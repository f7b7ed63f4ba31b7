"""The blocking client, on plain sockets: the same shape as the asynchronous one."""

from __future__ import annotations

import select
import socket
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Self

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
from .session import Client, Session
from .settings import ClientSettings
from .sockets import Connecting, cannot_connect, connecting, connecting_unix


class BlockingRelay(Client, Iterator[Message]):
    """A connection to a relay, replaced when it is lost; made by :func:`connect_blocking`.

    ``for message in relay`` gives whole messages, ``send`` sends them. One thread may receive while others send, and
    any may close: calls that wait then end. Nothing runs in the background, as with :class:`Relay`.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._sending = threading.Lock()
        self._connecting = threading.Lock()
        self._receiving = threading.Lock()
        self._closing = threading.Event()

    def send(self, *messages: Message | bytes) -> None:
        """Send messages, in one piece; returns when the kernel has taken all of them.

        At most once, with the errors of :meth:`Relay.send`. Interrupted in the middle of a message (Ctrl-C), the
        connection is given up, since nothing may follow a part of a message.
        """
        data = self._session.outgoing(messages)
        while True:
            link = self._linked(None)
            with self._sending:
                if link is self._session.link and self._write(link, data):
                    self._session.sent += len(messages)
                    return

    def receive(self, timeout_seconds: float | None = None) -> Message:
        """The next message. Raises :class:`TimeoutError` if none comes in time (which loses nothing), and as
        :meth:`Relay.receive`."""
        if not self._receiving.acquire(blocking=False):
            raise RuntimeError("another thread is receiving on this client; let one thread receive for all")
        deadline = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        try:
            while (message := self._session.take_or_torn()) is None:
                self._read(self._linked(deadline), deadline)
            return message
        finally:
            self._receiving.release()

    def end_sending(self) -> None:
        """Say that nothing more will be sent, and go on receiving (CONN-7); sending raises from now on."""
        with self._sending:
            self._session.end_sending()

    def close(self) -> None:
        """Close, from any thread. Calls that wait raise :class:`ClosedError`, loops over messages end. Closing again
        does nothing."""
        self._session.close()
        self._closing.set()

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
        """The present connection, or a new one."""
        link = self._session.checked()
        if link is not None:
            return link
        if not self._connecting.acquire(timeout=-1 if deadline is None else max(0.0, deadline - time.monotonic())):
            raise TimeoutError(f"{self.address}: not connected again in time")
        try:
            return self._session.checked() or self._reconnect(deadline)
        finally:
            self._connecting.release()

    def _reconnect(self, deadline: float | None) -> Link:
        while True:
            delay = self._session.retry_in()
            left = delay if deadline is None else deadline - time.monotonic()
            self._closing.wait(max(0.0, min(delay, left)))
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
            with link.in_use():
                while not link.try_receive():
                    left = None if deadline is None else deadline - time.monotonic()
                    if not _ready(link.socket, select.POLLIN, left):
                        raise TimeoutError(f"{self.address}: no message in time")
        except ConnectionLostError as error:
            self._session.lost(link, error)

    def _write(self, link: Link, data: memoryview) -> bool:
        """Write all; False if the connection broke before the first byte and may be replaced."""
        written = 0
        try:
            with link.in_use():
                while written < len(data):
                    count = link.try_send(data[written:])
                    if count == 0:
                        self._writable(link.socket, written, len(data))
                    written += count
        except ConnectionLostError as error:
            self._session.lost(link, error)
            if written or not self._session.settings.reconnect:
                raise self._session.cut_off(error, written, len(data)) from error
            return False
        except BaseException as error:
            self._session.torn_by(link, error, written, len(data))
            raise
        return True

    def _writable(self, sock: socket.socket, written: int, size: int) -> None:
        limit = self._session.settings.send_timeout_seconds
        if not _ready(sock, select.POLLOUT, limit):
            raise SendTimeoutError(f"{self.address}: the relay took {written} of {size} bytes, and none for {limit} s")


def connect_blocking(
    address: AddressLike,
    *,
    domain: RelayDomain | None = None,
    settings: ClientSettings | None = None,
    on_event: OnEvent | None = None,
) -> BlockingRelay:
    """Connect to a relay: ``with connect_blocking("/tmp/torq/signal.sock") as relay: ...``. As :func:`connect`."""
    session = Session(parse_address(address), domain, settings or ClientSettings(), on_event)
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
        return Link(connected_socket(session.address, session.settings), session.decoder)
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
            if not _ready(next(steps), select.POLLOUT, deadline - time.monotonic()):
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
    return connecting([(family, place) for family, _, _, _, place in found])


def _ready(sock: socket.socket, events: int, timeout_seconds: float | None) -> bool:
    """Wait until a socket is ready (or broken, which the next call on it tells); False if it is not in time."""
    poll = select.poll()
    poll.register(sock, events)
    return bool(poll.poll(None if timeout_seconds is None else max(0, timeout_seconds) * 1000))
