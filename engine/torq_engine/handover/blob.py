"""A state as one blob: a prefix, a head that says everything but bytes that wait, and these bytes.

Facts:
- prefix: magic, schema, CRC-32 of the data, sizes of head and data; then the digest of prefix and head (BLAKE2b);
- the data are segments of the log, copied once and never packed: the blob of a relay with 64 MiB in its queues takes
  little longer than their copy. A CRC-32 is enough for them: it finds an accident, and whoever can forge a blob is the
  relay's own user;
- a memfd carries the blob, sealed: what was checked cannot change any more.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from functools import cache
from typing import TypeVar
from zlib import crc32

import msgspec

from ..port import Buffer
from .state import SCHEMA, CopyState, StateError
from .system import KERNEL, System

_MAGIC = b"TORQTAKE"
_PREFIX = struct.Struct("<8sIIQQ")
_DIGEST_BYTES = 32
_HEAD = _PREFIX.size + _DIGEST_BYTES
_MOST_PARTS = 1024
StateT = TypeVar("StateT", bound=msgspec.Struct)


def packed(state: msgspec.Struct, data: Sequence[Buffer]) -> list[Buffer]:
    """The parts of the blob of a state and its data."""
    crc = size = 0
    for part in data:
        crc = crc32(part, crc)
        size += len(part)
    return [*_front(msgspec.msgpack.encode(state), crc, size), *data]


def _front(head: bytes, crc: int, size: int) -> list[Buffer]:
    prefix = _PREFIX.pack(_MAGIC, SCHEMA, crc, len(head), size)
    return [prefix, _digest(prefix, head), head]


def unpacked(blob: memoryview, kind: type[StateT]) -> tuple[StateT, memoryview]:
    """The state in a blob, and its data where they lie.

    Raises :class:`~torq_engine.handover.state.StateError` for a blob that is damaged, or has what this build does not
    know.
    """
    if len(blob) < _HEAD or blob[: len(_MAGIC)] != _MAGIC:
        raise StateError("this is no state of a relay")
    _, schema, crc, head_bytes, data_bytes = _PREFIX.unpack_from(blob)
    if not 1 <= schema <= SCHEMA:
        raise StateError(f"the state has schema {schema}, this build reads 1 to {SCHEMA}; take over with another build")
    if len(blob) != _HEAD + head_bytes + data_bytes:
        raise StateError(f"the state is damaged: {len(blob)} bytes instead of {_HEAD + head_bytes + data_bytes}")
    head, data = blob[_HEAD : _HEAD + head_bytes], blob[_HEAD + head_bytes :]
    if _digest(blob[: _PREFIX.size], head) != blob[_PREFIX.size : _HEAD]:
        raise StateError("the state is damaged: its head is not as written")
    if crc32(data) != crc:
        raise StateError("the state is damaged: its data are not as written")
    try:
        return decoder(kind).decode(head), data
    except msgspec.ValidationError as error:
        raise StateError(
            f"the state has what this build does not know: {error}; take over with another build"
        ) from None


@cache
def decoder(kind: type[StateT]) -> msgspec.msgpack.Decoder[StateT]:
    """Reads one kind of state. Whom clients will wait for makes it before: it takes a millisecond."""
    return msgspec.msgpack.Decoder(kind)


def _digest(prefix: Buffer, head: Buffer) -> bytes:
    digest = hashlib.blake2b(prefix, digest_size=_DIGEST_BYTES)
    digest.update(head)
    return digest.digest()


def sealed(parts: Sequence[Buffer], system: System = KERNEL) -> int:
    """The descriptor of a sealed memfd with these bytes; raises OSError."""
    descriptor = system.memfd()
    try:
        left = [memoryview(part) for part in parts if len(part)]
        offset = 0
        while left:
            written = system.write_at(descriptor, left[:_MOST_PARTS], offset)
            offset += written
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = left[0][written:]
        system.seal(descriptor)
    except BaseException:
        system.close(descriptor)
        raise
    return descriptor


class SlowCopy:
    """The blob of a copy, written a little at a time; raises OSError. Close it when nobody needs it any more."""

    def __init__(self, data: Sequence[memoryview], system: System = KERNEL) -> None:
        self._system = system
        self._left = list(data)
        self._left.reverse()
        self.size = sum(map(len, data))
        """Bytes of data."""
        self._head = msgspec.msgpack.encode(CopyState(sizes=[len(part) for part in data]))
        self._crc = 0
        self._offset = _HEAD + len(self._head)
        self.descriptor = system.memfd()

    def write(self, most: int) -> bool:
        """Write so many bytes, or little more; whether that were all, and the blob is sealed."""
        while self._left and most > 0:
            part = self._left.pop()
            self._crc = crc32(part, self._crc)
            most -= len(part)
            while part:
                written = self._system.write_at(self.descriptor, [part], self._offset)
                self._offset += written
                part = part[written:]
        if self._left:
            return False
        self._system.write_at(self.descriptor, _front(self._head, self._crc, self.size), 0)
        self._system.seal(self.descriptor)
        return True

    def close(self) -> None:
        """Let go of it."""
        self._left.clear()
        self._system.close(self.descriptor)


def opened(descriptor: int, system: System = KERNEL) -> memoryview:
    """The bytes of a sealed memfd; raises StateError for any other file, OSError."""
    found = system.contents(descriptor)
    if found is None:
        raise StateError("the state is not in a sealed memfd")
    return found
