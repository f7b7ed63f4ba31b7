"""A state as one blob: a prefix, a head that says everything but bytes that wait, and these bytes.

Facts:
- prefix: magic, schema, CRC-32 of the data, sizes of head and data; then the digest of prefix and head (BLAKE2b);
- the data are segments of the log, copied once and never packed: the blob of a relay with 64 MiB in its queues takes
  little longer than their copy. A CRC-32 is enough for them: it finds an accident, and whoever can forge a blob is the
  relay's own user;
- a memfd carries the blob, sealed: what was checked cannot change any more.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
from collections.abc import Sequence
from functools import cache
from typing import TypeVar
from zlib import crc32

import msgspec

from .state import SCHEMA, CopyState, StateError

Buffer = bytes | memoryview
_MAGIC = b"TORQTAKE"
_PREFIX = struct.Struct("<8sIIQQ")
_DIGEST_BYTES = 32
_HEAD = _PREFIX.size + _DIGEST_BYTES
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
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


def sealed(parts: Sequence[Buffer]) -> int:
    """The descriptor of a sealed memfd with these bytes; raises OSError."""
    descriptor = _memfd()
    try:
        left = [memoryview(part) for part in parts if len(part)]
        while left:
            written = os.writev(descriptor, left[:_MOST_PARTS])
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = left[0][written:]
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


class SlowCopy:
    """The blob of a copy, written a little at a time; raises OSError. Close it when nobody needs it any more."""

    def __init__(self, data: Sequence[memoryview]) -> None:
        self._left = list(data)
        self._left.reverse()
        self.size = sum(map(len, data))
        """Bytes of data."""
        self._head = msgspec.msgpack.encode(CopyState(sizes=[len(part) for part in data]))
        self._crc = 0
        self.descriptor = _memfd()
        os.lseek(self.descriptor, _HEAD + len(self._head), os.SEEK_SET)

    def write(self, most: int) -> bool:
        """Write so many bytes, or little more; whether that were all, and the blob is sealed."""
        while self._left and most > 0:
            part = self._left.pop()
            self._crc = crc32(part, self._crc)
            most -= len(part)
            while part:
                part = part[os.write(self.descriptor, part) :]
        if self._left:
            return False
        os.pwrite(self.descriptor, b"".join(_front(self._head, self._crc, self.size)), 0)
        fcntl.fcntl(self.descriptor, fcntl.F_ADD_SEALS, _SEALS)
        return True

    def close(self) -> None:
        """Let go of it."""
        self._left.clear()
        os.close(self.descriptor)


def _memfd() -> int:
    return os.memfd_create("torq-state", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)


def opened(descriptor: int) -> memoryview:
    """The bytes of a sealed memfd; raises StateError for any other file, OSError."""
    try:
        seals = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
    except OSError:
        seals = 0
    size = os.fstat(descriptor).st_size
    if seals & _SEALS != _SEALS or not size:
        raise StateError("the state is not in a sealed memfd")
    return memoryview(mmap.mmap(descriptor, size, prot=mmap.PROT_READ))
