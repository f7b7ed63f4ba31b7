"""FRAME-1 to 4: frames not recognised, mixed, or torn."""

from collections.abc import Iterator
from itertools import islice

from torq_conformance.specimens.correct.framing import HEADER_BYTES, Framer
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.correct.settings import Settings
from torq_conformance.specimens.mutants.table import mutant, replacing


class SplitLost(Framer):
    """Loses a frame when a read ended at an unlucky place in it, and no other."""

    def unlucky(self, pending: int) -> bool:
        """Whether `pending` bytes of the frame had come when the read ended."""
        raise NotImplementedError

    def feed(self, data: bytes) -> Iterator[bytes]:
        lost = bool(self.buffer) and self.unlucky(len(self.buffer))
        for frame in super().feed(data):
            if not lost:
                yield frame
            lost = False


mutant("split-header-lost", "FRAME-1", "loses a frame whose header came in two reads")(
    replacing(SplitLost.unlucky, lambda framer, pending: pending < HEADER_BYTES)
)
mutant("split-magic-lost", "FRAME-1", "loses a frame that was cut within its first 4 bytes")(
    replacing(SplitLost.unlucky, lambda framer, pending: pending < 4)
)
mutant("split-at-31-lost", "FRAME-1", "loses a frame that was cut before the last byte of its header")(
    replacing(SplitLost.unlucky, lambda framer, pending: pending == HEADER_BYTES - 1)
)
mutant("split-behind-header-lost", "FRAME-1", "loses a frame that was cut between header and payload")(
    replacing(SplitLost.unlucky, lambda framer, pending: pending == HEADER_BYTES)
)
mutant("split-payload-lost", "FRAME-1 FWD-7", "loses a frame whose payload came in several reads")(
    replacing(SplitLost.unlucky, lambda framer, pending: pending > HEADER_BYTES)
)
mutant("split-last-byte-lost", "FRAME-1", "loses a frame whose last byte came alone")(
    replacing(SplitLost.unlucky, lambda framer, pending: pending + 1 == framer.frame_size(0))
)
mutant("single-bytes-lost", "FRAME-1", "loses reads of one byte")(
    replacing(Framer.feed, lambda framer, data: Framer.feed(framer, b"" if len(data) == 1 else data))
)


@mutant("coalesced-rest-lost", "FRAME-2", "loses everything behind the first whole frame of a read")
class CoalescedRestLost(Framer):
    kept = 1

    def feed(self, data: bytes) -> Iterator[bytes]:
        frames = list(islice(super().feed(data), self.kept))
        if len(frames) == self.kept:
            self.buffer.clear()
        yield from frames


@mutant("coalesced-33rd-lost", "FRAME-2", "loses everything behind the 32nd whole frame of a read")
class Coalesced33rdLost(CoalescedRestLost):
    kept = 32


@mutant("mixed-buffers", "FRAME-3", "keeps the incomplete frames of all connections in one buffer")
class MixedBuffers(Framer):
    shared = bytearray()

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.buffer = self.shared


@mutant("buffer-inherited", "FRAME-3 CONN-6", "the next to join inherits the incomplete frame of the last who left")
class BufferInherited(Relay):
    left = b""

    def opened(self, connection: Connection) -> None:
        connection.framer.buffer += self.left

    def closed(self, connection: Connection) -> None:
        self.left = bytes(connection.framer.buffer)


@mutant("partial-at-end", "FRAME-4 CONN-6", "forwards the incomplete frame of a client that leaves")
class PartialAtEnd(Relay):
    def sending_ended(self, connection: Connection, gone: bool) -> None:
        if connection.framer.buffer:
            self.forward(connection, bytes(connection.framer.buffer))
        super().sending_ended(connection, gone)


PARTIAL_TIMEOUT = "--partial-frame-timeout 1"


mutant("partial-kept", "FRAME-5", "keeps an incomplete frame for ever", arguments=PARTIAL_TIMEOUT)(
    replacing(Relay.time_frame, lambda relay, connection, finished: None)
)
mutant(
    "partial-kept-by-trickle",
    "FRAME-5",
    "times an incomplete frame from its last byte, not its first",
    arguments=PARTIAL_TIMEOUT,
)(replacing(Relay.time_frame, lambda relay, connection, finished: Relay.time_frame(relay, connection, True)))
mutant(
    "partial-timed-from-the-first",
    "FRAME-5",
    "closes a connection that begins one frame in the write that ends another",
    arguments=PARTIAL_TIMEOUT,
)(replacing(Relay.time_frame, lambda relay, connection, finished: Relay.time_frame(relay, connection, False)))


@mutant("partial-timer-kept", "FRAME-5", "times a frame on when it is complete", arguments=PARTIAL_TIMEOUT)
class PartialTimerKept(Relay):
    def time_frame(self, connection: Connection, finished: bool) -> None:
        if connection.framer.buffer:
            super().time_frame(connection, finished)


@mutant("cut-through", "FRAME-4 FRAME-3", "forwards the first part of a frame before the rest has come")
class CutThrough(Relay):
    def prepare(self) -> None:
        self.ahead: dict[Connection, int] = {}  # bytes of its incomplete frame that are already forwarded

    def received(self, connection: Connection, data: bytes) -> None:
        super().received(connection, data)
        part, done = bytes(connection.framer.buffer), self.ahead.get(connection, 0)
        if len(part) > max(done, HEADER_BYTES):
            super().forward(connection, part[done:])
            self.ahead[connection] = len(part)

    def forward(self, sender: Connection, frame: bytes) -> None:
        super().forward(sender, frame[self.ahead.pop(sender, 0) :])
