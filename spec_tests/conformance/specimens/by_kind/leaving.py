"""Faults that depend on how a client leaves."""

import os

from spec_tests.conformance.specimens.by_kind.showing import Fault, Start, of_size, sequences, shows
from spec_tests.conformance.specimens.relay_in_hand import RelayInHand


def leave(hand: RelayInHand, way: str, sent: int) -> None:
    """A client joins, sends so many bytes of a frame, and leaves."""
    peer = hand.join()
    peer.send(of_size(hand, 1, sent + 100)[:sent])
    peer.leave(way)
    hand.witness.take()


def leave_otherwise(hand: RelayInHand, fault: Fault) -> None:
    """Clients leave in every other way, within a frame, and in this one with fewer bytes, with more, or with none."""
    for way in ("reset", "close", "half-close"):
        if way != fault.way:
            leave(hand, way, fault.least)
    for sent in {0, fault.least - 1, min(fault.most, 70_000) + 1}:
        if not fault.least <= sent <= fault.most:
            leave(hand, fault.way, sent)


@shows("descriptor-lost-by-leaver")
def there_is_one_descriptor_more(start: Start, fault: Fault) -> bool:
    with start() as hand:
        counts = []
        for sent in (0, 0, fault.least):
            leave_otherwise(hand, fault)
            leave(hand, fault.way, sent)
            counts.append(len(os.listdir("/proc/self/fd")))
        return [each - counts[0] for each in counts] == [0, 0, 1]


@shows("slot-lost-by-leaver")
def one_client_fewer_is_admitted(start: Start, fault: Fault) -> bool:
    with start(max_connections=3) as hand:
        leave_otherwise(hand, fault)
        first = [each.closed for each in hand.joined(2)]
        hand.peers[-1].leave("close")
        leave(hand, fault.way, fault.least)
        return first == [False, False] and hand.join().closed


@shows("frame-lost-by-leaver")
def the_next_frame_is_lost(start: Start, fault: Fault) -> bool:
    with start() as hand:
        leave_otherwise(hand, fault)
        hand.join().send(hand.plain(1))
        leave(hand, fault.way, fault.least)
        hand.witness.send(hand.plain(2))
        hand.witness.send(hand.plain(3))
        return sequences(hand.witness) == [3]


@shows("half-closed-within-closed")
def it_is_closed(start: Start, fault: Fault) -> bool:
    with start() as hand:
        closed = []
        for sent in (fault.least - 1, fault.least):
            peer = hand.join()
            peer.send(of_size(hand, 1, sent + 100)[:sent])
            peer.half_close()
            closed.append(peer.closed)
        return closed == [False, True]


@shows("limit-lowered-by-refused")
def one_client_fewer_is_admitted_after_those_refused(start: Start, fault: Fault) -> bool:
    with start(max_connections=2) as hand:
        seen = []
        for count in (fault.period - 1, 1):
            second = hand.join()
            assert all(each.closed for each in hand.joined(count))
            second.leave("close")
            last = hand.join()
            seen.append(last.closed)
            last.leave("close")
        return seen == [False, True]


@shows("limit-lowered-by-garbage")
def one_client_fewer_is_admitted_after_those_closed(start: Start, fault: Fault) -> bool:
    with start(max_connections=2) as hand:
        seen = []
        for count in (fault.period - 1, 1):
            for _ in range(count):
                hand.join().send(bytes(64))
            last = hand.join()
            seen.append(last.closed)
            last.leave("close")
        return seen == [False, True]
