"""LIFE-3 and LIFE-4: what a relay loses when a successor takes over, or does not."""

import os
import select
import socket
from contextlib import suppress

from torq_conformance.specimens.correct.relay import Connection
from torq_conformance.specimens.correct.takeover import Client, Takeover
from torq_conformance.specimens.mutants.table import mutant, replacing

ONE_MESSAGE = 253 - 4  # connections beside the state, the baton, the listening socket and the door
ONE_READ = 65_536


@mutant("takeover-forgets-partial", "LIFE-3", "its successor does not know the frames that senders are within")
class ForgetsPartial(Takeover):
    def restore_client(self, sock: socket.socket, client: Client, frames: list[bytes], buffer: bytes) -> None:
        super().restore_client(sock, client, frames, b"")


@mutant("takeover-cuts-large-partial", "LIFE-3", "its successor gets one read at most of the frame a sender is within")
class CutsLargePartial(Takeover):
    def restore_client(self, sock: socket.socket, client: Client, frames: list[bytes], buffer: bytes) -> None:
        super().restore_client(sock, client, frames, buffer[:ONE_READ])


@mutant("takeover-repeats-remainder", "LIFE-3", "its successor sends a frame from its first byte that was partly sent")
class RepeatsRemainder(Takeover):
    def restore_client(self, sock: socket.socket, client: Client, frames: list[bytes], buffer: bytes) -> None:
        super().restore_client(sock, {**client, "written": 0}, frames, buffer)


@mutant("takeover-drops-queue", "LIFE-3", "its successor gets no frame that waits, but for one partly sent")
class DropsQueue(Takeover):
    def restore_client(self, sock: socket.socket, client: Client, frames: list[bytes], buffer: bytes) -> None:
        kept = client["frames"][: bool(client["written"])]
        super().restore_client(sock, {**client, "frames": kept}, frames, buffer)


@mutant("takeover-reorders", "LIFE-3", "its successor sends what waits with the newest frame first")
class Reorders(Takeover):
    def restore_client(self, sock: socket.socket, client: Client, frames: list[bytes], buffer: bytes) -> None:
        first, rest = client["frames"][:1], client["frames"][1:]
        super().restore_client(sock, {**client, "frames": [*first, *reversed(rest)]}, frames, buffer)


@mutant("takeover-leaves-queue-asleep", "LIFE-3", "its successor does not wait for room where frames wait")
class LeavesQueueAsleep(Takeover):
    def active(self) -> None:
        for connection in self.relay.connections.values():
            connection.watched &= ~select.EPOLLOUT
            self.relay.poll.modify(connection.sock, connection.watched)
        super().active()


@mutant("takeover-loses-254th", "LIFE-3", "hands over as many descriptors as one message takes")
class Loses254th(Takeover):
    def clients(self) -> list[Connection]:
        return super().clients()[:ONE_MESSAGE]


mutant("takeover-forgets-half-closed", "LIFE-3", "hands nobody over who has half-closed")(
    replacing(Takeover.clients, lambda own: [each for each in own.relay.connections.values() if each.sending])
)


@mutant("takeover-forgets-never-reading", "LIFE-3", "hands nobody over who has frames waiting and was not seen to read")
class ForgetsNeverReading(Takeover):
    def clients(self) -> list[Connection]:
        return [each for each in super().clients() if each.outbox.reader_seen or not each.outbox.frames]


@mutant("takeover-two-owners", "LIFE-3", "serves on for a moment when its successor owns its clients")
class TwoOwners(Takeover):
    def wait_until_active(self, line: socket.socket) -> None:
        self.relay.catch_up()
        for connection in self.relay.connections.values():
            connection.outbox.blocked = False
        self.relay.write_all()
        super().wait_until_active(line)


mutant("takeover-restarts-counters", "LIFE-3", "its successor counts from 0")(
    replacing(Takeover.restore_counters, lambda own, state: None)
)


@mutant("takeover-shuts-down", "LIFE-3", "shuts its connections down when its successor has them")
class ShutsDown(Takeover):
    def leave(self) -> None:
        for connection in self.relay.connections.values():
            with suppress(OSError):
                connection.sock.shutdown(socket.SHUT_RDWR)
        super().leave()


@mutant("takeover-unlinks-path", "LIFE-3", "removes its socket file when its successor listens there")
class UnlinksPath(Takeover):
    def leave(self) -> None:
        self.relay.doorway.remove()
        super().leave()


@mutant("takeover-turns-away", "LIFE-3", "closes who connects while it hands over")
class TurnsAway(Takeover):
    def give(self, line: socket.socket, baton: int) -> None:
        super().give(line, baton)
        with suppress(OSError):
            while True:
                self.relay.listener.accept()[0].close()


@mutant("takeover-only-once", "LIFE-3", "its successor cannot be succeeded")
class OnlyOnce(Takeover):
    def hear(self) -> None:
        if not self.relay.settings.takeover:
            super().hear()
        else:
            self.close()


@mutant("failed-takeover-serves-nobody", "LIFE-4", "serves nobody who was there when a successor has failed")
class ServesNobody(Takeover):
    def failed(self) -> None:
        self.unserved = list(self.relay.connections.values())
        for connection in self.unserved:
            self.relay.poll.unregister(connection.sock)
        self.relay.connections.clear()


@mutant("failed-takeover-forgets-partial", "LIFE-4", "forgets the frames that senders are within when one fails")
class FailureForgetsPartial(Takeover):
    def failed(self) -> None:
        for connection in self.relay.connections.values():
            connection.framer.buffer.clear()


@mutant("failed-takeover-drops-queue", "LIFE-4", "drops what waits, but for a frame partly sent, when one fails")
class FailureDropsQueue(Takeover):
    def failed(self) -> None:
        for connection in self.relay.connections.values():
            while connection.outbox.drop_first():
                pass


@mutant("failed-takeover-is-last", "LIFE-4", "hears no successor any more when one has failed")
class FailureIsLast(Takeover):
    def failed(self) -> None:
        self.close()


mutant("failed-takeover-ends-relay", "LIFE-4", "ends when its successor fails")(
    replacing(Takeover.failed, lambda own: os._exit(0))
)
