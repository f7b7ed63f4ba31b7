"""GC, the first generic engine: broadcasts chunks, judging each by its first 32 bytes.

Facts:
- a chunk shorter than 32 bytes, or that does not start with the magic, is dropped;
- a chunk whose `relay_domain` is not the relay's own is dropped; any other is forwarded whole;
- version, checksum, size, TLVs and any later frame of the chunk are not looked at. Hence own|foreign|own in one
  write leaks a foreign domain, foreign|own loses both, a split header loses the frame, and a split payload (or
  a frame above the 65 536 bytes of one read) leaves the receivers with a torn frame;
- ring, lag, echo and half-close are those of `broadcast`.
"""

import socket

from torq_conformance.specimens.broadcast import Broadcast, Log

HEADER_BYTES = 32
MAGIC = 0xDEADBEEF.to_bytes(4, "little")
DOMAIN_OFFSET = 4


def serve(listener: socket.socket, domain: int, log: Log) -> None:
    """Run the engine for one domain (1 market data, 2 signal, 3 execution) until the process is killed."""

    def admit(chunk: bytes) -> bool:
        return len(chunk) >= HEADER_BYTES and chunk.startswith(MAGIC) and chunk[DOMAIN_OFFSET] == domain

    Broadcast(listener, admit, log).serve()
