"""Correct relays that lose, repeat or number the frames they forward: what several mutants need."""

import random

from torq_conformance.specimens.correct.outbox import Outbox
from torq_conformance.specimens.correct.relay import Connection, Relay


class Losing(Relay):
    """Loses some frames, for everyone."""

    def is_lost(self, sender: Connection, frame: bytes) -> bool:
        """Whether this frame is lost."""
        return False

    def forward(self, sender: Connection, frame: bytes) -> None:
        if not self.is_lost(sender, frame):
            super().forward(sender, frame)


class Counting(Relay):
    """Has seeded dice; `forwarded` is the number of the frame in hand, from 1."""

    def prepare(self) -> None:
        self.forwarded = 0
        self.dice = random.Random(self.settings.seed)

    def forward(self, sender: Connection, frame: bytes) -> None:
        self.forwarded += 1
        for _ in range(self.copies()):
            self.forward_counted(sender, frame)

    def copies(self) -> int:
        """How many times the frame whose number is `forwarded` is forwarded."""
        return 1

    def forward_counted(self, sender: Connection, frame: bytes) -> None:
        """Forward the frame whose number is `forwarded`."""
        super().forward(sender, frame)

    def happens(self) -> bool:
        """True with the probability of the settings."""
        return self.dice.random() < self.settings.probability


def discard_waiting(outbox: Outbox) -> None:
    """Throw away the frames of which no byte is sent."""
    while len(outbox.frames) > (1 if outbox.written else 0):
        outbox.bytes -= len(outbox.frames.pop())
