"""Faults that depend on how a client leaves, and at which byte of a frame."""

import os
import socket

from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.mutants.table import Values, mutants

LARGEST = 1 << 20  # a frame
AT_MOST_4 = "--max-connections 4"
LEFT = "leaves by {way} with {least} to {most} bytes of a frame"
WAYS: tuple[Values, ...] = (
    {"most": 31},
    {"least": 32},
    {"least": 25, "most": 27},
    {"least": 4_099},
    {"way": "close"},
    {"way": "close", "least": 32},
    {"way": "half-close"},
)


class Leaving(Relay):
    """Knows the way in which each client began to leave: `reset`, `close` or `half-close`."""

    way = "reset"
    least = 1
    most = LARGEST

    def prepare(self) -> None:
        self.ways: dict[Connection, str] = {}

    def was_reset(self, connection: Connection) -> None:
        self.ways.setdefault(connection, "reset")

    def sending_ended(self, connection: Connection, gone: bool) -> None:
        self.ways.setdefault(connection, "close" if gone else "half-close")
        super().sending_ended(connection, gone)

    def closed(self, connection: Connection) -> None:
        held = len(connection.framer.buffer)
        if self.ways.pop(connection, "") == self.way and self.least <= held <= self.most:
            self.left_so()

    def left_so(self) -> None:
        """A client has left in the `way`, with `least` to `most` bytes of a frame."""


@mutants("descriptor-lost-by-leaver", "CONN-8 RES-2", f"keeps a descriptor when a client {LEFT}", variants=WAYS)
class DescriptorLostByLeaver(Leaving):
    def prepare(self) -> None:
        super().prepare()
        self.lost: list[int] = []

    def left_so(self) -> None:
        self.lost.append(os.open(os.devnull, os.O_RDONLY))


@mutants(
    "slot-lost-by-leaver",
    "CONN-5 CONN-8",
    f"admits one client fewer when one {LEFT}",
    arguments=AT_MOST_4,
    variants=WAYS,
)
class SlotLostByLeaver(Leaving):
    def left_so(self) -> None:
        self.settings = self.settings._replace(max_connections=self.settings.max_connections - 1)


@mutants(
    "frame-lost-by-leaver",
    "CONN-6 FWD-1",
    f"loses the next frame of anybody when a client {LEFT}",
    variants=(
        {"least": 1, "most": 3},
        {"least": 24, "most": 27},
        {"least": 32, "most": 32},
        {"least": 4_001, "most": 9_000},
        {"way": "reset"},
        {"way": "half-close", "least": 29, "most": 31},
    ),
)
class FrameLostByLeaver(Leaving):
    way = "close"
    losing = False

    def left_so(self) -> None:
        self.losing = True

    def forward(self, sender: Connection, frame: bytes) -> None:
        if not self.losing:
            super().forward(sender, frame)
        self.losing = False


@mutants(
    "half-closed-within-closed",
    "CONN-7",
    "closes a client that half-closes with {least} to {most} bytes of a frame",
    variants=({"least": 1, "most": 3}, {"least": 25, "most": 27}, {"least": 1_009, "most": LARGEST}),
)
class HalfClosedWithinClosed(Relay):
    least = 32
    most = 32

    def sending_ended(self, connection: Connection, gone: bool) -> None:
        super().sending_ended(connection, gone or self.least <= len(connection.framer.buffer) <= self.most)


class LimitLowered(Relay):
    """Admits one client fewer, for ever, after each `period`-th event."""

    period = 1
    events = 0

    def happened(self) -> None:
        """The event."""
        self.events += 1
        if self.events % self.period == 0:
            self.settings = self.settings._replace(max_connections=self.settings.max_connections - 1)


@mutants(
    "limit-lowered-by-refused",
    "CONN-5",
    "admits one client fewer for ever after every {period} that it refused",
    arguments=AT_MOST_4,
    variants=({"period": 3}, {"period": 7}, {"period": 10}),
)
class LimitLoweredByRefused(LimitLowered):
    def refuse(self, sock: socket.socket) -> None:
        super().refuse(sock)
        self.happened()


@mutants(
    "limit-lowered-by-garbage",
    "CONN-5 CONN-8",
    "admits one client fewer for ever after every {period} that it closed for garbage",
    arguments=AT_MOST_4,
    variants=({"period": 3}, {"period": 7}, {"period": 10}),
)
class LimitLoweredByGarbage(LimitLowered):
    def framing_error(self, connection: Connection) -> None:
        super().framing_error(connection)
        self.happened()
