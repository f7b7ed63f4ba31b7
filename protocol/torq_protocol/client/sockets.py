"""Connecting a socket that never blocks, step by step: whoever drives the steps does the waiting.

Facts:
- a Unix socket connects at once, or refuses at once when the relay's queue of connections is full;
- a TCP connection is there, or has failed, when the socket can be written to; every address of a host is tried.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Generator, Iterable
from contextlib import ExitStack
from typing import TypeAlias

from .address import Address, UnixAddress
from .directory import trusted_path
from .errors import ConnectError
from .settings import ClientSettings

Target: TypeAlias = tuple[socket.AddressFamily, str | tuple[object, ...]]
"""An address family and what ``socket.connect`` takes for it."""
Connecting: TypeAlias = Generator[socket.socket, None, socket.socket]
"""Yields a socket to wait for until it can be written to; returns the connected one. Raises :class:`OSError`."""


def connecting_unix(address: UnixAddress, settings: ClientSettings) -> Connecting:
    """Connect to a relay's socket file, through its checked directory if that is wanted."""
    with ExitStack() as stack:
        name = str(address.path)
        if settings.check_directory:
            name = stack.enter_context(trusted_path(address.path, settings.trusted_owners))
        return (yield from connecting([(socket.AF_UNIX, name)]))


def connecting(targets: Iterable[Target]) -> Connecting:
    """Connect to the first target that answers; the last one's :class:`OSError` if none does."""
    failure = OSError(errno.EADDRNOTAVAIL, "the name has no address")
    for family, place in targets:
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            code = sock.connect_ex(place)
            if code == errno.EINPROGRESS:
                yield sock
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if code:
                raise OSError(code, os.strerror(code))
            if family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def cannot_connect(address: Address, error: OSError) -> ConnectError:
    """The error for an attempt that failed, with what to look at."""
    if isinstance(error, FileNotFoundError):
        reason = "there is no such socket; is the relay running, and is this its path?"
    elif isinstance(error, ConnectionRefusedError):
        reason = "nobody listens there; is the relay running?"
    elif isinstance(error, BlockingIOError):
        reason = "the relay's queue of connections is full"
    elif isinstance(error, PermissionError):
        reason = "this user may not connect; see the modes of the socket and its directory"
    elif isinstance(error, TimeoutError):
        reason = "no answer in time"
    else:
        reason = error.strerror or str(error)
    return ConnectError(f"{address}: cannot connect: {reason}")
