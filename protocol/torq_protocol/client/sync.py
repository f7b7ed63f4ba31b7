"""The blocking client under the names of the asynchronous one: ``from torq_protocol.client.sync import connect``."""

from __future__ import annotations

from .blocking import BlockingRelay as RelayConnection
from .blocking import connect_blocking as connect
from .publisher import BlockingPublisher as Publisher

__all__ = ["Publisher", "RelayConnection", "connect"]
