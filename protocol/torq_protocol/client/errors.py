"""What goes wrong between a client and its relay. All are :class:`ClientError`, an :class:`OSError`."""

from __future__ import annotations

from ..errors import ProtocolError


class ClientError(OSError):
    """The common class of a client's errors; the text says what was wrong, where, and what to do next."""


class AddressError(ClientError, ValueError):
    """An address that no relay can have."""


class UnsafeDirectoryError(ClientError):
    """Somebody else could have put the socket where it stands; nothing was connected to."""


class ConnectError(ClientError, ConnectionError):
    """No relay answered. ``attempts`` counts the tries."""

    def __init__(self, message: str, *, attempts: int = 1) -> None:
        super().__init__(message)
        self.attempts = attempts


class ConnectionLostError(ClientError, ConnectionError):
    """The connection broke. ``offset`` is the stream offset behind the last whole message received on it."""

    def __init__(self, message: str, *, offset: int = 0) -> None:
        super().__init__(message)
        self.offset = offset


class StreamEndedError(ConnectionLostError):
    """The relay closed the connection between two messages."""


class TornStreamError(ConnectionLostError):
    """The stream ended inside a message, or went on with bytes that start none.

    ``fault`` says what is wrong, ``fault.stream_offset`` at which byte of the stream (the first one on this connection
    is 0); ``offset`` is where the broken message begins.
    """

    def __init__(self, message: str, *, offset: int, fault: ProtocolError) -> None:
        super().__init__(message, offset=offset)
        self.fault = fault


class SendTimeoutError(ClientError, TimeoutError):
    """The relay did not take a message in time. The connection is lost if a part of the message was on its way."""


class ClosedError(ClientError):
    """The client was closed."""
