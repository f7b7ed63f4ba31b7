"""Clients of a relay: ``connect`` on anyio and ``connect_blocking`` on plain sockets.

The only part of ``torq_protocol`` that does I/O; import it by name. Whole messages come and go, whatever the cuts of
the stream; a lost connection is replaced; what is missing is told. See docs/client.md.
"""

from __future__ import annotations

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
from .relay import ConnectAttempt, Relay, RelayConnection, connect
from .settings import Backoff, ClientOptions, ClientSettings

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
