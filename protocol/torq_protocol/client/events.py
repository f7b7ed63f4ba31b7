"""What a client tells its owner beside messages, as values given to ``on_event``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, TypeAlias

from ..decoder import Refusal
from ..sequence import Gap
from .address import Address
from .errors import ClientError

if TYPE_CHECKING:
    from ..payloads import RecoveryRequest


class ClientState(Enum):
    """Where a client stands."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    """The connection is lost; with ``reconnect``, a call to send or receive replaces it."""
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Connected:
    """The first connection stands."""

    address: Address


@dataclass(frozen=True, slots=True)
class Lost:
    """The connection is gone; ``error`` says why, and at which offset of the received stream."""

    address: Address
    error: ClientError


@dataclass(frozen=True, slots=True)
class Reconnected:
    """A new connection stands, ``seconds`` after the first of so many ``attempts`` began. What the relay forwarded in
    between is gone: a relay keeps nothing (FWD-5)."""

    address: Address
    attempts: int
    seconds: float


@dataclass(frozen=True, slots=True)
class GapSeen:
    """Messages of a source did not arrive. Told before the message that shows it is received.

    ``request`` is the payload to send for them, None where the gap is too large to be filled.
    """

    gap: Gap
    request: RecoveryRequest | None


@dataclass(frozen=True, slots=True)
class Refused:
    """A received message was wrong and left out."""

    refusal: Refusal


Event: TypeAlias = Connected | Lost | Reconnected | GapSeen | Refused
OnEvent: TypeAlias = Callable[[Event], None]
"""Called by the call (and in the task or thread) that notices an event. It must not block; what it raises comes out
of that call."""
