"""The sockets at which a relay listens: for clients, for operators, and the door at which a successor knocks.

Facts:
- the control socket has mode 0600; metrics need no login, so they are served on the loopback interface or a Unix socket
  only;
- all paths are claimed in the same way, so a relay never steals a live relay's path.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ..endpoint import Endpoint, EndpointError, claim
from ..handover.state import EndpointState
from ..settings import ListenSettings
from .configuration import RelayConfig

if TYPE_CHECKING:
    from ..handover.successor import Taken

CONTROL, METRICS = "control", "metrics"
_TCP = EndpointState(b"", 0, 0, False, False)
_CLIENTS, _OPERATORS, _DOOR = "clients", "operators", "door"


@dataclass(frozen=True, slots=True)
class OperatorSocket:
    """A socket for operators; ``endpoint`` is its path, None for TCP."""

    listener: socket.socket
    endpoint: Endpoint | None = None

    def export(self) -> tuple[EndpointState, dict[str, int]]:
        """What it is, and its descriptors by what they are for."""
        return self.endpoint.export() if self.endpoint else (_TCP, {"listener": self.listener.fileno()})

    @classmethod
    def restore(cls, state: EndpointState, descriptors: Mapping[str, int]) -> OperatorSocket:
        """The socket of a state, with descriptors of this process."""
        if state == _TCP:
            return cls(socket.socket(fileno=descriptors["listener"]))
        endpoint = Endpoint.restore(state, descriptors)
        return cls(endpoint.listener, endpoint)

    def release(self) -> None:
        """Close it, and give its path back."""
        if self.endpoint is not None:
            self.endpoint.release()
        self.listener.close()


@dataclass(slots=True)
class RelaySockets:
    """All of them; ``operators`` by name, ``door`` where the relay can be taken over by its path."""

    endpoints: list[Endpoint] = field(default_factory=list)
    operators: dict[str, OperatorSocket] = field(default_factory=dict)
    door: Endpoint | None = None

    def release(self) -> None:
        """Close them, and give their paths and locks back."""
        for endpoint in self.endpoints:
            endpoint.release()
        for each in self.operators.values():
            each.release()
        if self.door is not None:
            self.door.release()

    def leave(self) -> None:
        """Let go of paths and locks: they are another process's. What listens is closed by :meth:`release`."""
        for endpoint in (*self.endpoints, *(each.endpoint for each in self.operators.values()), self.door):
            if endpoint is not None:
                endpoint.leave()

    def export(
        self,
    ) -> tuple[list[EndpointState], dict[str, EndpointState], EndpointState | None, dict[str, int]]:
        """What they are: for clients, for operators, the door; and their descriptors by their roles."""
        roles: dict[str, int] = {}

        def exported(what: str, one: Endpoint | OperatorSocket) -> EndpointState:
            state, descriptors = one.export()
            roles.update({f"{what}.{purpose}": number for purpose, number in descriptors.items()})
            return state

        endpoints = [exported(f"{_CLIENTS}{place}", each) for place, each in enumerate(self.endpoints)]
        operators = {name: exported(f"{_OPERATORS}.{name}", each) for name, each in self.operators.items()}
        door = exported(_DOOR, self.door) if self.door else None
        return endpoints, operators, door, roles

    @classmethod
    def restore(cls, taken: Taken) -> RelaySockets:
        """The sockets that were taken. Raises :class:`~torq_engine.handover.state.StateError`, OSError."""
        state = taken.state
        return cls(
            [Endpoint.restore(each, taken.of(f"{_CLIENTS}{place}")) for place, each in enumerate(state.endpoints)],
            {
                name: OperatorSocket.restore(each, taken.of(f"{_OPERATORS}.{name}"))
                for name, each in state.operators.items()
            },
            Endpoint.restore(state.door, taken.of(_DOOR)) if state.door else None,
        )


def door_path(path: Path) -> Path:
    """Where the relay that serves a path hears successors."""
    return path.with_name(path.name + ".takeover")


def open_door(path: Path, settings: ListenSettings, held: ExitStack) -> Endpoint:
    """Listen for successors beside a socket, for our own user alone. Raises :class:`EndpointError`."""
    endpoint = claim(door_path(path), ListenSettings((), own_directory=settings.own_directory), socket.SOCK_SEQPACKET)
    held.callback(endpoint.release)
    return endpoint


def listen_for_operators(config: RelayConfig, held: ExitStack) -> dict[str, OperatorSocket]:
    """Listen where the configuration says; raises :class:`~torq_engine.endpoint.EndpointError`."""
    sockets = {}
    if config.control_socket:
        sockets[CONTROL] = _claim(Path(config.control_socket), config, held)
    address = config.metrics_address
    if isinstance(address, Path):
        sockets[METRICS] = _claim(address, config, held)
    elif address is not None:
        sockets[METRICS] = OperatorSocket(_listen_tcp(config.metrics, address))
        held.callback(sockets[METRICS].release)
    return sockets


def _claim(path: Path, config: RelayConfig, held: ExitStack) -> OperatorSocket:
    endpoint = claim(path, ListenSettings((path,), own_directory=not config.shared_directory))
    held.callback(endpoint.release)
    return OperatorSocket(endpoint.listener, endpoint)


def _listen_tcp(given: str, address: tuple[str, int]) -> socket.socket:
    try:
        return socket.create_server(address, family=socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    except OSError as error:
        raise EndpointError(f"metrics: cannot listen at {given}: {error.strerror}; use another address") from error
