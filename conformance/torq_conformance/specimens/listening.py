"""The listening sockets of the historical relays.

Facts:
- the socket's directory is created when missing, with the default permissions;
- whatever stands at the path is unlinked first, the socket of a live relay included;
- no permissions are set on the socket.
"""

import os
import resource
import socket

BACKLOG = 1024


def listen(socket_path: str | None, tcp_address: tuple[str, int] | None) -> tuple[socket.socket, str]:
    """Bind and listen as the historical relays do; returns the listener and its address for people.

    Exactly one of the two addresses is given. Raises OSError when the address cannot be bound.
    """
    if tcp_address is not None:
        listener = socket.create_server(tcp_address, backlog=BACKLOG)
        host, port = listener.getsockname()[:2]
        name = f"{host}:{port}"
    else:
        assert socket_path is not None
        os.makedirs(os.path.dirname(socket_path) or ".", exist_ok=True)
        if os.path.lexists(socket_path):
            os.unlink(socket_path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(socket_path)
        listener.listen(BACKLOG)
        name = socket_path
    listener.setblocking(False)
    return listener, name


def raise_descriptor_limit() -> int:
    """Let the process hold as many connections as the system allows it; returns that limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else 1 << 20
