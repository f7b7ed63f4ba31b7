"""What the relay counts (VAL-7, ISO-6), and the socket that shows it in Prometheus's text format.

Facts: an outbox counts what it delivers and drops; when its connection ends, its counts are added here, and what it
still holds is dropped.
"""

import os
import socket
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress

from torq_conformance.specimens.correct.outbox import Outbox

ASKING_SECONDS = 1.0


class Counters:
    """The counters of the connections that are over, and of frames on their way in."""

    def __init__(self, path: str, listener: socket.socket | None = None) -> None:
        self.received = 0
        self.refused: Counter[str] = Counter()
        self.delivered = 0
        self.dropped: Counter[str] = Counter()
        self.listener = listener
        if path and listener is None:
            with suppress(FileNotFoundError):
                os.unlink(path)
            self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.listener.bind(path)
            self.listener.listen()

    def refuse(self, reason: str) -> None:
        """A frame reaches nobody (VAL-7)."""
        self.refused[reason] += 1

    def drop(self, reason: str, frames: int) -> None:
        """Frames that a receiver will not get (ISO-6)."""
        self.dropped[reason] += frames

    def close(self, outbox: Outbox) -> None:
        """A connection is over: what waits for it is dropped."""
        self.delivered += outbox.delivered
        self.drop("queue full", outbox.dropped)
        self.drop("closed", len(outbox.frames))

    def page(self, outboxes: Iterable[Outbox]) -> str:
        """All counters, those of the open connections included."""
        outboxes = list(outboxes)
        dropped = self.dropped + Counter({"queue full": sum(outbox.dropped for outbox in outboxes)})
        plain = {
            "received_frames": self.received,
            "delivered_frames": self.delivered + sum(outbox.delivered for outbox in outboxes),
            "queued_frames": sum(len(outbox.frames) for outbox in outboxes),
        }
        lines = [f"{name} {value}" for name, value in plain.items()]
        for name, reasons in (("refused_frames", self.refused), ("dropped_frames", dropped)):
            lines += [f'{name}{{reason="{reason}"}} {value}' for reason, value in reasons.items()]
        return "\n".join(lines) + "\n"

    def answer(self, outboxes: Iterable[Outbox]) -> None:
        """Give the page to who asks."""
        assert self.listener is not None
        with suppress(OSError):
            asking, _ = self.listener.accept()
            with asking:
                asking.settimeout(ASKING_SECONDS)
                asking.recv(4096)
                asking.sendall(self.page(outboxes).encode())
