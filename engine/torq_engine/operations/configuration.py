"""Every setting of a relay: one typed table, from which flags, environment, checks and docs are made.

Facts:
- a key is a field: its name in the file, ``TORQ_`` and its name in upper case in the environment, its name with
  hyphens as a flag; the limits in its ``Meta`` are enforced, its ``unit`` and ``reloads`` are published;
- annotations are evaluated here once, not kept as texts: msgspec would compile each three times at every start;
- a key that does not reload belongs to what is built once: the socket, the framing kernel, the loop, the endpoints.
"""

import grp
import os
import pwd
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from torq_protocol.constants import HEADER_SIZE, LARGEST_MESSAGE_SIZE_LIMIT, MAX_MESSAGE_SIZE
from torq_protocol.policy import FramePolicy, ValidationLevel

from ..logic import RelayLogic
from ..settings import HubSettings, ListenSettings, OnFramingError, Overflow, ServerSettings

ANYONE = "*"
"""In an allow list: whoever the socket's mode lets in."""


def shown(value: object) -> str:
    """A value as it was given, cut where it is too long for a line."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


class ConfigError(Exception):
    """A configuration that cannot be used; the one line says where, which key, and what is allowed."""


def _meta(section: str, text: str, unit: str = "", *, reloads: bool = False, flag: str = "", **limits: object) -> Meta:
    extra = {"section": section, "unit": unit, "reloads": reloads, "flag": flag}
    return Meta(description=text, extra=extra, **limits)  # type: ignore[call-overload, no-any-return]  # any of Meta's limits


_LISTEN, _FRAMES, _QUEUES = "Listening and admission", "Frames", "Queues"
_LIFE, _LOG, _AUDIT, _OPS = "Process", "Logs", "Audit log", "Metrics and control"
_OWN = "the domain's own"
_MOST_COUNT = 1_000_000_000_000
_MOST_C_INT = 2_147_483_647
_MOST_ID = 2**32 - 2
_LONGEST_SHOWN = 80
_MOST_SECONDS = 31_536_000
"""A year: longer is a typing error, and more than the loop's timers can count."""

LogLevel = Literal["debug", "info", "warning", "error", "critical"]
Level = Literal["performance", "reliability", "security"]


class RelayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of one relay; a default of None or an empty text is explained in the key's description."""

    socket: Annotated[str, _meta(_LISTEN, f"Path to listen at; empty: {_OWN}", "path, at most 107 bytes")] = ""
    aliases: Annotated[
        list[str] | None,
        _meta(_LISTEN, f"Paths to listen at too; unset: {_OWN}, none when `socket` is set", "paths", flag="--alias"),
    ] = None
    socket_mode: Annotated[
        str,
        _meta(_LISTEN, "Permissions of the socket, set before it listens", "octal digits", pattern="^0?[0-7]{3}$"),
    ] = "0600"
    shared_directory: Annotated[
        bool, _meta(_LISTEN, "Accept a socket directory that others own or may write to (SEC-1)")
    ] = False
    listen_backlog: Annotated[
        int, _meta(_LISTEN, "Connections that may wait to be accepted", "connections", ge=1, le=_MOST_C_INT)
    ] = 4096
    allow_uids: Annotated[
        list[str | int] | None,
        _meta(
            _LISTEN,
            "Users that may connect, names or numbers; `*`: anyone whom the socket's mode lets in; unset: the same, "
            "for execution the relay's own user; a peer on either list is admitted, live connections are kept (SEC-2)",
            "users",
            reloads=True,
        ),
    ] = None
    allow_gids: Annotated[
        list[str | int] | None,
        _meta(_LISTEN, "Groups whose members by primary group may connect (SEC-2)", "groups", reloads=True),
    ] = None
    max_connections: Annotated[
        int,
        _meta(
            _LISTEN,
            "Connections at once; 0: as many as the process's descriptors are enough for; connections above a "
            "lowered limit are kept (CONN-5)",
            "connections",
            reloads=True,
            ge=0,
            le=10_000_000,
        ),
    ] = 0

    echo: Annotated[bool, _meta(_FRAMES, "Give senders their own frames back (FWD-4)", reloads=True)] = True
    level: Annotated[
        Level | None,
        _meta(_FRAMES, f"How much of a frame is checked (VAL-1 to VAL-4); unset: {_OWN}"),
    ] = None
    verify_checksum: Annotated[
        bool | None, _meta(_FRAMES, "Check checksums whatever the level; unset: as the level says (VAL-1, VAL-2)")
    ] = None
    max_message_size: Annotated[
        int,
        _meta(
            _FRAMES,
            "Largest frame, header included (D10, VAL-5)",
            "bytes",
            ge=HEADER_SIZE,
            le=LARGEST_MESSAGE_SIZE_LIMIT,
        ),
    ] = MAX_MESSAGE_SIZE
    on_framing_error: Annotated[
        Literal["close", "resync"],
        _meta(_FRAMES, "A connection whose bytes cannot be framed: close it, or find its next frame", reloads=True),
    ] = "close"
    partial_frame_timeout: Annotated[
        float,
        _meta(
            _FRAMES,
            "How long an incomplete frame may stand; 0: for ever (FRAME-5)",
            "s",
            reloads=True,
            ge=0,
            le=_MOST_SECONDS,
        ),
    ] = 30.0

    overflow: Annotated[
        Literal["drop_oldest", "disconnect", "backpressure"],
        _meta(_QUEUES, "What happens past the bound of a receiver's queue (ISO-3)", reloads=True),
    ] = "drop_oldest"
    queue_frames: Annotated[
        int,
        _meta(_QUEUES, "Bound of what waits for one receiver (ISO-2)", "frames", reloads=True, ge=1, le=_MOST_COUNT),
    ] = 10_000
    queue_bytes: Annotated[
        int, _meta(_QUEUES, "Bound of what waits for one receiver (ISO-2)", "bytes", reloads=True, ge=1, le=_MOST_COUNT)
    ] = 64 * 1024 * 1024
    total_queue_bytes: Annotated[
        int,
        _meta(_QUEUES, "Bound of what is held for all, shared bytes once", "bytes", reloads=True, ge=1, le=_MOST_COUNT),
    ] = 512 * 1024 * 1024
    stall_timeout: Annotated[
        float,
        _meta(
            _QUEUES, "How long backpressure waits for one receiver (ISO-3)", "s", reloads=True, ge=0, le=_MOST_SECONDS
        ),
    ] = 0.25
    read_bytes: Annotated[
        int,
        _meta(
            _QUEUES,
            "Most that one connection brings in per turn of the loop",
            "bytes",
            reloads=True,
            ge=1,
            le=67_108_864,
        ),
    ] = 262_144
    send_buffer_bytes: Annotated[
        int,
        _meta(_QUEUES, "SO_SNDBUF of new connections; 0: the system's", "bytes", reloads=True, ge=0, le=_MOST_C_INT),
    ] = 0

    loop: Annotated[
        Literal["auto", "uvloop", "asyncio"], _meta(_LIFE, "The event loop; auto: uvloop when it is installed")
    ] = "auto"
    drain_timeout: Annotated[
        float,
        _meta(
            _LIFE, "How long a stopping relay delivers what it has (LIFE-1)", "s", reloads=True, ge=0, le=_MOST_SECONDS
        ),
    ] = 5.0
    path_check_interval: Annotated[
        float,
        _meta(_LIFE, "How often the socket's path is checked to be ours", "s", reloads=True, ge=0.01, le=_MOST_SECONDS),
    ] = 5.0

    log_level: Annotated[LogLevel, _meta(_LOG, "The least that is logged", reloads=True)] = "info"
    log_format: Annotated[
        Literal["plain", "console", "json"],
        _meta(_LOG, "Plain lines, coloured lines for a terminal, or one JSON object a line"),
    ] = "plain"
    log_file: Annotated[str, _meta(_LOG, "Where to log; empty: standard error. SIGUSR1 opens it anew", "path")] = ""
    log_repeat_interval: Annotated[
        float,
        _meta(
            _LOG,
            "A repeated warning is written once in this time and counted; 0: always",
            "s",
            reloads=True,
            ge=0,
            le=_MOST_SECONDS,
        ),
    ] = 10.0

    audit: Annotated[
        bool | None, _meta(_AUDIT, "Record the metadata of every frame (SEC-3); unset: on for execution only")
    ] = None
    audit_directory: Annotated[
        str,
        _meta(
            _AUDIT, "Where; empty: `$STATE_DIRECTORY/audit` under systemd, else the socket's path + `.audit`", "path"
        ),
    ] = ""
    audit_file_bytes: Annotated[
        int, _meta(_AUDIT, "Size after which the next file is begun", "bytes", reloads=True, ge=4096, le=_MOST_COUNT)
    ] = 256 * 1024 * 1024
    audit_fsync: Annotated[
        Literal["never", "interval", "always"],
        _meta(
            _AUDIT,
            "When records are forced to disk: never, every `audit_fsync_interval`, or before a frame is forwarded",
            reloads=True,
        ),
    ] = "interval"
    audit_fsync_interval: Annotated[
        float, _meta(_AUDIT, "See `audit_fsync`", "s", reloads=True, gt=0, le=_MOST_SECONDS)
    ] = 1.0
    audit_key_file: Annotated[
        str,
        _meta(_AUDIT, "File whose bytes key the chain, so that who has no key cannot forge it; empty: no key", "path"),
    ] = ""

    metrics: Annotated[
        str,
        _meta(
            _OPS,
            "Serve `/metrics`, `/livez` and `/readyz` here; empty: off",
            "127.0.0.1:PORT, [::1]:PORT or unix:PATH",
            pattern=r"^$|^127\.\d+\.\d+\.\d+:\d+$|^\[::1\]:\d+$|^localhost:\d+$|^unix:.+$",
        ),
    ] = ""
    control_socket: Annotated[str, _meta(_OPS, "Socket for `torq-relay ctl`, mode 0600; empty: none", "path")] = ""


class Key(msgspec.Struct, frozen=True):
    """One key of :class:`RelayConfig`, as data: ``annotation`` is its type with limits, ``unit`` may be empty."""

    name: str
    section: str
    text: str
    unit: str
    reloads: bool
    flag: str
    default: object
    annotation: object
    kind: msgspec.inspect.Type

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"TORQ_{self.name.upper()}"


def _keys() -> dict[str, Key]:
    struct = msgspec.inspect.type_info(RelayConfig)
    assert isinstance(struct, msgspec.inspect.StructType)
    annotations = {field.name: field.type for field in msgspec.structs.fields(RelayConfig)}
    keys = {}
    for field in struct.fields:
        described = field.type
        assert isinstance(described, msgspec.inspect.Metadata)
        extra, schema = described.extra or {}, described.extra_json_schema or {}
        flag = extra["flag"] or "--" + field.name.replace("_", "-")
        keys[field.name] = Key(
            field.name,
            extra["section"],
            schema["description"],
            extra["unit"],
            extra["reloads"],
            flag,
            field.default,
            annotations[field.name],
            described.type,
        )
    return keys


KEYS = _keys()
"""Every key by name, in the order of the docs."""


def server_settings(config: RelayConfig, logic: RelayLogic) -> ServerSettings:
    """What the engine is told; raises :class:`ConfigError` for users and groups that do not exist."""
    hub = HubSettings(
        echo=config.echo,
        overflow=Overflow(config.overflow),
        queue_frames=config.queue_frames,
        queue_bytes=config.queue_bytes,
        total_queue_bytes=config.total_queue_bytes,
        on_framing_error=OnFramingError(config.on_framing_error),
    )
    return ServerSettings(
        _listen_settings(config, logic),
        hub,
        max_connections=config.max_connections,
        read_bytes=config.read_bytes,
        send_buffer_bytes=config.send_buffer_bytes,
        partial_frame_timeout=config.partial_frame_timeout,
        stall_timeout=config.stall_timeout,
        drain_timeout=config.drain_timeout,
        path_check_interval=config.path_check_interval,
    )


def frame_policy(config: RelayConfig, logic: RelayLogic) -> FramePolicy:
    """Which frames are accepted."""
    level = ValidationLevel(config.level) if config.level else logic.level
    policy = replace(logic.policy(level), max_message_size=config.max_message_size)
    if config.verify_checksum is not None:
        policy = replace(policy, verify_checksum=config.verify_checksum)
    return policy


def _listen_settings(config: RelayConfig, logic: RelayLogic) -> ListenSettings:
    aliases = config.aliases
    if aliases is None:
        aliases = [] if config.socket else list(logic.alias_paths)
    users = _numbers("allow_uids", config.allow_uids, lambda name: pwd.getpwnam(name).pw_uid)
    groups = _numbers("allow_gids", config.allow_gids, lambda name: grp.getgrnam(name).gr_gid)
    if config.allow_uids is None and config.allow_gids is None and logic.own_user_only:
        users = frozenset({os.geteuid()})
    if ANYONE in (config.allow_uids or ()) or ANYONE in (config.allow_gids or ()):
        users = groups = None
    return ListenSettings(
        tuple(Path(path) for path in (config.socket or logic.socket_path, *aliases)),
        socket_mode=int(config.socket_mode, 8),
        own_directory=not config.shared_directory,
        backlog=config.listen_backlog,
        allow_uids=users,
        allow_gids=groups,
    )


def _numbers(key: str, names: list[str | int] | None, resolve: Callable[[str], int]) -> frozenset[int] | None:
    if names is None:
        return None
    found = set()
    for name in names:
        if name == ANYONE:
            continue
        text = str(name)
        try:
            number = int(text) if text.isdecimal() else resolve(text)
        except (KeyError, ValueError):
            number = -1
        if not 0 <= number <= _MOST_ID:
            raise ConfigError(f"{key}: {shown(text)} does not exist on this machine; use names or numbers")
        found.add(number)
    return frozenset(found)
