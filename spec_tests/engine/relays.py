"""A server on the test's own loop, and clients that talk to it over real sockets."""

from __future__ import annotations

import asyncio
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path

import msgspec

from torq_engine.endpoint import Endpoint, claim
from torq_engine.observer import Observer
from torq_engine.server import Server
from torq_engine.settings import HubSettings, ListenSettings, ServerSettings
from torq_protocol.header import MessageHeader
from torq_protocol.policy import FramePolicy

from .frames import frame, split

LIMIT = 10.0
"""Seconds after which a test gives up waiting for an event."""
MARKET_POLICY = FramePolicy(1)


@contextmanager
def short_directory() -> Iterator[Path]:
    """A private directory with a path short enough for sockets."""
    path = Path(tempfile.mkdtemp(prefix="tq-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


async def happened(condition: Callable[[], bool]) -> None:
    """Let the loop turn until a condition holds: what is awaited happens on this very loop."""
    async with asyncio.timeout(LIMIT):
        while not condition():  # noqa: ASYNC110 - the server under test has no hook for it
            await asyncio.sleep(0)


class Client:
    """One connection of a test: sends bytes, receives whole frames."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._loop = asyncio.get_running_loop()
        self._buffer = b""

    async def send(self, data: bytes) -> None:
        async with asyncio.timeout(LIMIT):
            await self._loop.sock_sendall(self.sock, data)

    async def receive(self, size: int = 65_536) -> bytes:
        """Some bytes; none when the relay has closed the connection, politely or not."""
        async with asyncio.timeout(LIMIT):
            try:
                return await self._loop.sock_recv(self.sock, size)
            except ConnectionResetError:
                return b""

    async def frames(self, count: int) -> list[bytes]:
        """The next ``count`` frames."""
        found = list(self._whole(count))
        while len(found) < count:
            data = await self.receive()
            assert data, f"closed after {len(found)} of {count} frames"
            self._buffer += data
            found += self._whole(count - len(found))
        return found

    async def until(self, last: bytes) -> list[bytes]:
        """The frames up to and with a certain one."""
        found = []
        while last not in found:
            found += await self.frames(1)
        return found

    async def end(self) -> bytes:
        """All bytes until the relay closes the connection."""
        rest, self._buffer = self._buffer, b""
        while data := await self.receive():
            rest += data
        return rest

    def _whole(self, most: int) -> Iterator[bytes]:
        while most and len(self._buffer) >= 32:
            size = 32 + int.from_bytes(self._buffer[24:28], "little")
            if len(self._buffer) < size:
                return
            found, self._buffer = split(self._buffer[:size]), self._buffer[size:]
            yield from found
            most -= 1

    def close(self) -> None:
        self.sock.close()


class Relay:
    """A served endpoint and the clients of a test."""

    def __init__(self, server: Server, endpoint: Endpoint) -> None:
        self.server = server
        self.path = endpoint.path
        self.clients: list[Client] = []
        self._fences = 1 << 60

    async def join(self) -> Client:
        """A client that the server has admitted."""
        before = self.server.hub.next_id
        client = await self.connect()
        await happened(lambda: self.server.hub.next_id > before)
        return client

    async def connect(self) -> Client:
        """A client, not awaited by the server."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, str(self.path))
        self.clients.append(Client(sock))
        return self.clients[-1]

    async def connected(self, count: int = 0) -> None:
        """Wait until the server has so many connections."""
        await happened(lambda: len(self.server.hub.connections) == count)

    def fence(self, domain: int = 1) -> bytes:
        """A frame not sent before."""
        self._fences += 1
        return frame(sequence=self._fences, domain=domain)


@asynccontextmanager
async def serving(
    policy: FramePolicy = MARKET_POLICY,
    hub: HubSettings | None = None,
    observer: Observer | None = None,
    listen: ListenSettings | None = None,
    should_forward: Callable[[MessageHeader], bool] | None = None,
    **settings: object,
) -> AsyncIterator[Relay]:
    """Serve a private path with given settings (those of the hub, others of ServerSettings) until the block ends."""
    with short_directory() as directory:
        listen = replace(listen or ListenSettings(()), paths=(directory / "s",))
        given = msgspec.structs.asdict(hub or HubSettings()) | settings
        chosen = ServerSettings(**given)
        server = Server(policy, chosen, listen, observer or Observer(), should_forward)
        endpoint = claim(listen.paths[0], listen)
        server.start([endpoint])
        relay = Relay(server, endpoint)
        try:
            yield relay
            assert server.hub.totals().balance() == 0
        finally:
            server.stop()
            for client in relay.clients:
                client.close()
