"""One or more black-box checks per requirement, which the correct relay passes and a mutant of it does not.

A check starts its relay, talks to it, and raises when the requirement does not hold: AssertionError for what was
seen, OSError (a timeout included) for what never came. Loss is proven by a fence that arrives, never by waiting.
"""

import os
import random
import signal
import stat
import time
import zlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

from spec_tests.conformance.specimens.specimen_process import (
    DOMAIN_NAMES,
    EXECUTION,
    MARKET_DATA,
    PATIENCE_S,
    SIGNAL,
    TYPES,
    Client,
    Specimen,
    frame,
    plain,
    tlv,
)

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
        command = ("correct", "--domain", name, *arguments, *self.arguments)
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
    for size in (65_503, 65_504, 65_535, 65_536, 65_537, 131_072, MAX_SIZE - 1, MAX_SIZE):
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


@check("FRAME-1", "FWD-2")
def splits_mean_nothing(subject: Subject) -> None:
    whole = subject.valid(5)
    with subject.start() as relay:
        clients = relay.joined(2, subject.ping)
        for cut in range(1, len(whole)):
            transmit(clients[0], clients, [whole[:cut], whole[cut:]], whole, subject.fence)
        singles = [whole[at : at + 1] for at in range(len(whole))]
        transmit(clients[0], clients, singles, whole, subject.fence)


@check("FRAME-3", "FRAME-4")
def connections_never_mix_and_parts_go_nowhere(subject: Subject) -> None:
    first, second = subject.valid(1), subject.valid(2, 200)
    with subject.start() as relay:
        one, two, three = clients = relay.joined(3, subject.ping)
        one.send_and_see_it_read(first[:10])
        two.send_and_see_it_read(second[:50])
        transmit(three, clients, [], b"", subject.fence)
        two.send_and_see_it_read(second[50:])
        transmit(one, clients, [first[10:]], second + first, subject.fence)


@check("FRAME-3", "FRAME-4", "CONN-6")
def a_client_that_leaves_within_a_frame_disturbs_nobody(subject: Subject) -> None:
    with subject.start() as relay:
        first, leaver, other, last = relay.joined(4, subject.ping)
        for cut in (5, 40):
            leaver.send_and_see_it_read(subject.valid(1)[:cut])
            leaver.close()
            last.send(subject.fence)
            for client in (first, other, last):
                assert client.receive_until(subject.fence) == subject.fence
            leaver = relay.connect()
            leaver.send(subject.ping)
            for client in (first, other, last, leaver):
                assert client.receive(len(subject.ping)) == subject.ping


@check("CONN-6", "FWD-1")
def a_client_that_leaves_unread_or_at_once_disturbs_nobody(subject: Subject) -> None:
    with subject.start() as relay:
        first, leaver, other, last = relay.joined(4, subject.ping)
        for _ in range(3):
            leaver.send(subject.valid(1) * 3)
            assert leaver.has_something(within_s=subject.patience_s)
            leaver.close()
            for client in (first, other, last):
                assert client.receive(len(subject.valid(1)) * 3) == subject.valid(1) * 3
            at_once = relay.connect()
            at_once.send(subject.ping)
            at_once.close()
            for client in (first, other, last):
                assert client.receive(len(subject.ping)) == subject.ping
            transmit(last, [first, other, last], [subject.valid(2)] * 20, subject.valid(2) * 20, subject.fence)
            leaver = relay.connect()
            leaver.send(subject.ping)
            for client in (first, other, last, leaver):
                assert client.receive(len(subject.ping)) == subject.ping


@check("ORD-2")
def receivers_agree_on_one_order(subject: Subject) -> None:
    with subject.start() as relay:
        clients = relay.joined(4, subject.ping)
        for turn in range(20):
            for number, sender in enumerate(clients[:3]):
                sender.send(subject.valid(turn * 10 + number) * (number + 1))
        size = len(subject.valid(0)) * 20 * 6
        histories = {client.receive(size) for client in clients}
        assert len(histories) == 1


@check("ORD-3", "ORD-2")
def a_reply_comes_after_what_it_replies_to(subject: Subject) -> None:
    question, answer = subject.valid(1), subject.valid(2)
    with subject.start() as relay:
        clients = relay.joined(4, subject.ping)
        for asker in clients:
            for replier in clients:
                if asker is not replier:
                    asker.send(question)
                    assert replier.receive(len(question)) == question
                    replier.send(answer)
                    for client in clients:
                        expected = answer if client is replier else question + answer
                        assert client.receive(len(expected)) == expected


@check("DOM-1")
def foreign_domains_reach_nobody(subject: Subject) -> None:
    numbers = [number for number in (0, 1, 2, 3, 4, 5, 255) if number != subject.domain]
    payload = tlv(TYPES[subject.domain], bytes(12))
    refused(subject, *(frame(7, payload, number) for number in numbers))


@check("DOM-2", "DOM-4", "VAL-3", domains=(SIGNAL, EXECUTION))
def foreign_types_reach_nobody_wherever_they_stand(subject: Subject) -> None:
    own, payloads = tlv(TYPES[subject.domain], bytes(12)), []
    edges = OWN_RANGES[subject.domain]
    for number in (0, edges[0] - 1, edges[-1] + 1, 254):
        for foreign in (tlv(number, bytes(16)), tlv(number, bytes(16), extended=True)):
            payloads += [foreign, own + foreign, foreign + own, own + foreign + own]
    payloads.append(tlv(255, bytes(4), extended=True))
    refused(subject, *(frame(7, payload, subject.domain) for payload in payloads))


@check("DOM-3", domains=(MARKET_DATA,))
def market_data_does_not_look_at_types(subject: Subject) -> None:
    types = (0, 1, 19, 20, 40, 80, 120, 200, 254)
    accepted(subject, *(frame(1, tlv(number, bytes(8)), subject.domain) for number in types))


@check("DOM-5")
def a_frame_of_one_relay_never_shows_up_on_another(subject: Subject) -> None:
    other_domain = subject.domain % 3 + 1
    with subject.start() as relay:
        other = Subject(other_domain)
        with other.start(path=os.path.join(relay.directory, "other.sock")) as sibling:
            clients, neighbours = relay.joined(1, subject.ping), sibling.joined(1, other.ping)
            transmit(clients[0], clients, [other.valid(3)], b"", subject.fence)
            # A leak may come through a connection of its own: a client that is served later was accepted later.
            transmit(sibling.connect(), neighbours, [], b"", other.fence)
            transmit(neighbours[0], neighbours, [subject.valid(3)], b"", other.fence)


@check("VAL-1", domains=(SIGNAL, EXECUTION))
def wrong_checksums_reach_nobody(subject: Subject) -> None:
    bad = []
    for payload in (b"", tlv(TYPES[subject.domain], bytes(12)), tlv(TYPES[subject.domain], bytes(2000))):
        right = int.from_bytes(frame(3, payload, subject.domain)[28:32], "little")
        bad += [frame(3, payload, subject.domain, checksum=wrong) for wrong in (0, right ^ 1, right ^ (1 << 31))]
    refused(subject, *bad)


@check("VAL-2", domains=(MARKET_DATA,))
def market_data_does_not_verify(subject: Subject) -> None:
    accepted(subject, *(frame(3, tlv(4, bytes(12)), MARKET_DATA, checksum=any_) for any_ in (0, 1, 1 << 31)))


@check("VAL-3", domains=(SIGNAL, EXECUTION))
def malformed_payloads_reach_nobody(subject: Subject) -> None:
    kind = TYPES[subject.domain]
    own = tlv(kind, bytes(12))
    extended = tlv(kind, bytes(12), extended=True)
    payloads = [own[:-1], own + b"\0", own + bytes((kind,)), extended[:-1], own + extended[:4], bytes((kind,))]
    payloads += [own + bytes((255, 1, kind)) + extended[3:], tlv(0, bytes(3), extended=True)]
    refused(subject, *(frame(7, payload, subject.domain) for payload in payloads))


@check("VAL-4", domains=(EXECUTION,))
def execution_checks_version_source_and_sizes(subject: Subject) -> None:
    own, bad = tlv(46, bytes(32)), []
    bad += [frame(7, own, EXECUTION, version=version) for version in (0, 2, 255)]
    bad += [frame(7, own, EXECUTION, source=source) for source in (0, 6, 83, 255)]
    bad += [frame(7, own + tlv(kind, bytes(size + 1)), EXECUTION) for kind, size in FIXED_SIZES.items()]
    bad += [frame(7, tlv(40, bytes(31), extended=True), EXECUTION)]
    refused(subject, *bad)


GARBAGE = b"x" * 37 + b"\xef\xbe" + b"y" * 8


def oversize(subject: Subject, size: int) -> bytes:
    return subject.valid(1)[:24] + (size - 32).to_bytes(4, "little") + bytes(4)


@check("VAL-5", "VAL-6", "CONN-1")
def what_is_no_frame_ends_its_connection_and_no_other(subject: Subject) -> None:
    own = subject.valid(1)
    bads = (GARBAGE, oversize(subject, MAX_SIZE + 1), oversize(subject, 1 << 30), b"hello\n")
    with subject.start("--on-framing-error", "close") as relay:
        clients = relay.joined(2, subject.ping)
        for bad in bads * 2:
            culprit = relay.connect()
            culprit.send(subject.ping)
            for client in [*clients, culprit]:
                assert client.receive(len(subject.ping)) == subject.ping
            culprit.send(own + bad + own)
            assert culprit.receive_all() == own
            transmit(clients[0], clients, [], own, subject.fence)
        assert relay.running


@check("VAL-6", "VAL-3", "FWD-6", "FWD-1")
def no_input_stops_the_relay_or_makes_it_allocate(subject: Subject) -> None:
    with subject.start() as relay:
        clients = relay.joined(2, subject.ping)
        before = relay.memory()
        for _ in range(3):
            culprit = relay.connect()
            culprit.send(oversize(subject, 1 << 31) + GARBAGE)
            culprit.receive_all()
        waiting = relay.connect()
        waiting.send_and_see_it_read(oversize(subject, MAX_SIZE))
        truncated = frame(1, bytes((TYPES[subject.domain], 200)), subject.domain)
        expected = truncated if subject.domain == MARKET_DATA else b""
        transmit(clients[0], clients, [truncated], expected, subject.fence)
        empty = frame(1, b"", subject.domain)
        transmit(clients[0], clients, [empty], empty, subject.fence)
        many = [subject.valid(number) for number in range(250)]
        transmit(clients[1], clients, many, b"".join(many), subject.fence)
        assert relay.memory() - before < 32 * 1024 * 1024


@check("VAL-5")
def resynchronising_finds_the_next_frame(subject: Subject) -> None:
    own = subject.valid(1)
    with subject.start("--on-framing-error", "resync") as relay:
        clients = relay.joined(2, subject.ping)
        for bad in (GARBAGE, b"hello\n", oversize(subject, MAX_SIZE + 1), bytes(100)):
            transmit(clients[0], clients, [own + bad + own], own + own, subject.fence)
            transmit(clients[0], clients, [bad + own[:2], own[2:]], own, subject.fence)


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


@check("ISO-1", "ISO-3", "ISO-4", "ISO-5", "ISO-7", "ORD-1")
def a_stalled_consumer_loses_the_oldest_whole_frames_alone(subject: Subject) -> None:
    frames = [subject.valid(number, 1500 + number % 7) for number in range(600)]
    with subject.start("--queue-frames", "100") as relay:
        stalled, other, sender = relay.joined(3, subject.ping)
        flood(sender, [other, sender], frames)
        seen = numbers(stalled.receive_until(frames[-1]))
        gap = next(index for index, number in enumerate(seen) if index != number)
        tail = seen[gap:]
        assert tail == list(range(600 - len(tail), 600))
        assert 99 <= len(tail) <= 100
        transmit(sender, [stalled, other, sender], [frames[0]], frames[0], subject.fence)


@check("ISO-2")
def memory_for_a_stalled_consumer_is_bounded(subject: Subject) -> None:
    big = subject.valid(1, 60_000)
    with subject.start("--queue-bytes", "1000000") as relay:
        _, other, sender = relay.joined(3, subject.ping)
        flood(sender, [other, sender], [big] * 20)
        before = relay.memory()
        flood(sender, [other, sender], [big] * 400)
        assert relay.memory() - before < 8_000_000
    small = subject.valid(1, 200)
    with subject.start("--queue-frames", "100") as relay:
        _, other, sender = relay.joined(3, subject.ping)
        flood(sender, [other, sender], [small] * 2000)
        before = relay.memory()
        flood(sender, [other, sender], [small] * 40_000)
        assert relay.memory() - before < 8_000_000


@check("ISO-3")
def the_overflow_policy_is_the_one_that_was_set(subject: Subject) -> None:
    frames = [subject.valid(number, 1500) for number in range(600)]
    limits = ("--queue-frames", "100", "--stall-timeout", "0.1")
    for policy in ("disconnect", "backpressure"):
        with subject.start("--overflow", policy, *limits) as relay:
            stalled, other, sender = relay.joined(3, subject.ping)
            flood(sender, [other, sender], frames)
            seen = numbers_of_whole_frames(stalled.receive_all())
            assert seen == list(range(len(seen)))
            transmit(sender, [other, sender], [frames[0]], frames[0], subject.fence)


def numbers_of_whole_frames(data: bytes) -> list[int]:
    size = len(plain(0, size=1500))
    return numbers(data[: len(data) // size * size])


@check("ISO-7")
def a_client_that_never_reads_is_never_disconnected(subject: Subject) -> None:
    limits = ("--queue-frames", "50", "--stall-timeout", "30")
    for policy in ("drop_oldest", "disconnect", "backpressure"):
        with subject.start("--overflow", policy, *limits) as relay:
            (reader,) = relay.joined(1, subject.ping)
            publisher = relay.connect()
            batch = subject.valid(1, 1500) * 40
            for _ in range(15):
                publisher.send(batch)
                assert reader.receive(len(batch)) == batch
            publisher.send(subject.fence)
            assert reader.receive_until(subject.fence) == subject.fence


@check("CONN-1", "LIFE-2")
def starts_over_a_stale_socket_and_without_its_directory(subject: Subject) -> None:
    with Specimen("legacy-sink") as room:
        path = os.path.join(room.directory, "new", "deep", "s.sock")
        for _ in range(2):
            with subject.start(path=path) as relay:
                relay.joined(2, subject.ping)
                relay.kill()
                assert os.path.exists(path)


@check("CONN-2")
def leaves_a_live_relay_alone(subject: Subject) -> None:
    with subject.start() as relay:
        clients = relay.joined(1, subject.ping)
        second = subject.start(path=relay.name)
        try:
            assert second.first_line == ""
            assert second.process.wait(subject.patience_s) == 1
            assert "a live relay answers" in second.stderr()
        finally:
            second.close()
        clients += relay.joined(0, subject.ping)
        late = relay.connect()
        late.send(subject.fence)
        assert clients[0].receive_until(subject.fence) == subject.fence


@check("CONN-3")
def a_client_silent_for_more_than_a_second_is_served(subject: Subject) -> None:
    with subject.start() as relay:
        silent, other = relay.connect(), relay.connect()
        assert not silent.has_something(within_s=1.3)
        many = [subject.valid(number) for number in range(60)]
        transmit(silent, [silent, other], many, b"".join(many), subject.fence)


@check("CONN-4", "RES-1")
def a_thousand_connections_each_receive_at_a_small_price(subject: Subject) -> None:
    count = 1000 if subject.patience_s == PATIENCE_S else 600
    with subject.start() as relay:
        before = relay.memory()
        clients = [relay.connect() for _ in range(count)]
        clients[-1].send(subject.fence)
        for client in clients:
            assert client.receive_until(subject.fence) == subject.fence
        assert relay.memory() - before < count * 65_536


@check("CONN-5")
def at_its_maximum_it_refuses_the_next_and_serves_the_others(subject: Subject) -> None:
    with subject.start("--max-connections", "4") as relay:
        clients = relay.joined(4, subject.ping)
        assert relay.connect().receive_all() == b""
        transmit(clients[0], clients, [], b"", subject.fence)


@check("CONN-7")
def a_half_closed_client_goes_on_receiving(subject: Subject) -> None:
    with subject.start() as relay:
        half, other = relay.joined(2, subject.ping)
        half.finish_sending()
        for _ in range(3):
            transmit(other, [half, other], [subject.valid(1)], subject.valid(1), subject.fence)


@check("CONN-8", "RES-2")
def connections_give_back_all_they_took(subject: Subject) -> None:
    with subject.start() as relay:
        stay = relay.joined(1, subject.ping)[0]
        memory, descriptors, threads = relay.memory(), relay.descriptors(), relay.threads()
        for _ in range(60):
            guest = relay.connect()
            guest.send(subject.fence * 50)
            for client in (guest, stay):
                assert client.receive(len(subject.fence) * 50) == subject.fence * 50
            guest.close()
            stay.send(subject.ping)
            assert stay.receive(len(subject.ping)) == subject.ping
        with_next = relay.connect()
        with_next.send(subject.ping)
        with_next.receive(len(subject.ping))
        assert relay.descriptors() <= descriptors + 2
        assert relay.threads() == threads
        assert relay.memory() - memory < 6_000_000


@check("LIFE-1")
def sigterm_delivers_what_was_accepted_and_exits_0(subject: Subject) -> None:
    frames = [subject.valid(number, 1500) for number in range(600)]
    with subject.start() as relay:
        stalled, sender = relay.joined(2, subject.ping)
        flood(sender, [sender], frames)
        relay.process.send_signal(signal.SIGTERM)
        assert numbers(stalled.receive_all()) == list(range(600))
        assert relay.process.wait(subject.patience_s) == 0
        assert not os.path.exists(relay.name)


@check("LIFE-1")
def a_second_signal_exits_at_once(subject: Subject) -> None:
    frames = [subject.valid(number, 1500) for number in range(600)]
    with subject.start("--drain-timeout", "60") as relay:
        _, sender = relay.joined(2, subject.ping)
        flood(sender, [sender], frames)
        relay.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + subject.patience_s
        while os.path.exists(relay.name):
            assert time.monotonic() < deadline, "the first signal does not begin a drain"
        relay.process.send_signal(signal.SIGTERM)
        assert relay.process.wait(subject.patience_s) == 1


@check("SEC-1")
def socket_and_directory_are_the_owners_alone(subject: Subject) -> None:
    with Specimen("legacy-sink") as room:
        path = os.path.join(room.directory, "new", "s.sock")
        with subject.start(path=path) as relay:
            relay.joined(1, subject.ping)
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
        os.chmod(os.path.dirname(path), 0o770)
        refused_start = subject.start(path=path)
        try:
            assert refused_start.first_line == ""
            assert "writable by others" in refused_start.stderr()
        finally:
            refused_start.close()
