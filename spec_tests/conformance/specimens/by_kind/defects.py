"""Faults that depend on the place of a defect."""

from collections.abc import Callable

from spec_tests.conformance.specimens.by_kind.showing import Fault, Start, of_size, sequences, shows
from spec_tests.conformance.specimens.specimen_process import TYPES, frame, tlv

FOREIGN_DOMAIN, FOREIGN_TYPE = 9, 90


def is_forwarded(start: Start, payload: Callable[[int], bytes]) -> bool:
    """Whether a frame with the payload, which gets a type that is right, is forwarded."""
    with start() as hand:
        hand.join().send(frame(1, payload(TYPES[hand.domain]), hand.domain))
        return sequences(hand.witness) == [1]


@shows("short-tlv-accepted")
def a_tlv_with_too_few_bytes_is_forwarded(start: Start, fault: Fault) -> bool:
    def short(length: int, missing: int, place: int, *, extended: bool) -> bool:
        before = fault.place - 1 if place else 0
        return is_forwarded(
            start, lambda kind: tlv(kind) * before + tlv(kind, bytes(length), extended=extended)[:-missing]
        )

    length = fault.length or 23
    form = bool(fault.extended)
    meant = short(length, fault.missing, fault.place, extended=form)
    more = length > fault.missing and short(length, fault.missing + 1, fault.place, extended=form)
    another_form = length < 256 and short(length, fault.missing, fault.place, extended=not form)
    return meant and not more and not another_form


@shows("type-unlooked-at")
def a_foreign_type_there_is_forwarded(start: Start, fault: Fault) -> bool:
    def foreign(kind: int) -> bytes:
        if fault.beyond:
            return tlv(kind, bytes(fault.beyond - 31)) + tlv(FOREIGN_TYPE)
        return tlv(kind) * (max(fault.place, 3) - 1) + tlv(FOREIGN_TYPE) + (tlv(kind) if fault.place > 0 else b"")

    def just_before(kind: int) -> bytes:
        if fault.beyond:
            return tlv(kind, bytes(fault.beyond - 37)) + tlv(FOREIGN_TYPE)
        return tlv(kind) * (max(fault.place, 3) - 2) + tlv(FOREIGN_TYPE) + tlv(kind)

    return is_forwarded(start, foreign) and not is_forwarded(start, just_before)


def is_served(start: Start, fault: Fault, refused: Callable[[int, bytes, int], bytes]) -> bool:
    """Whether the `nth` frame that hides in one refused, at such a place, comes out, and the one before it does not."""
    value_at = 32 + 5
    with start() as hand:
        pad = max(fault.beyond, 100) + 1
        pad += (value_at + pad) % 2
        hidden = b"".join(hand.plain(500 + number) for number in range(1, fault.nth + 1))
        value = bytes(pad) + hidden + bytes(fault.above)
        hand.join().send(refused(hand.domain, value, TYPES[hand.domain]))
        served = sequences(hand.witness)
        few = bytes(1) + b"".join(hand.plain(600 + number) for number in range(1, fault.nth))
        hand.join().send(refused(hand.domain, few, TYPES[hand.domain]))
        return served == [500 + fault.nth] and sequences(hand.witness) == []


@shows("hidden-in-foreign-domain")
def it_is_served_from_another_domain(start: Start, fault: Fault) -> bool:
    return is_served(start, fault, lambda _, value, kind: frame(1, tlv(kind, value, extended=True), FOREIGN_DOMAIN))


@shows("hidden-in-wrong-checksum")
def it_is_served_from_a_wrong_checksum(start: Start, fault: Fault) -> bool:
    return is_served(
        start, fault, lambda domain, value, kind: frame(1, tlv(kind, value, extended=True), domain, checksum=1)
    )


@shows("hidden-in-foreign-type")
def it_is_served_from_a_foreign_type(start: Start, fault: Fault) -> bool:
    return is_served(start, fault, lambda domain, value, _: frame(1, tlv(FOREIGN_TYPE, value, extended=True), domain))


@shows("hidden-in-malformed")
def it_is_served_from_a_malformed_payload(start: Start, fault: Fault) -> bool:
    return is_served(
        start, fault, lambda domain, value, kind: frame(1, tlv(kind, value, extended=True) + b"\1", domain)
    )


@shows("hidden-in-version")
def it_is_served_from_another_version(start: Start, fault: Fault) -> bool:
    return is_served(
        start, fault, lambda domain, value, kind: frame(1, tlv(kind, value, extended=True), domain, version=2)
    )


@shows("unverified-at-place")
def a_wrong_checksum_at_the_place_is_forwarded(start: Start, fault: Fault) -> bool:
    with start() as hand:
        seen = []
        for place in (fault.place - 1, fault.place):
            good = [hand.plain(number) for number in range(1, place)]
            hand.join().send(*good, frame(500, domain=hand.domain, checksum=1), hand.plain(600))
            seen.append(500 in sequences(hand.witness))
        return seen == [False, True]


@shows("flip-unseen-beyond")
def a_frame_with_a_wrong_bit_there_is_forwarded(start: Start, fault: Fault) -> bool:
    with start() as hand:
        for number, at in enumerate((fault.beyond, fault.beyond + 1, fault.beyond + 99)):
            sent = bytearray(of_size(hand, number, fault.beyond + 100))
            sent[at] ^= 16
            hand.join().send(bytes(sent))
        return sequences(hand.witness) == [1, 2]


@shows("refused-too-often-closed")
def the_next_refused_frame_closes(start: Start, fault: Fault) -> bool:
    with start() as hand:
        peer, foreign = hand.join(), frame(1, domain=FOREIGN_DOMAIN)
        if fault.in_a_row:
            peer.send(foreign * fault.more_than, hand.plain(1))
        peer.send(foreign * fault.more_than)
        before = peer.closed
        peer.send(foreign)
        return peer.closed and not before
