"""Sequence diagrams as plain data: :mod:`.trace` makes one of a run, and each report format draws it."""

from __future__ import annotations

from typing import Literal

import msgspec

RELAY = "relay"
"""The name of the relay's column."""

EventKind = Literal["point", "send", "receive", "missing", "note"]


class Event(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One line of the diagram.

    ``point`` happens at one connection; ``send`` goes from the connection to the relay, ``receive`` from the relay to
    the connection; ``missing`` is a frame that the connection should have received; ``note`` concerns all connections.
    ``step`` is the step of the program, counted from 1.
    """

    kind: EventKind
    label: str
    connection: str = ""
    step: int = 0
    marked: bool = False


class Diagram(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Columns from left to right, the relay among them, and events from first to last."""

    columns: tuple[str, ...]
    events: tuple[Event, ...]
    hidden_connections: int = 0

    @property
    def shows_more_than_words(self) -> bool:
        """Whether a connection stands in the diagram: the steps alone tell a check without connections."""
        return len(self.columns) > 1
