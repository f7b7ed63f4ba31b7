"""The path of a listening socket: claimed under a lock, never open with wrong permissions, given back by inode.

Facts:
- bind() never overwrites, and unlinking blindly steals a live relay's path. So we lock, probe, and unlink only a socket
  that does not answer (CONN-1, CONN-2); the probe finds live relays that know no lock;
- connecting fails until listen(), so we set the mode before (SEC-1);
- a claim and listening are two steps: a relay listens for clients last, when all else that it offers is there;
- at the end we remove only the inode that we bound: another relay's socket may stand at the path by then;
- a shared lock on the directory keeps cleaners of temporary files from removing it while we live in it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from .errors import RelayError
from .handover.state import EndpointState
from .settings import ListenSettings

LONGEST_PATH = 107
"""The longest path of a Unix socket that the kernel takes, in bytes."""


class EndpointError(RelayError):
    """A socket path that a relay cannot claim."""


class Endpoint:
    """A listening socket at a path, the locks beside it, and what is needed to give them back.

    ``lock`` and ``directory`` are the descriptors that hold the path. Without them another process owns the socket, as
    with socket activation: the relay serves it, and neither locks nor removes its path. ``inode`` is the device and the
    inode that were bound; without it, those that stand there now.
    """

    def __init__(
        self,
        path: Path,
        listener: socket.socket,
        lock: int | None = None,
        directory: int | None = None,
        inode: tuple[int, int] | None = None,
    ) -> None:
        self.path = path
        self.listener = listener
        self._lock = lock
        self._directory = directory
        if inode is None:
            status = os.lstat(path)
            inode = status.st_dev, status.st_ino
        self._inode = inode

    def export(self) -> tuple[EndpointState, dict[str, int]]:
        """What it is, and its descriptors by what they are for (LIFE-3)."""
        device, inode = self._inode
        given = {"listener": self.listener.fileno(), "lock": self._lock, "directory": self._directory}
        descriptors = {name: descriptor for name, descriptor in given.items() if descriptor is not None}
        return EndpointState(
            os.fsencode(self.path), device, inode, "lock" in descriptors, "directory" in descriptors
        ), descriptors

    @classmethod
    def restore(cls, state: EndpointState, descriptors: Mapping[str, int]) -> Endpoint:
        """The endpoint of a state, with descriptors of this process. Raises OSError for one that is no socket."""
        return cls(
            Path(os.fsdecode(state.path)),
            socket.socket(fileno=descriptors["listener"]),
            descriptors["lock"] if state.locked else None,
            descriptors["directory"] if state.kept else None,
            (state.device, state.inode),
        )

    def leave(self) -> None:
        """Let go of its path and its locks, which are another process's now; what is left to close is the listener.

        A lock is on what was opened, not on a descriptor: it holds while the other process has it.
        """
        for descriptor in (self._lock, self._directory):
            if descriptor is not None:
                os.close(descriptor)
        self._lock = self._directory = None

    @property
    def lock_path(self) -> Path:
        """The file that is locked while the path is ours."""
        return _lock_path(self.path)

    def owns_path(self) -> bool:
        """Whether the socket that we bound still stands at the path."""
        try:
            status = os.lstat(self.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._inode

    def stop_listening(self) -> None:
        """Close the listener and remove its path if it is still ours; connecting fails from now on."""
        self.listener.close()
        if self._lock is not None and self.owns_path():
            with suppress(OSError):
                os.unlink(self.path)

    def release(self) -> None:
        """Stop listening and give the lock back."""
        self.stop_listening()
        if self._lock is not None:
            _unlock(self.path, self._lock)
            self._lock = None
        if self._directory is not None:
            os.close(self._directory)
            self._directory = None


class Claim:
    """A path that is ours to listen at, and where nobody can connect yet."""

    def __init__(
        self, path: Path, settings: ListenSettings, kind: socket.SocketKind = socket.SocketKind.SOCK_STREAM
    ) -> None:
        """Lock the path and remove a stale socket; raises :class:`EndpointError` when it is not ours to take."""
        _check_path(path)
        self._path, self._settings, self._kind = path, settings, kind
        with ExitStack() as undo, _told_of(path):
            self._directory = _own_directory(path.parent, settings.own_directory)
            undo.callback(os.close, self._directory)
            self._lock = _lock(path)
            undo.callback(_unlock, path, self._lock)
            _clear(path, kind)
            self._undo = undo.pop_all()

    def listen(self) -> Endpoint:
        """Listen there, and hand the claim on to the endpoint; raises :class:`EndpointError`."""
        with _told_of(self._path):
            listener = _listen(self._path, self._settings, self._kind)
            endpoint = Endpoint(self._path, listener, self._lock, self._directory)
        self._undo.pop_all()
        return endpoint

    def release(self) -> None:
        """Give it back, unless an endpoint has it."""
        self._undo.close()


def claim(path: Path, settings: ListenSettings, kind: socket.SocketKind = socket.SocketKind.SOCK_STREAM) -> Endpoint:
    """Claim a path and listen there at once; raises :class:`EndpointError` when it is not ours to take."""
    claimed = Claim(path, settings, kind)
    try:
        return claimed.listen()
    finally:
        claimed.release()


def _check_path(path: Path) -> None:
    if b"\0" in os.fsencode(path):
        raise EndpointError(f"{str(path)!r}: a socket path names a file; abstract sockets have no permissions")
    if path.name in ("", ".."):
        raise EndpointError(f"{path}: a socket path ends in the name of the socket; add one, such as {path / 'relay'}")
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise EndpointError(f"{path}: {len(os.fsencode(path))} bytes; a socket path has at most {LONGEST_PATH}")


@contextmanager
def _told_of(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise EndpointError(f"{error.filename or path}: cannot listen: {error.strerror}") from error


def _own_directory(path: Path, own: bool) -> int:
    """Create the directory for our user alone, or check that no other user may write to it (SEC-1); its descriptor."""
    with suppress(FileExistsError):
        os.makedirs(path, mode=0o700)
    try:
        directory = os.open(path, os.O_DIRECTORY | os.O_CLOEXEC | (os.O_NOFOLLOW if own else 0))
    except OSError as error:
        if own and error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise EndpointError(f"{path}: not a directory of its own; use a path without symbolic links") from error
        raise
    try:
        if own:
            _check_owner(path, os.fstat(directory))
        with suppress(BlockingIOError):
            fcntl.flock(directory, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BaseException:
        os.close(directory)
        raise
    return directory


def _check_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid != os.geteuid():
        raise EndpointError(
            f"{path}: belongs to user {status.st_uid}, we are {os.geteuid()}; use a directory of our own,"
            " or say --shared-directory"
        )
    if status.st_mode & 0o022:
        raise EndpointError(
            f"{path}: others may write to it (mode {stat.S_IMODE(status.st_mode):o});"
            f" use a directory of its own, such as {path / 'torq'}, or say --shared-directory"
        )


def _lock_path(path: Path) -> Path:
    return path.with_name(path.name + ".lock")


def _lock(path: Path) -> int:
    """Hold the lock of a path; raises EndpointError when another process holds it."""
    lock_path = _lock_path(path)
    while True:
        lock = os.open(lock_path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock), os.lstat(lock_path)):
                return lock
        except BlockingIOError:
            os.close(lock)
            raise EndpointError(f"{path}: a live relay holds it; stop that relay or use another --socket") from None
        except FileNotFoundError:
            pass
        os.close(lock)  # the holder before us removed the file between our open and our lock: take the new one


def _unlock(path: Path, lock: int) -> None:
    """Remove the lock file, unless another process has replaced it."""
    with suppress(OSError):
        if os.path.samestat(os.fstat(lock), os.lstat(_lock_path(path))):
            os.unlink(_lock_path(path))
    os.close(lock)


def _clear(path: Path, kind: socket.SocketKind) -> None:
    """Remove a stale socket; raises EndpointError for a live socket and for any other file."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        raise EndpointError(f"{path}: something that is not a socket stands there; remove it or use another --socket")
    with socket.socket(socket.AF_UNIX, kind) as probe:
        probe.setblocking(False)
        refused = probe.connect_ex(os.fspath(path))
    if refused == errno.ECONNREFUSED:
        os.unlink(path)
    elif refused != errno.ENOENT:
        raise EndpointError(f"{path}: a live relay answers there; stop that relay or use another --socket")


def _listen(path: Path, settings: ListenSettings, kind: socket.SocketKind) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, kind | socket.SOCK_NONBLOCK)
    try:
        os.fchmod(listener.fileno(), settings.socket_mode)
        listener.bind(os.fspath(path))
        os.chmod(path, settings.socket_mode)
        listener.listen(settings.backlog)
    except OSError:
        listener.close()
        raise
    return listener
