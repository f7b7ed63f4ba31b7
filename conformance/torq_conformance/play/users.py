"""Clients of other users, made for a run: whoever may change its user may do so for one connection.

Facts: the kernel keeps with a Unix socket who connected it, whoever holds the socket later; so a child of that user
connects and hands the socket over. No account needs to exist.
"""

from __future__ import annotations

import errno
import os
import socket

from .target import Target


def connected_as(target: Target, uid: int, gid: int) -> socket.socket:
    """A connected, non-blocking socket of another user and group. Raises OSError as connecting does; it takes root."""
    ours, childs = socket.socketpair()
    with ours, childs:
        child = os.fork()
        if child == 0:
            _hand_over(target, uid, gid, childs)
        childs.close()
        said, descriptors, _, _ = socket.recv_fds(ours, 16, 1)
        os.waitpid(child, 0)
    if not descriptors:
        number = int(said or errno.EPERM)
        raise OSError(number, os.strerror(number), str(target.address))
    return socket.socket(fileno=descriptors[0])


def _hand_over(target: Target, uid: int, gid: int, way: socket.socket) -> None:
    """Become the user, connect, and give the socket away; whatever happens, the process ends here."""
    try:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
        with target.connect() as sock:
            socket.send_fds(way, [b"0"], [sock.fileno()])
    except OSError as error:
        way.send(str(error.errno or errno.EIO).encode())
    finally:
        os._exit(0)
