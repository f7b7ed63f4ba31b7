"""VAL-6: input that stops the relay, disturbs others, or makes it allocate."""

import os
import signal
import time
from collections.abc import Iterator

from torq_conformance.specimens.correct.framing import HEADER_BYTES, MAGIC, Framer
from torq_conformance.specimens.correct.judging import Judge
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.mutants.counting import Counting
from torq_conformance.specimens.mutants.table import mutant

ALLOCATED_AT_MOST = 512 * 1024 * 1024


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@mutant("crash-on-empty", "VAL-6 FWD-6", "dies of a frame without a payload")
class CrashOnEmpty(Relay):
    def forward(self, sender: Connection, frame: bytes) -> None:
        if len(frame) == HEADER_BYTES:
            _crash()
        super().forward(sender, frame)


@mutant("crash-on-oversize", "VAL-6", "dies of a header that announces a frame above the maximum size")
class CrashOnOversize(Framer):
    def too_large(self, size: int) -> bool:
        if super().too_large(size):
            _crash()
        return False


@mutant("crash-on-bad-magic", "VAL-6", "dies of bytes that cannot start a frame")
class CrashOnBadMagic(Framer):
    def recover(self, start: int) -> int:
        if not MAGIC.startswith(self.buffer[start : start + 4]):
            _crash()
        return super().recover(start)


@mutant("crash-on-truncated-tlv", "VAL-6", "dies of a malformed payload", domains="signal execution")
class CrashOnTruncatedTlv(Judge):
    def payload_refusal(self, frame: bytes) -> str | None:
        reason = super().payload_refusal(frame)
        if reason == "malformed payload":
            _crash()
        return reason


@mutant("exit-cleanly-on-garbage", "VAL-6", "stops with exit code 0 when it meets garbage")
class ExitCleanlyOnGarbage(Relay):
    def framing_error(self, connection: Connection) -> None:
        self.stopping = True


@mutant("listener-dies-on-garbage", "VAL-6 CONN-1", "closes its listening socket when it meets garbage")
class ListenerDiesOnGarbage(Relay):
    def framing_error(self, connection: Connection) -> None:
        super().framing_error(connection)
        if self.listener.fileno() >= 0:
            self.listener.close()


@mutant("garbage-closes-everyone", "VAL-6 VAL-5", "closes all connections when one sends garbage")
class GarbageClosesEveryone(Relay):
    def framing_error(self, connection: Connection) -> None:
        for one in list(self.connections.values()):
            self.close(one)


@mutant("allocates-claims", "VAL-6", "allocates what a header claims, up to 512 MiB, before it looks at the size")
class AllocatesClaims(Framer):
    reserved = b""

    def too_large(self, size: int) -> bool:
        if size > max(len(self.reserved), 65_536):
            self.reserved = b"\1" * min(size, ALLOCATED_AT_MOST)
        return super().too_large(size)


@mutant("garbage-slows-everyone", "VAL-6", "spends 2 seconds on every read that holds garbage")
class GarbageSlowsEveryone(Relay):
    def framing_error(self, connection: Connection) -> None:
        time.sleep(2)
        super().framing_error(connection)


@mutant("hang-after-200", "VAL-6 FWD-1", "stops doing anything after 200 frames")
class HangAfter200(Counting):
    def turn(self) -> None:
        if self.forwarded >= 200:
            signal.pause()
        super().turn()


@mutant("hang-on-one-byte", "FRAME-1 VAL-6", "waits for ever when a frame begins with a read of one byte")
class HangOnOneByte(Framer):
    def feed(self, data: bytes) -> Iterator[bytes]:
        while not self.buffer and len(data) == 1:
            signal.pause()
        return super().feed(data)


@mutant("deaf-after-50", "CONN-3 FWD-1", "ignores what a connection sends after its 50th frame")
class DeafAfter50(Framer):
    heard = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        for frame in super().feed(data):
            self.heard += 1
            if self.heard <= 50:
                yield frame
