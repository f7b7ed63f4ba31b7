"""Where a relay listens, and connecting to it.

Facts:
- a Unix socket whose backlog is full turns a client away at once, so the client tries again for some time;
- a TCP buffer that is left to itself grows to many MB, so the suite fixes the size of its own receive buffer.
"""

from __future__ import annotations

import os
import select
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError
from ..impediments import keep_spare, told
from ..model.rules import UNIX_SOCKET_BYTES
from ..model.timing import DEFAULT, Timing

MAX_UNIX_PATH = 107
TCP_RECEIVE_BYTES = 131_072
"""Receive buffer of a TCP client: with a larger one no queue of a relay would ever overflow."""
TCP_SEND_LIMITS = Path("/proc/sys/net/ipv4/tcp_wmem")
DEFAULT_TCP_SEND_BYTES = 4_194_304
"""How far a TCP send buffer grows where the system does not say."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a relay listens: a Unix socket path, or a TCP host and port."""

    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        return f"tcp:[{self.host}]:{self.port}" if ":" in self.host else f"tcp:{self.host}:{self.port}"

    @classmethod
    def parse(cls, text: str) -> Address:
        """``PATH``, ``unix:PATH`` or ``tcp:HOST:PORT``. Raises UsageError for anything else."""
        if text.startswith("tcp:"):
            host, _, port = text[4:].rpartition(":")
            if not host or not port.isdigit() or not 0 < int(port) < 65536:
                raise UsageError(f"target {text!r}: use tcp:HOST:PORT with a port from 1 to 65535")
            return cls(host=host.strip("[]"), port=int(port))
        path = text.removeprefix("unix:")
        if not path:
            raise UsageError(f"target {text!r}: use a socket path, unix:PATH or tcp:HOST:PORT")
        if len(os.fsencode(path)) > MAX_UNIX_PATH:
            raise UsageError(f"target {text!r}: a Unix socket path has at most {MAX_UNIX_PATH} bytes")
        return cls(path=path)

    @property
    def _family(self) -> socket.AddressFamily:
        if self.path:
            return socket.AF_UNIX
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET

    @property
    def socket_bytes(self) -> int:
        """Bytes that the buffers of a connection may hold on both sides, besides what the relay queues."""
        if not self.host:
            return UNIX_SOCKET_BYTES
        try:
            largest = int(TCP_SEND_LIMITS.read_text().split()[2])
        except (OSError, ValueError, IndexError):
            largest = DEFAULT_TCP_SEND_BYTES
        return largest + 2 * TCP_RECEIVE_BYTES

    def connect(self, timing: Timing = DEFAULT) -> socket.socket:
        """A connected, non-blocking socket. Raises OSError, and ImpededError for a lack of the suite."""
        with told("for one more client"):
            sock = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            keep_spare(sock.fileno())
            sock.settimeout(timing.connect_seconds)
            if self.path:
                _connect_when_there_is_room(sock, self.path, timing.backlog_seconds)
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TCP_RECEIVE_BYTES)
                sock.connect((self.host, self.port))
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
        except BaseException:
            sock.close()
            raise
        return sock


def _connect_when_there_is_room(sock: socket.socket, path: str, seconds: float) -> None:
    """Connect to a path, waiting some seconds while its backlog is full. Raises OSError; TimeoutError when it stays."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            sock.connect(path)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise TimeoutError("the backlog of its socket stays full") from None
            time.sleep(0.001)
        else:
            return


def shows(sock: socket.socket, events: int, seconds: float = 0.0) -> bool:
    """Whether a socket shows some of these events of poll(), or its end, within some seconds.

    select() takes no descriptor above 1023, and there may be 1000 clients.
    """
    poller = select.poll()
    poller.register(sock, events)
    return bool(poller.poll(max(0.0, seconds) * 1000))
