"""VAL: wrong checksums, malformed payloads, and bytes that are no frames."""

import zlib

from spec_tests.conformance.specimens.black_box_checks.subject import (
    FIXED_SIZES,
    MAX_SIZE,
    Subject,
    accepted,
    check,
    refused,
    transmit,
)
from spec_tests.conformance.specimens.specimen_process import EXECUTION, MARKET_DATA, SIGNAL, TYPES, frame, tlv


def huge(subject: Subject) -> bytes:
    return tlv(TYPES[subject.domain], bytes(65_535)) * 5


@check("VAL-1", domains=(SIGNAL, EXECUTION))
def wrong_checksums_reach_nobody(subject: Subject) -> None:
    bad = []
    for payload in (b"", *(tlv(TYPES[subject.domain], bytes(size)) for size in (12, 2000, 65_535)), huge(subject)):
        right = int.from_bytes(frame(3, payload, subject.domain)[28:32], "little")
        zero = (0,) if subject.domain == EXECUTION else ()  # "not computed": refused there (D9)
        wrongs = (*zero, right ^ 1, right ^ (1 << 12), right ^ (1 << 31))
        bad += [frame(3, payload, subject.domain, checksum=wrong) for wrong in wrongs]
    refused(subject, *bad)


@check("VAL-1", domains=(SIGNAL,))
def checksums_that_were_not_computed_are_forwarded(subject: Subject) -> None:
    payloads = (b"", tlv(TYPES[subject.domain], bytes(12)), huge(subject))
    accepted(subject, *(frame(3, payload, subject.domain, checksum=0) for payload in payloads))


@check("VAL-2", domains=(MARKET_DATA,))
def market_data_does_not_verify(subject: Subject) -> None:
    accepted(subject, *(frame(3, tlv(4, bytes(12)), MARKET_DATA, checksum=any_) for any_ in (0, 1, 1 << 31)))


@check("VAL-3", domains=(SIGNAL, EXECUTION))
def malformed_payloads_reach_nobody(subject: Subject) -> None:
    kind = TYPES[subject.domain]
    own = tlv(kind, bytes(12))
    extended = tlv(kind, bytes(12), extended=True)
    payloads = [own[:-1], own + b"\0", own + bytes((kind,)), extended[:-1], own + extended[:4], bytes((kind,))]
    payloads += [own + bytes((255, reserved, kind)) + extended[3:] for reserved in (1, 128)]
    payloads += [tlv(0, bytes(3), extended=True), huge(subject) + own[:-1]]
    refused(subject, *(frame(7, payload, subject.domain) for payload in payloads))


@check("VAL-4", domains=(EXECUTION,))
def execution_checks_version_source_and_sizes(subject: Subject) -> None:
    own, bad = tlv(46, bytes(32)), []
    bad += [frame(7, own, EXECUTION, version=version) for version in (0, 2, 255)]
    bad += [frame(7, own, EXECUTION, source=source) for source in (0, 6, 83, 255)]
    bad += [frame(7, own + tlv(kind, bytes(size + 1)), EXECUTION) for kind, size in FIXED_SIZES.items()]
    bad += [frame(7, tlv(40, bytes(31), extended=True), EXECUTION)]
    refused(subject, *bad)


def hiding(subject: Subject) -> bytes:
    """A payload whose value is a valid frame."""
    return tlv(TYPES[subject.domain], subject.valid(8))


@check("DOM-1")
def nothing_comes_out_of_a_frame_of_another_domain(subject: Subject) -> None:
    refused(subject, frame(7, hiding(subject), subject.domain % 3 + 1))


@check("VAL-1", "DOM-2", "VAL-3", domains=(SIGNAL, EXECUTION))
def nothing_comes_out_of_a_frame_that_is_verified_and_refused(subject: Subject) -> None:
    payload = hiding(subject)
    wrong = frame(7, payload, subject.domain, checksum=1)
    payloads = (payload + tlv(100, bytes(8)), payload + b"\0")
    refused(subject, wrong, *(frame(7, each, subject.domain) for each in payloads))


@check("VAL-4", domains=(EXECUTION,))
def nothing_comes_out_of_a_frame_of_an_unknown_version(subject: Subject) -> None:
    refused(subject, frame(7, hiding(subject), EXECUTION, version=2))


GARBAGE = b"x" * 37 + b"\xef\xbe" + b"y" * 8


def oversize(subject: Subject, size: int) -> bytes:
    return subject.valid(1)[:24] + (size - 32).to_bytes(4, "little") + bytes(4)


def other_magic(own: bytes, place: int) -> bytes:
    """The frame with another byte at this place of its magic, and the checksum that belongs to it then."""
    head = bytearray(own[:28])
    head[place] ^= 1
    return bytes(head) + zlib.crc32(own[32:], zlib.crc32(head)).to_bytes(4, "little") + own[32:]


@check("VAL-5", "VAL-6", "CONN-1")
def what_is_no_frame_ends_its_connection_and_no_other(subject: Subject) -> None:
    own = subject.valid(1)
    too_large = (oversize(subject, size) for size in (MAX_SIZE + 1, 1 << 30, 1 << 32))
    bads = (GARBAGE, *too_large, b"hello\n", *(other_magic(own, place) for place in range(4)))
    with subject.start("--on-framing-error", "close") as relay:
        clients = relay.joined(2, subject.ping)
        for bad in bads:
            culprit = relay.connect()
            culprit.send(subject.ping)
            for client in [*clients, culprit]:
                assert client.receive(len(subject.ping)) == subject.ping
            culprit.send(own + bad + own)
            assert culprit.receive_all() in (own, b"")
            transmit(clients[0], clients, [], own, subject.fence)
        assert relay.running


@check("VAL-6", "VAL-3", "FWD-6", "FWD-1")
def no_input_stops_the_relay_or_makes_it_allocate(subject: Subject) -> None:
    with subject.start() as relay:
        clients = relay.joined(2, subject.ping)
        before = relay.peak_memory()
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
        assert relay.peak_memory() - before < 32 * 1024 * 1024


@check("VAL-5")
def resynchronising_finds_the_next_frame(subject: Subject) -> None:
    own = subject.valid(1)
    with subject.start("--on-framing-error", "resync") as relay:
        clients = relay.joined(2, subject.ping)
        for bad in (GARBAGE, b"hello\n", oversize(subject, MAX_SIZE + 1), bytes(100)):
            transmit(clients[0], clients, [own + bad + own], own + own, subject.fence)
            transmit(clients[0], clients, [bad + own[:2], own[2:]], own, subject.fence)


@check("VAL-5")
def frames_before_a_framing_error_wait_for_nothing(subject: Subject) -> None:
    own = subject.valid(1)
    with subject.start() as relay:
        other, culprit = relay.joined(2, subject.ping)
        culprit.send(own + GARBAGE)
        assert culprit.receive_all() in (b"", own)
        assert other.receive(len(own)) == own
