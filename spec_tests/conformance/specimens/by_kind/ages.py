"""Faults that depend on age."""

from spec_tests.conformance.specimens.by_kind.showing import Fault, Start, of_size, sequences, shows
from spec_tests.conformance.specimens.relay_in_hand import Peer, RelayInHand
from spec_tests.conformance.specimens.specimen_process import frame, tlv

A_WRITE = 1_000


def age(hand: RelayInHand, sender: Peer, count: int) -> None:
    """Have so many frames of a sender forwarded, and forgotten by who got them."""
    for left in range(count, 0, -A_WRITE):
        sender.send(hand.plain(0) * min(left, A_WRITE))
        for each in hand.peers:
            each.take()


def of_age(fault: Fault, hand: RelayInHand) -> tuple[Peer, Peer]:
    """A sender, and the one whose frames make it old."""
    sender = hand.join()
    return sender, sender if fault.of == "connection" else hand.witness


def turns_up(start: Start, fault: Fault, bad: bytes) -> bool:
    """Whether what is refused of a young sender comes from an old one."""
    with start() as hand:
        sender, ages = of_age(fault, hand)
        age(hand, ages, fault.after)
        sender.send(bad)
        if hand.witness.take():
            return False
        age(hand, ages, 1)
        sender.send(bad)
        return hand.witness.take() == bad


@shows("checksum-trusted-after")
def a_wrong_checksum_is_forwarded(start: Start, fault: Fault) -> bool:
    return turns_up(start, fault, frame(1, checksum=1))


@shows("payload-trusted-after")
def a_foreign_type_is_forwarded(start: Start, fault: Fault) -> bool:
    return turns_up(start, fault, frame(1, tlv(50)))


@shows("domain-trusted-after")
def a_foreign_domain_is_forwarded(start: Start, fault: Fault) -> bool:
    return turns_up(start, fault, frame(1, domain=9))


def last_and_first(start: Start, fault: Fault, *, echo: bool = False) -> list[list[int]]:
    """What is got of two frames in a write just before a sender is old, and of two once it is."""
    with start() as hand:
        sender, ages = of_age(fault, hand)
        age(hand, ages, fault.after - 2)
        seen = []
        for _ in range(2):
            sender.send(hand.plain(1), hand.plain(2))
            seen.append(sequences(sender if echo else hand.witness))
        return seen


@shows("order-lost-after")
def two_frames_of_a_write_are_swapped(start: Start, fault: Fault) -> bool:
    return last_and_first(start, fault) == [[1, 2], [2, 1]]


@shows("deaf-after")
def nothing_more_is_forwarded(start: Start, fault: Fault) -> bool:
    return last_and_first(start, fault) == [[1, 2], []]


@shows("echo-ends-after")
def nothing_more_comes_back(start: Start, fault: Fault) -> bool:
    return last_and_first(start, fault, echo=True) == [[1, 2], []]


def copies(start: Start, fault: Fault) -> list[int]:
    """How often the frame before that of the period, and it, are got."""
    with start() as hand:
        age(hand, hand.witness, fault.period - 2)
        hand.witness.send(hand.plain(1))
        hand.witness.send(hand.plain(2))
        got = sequences(hand.witness)
        return [got.count(1), got.count(2)]


@shows("lost-each")
def the_frame_of_the_period_is_lost(start: Start, fault: Fault) -> bool:
    return copies(start, fault) == [1, 0]


@shows("repeated-each")
def the_frame_of_the_period_comes_twice(start: Start, fault: Fault) -> bool:
    return copies(start, fault) == [1, 2]


@shows("lost-across")
def one_frame_is_lost_across_the_edge(start: Start, fault: Fault) -> bool:
    size = 1_003
    count = fault.edge // size + 2
    with start() as hand:
        sender = hand.join()
        for number in range(count):
            sender.send(of_size(hand, number, size))
        return sequences(hand.witness) == [each for each in range(count) if each != fault.edge // size]


@shows("garbage-forgiven-after")
def garbage_closes_nobody(start: Start, fault: Fault) -> bool:
    with start() as hand:
        young, ages = of_age(fault, hand)
        age(hand, ages, fault.after)
        young.send(bytes(64))
        old, ages = of_age(fault, hand)
        age(hand, ages, 1 if fault.of == "relay" else fault.after + 1)
        old.send(bytes(64))
        return young.closed and not old.closed


@shows("newcomer-unheard")
def the_connection_of_the_period_is_unheard(start: Start, fault: Fault) -> bool:
    with start() as hand:
        for number in range(2, fault.period + 2):  # the witness was the first
            newcomer = hand.join()
            newcomer.send(hand.plain(number))
            newcomer.leave("close")
        return sequences(hand.witness) == [*range(2, fault.period), fault.period + 1]
