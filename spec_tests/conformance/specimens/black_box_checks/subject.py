"""What every black-box check is made of: the relay under check, the table, and the traffic that proves something.

A check starts its relay, talks to it, and raises when the requirement does not hold: AssertionError for what was
seen, OSError (a timeout included) for what never came. Loss is proven by a fence that arrives, never by waiting.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from spec_tests.conformance.specimens.specimen_process import (
    DOMAIN_NAMES,
    EXECUTION,
    MARKET_DATA,
    PATIENCE_S,
    SIGNAL,
    Client,
    Specimen,
    plain,
)
from torq_conformance.judging.selftest_cases import SMALL_BOUNDS

MAX_SIZE = 1_048_576
OWN_RANGES = {SIGNAL: range(20, 40), EXECUTION: range(40, 80)}
FIXED_SIZES = {40: 32, 41: 24, 42: 32, 43: 16, 44: 24, 45: 48, 60: 32, 63: 48, 66: 40, 69: 32, 71: 24}


class Subject(NamedTuple):
    """The relay under check: its domain, how it is started, and how long to wait for what never comes."""

    domain: int
    arguments: tuple[str, ...] = ()
    patience_s: float = PATIENCE_S

    def start(self, *arguments: str, path: str | None = None) -> Specimen:
        name = DOMAIN_NAMES[self.domain]
        command = ("correct", "--domain", name, *SMALL_BOUNDS, *arguments, *self.arguments)
        return Specimen(*command, path=path, patience_s=self.patience_s)

    @property
    def ping(self) -> bytes:
        return plain(900, self.domain)

    @property
    def fence(self) -> bytes:
        return plain(999, self.domain)

    def valid(self, sequence: int, size: int = 12) -> bytes:
        return plain(sequence, self.domain, size)


Check = Callable[[Subject], None]
CHECKS: dict[str, list[tuple[Check, tuple[int, ...]]]] = {}
EVERY = (MARKET_DATA, SIGNAL, EXECUTION)


def check(*requirements: str, domains: Iterable[int] = EVERY) -> Callable[[Check], Check]:
    def enter(function: Check) -> Check:
        for requirement in requirements:
            CHECKS.setdefault(requirement, []).append((function, tuple(domains)))
        return function

    return enter


def transmit(sender: Client, receivers: list[Client], pieces: list[bytes], expected: bytes, fence: bytes) -> None:
    """Each piece is one read of the relay; then everyone must have got exactly what is expected."""
    for piece in pieces:
        sender.send_and_see_it_read(piece)
    sender.send(fence)
    for receiver in receivers:
        got = receiver.receive_until(fence)
        assert got == expected + fence, f"expected {len(expected + fence)} bytes, got {len(got)}"


def refused(subject: Subject, *frames: bytes) -> None:
    """Each frame reaches nobody wherever it stands, and what is around it is unharmed."""
    one, two = subject.valid(1), subject.valid(2)
    with subject.start() as relay:
        clients = relay.joined(2, subject.ping)
        for bad in frames:
            for pieces in ([one, bad, two], [one + bad + two], [bad + two], [one, bad[:40], bad[40:] + two]):
                expected = two if one not in pieces[0] else one + two
                transmit(clients[0], clients, pieces, expected, subject.fence)


def accepted(subject: Subject, *frames: bytes) -> None:
    with subject.start() as relay:
        clients = relay.joined(2, subject.ping)
        for good in frames:
            transmit(clients[0], clients, [good], good, subject.fence)
        transmit(clients[1], clients, [b"".join(frames)], b"".join(frames), subject.fence)


def flood(sender: Client, receivers: list[Client], frames: list[bytes]) -> None:
    """Send so that every frame is delivered to the receivers (the sender among them) before the next batch."""
    step = max(1, min(40, 200_000 // len(frames[0])))
    for at in range(0, len(frames), step):
        batch = b"".join(frames[at : at + step])
        sender.send(batch)
        for receiver in receivers:
            assert receiver.receive(len(batch)) == batch


def numbers(data: bytes) -> list[int]:
    """The sequence numbers in whole frames of one domain; asserts that the bytes are frames, whole ones."""
    found, at = [], 0
    while at < len(data):
        assert data[at : at + 4] == b"\xef\xbe\xad\xde", "torn"
        found.append(int.from_bytes(data[at + 8 : at + 16], "little"))
        at += 32 + int.from_bytes(data[at + 24 : at + 28], "little")
    assert at == len(data), "torn"
    return found
