from collections.abc import Sequence

from torq_protocol.scanner import FrameScanner

from .port import Buffer, Descriptors, Turn

def receive(descriptor: int, buffer: bytearray, start: int, /) -> int: ...
def send_all(
    descriptors: Descriptors, data: Buffer, start: int, stop: int, skipped: int, /
) -> list[tuple[int, int]] | None: ...
def turn(
    descriptor: int,
    buffer: bytearray,
    filled: int,
    scanner: FrameScanner,
    receivers: Descriptors,
    skipped: int,
    most: int,
    /,
) -> Turn: ...
def send(descriptor: int, parts: Sequence[Buffer], /) -> int: ...
def unread(descriptor: int, /) -> int: ...
def has_left(descriptor: int, /) -> bool: ...
def return_large_blocks(least: int, /) -> None: ...
