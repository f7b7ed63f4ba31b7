"""Sending payloads without building messages by hand: a publisher keeps the source's sequence, clock and builder."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ..builder import MessageBuilder, TlvValue
from ..constants import RelayDomain
from ..errors import ProtocolError

if TYPE_CHECKING:
    from .blocking import BlockingRelay
    from .relay import RelayConnection

Clock: TypeAlias = Callable[[], int]
"""Nanoseconds since the Unix epoch."""


class MessageSource:
    """Builds the messages of one source, each with the next sequence number (D17) and the time of its clock.

    ``sequence`` is the number of the next message. A source counts in one place: let one task or thread use it.
    """

    def __init__(self, domain: RelayDomain, source: int, sequence: int, clock: Clock) -> None:
        self.domain, self.source, self.sequence = domain, source, sequence
        self._clock = clock
        MessageBuilder(domain, source).build(sequence=sequence, timestamp=0)  # what is wrong is told here

    def _next(self, payloads: tuple[TlvValue, ...]) -> bytes:
        builder = MessageBuilder(self.domain, self.source)
        for payload in payloads:
            builder.add(payload)
        message = builder.build(sequence=self.sequence, timestamp=self._clock())
        self.sequence += 1
        return message


class BlockingPublisher(MessageSource):
    """Sends payloads on a blocking client; made by ``relay.publisher(source)``."""

    def __init__(self, relay: BlockingRelay, domain: RelayDomain, source: int, sequence: int, clock: Clock) -> None:
        super().__init__(domain, source, sequence, clock)
        self._relay = relay

    def send(self, *payloads: TlvValue) -> None:
        """Send one message of these payloads, as :meth:`BlockingRelay.send` does; refused, it uses up no number."""
        message = self._next(payloads)
        try:
            self._relay.send(message)
        except ProtocolError:
            self.sequence -= 1
            raise


class Publisher(MessageSource):
    """Sends payloads on an asynchronous client; made by ``relay.publisher(source)``."""

    def __init__(self, relay: RelayConnection, domain: RelayDomain, source: int, sequence: int, clock: Clock) -> None:
        super().__init__(domain, source, sequence, clock)
        self._relay = relay

    async def send(self, *payloads: TlvValue) -> None:
        """Send one message of these payloads, as :meth:`RelayConnection.send` does; refused, it uses up no number."""
        message = self._next(payloads)
        try:
            await self._relay.send(message)
        except ProtocolError:
            self.sequence -= 1
            raise
