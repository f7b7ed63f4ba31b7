"""The sockets for operators: a control socket and an address for metrics and health, both off unless asked for.

Facts:
- the control socket has mode 0600, and a peer of another user is sent away all the same;
- metrics are served on the loopback interface or a Unix socket only: nobody has to log in there;
- paths are claimed like the data socket's, so a live relay's are never stolen.
"""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path

import anyio
from anyio.abc import SocketListener

from ..endpoint import Endpoint, EndpointError, claim
from ..settings import ListenSettings
from .configuration import RelayConfig
from .service import Service

CONTROL, METRICS = "control", "metrics"


def listen_for_operators(config: RelayConfig, held: ExitStack) -> dict[str, socket.socket]:
    """Listen where the configuration says; raises :class:`~torq_engine.endpoint.EndpointError`."""
    sockets = {}
    if config.control_socket:
        sockets[CONTROL] = _claim(Path(config.control_socket), config, held).listener
    if config.metrics.startswith("unix:"):
        sockets[METRICS] = _claim(Path(config.metrics.removeprefix("unix:")), config, held).listener
    elif config.metrics:
        sockets[METRICS] = _listen_tcp(config.metrics)
        held.callback(sockets[METRICS].close)
    return sockets


def _claim(path: Path, config: RelayConfig, held: ExitStack) -> Endpoint:
    endpoint = claim(path, ListenSettings((path,), own_directory=not config.shared_directory))
    held.callback(endpoint.release)
    return endpoint


def _listen_tcp(address: str) -> socket.socket:
    host, _, port = address.rpartition(":")
    try:
        return socket.create_server(
            (host.strip("[]"), int(port)), family=socket.AF_INET6 if host.startswith("[") else socket.AF_INET
        )
    except OSError as error:
        raise EndpointError(f"metrics: cannot listen at {address}: {error.strerror}; use another address") from error


async def serve_operators(service: Service, sockets: dict[str, socket.socket]) -> None:
    """Answer operators until cancelled; the endpoints that are off are not imported."""
    async with anyio.create_task_group() as tasks:
        for name, sock in sockets.items():
            listener = await SocketListener.from_socket(sock)
            if name == CONTROL:
                from .control import ControlServer

                tasks.start_soon(ControlServer(service).serve, listener)
            else:
                from .health import HealthServer

                tasks.start_soon(HealthServer(service).serve, listener)
