"""LM, the legacy market data relay: broadcasts chunks, filters nothing.

Facts:
- foreign domains, bad checksums, garbage text: everything is forwarded, to the sender too;
- bytes pass in order, so with one sender split, coalesced and very large frames come out right; the chunks of
  two senders can interleave in the middle of a frame, and then the receivers' framing breaks;
- ring, lag and half-close are those of `broadcast`.
"""

import socket

from torq_conformance.specimens.broadcast import Broadcast, Log


def serve(listener: socket.socket, domain: int, log: Log) -> None:
    """Run the relay until the process is killed; `domain` makes no difference to it."""
    Broadcast(listener, admit=lambda chunk: True, log=log).serve()
