"""How a relay serves, as plain data. A setting is declared once: its name, default, limits, unit and meaning.

Facts:
- the fields are keys of the configuration too: :class:`~torq_engine.operations.configuration.RelayConfig` derives from
  :class:`ServerSettings` and adds the keys of operation, so the engine works by the configuration itself;
- ``drop_oldest`` is what the original relays did, so it is the default everywhere (ISO-3); the bounds are in bytes, and
  no smaller than what the originals kept (ISO-2);
- limits hold before trust: the relay allocates nothing that a header merely claims (VAL-6);
- annotations are evaluated here once, not kept as texts: msgspec would compile each three times at every start.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

MOST_COUNT = 1_000_000_000_000
MOST_C_INT = 2_147_483_647
MOST_SECONDS = 31_536_000
"""A year: longer is a typing error, and more than the loop's timers can count."""
SOCKET_MODE = 0o600
LISTEN_BACKLOG = 4096


class Overflow(StrEnum):
    """What a relay does with a receiver whose queue is past its bound (ISO-3)."""

    DROP_OLDEST = "drop_oldest"
    DISCONNECT = "disconnect"
    BACKPRESSURE = "backpressure"


class OnFramingError(StrEnum):
    """What a relay does with a connection whose bytes it cannot frame (VAL-5)."""

    CLOSE = "close"
    RESYNC = "resync"


class ZeroChecksum(StrEnum):
    """What a relay that verifies checksums does with a frame whose field is 0, "not computed" (D9, VAL-1)."""

    ACCEPT = "accept"
    REFUSE = "refuse"


class Section(StrEnum):
    """The sections of the settings in help and docs, in their order."""

    LISTENING = "Listening and admission"
    FRAMES = "Frames"
    QUEUES = "Queues"
    PROCESS = "Process"
    LOGS = "Logs"
    AUDIT = "Audit log"
    OPERATION = "Metrics and control"


class SettingsError(ValueError):
    """A setting out of its range; the message names the setting and its range."""


def setting(
    section: Section,
    text: str,
    unit: str = "",
    *,
    reloads: bool = False,
    absent: str = "",
    flag: str = "",
    metavar: str = "X",
    **limits: object,
) -> Meta:
    """The description of a field: ``absent`` says what its empty or unset value means, ``limits`` are msgspec's."""
    extra = {"section": section, "unit": unit, "reloads": reloads, "absent": absent, "flag": flag, "metavar": metavar}
    return Meta(description=text, extra=extra, **limits)  # type: ignore[call-overload, no-any-return]  # any of Meta's limits


def _count(section: Section, text: str, unit: str, least: int, most: int = MOST_COUNT) -> Meta:
    return setting(section, text, unit, reloads=True, metavar=unit.upper(), ge=least, le=most)


def _seconds(section: Section, text: str, least: float = 0) -> Meta:
    return setting(section, text, "s", reloads=True, metavar="SECONDS", ge=least, le=MOST_SECONDS)


class HubSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the hub forwards frames. Raises :class:`SettingsError`.

    A frame already partly sent counts in a queue, but the hub never drops it (ISO-4).
    """

    echo: Annotated[bool, setting(Section.FRAMES, "Give senders their own frames back (FWD-4)", reloads=True)] = True
    on_framing_error: Annotated[
        OnFramingError,
        setting(
            Section.FRAMES, "A connection whose bytes cannot be framed: close it, or find its next frame", reloads=True
        ),
    ] = OnFramingError.CLOSE
    overflow: Annotated[
        Overflow, setting(Section.QUEUES, "What happens past the bound of a receiver's queue (ISO-3)", reloads=True)
    ] = Overflow.DROP_OLDEST
    queue_frames: Annotated[
        int, _count(Section.QUEUES, "Bound of what waits for one receiver; 0: none in frames (ISO-2)", "frames", 0)
    ] = 0
    queue_bytes: Annotated[int, _count(Section.QUEUES, "Bound of what waits for one receiver (ISO-2)", "bytes", 1)] = (
        256 * 1024 * 1024
    )
    total_queue_bytes: Annotated[
        int,
        _count(
            Section.QUEUES, "Bound of what is held of all, waiting and incomplete frames, shared bytes once", "bytes", 1
        ),
    ] = 1024 * 1024 * 1024
    first_read_grace: Annotated[
        float,
        _seconds(
            Section.QUEUES,
            "How long a new client may take to begin to read before it counts as only sending (ISO-8)",
        ),
    ] = 10.0
    read_bytes: Annotated[
        int,
        _count(
            Section.QUEUES,
            "Most that one read of a connection brings in; a turn of the loop makes up to four",
            "bytes",
            1,
            67_108_864,
        ),
    ] = 65_536

    def __post_init__(self) -> None:
        for field in msgspec.structs.fields(type(self)):
            value = getattr(self, field.name)
            try:
                msgspec.convert(value, field.type)
            except msgspec.ValidationError as error:
                raise SettingsError(f"{field.name} is {value!r}: {error}") from None


class ServerSettings(HubSettings, frozen=True, kw_only=True):
    """How the server moves bytes, the hub's settings included. Raises :class:`SettingsError`.

    ``read_bytes`` is what stays in the processor's cache from its read to its last send.
    """

    max_connections: Annotated[
        int,
        _count(
            Section.LISTENING,
            "Connections at once, as far as the process's descriptors are enough; 0: as many as they are enough "
            "for; connections above a lowered limit are kept (CONN-5)",
            "connections",
            0,
            10_000_000,
        ),
    ] = 0
    partial_frame_timeout: Annotated[
        float, _seconds(Section.FRAMES, "How long an incomplete frame may stand; 0: for ever (FRAME-5)")
    ] = 30.0
    stall_timeout: Annotated[
        float, _seconds(Section.QUEUES, "How long backpressure waits for one receiver (ISO-3)")
    ] = 0.25
    busy_poll: Annotated[
        float,
        setting(
            Section.QUEUES,
            "How long the relay looks for more before it sleeps: less latency for processor time; 0: it sleeps at once",
            "s",
            reloads=True,
            metavar="SECONDS",
            ge=0,
            le=0.01,
        ),
    ] = 0.0
    send_buffer_bytes: Annotated[
        int, _count(Section.QUEUES, "SO_SNDBUF of new connections; 0: the system's", "bytes", 0, MOST_C_INT)
    ] = 0
    drain_timeout: Annotated[
        float, _seconds(Section.PROCESS, "How long a stopping relay delivers what it has (LIFE-1)")
    ] = 5.0
    path_check_interval: Annotated[
        float, _seconds(Section.PROCESS, "How often the socket's path is checked to be ours", 0.01)
    ] = 5.0


@dataclass(frozen=True, slots=True)
class ListenSettings:
    """Where a relay listens and which peers it admits (SEC-1, SEC-2).

    ``socket_mode`` is set before the socket listens. ``own_directory`` refuses a directory that another user owns or
    may write to. ``allow_uids`` and ``allow_gids`` are allow lists of peer credentials: a peer on either list is
    admitted; None for both admits every peer that the socket's mode lets in.
    """

    paths: tuple[Path, ...]
    socket_mode: int = SOCKET_MODE
    own_directory: bool = True
    backlog: int = LISTEN_BACKLOG
    allow_uids: frozenset[int] | None = None
    allow_gids: frozenset[int] | None = None

    def admits(self, uid: int, gid: int) -> bool:
        """Whether a peer of this user and group may connect."""
        if self.allow_uids is None and self.allow_gids is None:
            return True
        return uid in (self.allow_uids or ()) or gid in (self.allow_gids or ())
