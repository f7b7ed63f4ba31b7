"""``torq_bench readers``: inputs made to be slow to read, in growing sizes: time must be linear in them."""

from __future__ import annotations

import math
import os
import struct
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from itertools import pairwise

import click

from torq_protocol import FrameDecoder, MessageBuilder, OnFault, RelayDomain, SourceType, encode_raw_message
from torq_protocol.capture import read_capture
from torq_protocol.constants import MAGIC_BYTES
from torq_protocol.header import MessageHeader
from torq_protocol.inspect.capture_file import packets
from torq_protocol.inspect.cli import main as inspect

_SYN, _FIN, _ACK = 2, 1, 16
_MOST_GROWTH = 1.5
"""Powers of the input's size that count as linear: sorting, caches and noise come on top of 1."""

Input = Callable[[int], bytes]
Reader = Callable[[bytes], None]


def message(number: int, size: int = 16) -> bytes:
    """A whole message."""
    builder = MessageBuilder(RelayDomain.SIGNAL, SourceType.ARBITRAGE_STRATEGY)
    return builder.add_raw(39, bytes(size)).build(sequence=number, timestamp=number)


def messages(size: int) -> bytes:
    """Whole messages of about ``size`` bytes in all."""
    return b"".join(map(message, range(size // len(message(0)))))


def unfinished(size: int) -> bytes:
    """Headers that each announce more than follows."""
    return MessageHeader(2, 20, payload_size=1 << 19).to_bytes() * (size // 32)


def unfinished_and_whole(size: int) -> bytes:
    """The same with whole messages between them."""
    return (MessageHeader(2, 20, payload_size=1 << 19).to_bytes() + message(1)) * (size // 82)


def tiny_tlvs(size: int) -> bytes:
    """One message of empty TLVs."""
    return encode_raw_message(2, 20, bytes([39, 0]) * min(size // 2, 500_000), sequence=1, timestamp=1)


def capture(segments: Iterable[tuple[int, int, int, bytes]]) -> bytes:
    """A pcap file of (port, sequence, flags, data) in IPv4 without Ethernet."""
    packed = [struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101)]
    for port, sequence, flags, data in segments:
        tcp = struct.pack(">HHIIBBHHH", port, 2000, sequence, 0, 5 << 4, flags, 100, 0, 0)
        head = struct.pack(">BBHHHBBHII", 0x45, 0, 40 + len(data), 0, 0, 64, 6, 0, 1, 2)
        size = 40 + len(data)
        packed.append(struct.pack("<IIII", 0, 0, size, size) + head + tcp + data)
    return b"".join(packed)


def stream(
    data: bytes, segment: int, lost: Callable[[int], bool], port: int = 1000
) -> list[tuple[int, int, int, bytes]]:
    """The segments of a connection, without those whose number is lost."""
    places = [*range(0, len(data), segment), len(data)]
    kept = [
        (port, 100 + start, _ACK, data[start:stop])
        for number, (start, stop) in enumerate(pairwise(places))
        if not lost(number)
    ]
    return [(port, 99, _SYN, b""), *kept, (port, 100 + len(data), _FIN, b"")]


def backwards(size: int) -> bytes:
    """A connection whose segments were captured last one first."""
    first, *others, last = stream(messages(size), 25, lambda number: False)
    return capture([first, *reversed(others), last])


def many_connections(size: int) -> bytes:
    """As many connections as messages."""
    return capture(
        each
        for port in range(min(size // 50, 60_000))
        for each in stream(message(port), 100, lambda number: False, port)
    )


def large_block(size: int) -> bytes:
    """A pcapng file of one unknown block."""
    length = size * 100 // 4 * 4 + 12
    section = struct.pack("<IIIHHqI", 0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0, -1, 28)
    return section + struct.pack("<II", 0x99, length) + bytes(length - 12) + struct.pack("<I", length)


def inspected(*options: str) -> Reader:
    """``torq-inspect`` with these options, its output thrown away."""

    def read(data: bytes) -> None:
        with tempfile.NamedTemporaryFile() as file, open(os.devnull, "w") as nowhere:
            file.write(data)
            file.flush()
            with redirect_stdout(nowhere), redirect_stderr(nowhere):
                inspect([*options, file.name])

    return read


def in_small_reads(data: bytes) -> None:
    """The packets of a capture that comes through a pipe, 4 KiB at a time."""
    place = 0

    def read(size: int) -> bytes:
        nonlocal place
        part = data[place : place + min(size, 4096)]
        place += len(part)
        return part

    for _ in packets(read):
        pass


def decoded(step: int) -> Reader:
    """The decoder of a client, fed ``step`` bytes at a time."""

    def read(data: bytes) -> None:
        decoder = FrameDecoder(on_fault=OnFault.RESYNC, max_message_size=1 << 24)
        for start in range(0, len(data), step):
            for _ in decoder.feed(data[start : start + step]):
                pass

    return read


def tables(data: bytes) -> None:
    """The capture as tables."""
    read_capture(data)


INPUTS: dict[str, tuple[Input, Reader]] = {
    "messages": (messages, inspected()),
    "messages, every field": (messages, inspected("-v", "--json")),
    "unfinished messages": (unfinished, inspected("--resync")),
    "unfinished and whole ones": (unfinished_and_whole, inspected("--resync")),
    "magic numbers": (lambda size: MAGIC_BYTES * (size // 16), inspected("--resync")),
    "beginnings of the magic": (lambda size: MAGIC_BYTES[:3] * (size // 3), inspected("--resync")),
    "tiny TLVs": (tiny_tlvs, inspected("-v")),
    "tiny TLVs in hex": (lambda size: tiny_tlvs(size // 4), inspected("--hexdump")),
    "a lost segment": (lambda size: capture(stream(messages(size), 25, lambda n: n == 1)), inspected("--resync")),
    "a lost one, unfinished": (
        lambda size: capture(stream(unfinished(size), 99, lambda n: n == 1)),
        inspected("--resync"),
    ),
    "every second one lost": (
        lambda size: capture(stream(messages(size), 50, lambda n: n % 2 == 1)),
        inspected("--resync"),
    ),
    "segments last one first": (backwards, inspected()),
    "many connections": (many_connections, inspected()),
    "a large block in pieces": (large_block, in_small_reads),
    "decoder, byte by byte": (lambda size: message(1, min(size, 65_000)) + messages(size), decoded(1)),
    "decoder, noise": (lambda size: (MAGIC_BYTES[:3] + message(1)[:40]) * (size // 43), decoded(1000)),
    "tables": (messages, tables),
}


@click.command()
@click.option(
    "--size", type=click.IntRange(1000), default=100_000, show_default=True, help="Bytes of the smallest input."
)
@click.option(
    "--rounds", type=click.IntRange(1, 100), default=3, show_default=True, help="The fastest of so many counts."
)
@click.option("--check", is_flag=True, help="Exit with 1 if a reader's time grows faster than its input.")
def readers(size: int, rounds: int, check: bool) -> None:
    """Read inputs that are made to be slow, of one, two and four times --size, in seconds of processor time.

    The last column is the power of the input's size with which the time grows: 1 is linear, 2 quadratic. Exit code 0;
    1 with --check if one is above 1.5; 2 usage error.
    """
    slow = []
    click.echo(f"{'input':<28}{'1x':>9}{'2x':>9}{'4x':>9}  grows as")
    for name, (make, read) in INPUTS.items():
        one, two, four = (
            min(_seconds(read, data) for _ in range(rounds)) for data in map(make, (size, 2 * size, 4 * size))
        )
        power = math.log(four / one, 4)
        slow += [name] if power > _MOST_GROWTH else []
        click.echo(f"{name:<28}{one:>9.3f}{two:>9.3f}{four:>9.3f}  size^{power:.2f}")
    for name in slow:
        click.echo(f"SLOW  {name}")
    if check and slow:
        raise SystemExit(1)


def _seconds(read: Reader, data: bytes) -> float:
    started = time.process_time()
    read(data)
    return max(time.process_time() - started, 1e-6)
