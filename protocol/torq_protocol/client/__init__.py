"""Clients of a relay: ``connect`` on anyio and ``connect_blocking`` on plain sockets.

The only part of ``torq_protocol`` that does I/O; import it by name. Whole messages come and go, whatever the cuts of
the stream; a lost connection is replaced; what is missing is told. See docs/client.md.

Facts: the asynchronous client is imported when one of its names is first used: plain clients do without anyio.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from .address import Address, AddressLike, TcpAddress, UnixAddress, domain_of, parse_address
from .blocking import BlockingRelay, connect_blocking
from .errors import (
    AddressError,
    ClientError,
    ClosedError,
    ConnectError,
    ConnectionLostError,
    SendTimeoutError,
    StreamEndedError,
    TornStreamError,
    UnsafeDirectoryError,
)
from .events import ClientState, Connected, Event, GapSeen, Lost, OnEvent, Reconnected, Refused
from .publisher import BlockingPublisher, Publisher
from .settings import Backoff, ClientOptions, ClientSettings

if TYPE_CHECKING:
    from .relay import ConnectAttempt, Relay, RelayConnection, connect

_ASYNCHRONOUS = ("ConnectAttempt", "Relay", "RelayConnection", "connect")

__all__ = [
    "Address",
    "AddressError",
    "AddressLike",
    "Backoff",
    "BlockingPublisher",
    "BlockingRelay",
    "ClientError",
    "ClientOptions",
    "ClientSettings",
    "ClientState",
    "ClosedError",
    "ConnectAttempt",
    "ConnectError",
    "Connected",
    "ConnectionLostError",
    "Event",
    "GapSeen",
    "Lost",
    "OnEvent",
    "Publisher",
    "Reconnected",
    "Refused",
    "Relay",
    "RelayConnection",
    "SendTimeoutError",
    "StreamEndedError",
    "TcpAddress",
    "TornStreamError",
    "UnixAddress",
    "UnsafeDirectoryError",
    "connect",
    "connect_blocking",
    "domain_of",
    "parse_address",
]


def __getattr__(name: str) -> object:
    """Import a name of the asynchronous client at its first use (PEP 562)."""
    if name not in _ASYNCHRONOUS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.relay"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
