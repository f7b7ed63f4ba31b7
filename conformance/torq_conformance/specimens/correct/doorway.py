"""The listening socket of the relay (CONN-1, CONN-2, SEC-1, and the last step of LIFE-1).

Facts: only a refused connection proves a socket file stale; the socket is 0600 from its first moment, because
bind obeys the umask; who looks, binds and listens holds a lock on the directory, so that of several started at once
one serves (CONN-9); at the end the file is removed only if it is still the relay's own.
"""

import contextlib
import fcntl
import os
import socket
import stat
from collections.abc import Iterator

BACKLOG = 4096


class StartRefusedError(Exception):
    """The relay does not start; the text says why and what to do."""


class Doorway:
    """A Unix socket at `path`, or a TCP address."""

    socket_mode = 0o600
    directory_mode = 0o700

    def __init__(self, path: str | None, tcp_address: tuple[str, int] | None) -> None:
        self.path = os.path.abspath(path) if path is not None else None
        self.tcp_address = tcp_address
        self.identity: tuple[int, int] | None = None

    def open(self) -> socket.socket:
        """Listen, non-blocking. Raises StartRefusedError or OSError."""
        if self.path is not None:
            directory = os.path.dirname(self.path)
            self.prepare_directory(directory)
            with self.alone_in(directory):
                self.clear(self.path)
                listener = self.bind(self.path)
        else:
            assert self.tcp_address is not None
            listener = socket.create_server(self.tcp_address, backlog=BACKLOG)
        listener.setblocking(False)
        return listener

    def prepare_directory(self, directory: str) -> None:
        """Create the directory for its owner alone; refuse a directory that other users may write."""
        os.makedirs(directory, mode=self.directory_mode, exist_ok=True)
        found = os.stat(directory)
        if found.st_uid != os.geteuid() or found.st_mode & 0o022:
            raise StartRefusedError(
                f"{directory} belongs to another user or is writable by others: use a directory of yours"
            )

    @contextlib.contextmanager
    def alone_in(self, directory: str) -> Iterator[None]:
        """Wait until no other relay is about to listen in the directory, and keep them out meanwhile."""
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def clear(self, path: str) -> None:
        """Remove a stale socket file; refuse to touch a live relay's socket or any other file."""
        try:
            kind = os.lstat(path).st_mode
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(kind):
            raise StartRefusedError(f"{path} exists and is not a socket: remove it or choose another path")
        if self.answers(path):
            raise StartRefusedError(f"a live relay answers on {path}: stop it or choose another path")
        os.unlink(path)

    def answers(self, path: str) -> bool:
        """Whether a relay listens on the path."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                return False
            except BlockingIOError:  # its backlog is full
                return True
        return True

    def bind(self, path: str) -> socket.socket:
        """Bind with the socket's mode in force from the start, and listen."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        before = os.umask(0o777 & ~self.socket_mode)
        try:
            listener.bind(path)
        finally:
            os.umask(before)
        listener.listen(BACKLOG)
        found = os.lstat(path)
        self.identity = (found.st_dev, found.st_ino)
        return listener

    def remove(self) -> None:
        """Remove the socket file if it is still this relay's own."""
        if self.path is None:
            return
        try:
            found = os.lstat(self.path)
        except FileNotFoundError:
            return
        if (found.st_dev, found.st_ino) == self.identity:
            os.unlink(self.path)
