"""A stream of bytes in any cut, turned into messages (D15). Compiled with the framing kernel.

Facts:
- messages stand back to back: 32 bytes, then as many as the header announces. How the stream is cut into reads means
  nothing, so what comes out, faults and their offsets included, depends on the bytes alone;
- a bad magic or an oversize announcement is a *framing* fault: nothing behind it has a known place. Any other fault
  belongs to one frame, and the frames around it are unharmed;
- what a header announces is never allocated: bytes are kept as they come, at most one incomplete frame of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import SupportsIndex

from .arguments import Buffer, octets, whole
from .constants import CHECKSUM_OFFSET, HEADER_SIZE, MAGIC_BYTES, MAX_MESSAGE_SIZE, PAYLOAD_SIZE_OFFSET, U32_MAX
from .errors import ErrorKind, ProtocolError
from .header import bad_magic
from .message import Message, oversize, parse_frame, parse_message
from .policy import FramePolicy


class OnFault(Enum):
    """What a decoder does about a fault."""

    RAISE = "raise"
    """Raises it where it stands among the messages. Decoding goes on behind a faulty frame, never behind a framing
    fault, which is raised again."""
    SKIP = "skip"
    """Leaves faulty frames out and counts them; raises framing faults."""
    RESYNC = "resync"
    """As SKIP, and looks for the next magic behind a framing fault."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A fault that was not raised. ``start`` is the stream offset of the frame, ``data`` its bytes (none for a framing
    fault and for a stream that ended inside a frame)."""

    error: ProtocolError
    start: int
    data: bytes


class FrameDecoder:
    """Messages out of a stream: ``for message in decoder.feed(received): ...``.

    Without a ``policy`` frames are judged as by :func:`parse_message` with the arguments of the same names; with one as
    by :func:`parse_frame`, and those arguments are the policy's. ``on_refused`` is called with each fault that is not
    raised.
    """

    def __init__(
        self,
        policy: FramePolicy | None = None,
        *,
        verify_checksum: bool = True,
        accept_zero_checksum: bool = True,
        max_message_size: SupportsIndex = MAX_MESSAGE_SIZE,
        on_fault: OnFault = OnFault.RAISE,
        on_refused: Callable[[Refusal], None] | None = None,
    ) -> None:
        self._policy = policy
        self._verify_checksum = verify_checksum
        self._accept_zero_checksum = accept_zero_checksum
        limit = max_message_size if policy is None else policy.max_message_size
        self._limit = min(max(whole(limit, "max_message_size"), 0), U32_MAX + HEADER_SIZE)
        self._on_fault = on_fault
        self._on_refused = on_refused
        self._chunk = b""  # being cut, from self._position on
        self._position = 0
        self._pending = bytearray()  # has come since, not yet looked at
        self._offset = 0
        self._seeking = False
        self._fault: ProtocolError | None = None
        self.refused: Counter[ErrorKind] = Counter()
        """Faults that were not raised, by kind."""
        self.skipped_bytes = 0
        """Bytes passed over while looking for the next magic."""

    @property
    def offset(self) -> int:
        """Stream offset behind the last message or refused frame: where the next one begins."""
        return self._offset

    @property
    def buffered(self) -> int:
        """Bytes held that are not yet part of a message."""
        return len(self._chunk) - self._position + len(self._pending)

    def feed(self, data: Buffer) -> Iterator[Message]:
        """Take bytes and yield the messages that they complete.

        The bytes are taken by the call; messages that are not asked for stay for the next call. Raises, among the
        messages, the :class:`ProtocolError` of a fault as :class:`OnFault` says, its ``stream_offset`` set; to go on
        behind it, call again (``feed(b"")`` if there is no more). After a framing fault every call raises it.
        """
        if self._fault is None:
            self._pending += data if isinstance(data, bytes) else octets(data)
        return self._messages()

    def finish(self) -> None:
        """Say that the stream has ended. Raises (or counts) the fault of a stream that ended inside a frame.

        Call it when all messages were taken from :meth:`feed`; raises :class:`RuntimeError` if one is left.
        """
        for _ in self._messages():
            raise RuntimeError("finish() before all messages were taken from feed()")
        rest = self._chunk[self._position :] + self._pending
        self._chunk, self._position = b"", 0
        self._pending.clear()
        if rest and not self._seeking:
            self._decode(rest)

    def _messages(self) -> Iterator[Message]:
        while (frame := self._next_frame()) is not None:
            message = self._decode(frame)
            if message is not None:
                yield message

    def _decode(self, frame: bytes) -> Message | None:
        """The message of a frame; None if the frame is faulty and its fault not to be raised."""
        start = self._offset
        self._offset += len(frame)
        try:
            if self._policy is not None:
                return parse_frame(frame, self._policy)
            return parse_message(
                frame,
                verify_checksum=self._verify_checksum,
                accept_zero_checksum=self._accept_zero_checksum,
                max_message_size=self._limit,
            )
        except ProtocolError as error:
            error.stream_offset = start + error.offset
            if self._on_fault is OnFault.RAISE:
                raise
            self._note(Refusal(error, start, frame))
            return None

    def _next_frame(self) -> bytes | None:
        """The next whole frame, None if more bytes are needed. Raises framing faults, or passes over them."""
        if self._fault is not None:
            raise self._fault
        while not self._seeking or self._magic_is_found():
            if not self._has(len(MAGIC_BYTES)):
                break
            start = self._position
            if not self._chunk.startswith(MAGIC_BYTES, start):
                self._framing_fault(bad_magic(self._chunk[start : start + len(MAGIC_BYTES)]))
                continue
            if not self._has(HEADER_SIZE):
                break
            start = self._position
            size = HEADER_SIZE + int.from_bytes(
                self._chunk[start + PAYLOAD_SIZE_OFFSET : start + CHECKSUM_OFFSET], "little"
            )
            if size > self._limit:
                self._framing_fault(oversize(size, self._limit))
                continue
            if not self._has(size):
                break
            start = self._position
            self._position += size
            return self._chunk[start : start + size]
        return None

    def _has(self, count: int) -> bool:
        """Whether ``count`` bytes stand at the position; joins what has come to the chunk if they do so only then."""
        left = len(self._chunk) - self._position
        if left >= count:
            return True
        if self._position:
            self._chunk, self._position = self._chunk[self._position :], 0
        if left + len(self._pending) < count:
            return False
        self._chunk += self._pending
        self._pending.clear()
        return True

    def _framing_fault(self, error: ProtocolError) -> None:
        error.stream_offset = self._offset + error.offset
        if self._on_fault is not OnFault.RESYNC:
            self._fault = error
            self._chunk, self._position = b"", 0
            self._pending.clear()
            raise error
        self._note(Refusal(error, self._offset, b""))
        self._seeking = True
        self._pass_over(1)

    def _magic_is_found(self) -> bool:
        """Go to the next magic, or as far as one cannot have begun; whether it is there."""
        while self._has(len(MAGIC_BYTES)):
            found = self._chunk.find(MAGIC_BYTES, self._position)
            if found >= 0:
                self._pass_over(found - self._position)
                self._seeking = False
                return True
            self._pass_over(len(self._chunk) - self._position - len(MAGIC_BYTES) + 1)
        return False

    def _pass_over(self, count: int) -> None:
        self._position += count
        self._offset += count
        self.skipped_bytes += count

    def _note(self, refusal: Refusal) -> None:
        self.refused[refusal.error.kind] += 1
        if self._on_refused is not None:
            self._on_refused(refusal)
