"""A correct relay that numbers the frames it forwards and has seeded dice: what several mutants need."""

import random

from torq_conformance.specimens.correct.doorway import Doorway
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.correct.settings import Settings


class Counting(Relay):
    """`forwarded` is the number of the frame in hand, from 1."""

    def __init__(self, settings: Settings, doorway: Doorway) -> None:
        super().__init__(settings, doorway)
        self.forwarded = 0
        self.dice = random.Random(settings.seed)

    def forward(self, sender: Connection, frame: bytes) -> None:
        self.forwarded += 1
        self.forward_counted(sender, frame)

    def forward_counted(self, sender: Connection, frame: bytes) -> None:
        """Forward the frame whose number is `forwarded`."""
        super().forward(sender, frame)

    def happens(self) -> bool:
        """True with the probability of the settings."""
        return self.dice.random() < self.settings.probability
