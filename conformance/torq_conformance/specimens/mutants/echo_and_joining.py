"""FWD-4 and FWD-5: senders that get the wrong echo, and clients that get frames sent before they joined."""

from collections import Counter, deque

from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.mutants.table import mutant, replacing

mutant("echo-missing", "FWD-4", "no sender gets its own frames although echo is on")(
    replacing(
        Relay.receivers,
        lambda relay, sender: [receiver for receiver in Relay.receivers(relay, sender) if receiver is not sender],
    )
)
mutant("echo-unwanted", "FWD-4", "senders get their own frames although echo is off", arguments="--no-echo")(
    replacing(
        Relay.receivers,
        lambda relay, sender: [receiver for receiver in relay.connections.values() if receiver.receiving],
    )
)
mutant("echo-twice", "FWD-4 FWD-2", "the sender gets its own frames twice")(
    replacing(Relay.receivers, lambda relay, sender: [*Relay.receivers(relay, sender), sender])
)


class CountingPerSender(Relay):
    """How many frames each connection has sent, by its number."""

    def prepare(self) -> None:
        self.sent: Counter[int] = Counter()

    def forward(self, sender: Connection, frame: bytes) -> None:
        self.sent[sender.number] += 1
        super().forward(sender, frame)


@mutant("echo-stops", "FWD-4", "a sender gets its first 20 frames back, later ones not")
class EchoStops(CountingPerSender):
    def receivers(self, sender: Connection) -> list[Connection]:
        everyone = super().receivers(sender)
        return everyone if self.sent[sender.number] <= 20 else [one for one in everyone if one is not sender]


@mutant("echo-alternates", "FWD-4", "a sender gets every second of its frames back")
class EchoAlternates(CountingPerSender):
    def receivers(self, sender: Connection) -> list[Connection]:
        everyone = super().receivers(sender)
        return everyone if self.sent[sender.number] % 2 else [one for one in everyone if one is not sender]


class Remembering(Relay):
    """Keeps the frames it forwarded last."""

    kept = 1

    def prepare(self) -> None:
        self.past: deque[bytes] = deque(maxlen=self.kept)

    def forward(self, sender: Connection, frame: bytes) -> None:
        self.past.append(frame)
        super().forward(sender, frame)

    def opened(self, connection: Connection) -> None:
        for frame in self.past:
            self.deliver(connection, frame)
        self.write(connection)


@mutant("replay-last", "FWD-5", "who joins gets the last frame of the past")
class ReplayLast(Remembering):
    kept = 1


@mutant("replay-history", "FWD-5", "who joins gets the last 16 frames of the past")
class ReplayHistory(Remembering):
    kept = 16
