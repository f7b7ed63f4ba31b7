"""Connecting a socket that never blocks, step by step: whoever drives the steps does the waiting.

Facts:
- a Unix socket connects at once, or refuses at once when the relay's queue of connections is full;
- a TCP connection whose peer has vanished, with its machine or the network, looks like one whose peer is silent: only
  questions (keep-alive) and unacknowledged bytes (user timeout) tell. With a user timeout the kernel gives up a silent
  peer by that time too, whatever the number of questions: the defaults notice a loss within 22 s;
- a TCP connection is there, or has failed, when the socket can be written to; every address of a host is tried.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Generator, Iterable
from contextlib import ExitStack
from difflib import get_close_matches
from typing import Final, TypeAlias

from ..constants import SOCKET_PATHS
from .address import Address, UnixAddress
from .directory import trusted_path
from .errors import ConnectError
from .settings import ClientSettings

_QUESTIONS: Final = 3
_MOST_MILLISECONDS: Final = 2**31 - 1
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
        return (yield from connecting([(socket.AF_UNIX, name)], settings))


def connecting(targets: Iterable[Target], settings: ClientSettings) -> Connecting:
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
                _set_tcp_options(sock, settings)
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _set_tcp_options(sock: socket.socket, settings: ClientSettings) -> None:
    """Small messages leave at once, and a peer that vanished is noticed by who only reads too."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if settings.keepalive_seconds is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, settings.keepalive_seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, settings.keepalive_interval_seconds)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _QUESTIONS)
    if settings.user_timeout_seconds is not None:
        milliseconds = min(int(settings.user_timeout_seconds * 1000) or 1, _MOST_MILLISECONDS)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)


def cannot_connect(address: Address, error: OSError) -> ConnectError:
    """The error for an attempt that failed, with what to look at."""
    if isinstance(error, FileNotFoundError):
        reason = "there is no such socket; is the relay running, and is this its path?" + _meant(address)
    elif isinstance(error, ConnectionRefusedError):
        reason = _what_stands_there(address) or "nobody listens there; is the relay running?"
    elif isinstance(error, BlockingIOError):
        reason = "the relay's queue of connections is full"
    elif isinstance(error, PermissionError):
        reason = "this user may not connect; see the modes of the socket and its directory"
    elif isinstance(error, TimeoutError):
        reason = "no answer in time"
    else:
        reason = error.strerror or str(error)
    return ConnectError(f"{address}: cannot connect: {reason}")


def _what_stands_there(address: Address) -> str:
    """What a path names, if it names no socket."""
    if not isinstance(address, UnixAddress):
        return ""
    try:
        mode = os.stat(address.path).st_mode
    except OSError:
        return ""
    if stat.S_ISDIR(mode):
        return "this is a directory; give the path of the socket in it"
    return "" if stat.S_ISSOCK(mode) else "this is a file and no socket; give the path of a relay's socket"


def _meant(address: Address) -> str:
    """What a word that is the name of no file may have been meant for."""
    word = str(address.path) if isinstance(address, UnixAddress) else ""
    if not word or "/" in word:
        return ""
    host, colon, port = word.rpartition(":")
    if colon and host and port.isdigit():
        return f" Did you mean 'tcp:{word}'?"
    names = {domain.name.lower(): domain for domain in SOCKET_PATHS}
    close = get_close_matches(word.lower().replace("-", "_"), names, 1, 0.7)
    return f" Did you mean RelayDomain.{names[close[0]].name}?" if close else ""
