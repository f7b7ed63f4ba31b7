"""The sockets for operators: a control socket and an address for metrics and health, both off unless asked for.

Facts:
- the control socket has mode 0600, and the relay hangs up on a peer of another user all the same;
- metrics need no login, so the relay serves them on the loopback interface or a Unix socket only;
- the relay claims these paths like the data socket's, so it never steals a live relay's path;
- no request of an operator, and no lack of descriptors, ends the relay: each socket answers at most 16 operators at
  once, the others wait unaccepted, and an error of ours closes that one connection.
"""

from __future__ import annotations

import socket
import traceback
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

import anyio
from anyio.abc import SocketListener, SocketStream

from ..endpoint import Endpoint, EndpointError, claim
from ..settings import ListenSettings
from .configuration import RelayConfig
from .logs import EventLog
from .service import Service

CONTROL, METRICS = "control", "metrics"
_AT_ONCE = 16
_ACCEPT_PAUSE = 0.1
Answer = Callable[[SocketStream], Awaitable[None]]


def listen_for_operators(config: RelayConfig, held: ExitStack) -> dict[str, socket.socket]:
    """Listen where the configuration says; raises :class:`~torq_engine.endpoint.EndpointError`."""
    sockets = {}
    if config.control_socket:
        sockets[CONTROL] = _claim(Path(config.control_socket), config, held).listener
    address = config.metrics_address
    if isinstance(address, Path):
        sockets[METRICS] = _claim(address, config, held).listener
    elif address is not None:
        sockets[METRICS] = _listen_tcp(config.metrics, address)
        held.callback(sockets[METRICS].close)
    return sockets


def _claim(path: Path, config: RelayConfig, held: ExitStack) -> Endpoint:
    endpoint = claim(path, ListenSettings((path,), own_directory=not config.shared_directory))
    held.callback(endpoint.release)
    return endpoint


def _listen_tcp(given: str, address: tuple[str, int]) -> socket.socket:
    try:
        return socket.create_server(address, family=socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    except OSError as error:
        raise EndpointError(f"metrics: cannot listen at {given}: {error.strerror}; use another address") from error


async def serve_operators(service: Service, sockets: dict[str, socket.socket]) -> None:
    """Answer operators until cancelled; imports only the endpoints that are on."""
    async with anyio.create_task_group() as tasks:
        for name, sock in sockets.items():
            listener = await SocketListener.from_socket(sock)
            if name == CONTROL:
                from .control import ControlServer

                tasks.start_soon(_serve, listener, ControlServer(service).answer, service.log)
            else:
                from .health import HealthServer

                tasks.start_soon(_serve, listener, HealthServer(service).answer, service.log)


async def _serve(listener: SocketListener, answer: Answer, log: EventLog) -> None:
    """Accept and answer until cancelled."""
    places = anyio.Semaphore(_AT_ONCE)
    async with listener, anyio.create_task_group() as tasks:
        while True:
            await places.acquire()
            try:
                stream = await listener.accept()
            except (OSError, anyio.BrokenResourceError) as error:  # anyio tells of a lack of descriptors by the second
                places.release()
                cause = error if isinstance(error, OSError) else error.__cause__
                reason = cause.strerror if isinstance(cause, OSError) else str(error)
                log.warning("cannot accept an operator for now; trying again", error=reason)
                await anyio.sleep(_ACCEPT_PAUSE)
                continue
            tasks.start_soon(_answer, stream, answer, places, log)


async def _answer(stream: SocketStream, answer: Answer, places: anyio.Semaphore, log: EventLog) -> None:
    try:
        async with stream:
            await answer(stream)
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        pass
    except Exception:
        log.error("internal error while answering an operator", trace=traceback.format_exc())
    finally:
        places.release()
