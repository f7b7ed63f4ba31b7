"""Sequence diagrams as plain data: :mod:`.trace` makes one of a run, and each report format draws it."""

from __future__ import annotations

from typing import Literal

import msgspec

RELAY = "relay"
"""The name of the relay's column."""

EventKind = Literal["point", "send", "receive", "missing", "note"]


class Event(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One line of the diagram.

    ``point`` happens at one connection; ``send`` goes from it to the relay, ``receive`` the other way; ``missing`` is
    what should have been received; ``note`` concerns everybody. ``step`` is the step of the program, counted from 1.
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
        """Whether anybody but the relay stands in it: a check without connections is told by its steps alone."""
        return len(self.columns) > 1
