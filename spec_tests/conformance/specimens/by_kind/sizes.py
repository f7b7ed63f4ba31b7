"""Faults that depend on sizes."""

from spec_tests.conformance.specimens.by_kind.showing import Fault, Start, of_size, sequences, shows, with_claim


@shows("claim-cut")
def a_frame_that_claims_more_than_the_maximum_is_forwarded(start: Start, fault: Fault) -> bool:
    claim = (1 << (fault.bits - fault.signed)) - 32 * fault.whole
    with start() as hand:
        hand.join().send(with_claim(1, hand.domain, claim))
        return hand.witness.take() != b""


@shows("large-overtaken")
def a_small_frame_of_the_same_write_comes_first(start: Start, fault: Fault) -> bool:
    with start() as hand:
        hand.join().send(of_size(hand, 1, fault.above + 1), of_size(hand, 2, fault.small))
        return sequences(hand.witness) == [2, 1]


@shows("large-overtaken-by-next-write")
def a_small_frame_of_the_next_write_comes_first(start: Start, fault: Fault) -> bool:
    with start() as hand:
        sender = hand.join()
        sender.send(of_size(hand, 1, fault.above + 1))
        sender.send(hand.plain(2))
        hand.let_pass(1)
        return sequences(hand.witness) == [2, 1]


@shows("sizes-lost")
def the_first_and_the_last_of_the_sizes_are_lost_alone(start: Start, fault: Fault) -> bool:
    sizes = (fault.least - 1, fault.least, fault.most, fault.most + 1)
    with start() as hand:
        for size in sizes:
            hand.join().send(of_size(hand, size, size))
        return sequences(hand.witness) == [sizes[0], sizes[3]]


@shows("byte-changed-at")
def a_frame_that_ends_there_is_changed(start: Start, fault: Fault) -> bool:
    with start() as hand:
        sent = of_size(hand, 1, fault.at), of_size(hand, 2, fault.at + 1)
        for each in sent:
            hand.join().send(each)
        got = hand.witness.take()
        return got != b"".join(sent) and got.startswith(sent[0])


@shows("misses-large-from")
def the_connection_at_the_place_misses_the_frame_alone(start: Start, fault: Fault) -> bool:
    with start() as hand:
        clients = [hand.witness, *hand.joined(fault.place - 1)]
        hand.witness.send(of_size(hand, 1, fault.above))
        hand.witness.send(of_size(hand, 2, fault.above + 1))
        return [sequences(each) for each in clients] == [[1, 2]] * (fault.place - 1) + [[1]]
