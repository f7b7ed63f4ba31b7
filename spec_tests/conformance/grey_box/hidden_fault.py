"""The correct specimen with a fault behind three comparisons, one after another, and a function that nobody calls.

``python hidden_fault.py SOCKET``: it loses frames whose sequence begins with the bytes 0x54, 0x4f, 0x52.
"""

import sys

from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.correct.settings import Settings


class HiddenFault(Relay):
    """Looks at the sequence byte after byte."""

    def forward(self, sender: Connection, frame: bytes) -> None:
        if frame[8] == 0x54:  # noqa: SIM102 - one comparison after another
            if frame[9] == 0x4F:  # noqa: SIM102
                if frame[10] == 0x52:
                    return
        super().forward(sender, frame)

    def nobody_calls_this(self) -> int:
        self.answer = 42
        return self.answer


relay = HiddenFault(Settings(domain="signal"), HiddenFault.doorway_part(sys.argv[1], None))
sys.exit(relay.serve())
