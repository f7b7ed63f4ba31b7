"""CONN-3 to 7: clients that are not served, or suffer for others."""

import os
import socket
import time

from torq_conformance.specimens.correct.doorway import Doorway
from torq_conformance.specimens.correct.outbox import Outbox
from torq_conformance.specimens.correct.relay import GONE, Connection, Relay
from torq_conformance.specimens.correct.settings import Settings
from torq_conformance.specimens.mutants.table import mutant, replacing

AT_MOST_4 = "--max-connections 4"


class Timing(Relay):
    """Knows when each connection joined or last sent, by its number."""

    def prepare(self) -> None:
        self.since: dict[Connection, float] = {}

    def opened(self, connection: Connection) -> None:
        self.since[connection] = time.monotonic()

    def closed(self, connection: Connection) -> None:
        self.since.pop(connection, None)


@mutant("guesses-roles", "CONN-3", "never hears a client that was silent for its first 100 ms")
class GuessesRoles(Timing):
    def received(self, connection: Connection, data: bytes) -> None:
        if time.monotonic() - self.since[connection] < 0.1:
            self.since[connection] = float("inf")  # a publisher for ever
            super().received(connection, data)


@mutant("speakers-get-nothing", "CONN-3 FWD-1", "sends nothing to a client that has sent something")
class SpeakersGetNothing(Relay):
    def received(self, connection: Connection, data: bytes) -> None:
        connection.receiving = False
        super().received(connection, data)


@mutant("idle-closed", "CONN-3", "closes a client that sent nothing for one second")
class IdleClosed(Timing):
    def received(self, connection: Connection, data: bytes) -> None:
        self.since[connection] = time.monotonic()
        super().received(connection, data)

    def seconds_to_wait(self) -> float | None:
        return 0.1

    def tick(self) -> None:
        super().tick()
        for connection, since in list(self.since.items()):
            if time.monotonic() - since > 1:
                self.close(connection)


mutant("half-close-closes", "CONN-7", "closes a client that shuts down its sending side")(
    replacing(Relay.sending_ended, lambda relay, connection, gone: Relay.sending_ended(relay, connection, gone=True))
)


@mutant("half-close-mutes", "CONN-7", "sends nothing more to a client that shut down its sending side")
class HalfCloseMutes(Relay):
    def sending_ended(self, connection: Connection, gone: bool) -> None:
        super().sending_ended(connection, gone)
        connection.receiving = False


@mutant("leaver-takes-neighbour", "CONN-6", "closes the youngest connection when any client leaves")
class LeaverTakesNeighbour(Relay):
    def sending_ended(self, connection: Connection, gone: bool) -> None:
        super().sending_ended(connection, gone)
        if gone and self.connections:
            self.close(list(self.connections.values())[-1])


@mutant("torn-leaver-takes-neighbour", "CONN-6", "closes the oldest connection when one leaves within a frame")
class TornLeaverTakesNeighbour(Relay):
    def sending_ended(self, connection: Connection, gone: bool) -> None:
        super().sending_ended(connection, gone)
        if connection.framer.buffer and self.connections:
            self.close(next(iter(self.connections.values())))


@mutant("leaver-loses-its-last", "CONN-6 FWD-1", "throws away what a client sent just before it left")
class LeaverLosesItsLast(Relay):
    def read(self, connection: Connection, event: int) -> None:
        if event & GONE:
            self.close(connection)
        else:
            super().read(connection, event)


@mutant("crash-on-reset", "CONN-6", "dies when a client leaves without having read everything")
class CrashOnReset(Relay):
    def read(self, connection: Connection, event: int) -> None:
        try:
            connection.sock.recv(1, socket.MSG_PEEK)
        except ConnectionResetError:
            os._exit(1)
        except OSError:
            return
        super().read(connection, event)


@mutant("crash-on-broken-pipe", "CONN-6", "dies when it writes to a client that has left")
class CrashOnBrokenPipe(Outbox):
    def write(self) -> None:
        try:
            super().write()
        except OSError:
            os._exit(1)


@mutant("limit-closes-oldest", "CONN-5", "makes room for a new client by closing the oldest", arguments=AT_MOST_4)
class LimitClosesOldest(Relay):
    def accept(self) -> None:
        if len(self.connections) >= self.settings.max_connections:
            self.close(next(iter(self.connections.values())))
        super().accept()


@mutant("limit-ignored", "CONN-5", "admits clients above its maximum", arguments=AT_MOST_4)
class LimitIgnored(Relay):
    def __init__(self, settings: Settings, doorway: Doorway) -> None:
        super().__init__(settings._replace(max_connections=1_000_000), doorway)


@mutant("limit-hangs", "CONN-5", "serves nobody any more once it has refused a client", arguments=AT_MOST_4)
class LimitHangs(Relay):
    def refuse(self, sock: socket.socket) -> None:
        super().refuse(sock)
        for connection in self.connections.values():
            self.poll.modify(connection.sock, 0)


mutant("serves-first-100", "CONN-4", "sends to the 100 oldest connections only")(
    replacing(Relay.receivers, lambda relay, sender: Relay.receivers(relay, sender)[:100])
)


@mutant("admits-500", "CONN-4", "closes connections above 500 at once")
class Admits500(Relay):
    def __init__(self, settings: Settings, doorway: Doorway) -> None:
        super().__init__(settings._replace(max_connections=500), doorway)
