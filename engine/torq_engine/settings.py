"""How a relay behaves, as plain data: units in the names, defaults as the original relays behaved.

Facts:
- ``drop_oldest`` with 10 000 frames is what the originals did, so it is the default everywhere (ISO-2, ISO-3);
- limits hold before trust: nothing a header merely claims is allocated (VAL-6).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class Overflow(Enum):
    """What happens past the bound of a queue (ISO-3)."""

    DROP_OLDEST = "drop_oldest"
    DISCONNECT = "disconnect"
    BACKPRESSURE = "backpressure"


class OnFramingError(Enum):
    """What happens to a connection whose bytes cannot be framed (VAL-5)."""

    CLOSE = "close"
    RESYNC = "resync"


class SettingsError(ValueError):
    """A setting out of its range; the message names it and what is allowed."""


@dataclass(frozen=True, slots=True)
class HubSettings:
    """What the hub does with frames.

    ``queue_frames`` and ``queue_bytes`` bound what waits for one receiver, ``total_queue_bytes`` what is held for all
    of them (shared bytes counted once). A frame already partly sent counts, but is never dropped (ISO-4).
    """

    echo: bool = True
    overflow: Overflow = Overflow.DROP_OLDEST
    queue_frames: int = 10_000
    queue_bytes: int = 64 * 1024 * 1024
    total_queue_bytes: int = 512 * 1024 * 1024
    on_framing_error: OnFramingError = OnFramingError.CLOSE

    def __post_init__(self) -> None:
        for name in ("queue_frames", "queue_bytes", "total_queue_bytes"):
            if getattr(self, name) < 1:
                raise SettingsError(f"{name} is {getattr(self, name)}: use 1 or more")


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """Where a relay listens and who may connect (SEC-1, SEC-2).

    ``socket_mode`` is set before the socket listens. ``own_directory`` refuses a directory that another user owns or
    may write to. ``allow_uids`` and ``allow_gids`` are allow lists of peer credentials; None allows everyone the
    socket's mode lets in, and a peer on either list is admitted.
    """

    paths: tuple[Path, ...]
    socket_mode: int = 0o600
    own_directory: bool = True
    backlog: int = 4096
    allow_uids: frozenset[int] | None = None
    allow_gids: frozenset[int] | None = None

    @classmethod
    def own_user(cls, paths: tuple[Path, ...]) -> ListenSettings:
        """Admits connections of the relay's own user only: the default of execution."""
        return cls(paths, allow_uids=frozenset({os.geteuid()}))


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How the server moves bytes.

    ``read_bytes`` bounds what one connection brings in per turn of the loop (fairness); it is more than a socket's
    buffer holds by default, so that a read ends where a write ended and few frames are cut. ``max_connections`` 0
    derives the limit from the descriptors the process may open. ``send_buffer_bytes`` 0 keeps the system's. Times in
    seconds; ``partial_frame_timeout`` 0 waits for ever; every ``path_check_interval`` the socket's path is checked to
    be ours.
    """

    listen: ListenSettings
    hub: HubSettings = field(default_factory=HubSettings)
    max_connections: int = 0
    read_bytes: int = 262_144
    send_buffer_bytes: int = 0
    partial_frame_timeout: float = 30.0
    stall_timeout: float = 0.25
    drain_timeout: float = 5.0
    path_check_interval: float = 5.0

    def __post_init__(self) -> None:
        if self.read_bytes < 1:
            raise SettingsError(f"read_bytes is {self.read_bytes}: use 1 or more")
        if self.path_check_interval <= 0:
            raise SettingsError(f"path_check_interval is {self.path_check_interval}: use more than 0 seconds")
        for name in ("max_connections", "send_buffer_bytes", "partial_frame_timeout", "stall_timeout", "drain_timeout"):
            if getattr(self, name) < 0:
                raise SettingsError(f"{name} is {getattr(self, name)}: use 0 or more")
