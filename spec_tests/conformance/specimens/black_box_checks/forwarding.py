"""FWD: what is forwarded, to whom, and as it was sent."""

import random
import zlib

from spec_tests.conformance.specimens.black_box_checks.subject import (
    FIXED_SIZES,
    MAX_SIZE,
    OWN_RANGES,
    Subject,
    accepted,
    check,
    transmit,
)
from spec_tests.conformance.specimens.specimen_process import EXECUTION, MARKET_DATA, SIGNAL, TYPES, frame, tlv


@check("FWD-1", "FWD-2", "FWD-3", "FWD-6", "ORD-1", "FRAME-2", "FWD-4", "VAL-2")
def forwards_all_traffic_as_it_was_sent(subject: Subject) -> None:
    dice, kind, frames = random.Random(1), TYPES[subject.domain], []
    for sequence in range(250):
        value = dice.randbytes(dice.choice((0, 1, 12, 13, 255, 256, 300, 5000)))
        payload = tlv(kind, value + b"\r\xff") if sequence % 10 else b""
        checksum = sequence % 3 * 77 if subject.domain == MARKET_DATA else None
        flags, source = sequence % 256, (1, 20, 40)[sequence % 3]
        frames.append(frame(sequence, payload, subject.domain, 1, source, checksum, flags))
    with subject.start() as relay:
        clients = relay.joined(3, subject.ping)
        for number, sender in enumerate(clients):
            mine = frames[number * 60 : number * 60 + 70]
            transmit(sender, clients, mine, b"".join(mine), subject.fence)
        batches = [b"".join(frames[at : at + 50]) for at in range(0, 250, 50)]
        transmit(clients[1], clients, batches, b"".join(frames), subject.fence)


@check("FWD-1", domains=(SIGNAL, EXECUTION))
def right_checksums_of_every_kind_are_forwarded(subject: Subject) -> None:
    header = frame(1, b"", subject.domain)[:24]
    zero = zero_checksum_frame(header, TYPES[subject.domain])
    assert zero[28:32] == bytes(4)
    accepted(subject, zero, *(subject.valid(sequence) for sequence in range(20)))


def zero_checksum_frame(header: bytes, kind: int) -> bytes:
    """A frame whose right checksum is 0: its last 4 bytes are chosen by Gaussian elimination over CRC's bits."""
    size = 40
    head = header + (size + 2).to_bytes(4, "little")
    body = bytes((kind, size)) + bytes(size - 4)

    def crc(last: int) -> int:
        return zlib.crc32(body + last.to_bytes(4, "little"), zlib.crc32(head))

    start = crc(0)
    basis: dict[int, tuple[int, int]] = {}
    for bit in range(32):
        image, bits = crc(1 << bit) ^ start, 1 << bit
        while image:
            top = image.bit_length()
            if top not in basis:
                basis[top] = (image, bits)
                break
            image, bits = image ^ basis[top][0], bits ^ basis[top][1]
    rest, last = start, 0
    while rest:
        image, bits = basis[rest.bit_length()]
        rest, last = rest ^ image, last ^ bits
    return head + bytes(4) + body + last.to_bytes(4, "little")


@check("FWD-7", "FWD-3")
def forwards_every_size_up_to_the_maximum(subject: Subject) -> None:
    kind, frames = TYPES[subject.domain], []
    for size in (301, 1500, 4096, 65_503, 65_504, 65_535, 65_536, 65_537, 131_072, MAX_SIZE - 1, MAX_SIZE):
        room = size - 32
        values = [60_000] * (room // 70_000)
        rest = room - sum(value + 5 for value in values)
        while rest > 65_535:
            values.append(30_000)
            rest -= 30_005
        payload = b"".join(tlv(kind, bytes([7]) * value, extended=True) for value in [*values, rest - 5])
        frames.append(frame(size, payload, subject.domain))
        assert len(frames[-1]) == size
    with subject.start() as relay:
        clients = relay.joined(2, subject.ping)
        for big in frames:
            transmit(clients[0], clients, [big], big, subject.fence)
        behind = subject.valid(1) + frames[-1]
        transmit(clients[0], clients, [behind], behind, subject.fence)


@check("FWD-4")
def echoes_if_and_only_if_echo_is_on(subject: Subject) -> None:
    with subject.start("--no-echo") as relay:
        one, two = relay.connect(), relay.connect()
        while not (two.has_something() and one.has_something()):
            one.send(subject.ping)
            two.send(subject.ping)
        one.send(subject.valid(1))
        two.receive_until(subject.valid(1))
        two.send(subject.fence)
        assert subject.valid(1) not in one.receive_until(subject.fence)


@check("FWD-5")
def who_joins_gets_nothing_of_the_past(subject: Subject) -> None:
    with subject.start() as relay:
        clients = relay.joined(2, subject.ping)
        transmit(clients[0], clients, [subject.valid(1) * 5], subject.valid(1) * 5, subject.fence)
        relay.joined(1, subject.ping)


@check("FWD-8", "DOM-4", domains=(SIGNAL, EXECUTION))
def accepts_its_whole_range_in_both_forms(subject: Subject) -> None:
    frames = []
    for number in OWN_RANGES[subject.domain]:
        value = bytes(FIXED_SIZES.get(number, 16))
        frames.append(frame(number, tlv(number, value), subject.domain))
        frames.append(frame(number, tlv(number, value, extended=True), subject.domain))
    free = TYPES[subject.domain]
    frames.append(frame(1, tlv(free) * 12 + tlv(free, bytes(300)), subject.domain))
    accepted(subject, *frames)


@check("FWD-1")
def any_sequence_of_any_source_is_forwarded_however_often(subject: Subject) -> None:
    kind = TYPES[subject.domain]
    numbers = (0, 0, 1 << 32, 1 << 63, (1 << 64) - 1, (1 << 64) - 1, 5)
    frames = [frame(number, tlv(kind, bytes((place,))), subject.domain) for place, number in enumerate(numbers)]
    with subject.start() as relay:
        clients = relay.joined(2, subject.ping)
        for sender in clients:
            transmit(sender, clients, frames, b"".join(frames), subject.fence)


@check("CONN-3", "FWD-1")
def a_client_is_heard_however_long_it_speaks_and_repeats_itself(subject: Subject) -> None:
    batch = b"".join(subject.valid(sequence) for sequence in range(2_000))
    with subject.start() as relay:
        clients = relay.joined(2, subject.ping)
        for _ in range(33):
            transmit(clients[0], clients, [batch], batch, subject.fence)


@check("FWD-6", "FWD-1")
def a_header_is_forwarded_though_nothing_follows(subject: Subject) -> None:
    empty = frame(1, b"", subject.domain)
    with subject.start() as relay:
        clients = relay.joined(2, subject.ping)
        for sender in clients:
            sender.send(empty)
            for client in clients:
                assert client.receive(len(empty)) == empty


@check("FWD-5")
def who_joins_gets_nothing_that_another_left_unread(subject: Subject) -> None:
    large = subject.valid(1, 4000)
    with subject.start() as relay:
        sender, other, stalled = relay.joined(3, subject.ping)
        for _ in range(10):
            sender.send(large * 20)
            for client in (sender, other):
                assert client.receive(len(large) * 20) == large * 20
        stalled.close()
        sender.send(subject.ping)
        for client in (sender, other):
            assert client.receive(len(subject.ping)) == subject.ping
        late = relay.connect()
        late.send(subject.ping)
        for client in (sender, other, late):
            assert client.receive(len(subject.ping)) == subject.ping
