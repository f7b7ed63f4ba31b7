"""Faults that depend on the state of a receiver."""

from spec_tests.conformance.specimens.by_kind.showing import (
    FILL_FRAMES,
    Fault,
    Start,
    fill,
    of_size,
    sequences,
    shows,
)
from spec_tests.conformance.specimens.relay_in_hand import Peer, RelayInHand

SLOW = 2


@shows("overflow-tears")
def a_frame_of_which_so_much_is_sent_is_dropped(start: Start, fault: Fault) -> bool:
    with start() as hand:
        waiting = [of_size(hand, number, fault.least + 100) for number in range(fault.longest or 4)]
        hand.relay.settings = hand.relay.settings._replace(queue_bytes=sum(map(len, waiting)))
        outbox = hand.relay.outbox_part(hand.witness.sock, hand.relay.settings)
        for each in waiting:
            outbox.put(each)
        outbox.advance(fault.least)
        outbox.drop_oldest(waiting[0])
        return not outbox.frames or outbox.frames[0] != waiting[0]


def half_closed(hand: RelayInHand, fault: Fault) -> Peer:
    """A half-closed consumer of those meant that does not read."""
    peer = hand.join(reads=False)
    if fault.which != "unheard":
        peer.send(hand.plain(1))
    if fault.which == "within-a-frame":
        peer.send(hand.plain(2)[:40])
    if fault.which == "full-before":
        fill(hand, 30)
    peer.half_close()
    return peer


@shows("half-closed-disconnected-at-overflow")
def it_is_disconnected(start: Start, fault: Fault) -> bool:
    with start(queue_bytes=200_000) as hand:
        other, meant = hand.join(reads=False), half_closed(hand, fault)
        fill(hand)
        for each in (meant, other):
            each.resume()
        return meant.closed and not other.closed


@shows("half-closed-loses-backlog")
def it_does_not_get_what_waited(start: Start, fault: Fault) -> bool:
    with start() as hand:
        other, meant = hand.join(reads=False), half_closed(hand, fault)
        fill(hand)
        for each in (meant, other):
            each.resume()
        return len(sequences(meant)) < FILL_FRAMES <= len(sequences(other))


@shows("slowed-by-the-full")
def time_passes_with_each_frame(start: Start, fault: Fault) -> bool:
    with start() as hand:
        hand.joined(SLOW, reads=False)
        fill(hand)
        before = hand.clock.now
        hand.witness.send(of_size(hand, 1, fault.above or 34))
        hand.witness.send(of_size(hand, 2, max(35, fault.above + 1)))
        frames = 1 if fault.above else 2
        slept = hand.clock.now - before
        return abs(slept - frames * fault.ms / 1_000 * (SLOW if fault.each else 1)) < 1e-6


@shows("resumed-loses")
def the_first_frame_after_that_many_stalls_is_lost(start: Start, fault: Fault) -> bool:
    with start() as hand:
        consumer, seen = hand.join(), []
        for _ in range(fault.times):
            consumer.reads = False
            fill(hand)
            consumer.resume()
            consumer.take()
            hand.witness.send(hand.plain(1))
            seen.append(sequences(consumer))
        return seen == [[1]] * (fault.times - 1) + [[]]


@shows("joined-beside-a-partial")
def the_frame_after_the_begun_one_is_missed(start: Start, fault: Fault) -> bool:
    with start() as hand:
        sender = hand.join()
        begun = of_size(hand, 1, fault.least + 100)
        sender.send(begun[: fault.least])
        late = hand.join()
        sender.send(begun[fault.least :])
        sender.send(hand.plain(2))
        sender.send(hand.plain(3))
        return sequences(late) == [1, 3] and sequences(hand.witness) == [1, 2, 3]
