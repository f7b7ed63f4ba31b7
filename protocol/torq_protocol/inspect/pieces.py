"""What inputs give: pieces of streams, their ends, and what is missing in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that come next in a stream; an input with one stream calls it ``""``."""

    stream: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Hole:
    """So many bytes of a stream that were not captured."""

    stream: str
    size: int


@dataclass(frozen=True, slots=True)
class End:
    """Nothing more will come in a stream. ``cut``: it went on, but nobody looked; a message may be incomplete."""

    stream: str
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing came for a moment: time to tell how things stand."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth saying about the input."""

    text: str


Input: TypeAlias = Piece | Hole | End | Idle | Note
