"""The check of partial_frame_timeout: how long a relay waits for the rest of a frame (FRAME-5).

Facts: the time counts from the first byte of a frame, so one more byte now and then gains nothing; a client that ends
each frame in time may begin the next one in the same write, for ever.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator

from ..model.findings import Finding, Kind
from .bench import Bench, Client, UnsupportedCheckError

TIMEOUT = 1.0
"""The partial_frame_timeout in seconds, where the suite sets it."""
WRITES_PER_TIMEOUT = 6
"""Writes of each client in one partial_frame_timeout."""
FIRST_PART_BYTES = 60
"""Bytes of the first part of a frame."""
LONGEST_VALUE = 4000
"""Bytes of the value in the frame that B sends byte by byte: B never reaches its end."""


def ends_unfinished_frames(bench: Bench) -> Iterator[Finding]:
    """Two clients within a frame for longer than partial_frame_timeout, two that end theirs in time (FRAME-5)."""
    if bench.profile.partial_frame_timeout is None:
        bench = bench.under({"partial_frame_timeout": TIMEOUT})
    timeout = _timeout(bench)
    with bench.relay() as target:
        silent, trickling, steady, done = bench.joined(target, 4)
        bench.act(
            f"A sends half a frame; B half a frame, then one byte every {timeout / WRITES_PER_TIMEOUT:.3g} s; C ends a "
            "frame as often and begins the next in the same write; D sends one frame in two writes, then nothing"
        )
        done_in_time = _send_in_two(done, bench.frame(100)) < timeout / 2
        in_time = _wait_for_the_end(bench, timeout, silent, trickling, steady)
        while done.read():
            pass
        for client, how in ((silent, "half a frame"), (trickling, "half a frame, then a byte of it now and then")):
            if not client.closed:
                yield Finding(
                    Kind.KEPT, f"the end, after {timeout:g} s, of a connection that sent {how}", "it stays open"
                )
        if steady.closed and in_time:
            yield Finding(
                Kind.CLOSED,
                f"an open connection for whoever ends each frame within {timeout:g} s",
                "the relay closes it",
            )
        if done.closed and done_in_time and timeout >= bench.timing.shortest_steady_seconds:
            yield Finding(
                Kind.CLOSED, "an open connection for who has ended its frame and sends no more", "the relay closes it"
            )


def _send_in_two(client: Client, frame: bytes) -> float:
    """Send a frame that the relay reads in two parts; return the seconds between them."""
    begun = time.monotonic()
    client.send(frame[:FIRST_PART_BYTES])
    client.is_taken()
    client.send(frame[FIRST_PART_BYTES:])
    client.is_taken()
    return time.monotonic() - begun


def _timeout(bench: Bench) -> float:
    """The profile's partial_frame_timeout in seconds. Raises UnsupportedCheckError where it is too long."""
    timeout = bench.profile.partial_frame_timeout or TIMEOUT
    longest = bench.timing.longest_partial_seconds
    if timeout > longest:
        raise UnsupportedCheckError(
            f"the profile's partial_frame_timeout of {timeout:g} s is more than the {longest:g} s that the "
            "suite waits for"
        )
    return timeout


def _wait_for_the_end(bench: Bench, timeout: float, silent: Client, trickling: Client, steady: Client) -> bool:
    """Write until the relay has closed A and B, for at most twice the timeout and 2 s; whether C surely was in time."""
    begun = time.monotonic()
    byte_by_byte = bench.frame(LONGEST_VALUE)
    silent.send(bench.frame(100)[:FIRST_PART_BYTES])
    trickling.send(byte_by_byte[:FIRST_PART_BYTES])
    least = timeout * bench.timing.partial_factor
    rest, in_time = b"", timeout >= bench.timing.shortest_steady_seconds
    for at in range(FIRST_PART_BYTES, len(byte_by_byte)):
        written = time.monotonic()
        passed = written - begun
        if passed > timeout * 2 + 2 or (silent.closed and trickling.closed and passed > least):
            break
        frame = bench.frame(100)
        steady.send(rest + frame[:FIRST_PART_BYTES])
        rest = frame[FIRST_PART_BYTES:]
        trickling.send(byte_by_byte[at : at + 1])
        _read_all((silent, trickling, steady), timeout / WRITES_PER_TIMEOUT)
        in_time = in_time and time.monotonic() - written < timeout / 2
    return in_time


def _read_all(clients: tuple[Client, ...], seconds: float) -> None:
    """Read what arrives for these clients within some seconds."""
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        poller = select.poll()
        open_ones = {client.sock.fileno(): client for client in clients if not client.closed}
        for descriptor in open_ones:
            poller.register(descriptor, select.POLLIN)
        for descriptor, _ in poller.poll(left * 1000):
            open_ones[descriptor].read()
