"""What predecessor and successor say to each other: one message a packet, descriptors beside it.

Facts:
- a socket of the kind SOCK_SEQPACKET keeps messages apart, so a descriptor always comes with its own message;
- the kernel passes at most 253 descriptors with a message, and counts those in flight against the sender's limit: so
  batches are smaller, and each is acknowledged before the next;
- a receiver without room for descriptors gets fewer, and the flag MSG_CTRUNC: that ends the handover;
- whoever talks nonsense is treated as whoever is gone.
"""

from __future__ import annotations

import array
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import ClassVar

import msgspec

from ..errors import RelayError
from ..port import Peer
from .system import KERNEL, System

WIRE = 1
"""The version of these messages."""
BATCH = 200
"""Descriptors in one message."""
_MOST_DESCRIPTORS = 253
_MOST_BYTES = 131_072
_INT = array.array("i").itemsize


class TakeoverError(RelayError):
    """A takeover that did not come about, and why."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"takeover failed: {reason}")
        self.reason = reason


class Message(msgspec.Struct, frozen=True, tag=True, forbid_unknown_fields=True):
    """A message; its tag is the name of its class."""


class Hello(Message, frozen=True):
    """The successor has booted. It reads states up to a schema, holds these places, has room for these descriptors."""

    pid: int
    wire: int
    schema: int
    build: str
    places: dict[str, str]
    room: int


class Offer(Message, frozen=True):
    """What there is to take, of which process; the reading end of the baton comes with it."""

    pid: int
    connections: int
    descriptors: int
    held_bytes: int


class Refuse(Message, frozen=True):
    """No takeover, and why."""

    reason: str


class Ready(Message, frozen=True):
    """The successor is ready to take what was offered."""


class Early(Message, frozen=True):
    """Bytes that wait and will not change any more, in a memfd that comes with it: the relay still serves."""


class Kept(Message, frozen=True):
    """The bytes that came early are checked and kept."""


class Batch(Message, frozen=True):
    """Descriptors, in the order of the state."""


class Ack(Message, frozen=True):
    """So many descriptors have arrived by now."""

    descriptors: int


class Whole(Message, frozen=True):
    """The state, in a memfd, that comes with it."""


class Prepared(Message, frozen=True):
    """The successor has checked and restored everything; it waits for the baton."""


class Active(Message, frozen=True):
    """The successor serves: how long the clients were not served, in seconds."""

    frozen: float


class Failed(Message, frozen=True):
    """The successor gives up, and why."""

    reason: str


_DECODER = msgspec.msgpack.Decoder(
    Hello | Offer | Refuse | Ready | Early | Kept | Batch | Ack | Whole | Prepared | Active | Failed
)
_ENCODER = msgspec.msgpack.Encoder()


class Channel:
    """One end of the conversation. Raises :class:`TakeoverError` where the other end is gone or talks nonsense."""

    GONE: ClassVar[str] = "the other process is gone"

    def __init__(self, sock: socket.socket, system: System = KERNEL) -> None:
        sock.setblocking(False)
        self.system = system
        """What is asked beside the conversation."""
        self._socket = sock

    def fileno(self) -> int:
        """Its descriptor, -1 when it is closed."""
        return self._socket.fileno()

    def peer(self) -> Peer:
        """The process at the other end."""
        return self.system.peer(self._socket)

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send a message with descriptors. It never waits: the other side answers each message that is large."""
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
        try:
            self._socket.sendmsg([_ENCODER.encode(message)], passed, socket.MSG_NOSIGNAL)
        except OSError as error:
            raise TakeoverError(f"cannot send {type(message).__name__}: {error.strerror}") from None

    def waits(self, seconds: float) -> bool:
        """Wait for a message; whether there is one, or the end."""
        return self.system.wait(self._socket.fileno(), seconds)

    def receive(self) -> tuple[Message, list[int]]:
        """The next message and the descriptors that came with it. Raises BlockingIOError when there is none."""
        space = socket.CMSG_SPACE(_MOST_DESCRIPTORS * _INT)
        try:
            data, passed, flags, _ = self._socket.recvmsg(_MOST_BYTES, space, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            raise
        except OSError as error:
            raise TakeoverError(f"{self.GONE}: {error.strerror}") from None
        descriptors = array.array("i")
        for level, kind, content in passed:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(content[: len(content) - len(content) % _INT])
        try:
            if not data:
                raise TakeoverError(self.GONE)
            if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
                raise TakeoverError("descriptors or bytes were cut off: too few descriptors may be open here")
            return _DECODER.decode(data), list(descriptors)
        except msgspec.MsgspecError as error:
            close_all(descriptors, self.system)
            raise TakeoverError(f"a message that this build does not know: {error}") from None
        except TakeoverError:
            close_all(descriptors, self.system)
            raise

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def close_all(descriptors: Sequence[int], system: System = KERNEL) -> None:
    """Close descriptors, whatever the system says of them; -1 stands for none."""
    for descriptor in descriptors:
        with suppress(OSError):
            system.close(descriptor)
