"""A service on the test's own loop, and what an operator's files look like."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

from torq_domains.command import RELAYS
from torq_engine.endpoint import claim
from torq_engine.operations.listening import serve_operators
from torq_engine.operations.loading import Source
from torq_engine.operations.resolving import audit_key, listen_settings
from torq_engine.operations.service import Service
from torq_engine.operations.sockets import RelaySockets, listen_for_operators

from ..relays import LIMIT, Client, happened, short_directory


class Running:
    """A service, its files, and clients of it."""

    def __init__(self, service: Service, directory: Path, config: Path) -> None:
        self.service = service
        self.directory = directory
        self.config = config
        self.clients: list[Client] = []

    def write(self, text: str) -> None:
        """Change the configuration file."""
        self.config.write_text(f'log_file = "{self.directory}/log"\n{text}', encoding="utf-8")

    def log(self) -> str:
        return (self.directory / "log").read_text(encoding="utf-8")

    async def join(self) -> Client:
        before = self.service.server.hub.next_id
        client = await self.connect()
        await happened(lambda: self.service.server.hub.next_id > before)
        return client

    async def connect(self, name: str = "s") -> Client:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, str(self.directory / name))
        self.clients.append(Client(sock))
        return self.clients[-1]


@asynccontextmanager
async def operating(
    relay: str = "market_data",
    text: str = "",
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
) -> AsyncIterator[Running]:
    """A service with a configuration file of the given text, until the block ends or it ends itself."""
    with short_directory() as directory, ExitStack() as held:
        config_file = directory / "relay.toml"
        text = text.replace("DIR", str(directory))
        config_file.write_text(f'log_file = "{directory}/log"\n{text}', encoding="utf-8")
        given = {"socket": str(directory / "s"), **(flags or {})}
        source = Source(RELAYS[relay], str(config_file), environment or {}, given)
        config = source.load()
        listen = listen_settings(config, source.logic)
        endpoints = [claim(path, listen) for path in listen.paths]
        for endpoint in endpoints:
            held.callback(endpoint.release)
        sockets = RelaySockets(endpoints, listen_for_operators(config, held))
        service = Service(source, config, audit_key(config), sockets, held)
        running = Running(service, directory, config_file)
        serving = asyncio.create_task(serve_operators(service))
        life = asyncio.create_task(service.run())
        await asyncio.sleep(0)
        try:
            yield running
        finally:
            service.end()
            async with asyncio.timeout(LIMIT):
                await life
            serving.cancel()
            with suppress(asyncio.CancelledError):
                await serving
            for client in running.clients:
                client.close()
            service.close()
