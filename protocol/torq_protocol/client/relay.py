"""The asynchronous client, on anyio: runs under asyncio (uvloop included) and trio."""

from __future__ import annotations

import socket
import time
from collections.abc import AsyncIterator, Coroutine, Generator
from types import TracebackType
from typing import Any, Final, Self, Unpack

from ..constants import RelayDomain
from ..extras import Extra
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
from .publisher import Clock, Publisher
from .session import Client, Session
from .settings import ClientOptions, ClientSettings, settings_of
from .sockets import Connecting, cannot_connect, connecting, connecting_unix
from .turns import Visit

with Extra("async"):
    import anyio
    from anyio.lowlevel import checkpoint

_SENDS_BETWEEN_CHECKPOINTS: Final = 16
"""How many messages a task sends before it lets others run, though its socket takes all at once."""


class RelayConnection(Client, AsyncIterator[Message]):
    """A connection to a relay, replaced when it is lost; made by :func:`connect`.

    ``async for message in relay`` gives whole messages, ``send`` sends them. One task may receive while others send.
    Nothing runs in the background: messages that nobody asks for stay in the kernel and with the relay, which drops
    or disconnects by its own policy, so a slow consumer costs this process one read of 64 KiB and one message.
    """

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._sending = anyio.Lock(fast_acquire=True)  # what a socket takes at once needs no turn of the event loop
        self._sends = 0
        self._connecting = anyio.Lock()
        self._closing = anyio.Event()
        self._receiving = False
        self._inside: dict[Visit, int] = {}

    async def send(self, *messages: Message | bytes) -> None:
        """Send messages, in one piece; returns when the kernel has taken all of them.

        At most once: a message is sent again on a new connection only if no byte of it had left. Waits for a
        connection if there is none. Cancelled or timed out in the middle of a message, the connection is given up,
        since nothing may follow a part of a message; before its first byte, nothing happens.

        Raises :class:`ProtocolError` for a message that the domain's relay would refuse, :class:`ConnectionLostError`
        for a connection that broke with a part of the messages on its way, :class:`SendTimeoutError`,
        :class:`ConnectError` when it is time to give up, :class:`ClosedError`.
        """
        data = self._session.outgoing(messages)
        self._sends += 1
        if self._sends % _SENDS_BETWEEN_CHECKPOINTS == 0:
            await checkpoint()
        with Visit(self._inside):
            while True:
                link = await self._linked()
                async with self._sending:
                    self._session.check_sending()
                    if link is self._session.link and await self._write(link, data):
                        self._session.sent += len(messages)
                        return

    def publisher(
        self, source: int, *, domain: RelayDomain | None = None, sequence: int = 1, clock: Clock = time.time_ns
    ) -> Publisher:
        """Sends payloads as messages of a source; see :class:`Publisher`."""
        return Publisher(self, self._session.domain_of_publisher(domain), source, sequence, clock)

    async def receive(self) -> Message:
        """The next message; cancelling it loses nothing.

        Raises, without ``reconnect``, :class:`StreamEndedError` or another :class:`ConnectionLostError` once the
        connection is lost; :class:`ConnectError` when it is time to give up; :class:`ClosedError`; and with
        ``OnFault.RAISE`` the :class:`ProtocolError` of a wrong message.
        """
        message = self._session.take()
        if message is not None:
            return message
        if self._receiving:
            raise RuntimeError("another task is receiving on this client; let one task receive for all")
        try:
            self._receiving = True
            with Visit(self._inside):
                while (message := self._session.take()) is None:
                    if not self._session.read_backlog():
                        await self._read(await self._linked())
                return message
        finally:
            self._receiving = False

    async def end_sending(self) -> None:
        """Say that nothing more will be sent, and go on receiving (CONN-7); sending raises from now on."""
        if self._session.closed:  # in a forked process, nobody gives the turn back that a task of its parent has
            return
        with Visit(self._inside):
            async with self._sending:
                self._session.end_sending()

    async def send_eof(self) -> None:
        """Another name of :meth:`end_sending`."""
        await self.end_sending()

    async def aclose(self) -> None:
        """Close. Calls that wait raise :class:`ClosedError`, loops over messages end. Closing again does nothing."""
        with Visit(self._inside):
            self._session.close()
            self._closing.set()
            await checkpoint()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Message:
        try:
            return await self.receive()
        except (ClosedError, StreamEndedError):
            raise StopAsyncIteration from None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _linked(self) -> Link:
        """The present connection, or a new one."""
        link = self._session.checked()
        if link is not None:
            return link
        async with self._connecting:
            return self._session.checked() or await self._reconnect()

    async def _reconnect(self) -> Link:
        while True:
            with anyio.move_on_after(self._session.retry_in()):
                await self._closing.wait()
            try:
                link = await open_link(self._session)
            except (ConnectError, UnsafeDirectoryError) as error:
                self._session.attempt_failed(error)
            else:
                self._session.established(link)
                return link

    async def _read(self, link: Link) -> None:
        """Read once what the relay sends, waiting for it; a connection that ends is given up."""
        try:
            link.hold("reader")
            while not link.try_receive():
                await anyio.wait_readable(link.socket)
        except ConnectionLostError as error:
            self._session.lost(link, error)
        finally:
            link.leave("reader")
        await checkpoint()

    async def _write(self, link: Link, data: bytes) -> bool:
        """Write all; False if the connection broke before the first byte and may be replaced."""
        written = 0
        try:
            link.hold("writer")
            while True:
                count = link.try_send(memoryview(data)[written:] if written else data)
                written += count
                if written == len(data):
                    return True
                if count == 0:
                    await self._writable(link.socket, written, len(data))
        except ConnectionLostError as error:
            self._session.lost(link, error)
            if self._session.closed:
                raise self._session.closed_error() from error
            if written or not self._session.settings.reconnect:
                raise self._session.cut_off(error, written, len(data)) from error
            return False
        except BaseException as error:
            if 0 < written < len(data):
                self._session.torn_by(link, error, written, len(data))
            raise
        finally:
            link.leave("writer")

    async def _writable(self, sock: socket.socket, written: int, size: int) -> None:
        limit = self._session.settings.send_timeout_seconds
        with anyio.move_on_after(limit) as scope:
            await anyio.wait_writable(sock)
        if scope.cancelled_caught:
            raise SendTimeoutError(f"{self.address}: the relay took {written} of {size} bytes, and none for {limit} s")


Relay = RelayConnection
"""The older name of :class:`RelayConnection`."""


class ConnectAttempt(Coroutine[object, object, RelayConnection]):
    """What :func:`connect` gives: awaited it is the connection, ``async with`` closes that at its end."""

    def __init__(self, attempt: Coroutine[Any, Any, RelayConnection]) -> None:
        self._attempt = attempt
        self._relay: RelayConnection | None = None

    def __await__(self) -> Generator[object, object, RelayConnection]:
        return self._attempt.__await__()

    async def __aenter__(self) -> RelayConnection:
        self._relay = await self._attempt
        return self._relay

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._relay is not None
        await self._relay.aclose()

    def send(self, value: object) -> object:
        """A coroutine's, for event loops that take it for one."""
        if value is not None:
            raise TypeError("connect(...) is no connection yet: await it, or use it in async with")
        return self._attempt.send(value)

    def throw(self, *error: Any) -> object:
        """A coroutine's."""
        return self._attempt.throw(*error)

    def close(self) -> None:
        """A coroutine's."""
        self._attempt.close()


def connect(
    address: AddressLike,
    *,
    domain: RelayDomain | None = None,
    settings: ClientSettings | None = None,
    on_event: OnEvent | None = None,
    **options: Unpack[ClientOptions],
) -> ConnectAttempt:
    """Connect to a relay: ``async with connect("/tmp/torq/signal.sock") as relay: ...``, or ``await connect(...)``.

    Other keywords are fields of :class:`ClientSettings`. ``address`` is a path, ``unix:/path``, ``tcp:host:port`` or a
    :class:`RelayDomain` (its socket of D16). ``domain``
    decides what may be sent and received; at a path of D16 it is known. ``on_event`` is told of connections, losses,
    gaps and refused messages.

    Raises :class:`ConnectError` if no relay answers, :class:`UnsafeDirectoryError` with ``check_directory``,
    :class:`AddressError`; :class:`TypeError` and :class:`ValueError` for wrong arguments.
    """
    return ConnectAttempt(_connect(Session(parse_address(address), domain, settings_of(settings, **options), on_event)))


async def _connect(session: Session) -> RelayConnection:
    patience_ends = anyio.current_time() + session.settings.wait_for_relay_seconds
    while session.link is None:
        try:
            session.established(await open_link(session))
        except ConnectError as error:
            session.attempt_failed(error)
            if anyio.current_time() + session.retry_in() > patience_ends:
                raise
            await anyio.sleep(session.retry_in())
    return RelayConnection(session)


async def open_link(session: Session) -> Link:
    """One attempt to connect. Raises :class:`ConnectError` or :class:`UnsafeDirectoryError`."""
    try:
        with anyio.fail_after(session.settings.connect_timeout_seconds):
            return session.linked(await _drive(await _steps(session.address, session.settings)))
    except UnsafeDirectoryError:
        raise
    except OSError as error:
        raise cannot_connect(session.address, error) from error


async def _steps(address: Address, settings: ClientSettings) -> Connecting:
    if isinstance(address, UnixAddress):
        return connecting_unix(address, settings)
    found = await anyio.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
    return connecting([(family, place) for family, _, _, _, place in found], settings)


async def _drive(steps: Connecting) -> socket.socket:
    try:
        while True:
            await anyio.wait_writable(next(steps))
    except StopIteration as done:
        connected: socket.socket = done.value
        return connected
    finally:
        steps.close()
