"""systemd's side of a service: sockets passed in, states and heartbeats told. Without systemd nothing happens.

Facts:
- sd_listen_fds(3): descriptors from 3 on, ``LISTEN_PID`` names the process, ``LISTEN_FDNAMES`` the purposes;
- sd_notify(3): one datagram of lines to ``NOTIFY_SOCKET``; a leading ``@`` means the abstract namespace;
- the heartbeat is due at half of ``WATCHDOG_USEC``; it comes from the loop that moves the frames, so that
  systemd restarts a relay that hangs.
"""

from __future__ import annotations

import array
import os
import socket
import time
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from pathlib import Path

from ..endpoint import Endpoint, EndpointError
from ..printable import printable

_FIRST_DESCRIPTOR = 3
_DIGITS = 20
_NAMES = ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")
DESCRIPTOR_STORE = "FDSTORE"
"""The variable that says how many descriptors systemd keeps."""
STATE, CLIENTS = "torq-state", "torq-clients"
"""The names of what a relay has systemd keep (descriptor_store.py)."""


class Notifier:
    """Tells systemd the state of the relay; silent without ``NOTIFY_SOCKET``."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_interval = _watchdog_interval(environment) if address else 0.0
        """Seconds between heartbeats; 0 when systemd wants none."""

    def send(self, *lines: str) -> None:
        """Send states such as ``READY=1``; it is no error when systemd does not receive them."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.connect(self._address)
            sock.send(printable("\n".join(lines)).encode())

    @property
    def is_heard(self) -> bool:
        """Whether there is anybody to tell."""
        return bool(self._address)

    def pass_on(self, lines: Sequence[str], descriptors: Sequence[int], seconds: float) -> None:
        """Send states with descriptors, within so many seconds; raises OSError."""
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.settimeout(seconds)
            sock.connect(self._address)
            sock.sendmsg([printable("\n".join(lines)).encode()], passed)

    def ready(self, status: str) -> None:
        """The relay serves: after its start, and after a reload."""
        self.send("READY=1", f"MAINPID={os.getpid()}", f"STATUS={status}")

    def reloading(self) -> None:
        """A reload has begun; :meth:`ready` says that it has ended, well or not."""
        self.send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", "STATUS=reloading")

    def stopping(self) -> None:
        """The relay drains, and then exits."""
        self.send("STOPPING=1", "STATUS=draining")

    def heartbeat(self) -> None:
        """The loop turns."""
        self.send("WATCHDOG=1")


def _watchdog_interval(environment: Mapping[str, str]) -> float:
    period, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if process and process != str(os.getpid()):
        return 0.0
    return number_of(period) / 2_000_000


def number_of(text: str) -> int:
    """The number that a variable says, 0 for what is none."""
    return int(text) if text.isdecimal() and len(text) <= _DIGITS else 0


def passed_by_systemd(environment: MutableMapping[str, str]) -> tuple[list[Endpoint], dict[str, list[int]]]:
    """The listening sockets that systemd has opened for us, and by name what it has kept for us.

    Takes the variables out of the environment, so that no child mistakes them for its own. Raises
    :class:`~torq_engine.endpoint.EndpointError` for one that is neither kept nor a listening Unix stream socket.
    """
    numbers = passed_descriptors(environment)
    names = iter(environment.get("LISTEN_FDNAMES", "").split(":"))
    if numbers:
        for name in _NAMES:
            environment.pop(name, None)
    kept: dict[str, list[int]] = {}
    endpoints = []
    for number in numbers:
        name = next(names, "")
        if name not in (STATE, CLIENTS):
            endpoints.append(_endpoint(number))
            continue
        try:
            os.set_inheritable(number, False)
        except OSError as error:
            raise EndpointError(f"descriptor {number} kept by systemd as {name}: {error.strerror}") from error
        kept.setdefault(name, []).append(number)
    return endpoints, kept


def passed_descriptors(environment: Mapping[str, str]) -> range:
    """The descriptors that systemd has passed to this process."""
    count, process = environment.get("LISTEN_FDS", ""), environment.get("LISTEN_PID", "")
    if process != str(os.getpid()):
        return range(0)
    return range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + number_of(count))


def _endpoint(number: int) -> Endpoint:
    wanted = "use ListenStream= with a path in the .socket unit"
    try:
        os.set_inheritable(number, False)
        sock = socket.socket(fileno=number)
    except OSError as error:
        raise EndpointError(f"descriptor {number} passed by systemd: {error.strerror}; {wanted}") from error
    listens = sock.type == socket.SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if sock.family != socket.AF_UNIX or not listens:
        sock.detach()
        raise EndpointError(f"descriptor {number} passed by systemd is no listening Unix stream socket; {wanted}")
    path = sock.getsockname()
    if not isinstance(path, str) or not path:
        sock.detach()
        raise EndpointError(f"descriptor {number} passed by systemd has no path; {wanted}")
    sock.setblocking(False)
    try:
        return Endpoint(Path(path), sock)
    except OSError as error:
        sock.detach()
        raise EndpointError(
            f"{path}: passed by systemd, but no longer there: {error.strerror}; restart its .socket unit"
        ) from error
