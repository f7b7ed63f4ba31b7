"""The calls of a handover to the operating system, in one place: a simulation puts a system of its own there.

Facts:
- sockets of clients are the port's (port.py); this is for what passes between two processes: baton, memfds, messages;
- none of these calls is made while clients are served but in a handover.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import select
import socket
import stat
import time
from collections.abc import Sequence
from typing import Protocol

from ..port import Buffer, Peer

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class System(Protocol):
    """What a handover asks of the operating system. Each call raises OSError where the system refuses it."""

    def pid(self) -> int:
        """This process."""
        ...

    def user(self) -> int:
        """The user that this process acts for."""
        ...

    def clock(self) -> float:
        """Seconds of CLOCK_MONOTONIC, which all processes of a machine share."""
        ...

    def pipe(self) -> tuple[int, int]:
        """A pipe whose ends do not wait: the descriptors for reading and for writing."""
        ...

    def read(self, descriptor: int, size: int) -> bytes:
        """Read from a pipe; nothing at its end. Raises BlockingIOError when there is nothing yet."""
        ...

    def write(self, descriptor: int, data: bytes) -> int:
        """Write into a pipe; how many bytes it took."""
        ...

    def close(self, descriptor: int) -> None:
        """Close a descriptor."""
        ...

    def wait(self, descriptor: int, seconds: float) -> bool:
        """Wait so long until there is something to read, or the end; whether there is."""
        ...

    def memfd(self) -> int:
        """A file in memory that can be sealed."""
        ...

    def write_at(self, descriptor: int, parts: Sequence[Buffer], offset: int) -> int:
        """Write into a file from an offset on; how many bytes it took."""
        ...

    def seal(self, descriptor: int) -> None:
        """Let nobody change a file in memory any more."""
        ...

    def contents(self, descriptor: int) -> memoryview | None:
        """The bytes of a file in memory that is sealed; None for any other, and for one without bytes."""
        ...

    def inode(self, descriptor: int) -> int:
        """The number of what is open there."""
        ...

    def is_socket(self, descriptor: int) -> bool:
        """Whether a socket is open there."""
        ...

    def peer(self, sock: socket.socket) -> Peer:
        """The process at the other end of a connected socket."""
        ...


class Kernel:
    """The operating system that we run on."""

    def pid(self) -> int:
        return os.getpid()

    def user(self) -> int:
        return os.geteuid()

    def clock(self) -> float:
        return time.monotonic()

    def pipe(self) -> tuple[int, int]:
        return os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)

    def read(self, descriptor: int, size: int) -> bytes:
        return os.read(descriptor, size)

    def write(self, descriptor: int, data: bytes) -> int:
        return os.write(descriptor, data)

    def close(self, descriptor: int) -> None:
        os.close(descriptor)

    def wait(self, descriptor: int, seconds: float) -> bool:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        return bool(poll.poll(max(0.0, seconds) * 1000))

    def memfd(self) -> int:
        return os.memfd_create("torq-state", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)

    def write_at(self, descriptor: int, parts: Sequence[Buffer], offset: int) -> int:
        return os.pwritev(descriptor, parts, offset)

    def seal(self, descriptor: int) -> None:
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)

    def contents(self, descriptor: int) -> memoryview | None:
        try:
            seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
        except OSError:
            seals = 0
        size = os.fstat(descriptor).st_size
        if seals & _SEALS != _SEALS or not size:
            return None
        return memoryview(mmap.mmap(descriptor, size, prot=mmap.PROT_READ))

    def inode(self, descriptor: int) -> int:
        return os.fstat(descriptor).st_ino

    def is_socket(self, descriptor: int) -> bool:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)

    def peer(self, sock: socket.socket) -> Peer:
        return Peer.of(sock)


KERNEL = Kernel()
