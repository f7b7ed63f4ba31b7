"""Faults that depend on how many there are."""

from spec_tests.conformance.specimens.by_kind.showing import FILL_FRAMES, Fault, Start, fill, sequences, shows


@shows("order-lost-among")
def two_frames_of_a_write_are_swapped_with_one_client_more(start: Start, fault: Fault) -> bool:
    with start() as hand:
        clients = [hand.witness, *hand.joined(fault.more_than - 1)]
        hand.witness.send(hand.plain(1), hand.plain(2))
        before = [sequences(each) for each in clients]
        clients.append(hand.join())
        hand.witness.send(hand.plain(1), hand.plain(2))
        after = [sequences(each) for each in clients]
        hit = [after[fault.receiver - 1]] if fault.receiver else after
        return before == [[1, 2]] * fault.more_than and hit == [[2, 1]] * len(hit) and after.count([2, 1]) == len(hit)


@shows("speaker-lost-from")
def the_one_at_the_place_is_lost_alone(start: Start, fault: Fault) -> bool:
    with start() as hand:
        for number, each in enumerate([hand.witness, *hand.joined(fault.place - 1)], 1):
            each.send(hand.plain(number))
        return sequences(hand.witness) == list(range(1, fault.place))


@shows("partial-lost-among")
def one_begun_frame_too_many_is_lost(start: Start, fault: Fault) -> bool:
    with start() as hand:
        seen = []
        for count in (fault.more_than + 1, fault.more_than + 2):
            senders = hand.joined(count)
            for number, each in enumerate(senders):
                each.send(hand.plain(number)[:40])
            for number, each in enumerate(senders):
                each.send(hand.plain(number)[40:])
            seen.append(len(sequences(hand.witness)) - count)
        return seen == [0, -1]


@shows("backlog-lost-among")
def of_one_full_consumer_too_many_the_backlog_is_lost(start: Start, fault: Fault) -> bool:
    losing = []
    for count in (fault.more_than + 1, fault.more_than + 2):
        with start() as hand:
            full = hand.joined(count, reads=False)
            fill(hand)
            for each in full:
                each.resume()
            losing.append(any(len(sequences(each)) < FILL_FRAMES for each in full))
    return losing == [False, True]
