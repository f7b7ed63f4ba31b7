"""The port: every socket and clock call of the data path. The production port is the kernel; a simulation has its own.

Facts:
- descriptors are non-blocking sockets; nothing here waits;
- in C where a compiler is there (``_sockets.c``), in Python otherwise: the same calls with the same results;
- what a Unix socket's peer has not read is what the kernel charges us for (SIOCOUTQ): it falls as the peer reads, which
  tells a client that reads from one that only sends (ISO-8).
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import select
import socket
import struct
import termios
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from torq_protocol.scanner import FrameScanner

_CREDENTIALS = struct.Struct("3i")
Buffer: TypeAlias = bytes | bytearray | memoryview
Descriptors: TypeAlias = "array.array[int]"
"""Descriptors as an array of C ints (type code ``i``)."""


Turn: TypeAlias = tuple[int, int, int, int, int, list[tuple[int, int]] | None, int, int]
"""What a turn did:

- bytes read by all its reads (0: the end of the stream);
- of the last read: accepted frames, the offset behind them, the bytes in the buffer, the bytes that the incomplete
  frame there will have (0: none was begun), and what :meth:`Port.send_all` says. With -1 frames nothing was sent: the
  bytes are no single run, and the caller has to look at them;
- of the reads before the last, which all receivers took whole: frames, and bytes of these frames.
"""

_READ_AGAIN_BYTES = 4096
"""A turn reads again after a read of so much; one that brought less has emptied the socket, more likely than not."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end of a socket, as of its connect(): process, user and group ids.

    ``program`` is its name in /proc, empty where that hides it. The process itself may choose any: up to 15 bytes.
    """

    pid: int
    uid: int
    gid: int
    program: str = field(default="", compare=False)

    @classmethod
    def of(cls, sock: socket.socket) -> Peer:
        """The peer of a connected Unix socket (SO_PEERCRED)."""
        pid, uid, gid = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
        return cls(pid, uid, gid, program_of(pid))


def program_of(pid: int) -> str:
    """The name of a process's program, empty where the system does not say."""
    try:
        descriptor = os.open(f"/proc/{pid}/comm", os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, 64).decode("utf-8", "backslashreplace").removesuffix("\n")
        finally:
            os.close(descriptor)
    except OSError:
        return ""


class Port(Protocol):
    """What the data path asks of the outside."""

    def accept(self, listener: socket.socket, send_buffer_bytes: int, /) -> tuple[int, Peer]:
        """Take the next connection: its descriptor and its peer; ``send_buffer_bytes`` 0 keeps the system's buffer.

        Raises BlockingIOError when there is none, OSError when it cannot be taken.
        """
        ...

    def close(self, descriptor: int, /) -> None:
        """Close a connection."""
        ...

    def receive(self, descriptor: int, buffer: bytearray, start: int, /) -> int:
        """Read into a buffer from an offset on; how many bytes came, 0 at the end of the stream.

        Raises BlockingIOError when there is nothing, OSError when the connection is broken.
        """
        ...

    def send_all(
        self, descriptors: Descriptors, data: Buffer, start: int, stop: int, skipped: int, /
    ) -> list[tuple[int, int]] | None:
        """Send ``data[start:stop]`` to each of an array of descriptors but the one at index ``skipped`` (-1: to all).

        None when all took everything; else (index, bytes taken, or minus the error's number) of those that did not.
        """
        ...

    def turn(
        self,
        descriptor: int,
        buffer: bytearray,
        filled: int,
        scanner: FrameScanner,
        receivers: Descriptors,
        skipped: int,
        most: int,
        /,
    ) -> Turn:
        """Read behind ``buffer[:filled]``, scan what stands there now, and send it to all if it is one accepted run.

        This is done up to ``most`` times, while all take everything and the reads bring much.
        Raises as :meth:`receive`, if nothing was read.
        """
        ...

    def send(self, descriptor: int, parts: Sequence[Buffer], /) -> int:
        """Send buffers with one call, at most 256 of them; how many bytes were taken.

        Raises BlockingIOError when there is no room, InterruptedError when a signal came first, OSError when nobody
        will ever take them.
        """
        ...

    def unread(self, descriptor: int, /) -> int:
        """Bytes of kernel memory that the peer has not read yet: they fall as it reads."""
        ...

    def has_left(self, descriptor: int, /) -> bool:
        """Whether the peer has closed its end or broken the connection; what it sent may still be there to read."""
        ...

    def clock(self) -> float:
        """Seconds of a clock that never goes back."""
        ...

    def inode(self, descriptor: int, /) -> int:
        """The number of a socket, the same in every process that has it."""
        ...

    def hangups(self) -> select.epoll:
        """What watches sockets for those who hang up."""
        ...


class PythonPort:
    """The kernel, called from Python."""

    def accept(self, listener: socket.socket, send_buffer_bytes: int, /) -> tuple[int, Peer]:
        sock, _ = listener.accept()
        with sock:
            peer = Peer.of(sock)
            sock.setblocking(False)
            if send_buffer_bytes:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
            return sock.detach(), peer

    def close(self, descriptor: int, /) -> None:
        os.close(descriptor)

    def receive(self, descriptor: int, buffer: bytearray, start: int, /) -> int:
        if not 0 <= start < len(buffer):
            raise ValueError(f"offset {start} leaves no room in {len(buffer)} bytes")
        return os.readv(descriptor, [memoryview(buffer)[start:]])

    def send_all(
        self, descriptors: Descriptors, data: Buffer, start: int, stop: int, skipped: int, /
    ) -> list[tuple[int, int]] | None:
        if not 0 <= start <= stop <= len(data):
            raise ValueError(f"offsets {start} to {stop} do not lie in {len(data)} bytes")
        view = memoryview(data)[start:stop]
        short: list[tuple[int, int]] = []
        for index, descriptor in enumerate(descriptors):
            if index == skipped:
                continue
            try:
                sent = os.write(descriptor, view)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError as error:
                sent = -(error.errno or errno.EIO)
            if sent != len(view):
                short.append((index, sent))
        return short or None

    def turn(
        self,
        descriptor: int,
        buffer: bytearray,
        filled: int,
        scanner: FrameScanner,
        receivers: Descriptors,
        skipped: int,
        most: int,
        /,
    ) -> Turn:
        got = frames = consumed = needed = all_frames = all_bytes = 0
        short: list[tuple[int, int]] | None = None
        while True:
            try:
                more = self.receive(descriptor, buffer, filled)
            except OSError:
                if got:  # the next turn says it
                    break
                raise
            got += more
            filled += more
            if more == 0:
                break
            scan = scanner.scan(buffer, 0, filled)
            one_run = not scan.refused and not scan.fault
            frames, consumed, needed = (scan.frames, scan.consumed, scan.needed) if one_run else (-1, 0, 0)
            if frames <= 0:
                break
            short = self.send_all(receivers, buffer, 0, consumed, skipped)
            most -= 1
            if short or most <= 0 or more < _READ_AGAIN_BYTES or needed > len(buffer) // 2:
                break
            all_frames += frames
            all_bytes += consumed
            filled -= consumed
            buffer[:filled] = buffer[consumed : consumed + filled]
            frames = consumed = 0
        return got, frames, consumed, filled, needed, short, all_frames, all_bytes

    def send(self, descriptor: int, parts: Sequence[Buffer], /) -> int:
        return os.writev(descriptor, parts[:256])

    def unread(self, descriptor: int, /) -> int:
        size = array.array("i", [0])
        fcntl.ioctl(descriptor, termios.TIOCOUTQ, size)
        return size[0]

    def has_left(self, descriptor: int, /) -> bool:
        poller = select.poll()
        poller.register(descriptor, 0)
        return bool(poller.poll(0))

    def clock(self) -> float:
        return time.monotonic()

    def inode(self, descriptor: int, /) -> int:
        return os.fstat(descriptor).st_ino

    def hangups(self) -> select.epoll:
        return select.epoll()


class CompiledPort(PythonPort):
    """The kernel, called from C: the functions of ``_sockets.c`` in the place of the methods."""

    def __init__(self) -> None:
        from . import _sockets

        self.receive = _sockets.receive  # type: ignore[method-assign]  # the same calls without a Python frame
        self.send_all = _sockets.send_all  # type: ignore[method-assign]
        self.turn = _sockets.turn  # type: ignore[method-assign]
        self.send = _sockets.send  # type: ignore[method-assign]
        self.unread = _sockets.unread  # type: ignore[method-assign]
        self.has_left = _sockets.has_left  # type: ignore[method-assign]
        self.clock = time.monotonic  # type: ignore[method-assign]


def return_large_blocks(least: int) -> None:
    """Have freed blocks of so many bytes or more go back to the system at once (RES-2).

    The C library learns from what is freed and keeps ever larger blocks for later otherwise: after a few bursts a relay
    would keep the memory of the largest. Without the C functions it does.
    """
    with suppress(ImportError):
        from . import _sockets

        _sockets.return_large_blocks(least)


def production_port() -> Port:
    """The kernel: called from C where a compiler was there, else from Python."""
    try:
        return CompiledPort()
    except ImportError:
        return PythonPort()
