"""Connecting only where nobody else could have put the socket.

Facts:
- a path under /tmp can be guessed, and whoever creates the directory first owns what is in it: a client that connects
  there blindly may talk to an impostor;
- what was checked is an open directory, not a name: the socket is then reached through that descriptor, so that a
  directory swapped in between changes nothing.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UnsafeDirectoryError


@contextmanager
def trusted_path(path: Path, owners: frozenset[int]) -> Iterator[str]:
    """A name of the socket that goes through its checked directory.

    Raises :class:`UnsafeDirectoryError` unless the directory is one of its own (no symbolic link), belongs to this
    user or one of ``owners``, and is not writable by group or others; :class:`OSError` if it is not there.
    """
    parent = path.parent
    try:
        directory = os.open(parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise UnsafeDirectoryError(f"{parent}: not a directory of its own; use a path without a link") from error
        raise
    try:
        _check(parent, os.fstat(directory), owners | {os.geteuid()})
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)


def _check(parent: Path, status: os.stat_result, owners: frozenset[int]) -> None:
    if status.st_uid not in owners:
        raise UnsafeDirectoryError(
            f"{parent}: belongs to user {status.st_uid}, who could pretend to be the relay;"
            " add the user to trusted_owners if that is the relay's"
        )
    if status.st_mode & 0o022:
        raise UnsafeDirectoryError(
            f"{parent}: others may write to it (mode {stat.S_IMODE(status.st_mode):o}), and could pretend to be the"
            f" relay; chmod go-w {parent}, or use another directory"
        )
