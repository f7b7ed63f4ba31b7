"""What the player of a replay script plays, and what it keeps of a run; copied whole into every script, so it imports
nothing of the suite.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass, field

MAGIC = b"\xef\xbe\xad\xde"
FENCE = b"TORQ-FENCE"
WITNESS = "W"


@dataclass(frozen=True)
class Case:
    """The program and what the relay promises. ``frames``: name, sender, fate, reason, bytes; fate ``forward``,
    ``refuse`` or ``break``. ``steps``: a verb, a client, and what the verb needs.
    """

    requirement: str
    runs: int
    domain: int
    fence_type: int
    echo: bool
    forwards: bool
    closes: bool
    limit: int
    frames: tuple[tuple[str, str, str, str, bytes], ...]
    steps: tuple[tuple[object, ...], ...]


class UnreachableError(Exception):
    """No relay answers."""


@dataclass
class Client:
    """One connection and all that it got."""

    name: str
    sock: socket.socket
    connected: int
    joined: int = 0
    buffer: bytearray = field(default_factory=bytearray)
    received: list[tuple[str, bytes, int]] = field(default_factory=list)
    fenced_by: set[str] = field(default_factory=set)
    old_fences: list[str] = field(default_factory=list)
    latest_fence: int = 0
    rest: bytes = b""
    torn: bool = False
    closed: str = ""
    left: bool = False
    half_closed: bool = False
    sending: bool = True

    @property
    def open(self) -> bool:
        """Whether neither side has closed it."""
        return not (self.left or self.closed)

    def order(self) -> list[str]:
        """The frames of the program that it got, each once, in order."""
        return list(dict.fromkeys(name for name, _, _ in self.received if name))


@dataclass
class Sent:
    """What is known of a frame of the program."""

    name: str
    sender: str
    fate: str
    why: str
    data: bytes
    begun: int = 0
    end: int = 0
    whole: bool = False
    certain: bool = False


def dial(address: str) -> socket.socket:
    """A connected, non-blocking socket to a path or tcp:HOST:PORT."""
    if address.startswith("tcp:"):
        host, _, port = address[4:].rpartition(":")
        sock = socket.create_connection((host.strip("[]"), int(port)), 5)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    else:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(5)
        try:
            sock.connect(address.removeprefix("unix:"))
        except OSError:
            sock.close()
            raise
    sock.setblocking(False)
    return sock


def cut(buffer: bytearray, limit: int) -> tuple[list[bytes], int, bool]:
    """Cut a stream into frames: (whole frames, bytes used, whether what follows cannot be a frame)."""
    frames: list[bytes] = []
    used = 0
    while len(buffer) - used >= 32:
        size = 32 + int.from_bytes(buffer[used + 24 : used + 28], "little")
        if buffer[used : used + 4] != MAGIC or size > limit:
            return frames, used, True
        if len(buffer) - used < size:
            break
        frames.append(bytes(buffer[used : used + size]))
        used += size
    return frames, used, not MAGIC.startswith(bytes(buffer[used : used + 4]))
