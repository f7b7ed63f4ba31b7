"""Where bytes come from: files, standard input, captures, sockets; each as an iterator of :data:`Input`."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from typing import BinaryIO, Final

from ..client.address import Address, parse_address
from ..client.blocking import connected_socket
from ..client.errors import ClientError
from ..client.settings import Backoff, ClientSettings
from ..client.sockets import cannot_connect
from .capture_file import PCAP_MAGICS, PCAPNG_MAGIC, Read, packets
from .pieces import End, Hole, Idle, Input, Note, Piece
from .tcp_streams import Streams

READ_SIZE: Final = 65_536
_TICK_SECONDS: Final = 0.5
_LOOK_AGAIN_SECONDS: Final = 0.1


class InputError(Exception):
    """An input that cannot be opened: what is wrong, and what to do next."""


def pieces(place: str, *, follow: bool) -> Generator[Input, None, None]:
    """What comes from a place: ``-``, a path of a file or socket, ``unix:...``, ``tcp:...``.

    With ``follow`` a file is read on as it grows, and a relay that goes away is connected to again. Raises
    :class:`InputError` and, for a broken capture, :class:`CaptureError`.
    """
    if place == "-":
        if sys.stdin is None:
            raise InputError("standard input is closed; give a file, a capture or a relay's socket")
        if sys.stdin.isatty():
            raise InputError("standard input is a terminal; give a file, a capture or a relay's socket")
        yield from _of_file(_reading(sys.stdin.buffer))
    elif is_relay(place):
        try:
            address = parse_address(place)
        except ClientError as error:
            raise InputError(str(error)) from error
        yield from _of_socket(address, follow=follow)
    elif follow:
        yield from _of_followed_file(place)
    else:
        with _opened(place) as file:
            yield from _of_file(_reading(file))


def is_relay(place: str) -> bool:
    """Whether a place is a socket to read from as a consumer."""
    if place.startswith(("tcp:", "unix:")):
        return True
    try:
        return stat.S_ISSOCK(os.stat(place).st_mode)
    except (OSError, ValueError):
        return False


def _opened(place: str) -> BinaryIO:
    try:
        return open(place, "rb", buffering=0)
    except OSError as error:
        raise InputError(f"{place}: {error.strerror}") from error


def _reading(file: BinaryIO) -> Read:
    def read(size: int) -> bytes:
        try:
            return bytes(getattr(file, "read1", file.read)(size))
        except OSError as error:
            raise InputError(f"cannot read: {error.strerror}; give a file, a capture or a socket") from error

    return read


class _OtherFileError(Exception):
    """The file that is followed was cut, replaced or removed; the text says which."""


class _Followed:
    """Reads a file as far as it has grown. Raises :class:`_OtherFileError` where it does not go on."""

    def __init__(self, place: str, file: BinaryIO) -> None:
        self._place, self._file, self._plain = place, file, _reading(file)
        self._opened = os.fstat(file.fileno())
        self._offset = 0

    def read(self, size: int) -> bytes:
        """What there is now; none if the file has not grown."""
        size_now = os.fstat(self._file.fileno()).st_size
        if stat.S_ISREG(self._opened.st_mode) and size_now < self._offset:
            raise _OtherFileError(f"{self._place} was cut to {size_now} bytes: reading it from its beginning")
        data = self._plain(size)
        self._offset += len(data)
        if not data:
            self._look_at_the_path()
        return data

    def read_on(self, size: int) -> bytes:
        """What comes next, waited for."""
        while not (data := self.read(size)):
            time.sleep(_LOOK_AGAIN_SECONDS)
        return data

    def _look_at_the_path(self) -> None:
        try:
            there = os.stat(self._place)
        except OSError:
            raise _OtherFileError(f"{self._place} was removed: waiting for a new one") from None
        if (there.st_dev, there.st_ino) != (self._opened.st_dev, self._opened.st_ino):
            raise _OtherFileError(f"{self._place} was replaced: reading the new one")


def _of_followed_file(place: str) -> Iterator[Input]:
    """A file as it grows, and the one that takes its place. Offsets count from the beginning of each."""
    files, streams = 1, dict[str, None]()
    file = _opened(place)
    while True:
        prefix = f"file {files}" if files > 1 else ""
        try:
            with file:
                followed = _Followed(place, file)
                for given in _of_file(followed.read, followed.read_on):
                    if isinstance(given, Piece | Hole | End):
                        given = replace(given, stream=" ".join(filter(None, (prefix, given.stream))))
                        streams[given.stream] = None
                    yield given
        except _OtherFileError as change:
            yield from (End(stream, cut=True) for stream in streams)
            yield Note(str(change))
        streams.clear()
        files += 1
        while True:
            try:
                file = _opened(place)
            except InputError:
                yield Idle()
                time.sleep(_LOOK_AGAIN_SECONDS)
            else:
                break


def _of_file(read: Read, read_on: Read | None = None) -> Iterator[Input]:
    """Messages back to back, or a capture if the file begins as one; ``read_on`` waits for what is not there yet."""
    follow, head = read_on is not None, b""
    while len(head) < 4 and (data := (read_on or read)(READ_SIZE)):
        head += data
    if head[:4] == PCAPNG_MAGIC or head[:4] in PCAP_MAGICS:
        yield from _of_capture(_with_head(head, read_on or read))
        return
    yield Piece("", head)
    while (data := read(READ_SIZE)) or follow:
        if data:
            yield Piece("", data)
        else:
            yield Idle()
            time.sleep(_LOOK_AGAIN_SECONDS)
    yield End("")


def _with_head(head: bytes, read: Read) -> Read:
    """Reads what was read before first."""

    def front(size: int) -> bytes:
        nonlocal head
        data, head = head[:size], head[size:]
        return data or read(size)

    return front


def _of_capture(read: Read) -> Iterator[Input]:
    streams = Streams()
    for packet in packets(read):
        yield from streams.feed(packet)
    yield from streams.finish()


def _of_socket(address: Address, *, follow: bool) -> Iterator[Input]:
    """As one of the relay's consumers."""
    settings, connections = ClientSettings(), 0
    delays = Backoff().delays()
    while True:
        try:
            sock = connected_socket(address, settings)
        except OSError as error:
            if not connections or not follow:
                raise InputError(str(cannot_connect(address, error))) from error
            yield Idle()
            time.sleep(next(delays))
            continue
        connections += 1
        delays = Backoff().delays()
        name = f"connection {connections}" if connections > 1 else ""
        if follow:
            yield Note(f"connected to {address}")
        with sock:
            poll = select.poll()
            poll.register(sock, select.POLLIN)
            while True:
                if not poll.poll(_TICK_SECONDS * 1000):
                    yield Idle()
                    continue
                try:
                    data = sock.recv(READ_SIZE)
                except OSError as error:
                    yield Note(f"{address}: {error.strerror}")
                    data = b""
                if not data:
                    break
                yield Piece(name, data)
        yield End(name)
        if not follow:
            return
        yield Note(f"{address}: the relay closed the connection; connecting again")
        time.sleep(next(delays))
