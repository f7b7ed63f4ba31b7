"""What the shows of faults are made of: the table, and the traffic that they have in common."""

import zlib
from collections.abc import Callable
from typing import Protocol

from spec_tests.conformance.specimens.relay_in_hand import Peer, RelayInHand
from spec_tests.conformance.specimens.specimen_process import TYPES, frame, tlv
from torq_conformance.specimens.mutants.table import Part

FILL_FRAMES, FILL_BYTES = 80, 10_000  # more than a socket takes


class Fault:
    """The values of a variant: whole numbers, but for those that are named here."""

    which: str
    way: str
    of: str
    ms: float
    seconds: float
    factor: float

    def __init__(self, part: Part) -> None:
        self.part = part

    def __getattr__(self, name: str) -> int:
        value: int = getattr(self.part, name)
        return value


class Start(Protocol):
    """Starts the relay in hand, which may have the fault."""

    def __call__(self, **settings: int | float | str) -> RelayInHand: ...


Show = Callable[[Start, Fault], bool]
SHOWN: dict[str, Show] = {}


def shows(family: str) -> Callable[[Show], Show]:
    """Enter what tells whether the fault shows in the relay that it starts."""

    def enter(show: Show) -> Show:
        assert family not in SHOWN
        SHOWN[family] = show
        return show

    return enter


def of_size(hand: RelayInHand, sequence: int, size: int) -> bytes:
    """A valid frame of so many bytes, header included; 34 at least."""
    kind, left, payload = TYPES[hand.domain], size - 32, b""
    while left > 65_000:
        payload += tlv(kind, bytes(60_000))
        left -= 60_005
    payload += tlv(kind, bytes(left - 2)) if left < 258 else tlv(kind, bytes(left - 5), extended=True)
    made = frame(sequence, payload, hand.domain)
    assert len(made) == size
    return made


def with_claim(sequence: int, domain: int, claim: int) -> bytes:
    """A header that announces a payload, with the checksum of a frame that has none."""
    head = frame(sequence, b"", domain)[:24] + claim.to_bytes(4, "little")
    return head + zlib.crc32(head).to_bytes(4, "little")


def sequences(peer: Peer) -> list[int]:
    """The sequence numbers of what a client got since it was last asked."""
    data, found, at = peer.take(), [], 0
    while at < len(data):
        found.append(int.from_bytes(data[at + 8 : at + 16], "little"))
        at += 32 + int.from_bytes(data[at + 24 : at + 28], "little")
    return found


def fill(hand: RelayInHand, count: int = FILL_FRAMES) -> None:
    """Send what the socket of no client takes that does not read; the frames are numbered from 0."""
    for number in range(count):
        hand.witness.send(of_size(hand, number, FILL_BYTES))
