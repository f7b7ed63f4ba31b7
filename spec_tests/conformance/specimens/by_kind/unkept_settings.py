"""Faults that depend on a setting."""

from spec_tests.conformance.specimens.by_kind.showing import (
    FILL_BYTES,
    FILL_FRAMES,
    Fault,
    Start,
    fill,
    of_size,
    sequences,
    shows,
)
from spec_tests.conformance.specimens.relay_in_hand import Peer

DRAIN_S = 5.0
SOON_S = 0.05


def who_reads_last_misses_some(start: Start, slow: int, after_s: float) -> bool:
    """Whether the youngest of so many clients, which read again so late in the drain, misses frames."""
    with start(drain_timeout_s=DRAIN_S) as hand:
        clients = hand.joined(slow, reads=False)
        fill(hand)

        def read_again() -> None:
            for each in clients:
                each.reads = True

        hand.drain((after_s, read_again))
        return len(sequences(clients[-1])) < FILL_FRAMES


def is_over_after(start: Start, seconds: float) -> bool:
    """Whether the drain lasts as long, and no longer."""
    within, later = (who_reads_last_misses_some(start, 1, seconds + late) for late in (-SOON_S, SOON_S))
    return later and not within


@shows("drain-shortened")
def the_drain_is_over_after_the_seconds(start: Start, fault: Fault) -> bool:
    return is_over_after(start, fault.seconds)


@shows("drain-scaled")
def the_drain_is_over_after_a_part_of_the_time(start: Start, fault: Fault) -> bool:
    return is_over_after(start, DRAIN_S * fault.factor)


@shows("drain-of-few")
def one_client_more_is_not_drained_to(start: Start, fault: Fault) -> bool:
    besides = fault.clients - 1  # the witness is the oldest
    enough = besides and who_reads_last_misses_some(start, besides, SOON_S)
    return not enough and who_reads_last_misses_some(start, fault.clients, SOON_S)


def last_in_a_row(consumer: Peer) -> int:
    """How many of the last frames that a client got follow one another without a gap."""
    got = sequences(consumer)
    gaps = [place for place in range(1, len(got)) if got[place] != got[place - 1] + 1]
    return len(got) - gaps[-1]


@shows("queue-frames-scaled")
def fewer_frames_wait_than_were_told(start: Start, fault: Fault) -> bool:
    with start(queue_frames=100) as hand:
        consumer = hand.join(reads=False)
        fill(hand, 200)
        consumer.resume()
        return last_in_a_row(consumer) < 99


@shows("queue-bytes-scaled")
def fewer_bytes_wait_than_were_told(start: Start, fault: Fault) -> bool:
    with start(queue_bytes=100 * FILL_BYTES) as hand:
        consumer = hand.join(reads=False)
        fill(hand, 200)
        consumer.resume()
        return last_in_a_row(consumer) < 99


@shows("queue-frames-fixed")
def no_more_frames_wait(start: Start, fault: Fault) -> bool:
    with start(queue_frames=10_000) as hand:
        consumer = hand.join(reads=False)
        fill(hand, 40)
        hand.witness.send(b"".join(hand.plain(40 + number) for number in range(fault.frames)))
        consumer.resume()
        return len(sequences(consumer)) < fault.frames + 40


@shows("queue-bytes-fixed")
def no_more_bytes_wait(start: Start, fault: Fault) -> bool:
    count = 20 + fault.bytes // FILL_BYTES
    with start(queue_bytes=1 << 30) as hand:
        consumer = hand.join(reads=False)
        fill(hand, count + 40)
        consumer.resume()
        return len(sequences(consumer)) < count + 40


@shows("max-size-scaled")
def the_largest_size_is_another(start: Start, fault: Fault) -> bool:
    told = 100_000
    with start(max_message_size=told) as hand:
        for number, size in enumerate((told, told + 1)):
            hand.join().send(of_size(hand, number, size))
        return sequences(hand.witness) == ([0, 1] if fault.factor > 1 else [])


@shows("max-connections-scaled")
def others_are_admitted_than_were_told(start: Start, fault: Fault) -> bool:
    with start(max_connections=8) as hand:
        admitted = 1 + sum(not each.closed for each in hand.joined(20))
        return admitted == int(8 * fault.factor)


@shows("stall-scaled")
def the_stall_lasts_another_time(start: Start, fault: Fault) -> bool:
    with start(overflow="backpressure", queue_frames=10, stall_s=2.0) as hand:
        consumer = hand.join()
        hand.witness.send(hand.plain(1))
        consumer.reads = False
        while not hand.relay.held:
            hand.witness.send(of_size(hand, 2, FILL_BYTES))
        begun = hand.clock.now
        while hand.relay.held:
            hand.relay.turn()
        return abs(hand.clock.now - begun - 2.0 * fault.factor) < SOON_S


@shows("partial-timeout-scaled")
def an_incomplete_frame_stands_for_another_time(start: Start, fault: Fault) -> bool:
    with start(partial_frame_timeout_s=2.0) as hand:
        hand.join().send(hand.plain(1)[:10])
        begun = hand.clock.now
        while hand.relay.unfinished:
            hand.relay.turn()
        return abs(hand.clock.now - begun - 2.0 * fault.factor) < SOON_S
