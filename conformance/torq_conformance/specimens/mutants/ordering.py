"""ORD-1 to ORD-3: frames that overtake each other."""

import time
from collections.abc import Iterator

from torq_conformance.specimens.correct.framing import Framer
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.mutants.table import mutant, replacing

LATE_S = 0.005


@mutant("swap-in-batch", "ORD-1", "swaps each two neighbours among the frames of one read")
class SwapInBatch(Framer):
    def feed(self, data: bytes) -> Iterator[bytes]:
        held = b""
        for frame in super().feed(data):
            if held:
                yield frame
                yield held
                held = b""
            else:
                held = frame
        if held:
            yield held


@mutant("small-first", "ORD-1", "forwards the frames of one read by size, the smallest first")
class SmallFirst(Framer):
    def feed(self, data: bytes) -> Iterator[bytes]:
        yield from sorted(super().feed(data), key=len)


class Swapping(Relay):
    """Swaps each frame with the one before it, for some receivers, where neither is partly sent."""

    def is_swapped(self, sender: Connection, receiver: Connection) -> bool:
        """Whether this receiver gets the frame in hand before the one ahead of it."""
        return False

    def forward(self, sender: Connection, frame: bytes) -> None:
        super().forward(sender, frame)
        for receiver in self.receivers(sender):
            frames = receiver.outbox.frames
            if len(frames) > (2 if receiver.outbox.written else 1) and self.is_swapped(sender, receiver):
                frames[-1], frames[-2] = frames[-2], frames[-1]


class Delaying(Relay):
    """Delivers some frames to some receivers `LATE_S` later, and those in order."""

    def prepare(self) -> None:
        self.late: list[tuple[float, Connection, bytes]] = []

    def is_late(self, sender: Connection, receiver: Connection, frame: bytes) -> bool:
        """Whether this receiver gets this frame late."""
        return False

    def forward(self, sender: Connection, frame: bytes) -> None:
        for receiver in self.receivers(sender):
            if self.is_late(sender, receiver, frame):
                self.late.append((time.monotonic() + LATE_S, receiver, frame))
            else:
                self.deliver(receiver, frame)

    def seconds_to_wait(self) -> float | None:
        wait = super().seconds_to_wait()
        if not self.late:
            return wait
        due = max(0.0, self.late[0][0] - time.monotonic())
        return due if wait is None else min(wait, due)

    def tick(self) -> None:
        super().tick()
        while self.late and self.late[0][0] <= time.monotonic():
            _, receiver, frame = self.late.pop(0)
            if receiver.sock.fileno() in self.connections:
                self.deliver(receiver, frame)
        self.write_all()


mutant("large-frames-late", "ORD-1", "frames above 1024 bytes are overtaken by later ones of their sender")(
    replacing(Delaying.is_late, lambda relay, sender, receiver, frame: len(frame) > 1024)
)
mutant("causality-break", "ORD-3 ORD-2", "some pairs of sender and receiver are 5 ms slower than others")(
    replacing(
        Delaying.is_late,
        lambda relay, sender, receiver, frame: sender is not receiver and (sender.number + receiver.number) % 3 == 0,
    )
)


@mutant(
    "senders-reordered", "ORD-2", "what several senders sent at once reaches every second receiver in another order"
)
class SendersReordered(Relay):
    def turn(self) -> None:
        time.sleep(0.002)  # so that several senders have sent
        super().turn()

    def react_to(self, events: list[tuple[int, int]]) -> bool:
        self.batch: list[tuple[Connection, bytes]] = []
        joining = super().react_to(events)
        for receiver in list(self.connections.values()):
            direction = -1 if receiver.number % 2 else 1
            for sender, frame in sorted(self.batch, key=lambda sent: direction * sent[0].number):
                if receiver in self.receivers(sender):
                    self.deliver(receiver, frame)
        self.write_all()
        return joining

    def forward(self, sender: Connection, frame: bytes) -> None:
        self.batch.append((sender, frame))


mutant("own-frames-first", "ORD-2", "a sender sees its own frames before those it should see first")(
    replacing(Delaying.is_late, lambda relay, sender, receiver, frame: sender is not receiver)
)
