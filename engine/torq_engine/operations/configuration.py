"""The configuration of a relay: one typed table, from which flags, environment, checks and docs are made.

Facts:
- a key is a field: its name in the file, ``TORQ_`` and its name in upper case in the environment, its name with
  hyphens as a flag; the limits in its ``Meta`` are enforced, its ``unit`` and ``reloads`` are published;
- annotations are evaluated here once, not kept as texts: msgspec would compile each three times at every start;
- a key that does not reload belongs to what is built once: the socket, the framing kernel, the loop, the endpoints.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

import msgspec

from torq_protocol.constants import HEADER_SIZE, LARGEST_MESSAGE_SIZE_LIMIT, MAX_MESSAGE_SIZE
from torq_protocol.policy import ValidationLevel

from ..errors import RelayError
from ..settings import (
    LISTEN_BACKLOG,
    MOST_C_INT,
    MOST_COUNT,
    MOST_SECONDS,
    SOCKET_MODE,
    Section,
    ServerSettings,
    ZeroChecksum,
    setting,
)

_LONGEST_SHOWN = 80
_OWN = "the domain's own"
LogLevel = Literal["debug", "info", "warning", "error", "critical"]


class Place(NamedTuple):
    """Where a value of a key was given: in a source (a file, ``environment``, none for a flag), under a name there."""

    source: str = ""
    name: str = ""


_NOWHERE = Place()


@dataclass(eq=False)
class ConfigError(RelayError):
    """A configuration that a relay cannot use. As a text it is one line: where, what is wrong, what to do next.

    ``key`` is a name in :data:`KEYS`, empty when the fault is not one key's. ``got`` is the value that was given,
    ``problem`` tells of it, ``expected`` says what is allowed or what to do.
    """

    problem: str
    expected: str
    key: str = ""
    got: object = None
    place: Place = _NOWHERE

    def __str__(self) -> str:
        where = [part for part in (self.place.source, self.place.name or self.key) if part]
        return ": ".join([*where, f"{self.problem}; {self.expected}"])

    def at(self, place: Place) -> "ConfigError":
        """The same fault, with the place where its key was given."""
        return replace(self, place=place)


def shown(value: object) -> str:
    """A value as it was given, cut where it is too long for a line."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


class RelayConfig(ServerSettings, frozen=True, kw_only=True):
    """The configuration of one relay: the server's settings and those of operation. Raises :class:`SettingsError`."""

    socket: Annotated[
        str,
        setting(Section.LISTENING, "Path to listen at", "path, at most 107 bytes", absent=_OWN, metavar="PATH"),
    ] = ""
    aliases: Annotated[
        list[str] | None,
        setting(
            Section.LISTENING,
            "Paths to listen at too",
            "paths",
            absent=f"{_OWN}, none when `socket` is set",
            flag="--alias",
            metavar="PATH",
        ),
    ] = None
    socket_mode: Annotated[
        str,
        setting(
            Section.LISTENING,
            "Permissions of the socket, set before it listens",
            "octal digits",
            metavar="OCTAL",
            pattern="^0?[0-7]{3}$",
        ),
    ] = f"{SOCKET_MODE:04o}"
    shared_directory: Annotated[
        bool, setting(Section.LISTENING, "Accept a socket directory that others own or may write to (SEC-1)")
    ] = False
    listen_backlog: Annotated[
        int,
        setting(
            Section.LISTENING,
            "Connections that may wait to be accepted",
            "connections",
            metavar="CONNECTIONS",
            ge=1,
            le=MOST_C_INT,
        ),
    ] = LISTEN_BACKLOG
    allow_uids: Annotated[
        list[str | int] | None,
        setting(
            Section.LISTENING,
            "Users that may connect, names or numbers; `*`: anyone whom the socket's mode lets in; a peer on either "
            "list is admitted, live connections are kept (SEC-2)",
            "users",
            reloads=True,
            absent="as `*`, for execution the relay's own user",
            metavar="USER",
        ),
    ] = None
    allow_gids: Annotated[
        list[str | int] | None,
        setting(
            Section.LISTENING,
            "Groups whose members by primary group may connect (SEC-2)",
            "groups",
            reloads=True,
            metavar="GROUP",
        ),
    ] = None

    level: Annotated[
        ValidationLevel | None,
        setting(Section.FRAMES, "How much of a frame is checked (VAL-1 to VAL-4)", absent=_OWN),
    ] = None
    verify_checksum: Annotated[
        bool | None,
        setting(Section.FRAMES, "Check checksums whatever the level", absent="as the level says (VAL-1, VAL-2)"),
    ] = None
    zero_checksum: Annotated[
        ZeroChecksum | None,
        setting(
            Section.FRAMES,
            "A checksum field of 0, which says that none was computed, where checksums are verified (VAL-1)",
            absent="accept, for execution refuse",
        ),
    ] = None
    max_message_size: Annotated[
        int,
        setting(
            Section.FRAMES,
            "Largest frame, header included (D10, VAL-5)",
            "bytes",
            metavar="BYTES",
            ge=HEADER_SIZE,
            le=LARGEST_MESSAGE_SIZE_LIMIT,
        ),
    ] = MAX_MESSAGE_SIZE

    loop: Annotated[
        Literal["auto", "uvloop", "asyncio"],
        setting(Section.PROCESS, "The event loop; auto: uvloop when it is installed"),
    ] = "auto"

    log_level: Annotated[LogLevel, setting(Section.LOGS, "The least that is logged", reloads=True)] = "info"
    log_format: Annotated[
        Literal["plain", "console", "json"],
        setting(Section.LOGS, "Plain lines, coloured lines for a terminal, or one JSON object a line"),
    ] = "plain"
    log_file: Annotated[
        str,
        setting(
            Section.LOGS,
            "Where to log; SIGUSR1 opens it anew",
            "path",
            absent="standard error",
            metavar="PATH",
        ),
    ] = ""
    log_repeat_interval: Annotated[
        float,
        setting(
            Section.LOGS,
            "A repeated warning is written once in this time and counted; 0: always",
            "s",
            reloads=True,
            metavar="SECONDS",
            ge=0,
            le=MOST_SECONDS,
        ),
    ] = 10.0

    audit: Annotated[
        bool | None,
        setting(Section.AUDIT, "Record the metadata of every frame (SEC-3)", absent="on for execution only"),
    ] = None
    audit_directory: Annotated[
        str,
        setting(
            Section.AUDIT,
            "Where the audit log is",
            "path",
            absent="`$STATE_DIRECTORY/audit` under systemd, else the socket's path + `.audit`",
            metavar="PATH",
        ),
    ] = ""
    audit_file_bytes: Annotated[
        int,
        setting(
            Section.AUDIT,
            "Size after which the next file is begun",
            "bytes",
            reloads=True,
            metavar="BYTES",
            ge=4096,
            le=MOST_COUNT,
        ),
    ] = 256 * 1024 * 1024
    audit_fsync: Annotated[
        Literal["never", "interval", "always"],
        setting(
            Section.AUDIT,
            "When records are forced to disk: never, every `audit_fsync_interval`, or before a frame is forwarded",
            reloads=True,
        ),
    ] = "interval"
    audit_fsync_interval: Annotated[
        float,
        setting(Section.AUDIT, "See `audit_fsync`", "s", reloads=True, metavar="SECONDS", gt=0, le=MOST_SECONDS),
    ] = 1.0
    audit_key_file: Annotated[
        str,
        setting(
            Section.AUDIT,
            "File whose bytes key the chain: without them nobody can forge it",
            "path",
            absent="no key",
            metavar="PATH",
        ),
    ] = ""

    metrics: Annotated[
        str,
        setting(
            Section.OPERATION,
            "Serve `/metrics`, `/connections`, `/livez` and `/readyz` here",
            "127.0.0.1:PORT, [::1]:PORT or unix:PATH",
            absent="off",
            metavar="ADDRESS",
            pattern=r"^$|^127\.\d+\.\d+\.\d+:\d+$|^\[::1\]:\d+$|^localhost:\d+$|^unix:.+$",
        ),
    ] = ""
    control_socket: Annotated[
        str,
        setting(Section.OPERATION, "Socket for `torq-relay ctl`, mode 0600", "path", absent="none", metavar="PATH"),
    ] = ""

    @property
    def metrics_address(self) -> Path | tuple[str, int] | None:
        """Where metrics are served: a Unix socket's path, or a host and a port; None where they are off."""
        if not self.metrics:
            return None
        if self.metrics.startswith("unix:"):
            return Path(self.metrics.removeprefix("unix:"))
        host, _, port = self.metrics.rpartition(":")
        return host.strip("[]"), int(port)


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key of :class:`RelayConfig`, as data.

    ``annotation`` is its type with limits. ``text`` says what it is for, ``absent`` what its unset or empty value
    means; ``absent``, ``unit`` and ``limits`` may be empty. ``flag`` is its flag with the hyphens, ``metavar`` the
    placeholder of its value there.
    """

    name: str
    section: Section
    text: str
    absent: str
    unit: str
    reloads: bool
    flag: str
    metavar: str
    default: object
    annotation: object
    types: tuple[msgspec.inspect.Type, ...]

    @property
    def variable(self) -> str:
        """Its name in the environment."""
        return f"TORQ_{self.name.upper()}"

    @property
    def allowed(self) -> str:
        """The values that it takes, in words made of its type and limits."""
        return " or ".join(map(_words, self.types)) + (f" ({self.unit})" if self.unit else "")

    @property
    def shown_default(self) -> str:
        """Its default as a file would say it, empty when it is unset or empty."""
        if isinstance(self.default, bool):
            return str(self.default).lower()
        return "" if self.default is None else str(self.default)

    @property
    def takes_list(self) -> bool:
        """Whether its value is a list."""
        return isinstance(self.types[0], msgspec.inspect.ListType)

    @property
    def takes_bool(self) -> bool:
        """Whether its value is true or false."""
        return isinstance(self.types[0], msgspec.inspect.BoolType)

    @property
    def choices(self) -> tuple[str, ...]:
        """The texts of which its value is one; empty when it is free."""
        return _choices(self.types[0])


_TYPES = {
    msgspec.inspect.IntType: "a whole number",
    msgspec.inspect.FloatType: "a number",
    msgspec.inspect.BoolType: "true or false",
    msgspec.inspect.StrType: "a text",
    msgspec.inspect.ListType: "a list",
}


def _choices(kind: msgspec.inspect.Type) -> tuple[str, ...]:
    if isinstance(kind, msgspec.inspect.LiteralType):
        return tuple(map(str, kind.values))
    if isinstance(kind, msgspec.inspect.EnumType):
        return tuple(str(member.value) for member in kind.cls)
    return ()


def _words(kind: msgspec.inspect.Type) -> str:
    if choices := _choices(kind):
        return "one of " + ", ".join(sorted(choices))
    text = _TYPES[type(kind)]
    if isinstance(kind, msgspec.inspect.IntType | msgspec.inspect.FloatType):
        if kind.gt is not None:
            text += f" above {kind.gt:g}" + (f", at most {kind.le:,}" if kind.le is not None else "")
        if kind.ge is not None:
            text += f" of {kind.ge:,g} or more" if kind.le is None else f" from {kind.ge:,} to {kind.le:,}"
    return text


def _keys() -> Iterable[Key]:
    struct = msgspec.inspect.type_info(RelayConfig)
    assert isinstance(struct, msgspec.inspect.StructType)
    for field, described in zip(msgspec.structs.fields(RelayConfig), struct.fields, strict=True):
        kind = described.type
        assert isinstance(kind, msgspec.inspect.Metadata)
        extra, schema = dict(kind.extra or {}), kind.extra_json_schema or {}
        members = kind.type.types if isinstance(kind.type, msgspec.inspect.UnionType) else (kind.type,)
        yield Key(
            **{**extra, "flag": extra["flag"] or "--" + field.name.replace("_", "-")},
            name=field.name,
            text=schema["description"],
            default=field.default,
            annotation=field.type,
            types=tuple(member for member in members if not isinstance(member, msgspec.inspect.NoneType)),
        )


def _ordered(keys: Iterable[Key]) -> dict[str, Key]:
    """Keys by section; in a section a relay's own keys come before those that it has from the server's settings."""
    order = list(Section)
    inherited = ServerSettings.__struct_fields__
    return {key.name: key for key in sorted(keys, key=lambda key: (order.index(key.section), key.name in inherited))}


KEYS = _ordered(_keys())
"""Every key by name, in the order of the docs."""
