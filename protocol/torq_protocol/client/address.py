"""Where a relay is: ``/path``, ``unix:/path``, ``tcp:host:port``, or a domain's place on this platform (D16)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from ..constants import SIGNAL_ALIAS_PATH, SOCKET_PATHS, RelayDomain
from .errors import AddressError

LONGEST_PATH: Final = 107
"""Bytes of a Unix socket's path that the kernel takes."""


@dataclass(frozen=True, slots=True)
class UnixAddress:
    """A relay's socket in the file system."""

    path: Path

    def __str__(self) -> str:
        return f"unix:{self.path}"


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """A relay that answers on TCP."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"tcp:[{self.host}]:{self.port}" if ":" in self.host else f"tcp:{self.host}:{self.port}"


Address: TypeAlias = UnixAddress | TcpAddress
AddressLike: TypeAlias = Address | RelayDomain | str | os.PathLike[str]
"""What :func:`parse_address` takes."""


def parse_address(given: AddressLike) -> Address:
    """The address in a text or path; a :class:`RelayDomain` stands for its socket of D16.

    Raises :class:`AddressError` for texts that are no address and for paths that no socket can have.
    """
    if isinstance(given, UnixAddress | TcpAddress):
        return given
    if isinstance(given, RelayDomain):
        if given not in SOCKET_PATHS:
            raise AddressError(f"the {given.name.lower()} domain has no relay of its own; give an address")
        return UnixAddress(Path(SOCKET_PATHS[given]))
    try:
        text = os.fsdecode(given)
    except TypeError:
        raise TypeError(
            f"{given!r:.60} is no address: use a path, 'unix:/path', 'tcp:host:port' or a RelayDomain"
        ) from None
    if text.startswith("tcp:"):
        return _tcp(text)
    path = text.removeprefix("unix:")
    if not path or "\0" in path or path.startswith("@"):
        raise AddressError(f"{text!r} names no socket file; use /path, unix:/path or tcp:host:port")
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise AddressError(f"{path}: {len(os.fsencode(path))} bytes; a socket path has at most {LONGEST_PATH}")
    return UnixAddress(Path(path))


def domain_of(address: Address) -> RelayDomain | None:
    """The domain whose relay listens there by D16; None elsewhere."""
    if isinstance(address, UnixAddress):
        places = {path: domain for domain, path in SOCKET_PATHS.items()} | {SIGNAL_ALIAS_PATH: RelayDomain.SIGNAL}
        return places.get(str(address.path))
    return None


def _tcp(text: str) -> TcpAddress:
    host, colon, port = text.removeprefix("tcp:").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if (
        not colon
        or not host
        or host.startswith("/")
        or not port.isascii()
        or not port.isdigit()
        or not 1 <= int(port) <= 65_535
    ):
        raise AddressError(f"{text!r} is no TCP address; use tcp:host:port with a port from 1 to 65535")
    return TcpAddress(host, int(port))
