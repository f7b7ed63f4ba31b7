"""RES-1, RES-2 and CONN-8: memory, descriptors and threads that connections cost and leave."""

import os
import threading

from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.mutants.counting import Counting
from torq_conformance.specimens.mutants.table import mutant, replacing

mutant("descriptor-leak", "RES-2 CONN-8", "keeps one descriptor for every connection it had")(
    replacing(Relay.closed, lambda relay, connection: os.open(os.devnull, os.O_RDONLY))
)
mutant("socket-leak", "RES-2 CONN-8 VAL-5", "never closes the socket of a connection that ended")(
    replacing(Relay.closed, lambda relay, connection: os.dup(connection.sock.fileno()))
)


class Hoarding(Counting):
    """Keeps memory."""

    def prepare(self) -> None:
        super().prepare()
        self.hoard: list[bytes] = []

    def keep(self, count: int) -> None:
        """Keep `count` bytes of real memory for ever."""
        self.hoard.append(b"\1" * count)


@mutant("connection-memory-leak", "RES-2 CONN-8", "keeps 256 KiB for every connection it had")
class ConnectionMemoryLeak(Hoarding):
    def closed(self, connection: Connection) -> None:
        self.keep(256 * 1024)


@mutant("frame-memory-leak", "RES-2", "keeps 4 KiB for every frame it forwarded")
class FrameMemoryLeak(Hoarding):
    def forward_counted(self, sender: Connection, frame: bytes) -> None:
        self.keep(4096)
        super().forward_counted(sender, frame)


@mutant("fat-connections", "RES-1", "holds 256 KiB for every connection, idle or not")
class FatConnections(Relay):
    def prepare(self) -> None:
        self.fat: dict[Connection, bytes] = {}

    def opened(self, connection: Connection) -> None:
        self.fat[connection] = b"\1" * (256 * 1024)

    def closed(self, connection: Connection) -> None:
        self.fat.pop(connection, None)


@mutant("thread-leak", "RES-2", "leaves a thread behind for every connection it had")
class ThreadLeak(Relay):
    def closed(self, connection: Connection) -> None:
        if not self.stopping:
            threading.Thread(target=threading.Event().wait, daemon=True).start()
