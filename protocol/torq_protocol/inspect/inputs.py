"""Where bytes come from: files, standard input, captures, sockets; each as an iterator of :data:`Input`."""

from __future__ import annotations

import os
import select
import stat
import sys
import time
from collections.abc import Generator, Iterator
from typing import BinaryIO, Final

from ..client.address import Address, parse_address
from ..client.blocking import connected_socket
from ..client.errors import ClientError
from ..client.settings import Backoff, ClientSettings
from ..client.sockets import cannot_connect
from .capture_file import PCAP_MAGICS, PCAPNG_MAGIC, Read, packets
from .pieces import End, Idle, Input, Note, Piece
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
        if sys.stdin.isatty():
            raise InputError("standard input is a terminal; give a file, a capture or a relay's socket")
        yield from _of_file(sys.stdin.buffer, follow=False)
    elif is_relay(place):
        try:
            address = parse_address(place)
        except ClientError as error:
            raise InputError(str(error)) from error
        yield from _of_socket(address, follow=follow)
    else:
        try:
            file = open(place, "rb", buffering=0)  # noqa: SIM115 - closed below, where errors are those of reading
        except OSError as error:
            raise InputError(f"{place}: {error.strerror}") from error
        with file:
            yield from _of_file(file, follow=follow)


def is_relay(place: str) -> bool:
    """Whether a place is a socket to read from as a consumer."""
    if place.startswith(("tcp:", "unix:")):
        return True
    try:
        return stat.S_ISSOCK(os.stat(place).st_mode)
    except (OSError, ValueError):
        return False


def _of_file(file: BinaryIO, *, follow: bool) -> Iterator[Input]:
    """Messages back to back, or a capture if the file begins as one."""

    def read(size: int) -> bytes:
        try:
            return bytes(getattr(file, "read1", file.read)(size))
        except OSError as error:
            raise InputError(f"cannot read: {error.strerror}; give a file, a capture or a socket") from error

    def read_on(size: int) -> bytes:
        while not (data := read(size)):
            time.sleep(_LOOK_AGAIN_SECONDS)
        return data

    head = b""
    while len(head) < 4 and (data := (read_on if follow else read)(READ_SIZE)):
        head += data
    if head[:4] == PCAPNG_MAGIC or head[:4] in PCAP_MAGICS:
        yield from _of_capture(_with_head(head, read_on if follow else read))
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
