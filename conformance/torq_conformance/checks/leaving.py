"""Ways in which a client leaves: how, and after which byte of a frame."""

from __future__ import annotations

import select
import socket
from functools import cache
from itertools import product
from typing import Literal, NamedTuple

from ..play.address import shows
from ..play.clients import LINGER_FOR_NOTHING
from .bench import Bench, Client

How = Literal["closes", "resets", "half-closes, then closes"]
HOW: tuple[How, ...] = ("closes", "resets", "half-closes, then closes")
WITHIN = (0, 5, 19, 26, 31, 32, 33, 40, 600, 4_500)
"""Bytes of a frame that it has sent: none, in every field that a relay looks at, at the edges, and in the payload."""
FRAME_VALUE_BYTES = 9_000
"""Bytes of the value in that frame."""


class Leaving(NamedTuple):
    """One way to leave: ``how``, when so many bytes of a frame are sent."""

    how: How
    sent: int

    @property
    def words(self) -> str:
        """The way in words."""
        return f"it {self.how} {f'after {self.sent} bytes of a frame' if self.sent else 'behind its last frame'}"


@cache
def leavings() -> tuple[Leaving, ...]:
    """Every way."""
    return tuple(Leaving(how, sent) for how, sent in product(HOW, WITHIN))


def leave(bench: Bench, client: Client, leaving: Leaving, other: Client) -> None:
    """Let a client leave; ``other`` stays and sends to it what it leaves unread: that resets a Unix socket."""
    if leaving.sent:
        client.send(bench.frame(FRAME_VALUE_BYTES)[: leaving.sent])
        client.is_taken()
    client.forget()
    if leaving.how == "resets" and bench.rules.forwards:
        other.send(bench.frame())
        shows(client.sock, select.POLLIN, bench.timing.attempt_seconds)
        if client.sock.family != socket.AF_UNIX:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_FOR_NOTHING)
    if leaving.how == "half-closes, then closes":
        client.sock.shutdown(socket.SHUT_WR)
        client.is_taken()
    client.close()
