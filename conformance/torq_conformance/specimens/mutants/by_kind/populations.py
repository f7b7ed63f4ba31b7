"""Faults that depend on how many there are: connections, senders, frames begun at once, slow consumers."""

from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.mutants.counting import Losing, discard_waiting
from torq_conformance.specimens.mutants.ordering import Swapping
from torq_conformance.specimens.mutants.table import mutants


@mutants(
    "order-lost-among",
    "ORD-1",
    "swaps frames of one read with more than {more_than} connections (receiver 0: for all, else for the n-th alone)",
    variants=(
        {"more_than": 7},
        {"more_than": 13},
        {"more_than": 29},
        {"more_than": 9, "receiver": 4},
        {"more_than": 13, "receiver": 14},
    ),
)
class OrderLostAmong(Swapping):
    more_than = 9
    receiver = 0

    def is_swapped(self, sender: Connection, receiver: Connection) -> bool:
        everyone = list(self.connections.values())
        return len(everyone) > self.more_than and (not self.receiver or everyone.index(receiver) + 1 == self.receiver)


@mutants(
    "speaker-lost-from",
    "FWD-1",
    "loses what the {place}th open connection that sends something sends, and each later one",
    variants=({"place": 7}, {"place": 17}, {"place": 23}),
)
class SpeakerLostFrom(Losing):
    place = 11

    def prepare(self) -> None:
        self.speakers: list[Connection] = []

    def is_lost(self, sender: Connection, frame: bytes) -> bool:
        if sender not in self.speakers:
            self.speakers.append(sender)
        return self.speakers.index(sender) + 1 >= self.place

    def closed(self, connection: Connection) -> None:
        if connection in self.speakers:
            self.speakers.remove(connection)


@mutants(
    "partial-lost-among",
    "FRAME-3",
    "forgets a begun frame while more than {more_than} other connections are within a frame",
    variants=({"more_than": 4}, {"more_than": 6}, {"more_than": 10}),
)
class PartialLostAmong(Relay):
    more_than = 3

    def received(self, connection: Connection, data: bytes) -> None:
        super().received(connection, data)
        if sum(bool(each.framer.buffer) for each in self.connections.values()) > self.more_than + 1:
            connection.framer.buffer.clear()


@mutants(
    "backlog-lost-among",
    "ISO-5 ISO-8",
    "throws away what waits for a consumer that is full when more than {more_than} others are",
    variants=({"more_than": 2}, {"more_than": 4}, {"more_than": 5}),
)
class BacklogLostAmong(Relay):
    more_than = 3

    def write(self, connection: Connection) -> None:
        super().write(connection)
        full = sum(each.outbox.blocked for each in self.connections.values())
        if connection.outbox.blocked and full > self.more_than + 1:
            discard_waiting(connection.outbox)
