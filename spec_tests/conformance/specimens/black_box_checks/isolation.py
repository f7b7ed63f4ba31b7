"""ISO: consumers that do not read."""

import select
from contextlib import suppress

from spec_tests.conformance.specimens.black_box_checks.subject import Subject, check, flood, numbers, transmit
from spec_tests.conformance.specimens.specimen_process import TYPES, frame, plain, tlv

LONG_STALL_S = 2.4


@check("ISO-1", "ISO-3", "ISO-4", "ISO-5", "ISO-7", "ORD-1")
def a_stalled_consumer_loses_the_oldest_whole_frames_alone(subject: Subject) -> None:
    frames = [subject.valid(number, 1500 + number % 7) for number in range(600)]
    with subject.start("--queue-frames", "100") as relay:
        stalled, other, sender = relay.joined(3, subject.ping)
        for _ in range(2):
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


@check("ISO-2")
def what_all_consumers_hold_together_is_bounded(subject: Subject) -> None:
    frames = [subject.valid(number, 60_000) for number in range(40)]
    with subject.start("--queue-bytes", "10000000", "--total-queue-bytes", "600000") as relay:
        first, second, other, sender = relay.joined(4, subject.ping)
        flood(sender, [other, sender], frames)
        for stalled in (first, second):
            seen = numbers(stalled.receive_until(frames[-1]))
            assert len(seen) < 20
            assert seen[-1] == 39
    with subject.start("--total-queue-bytes", "600000", "--overflow", "disconnect") as relay:
        stalled, other, sender = relay.joined(3, subject.ping)
        flood(sender, [stalled, other, sender], frames[:4])
        flood(sender, [other, sender], frames)
        assert len(stalled.receive_all()) < sum(map(len, frames)), "it is not disconnected"


@check("ISO-2")
def memory_for_an_own_echo_is_bounded(subject: Subject) -> None:
    big = subject.valid(1, 60_000)
    with subject.start("--queue-bytes", "1000000", "--overflow", "backpressure") as relay:
        (client,) = relay.joined(1, subject.ping)
        before = relay.memory()
        with suppress(OSError):  # a relay may stop reading it, or close it
            for _ in range(400):
                client.send(big)
        assert relay.memory() - before < 8_000_000


@check("ISO-3")
def the_oldest_are_lost_where_the_bound_in_bytes_is_hit_too(subject: Subject) -> None:
    frames = [subject.valid(number, 60_000) for number in range(20)]
    with subject.start("--queue-bytes", "300000") as relay:
        stalled, other, sender = relay.joined(3, subject.ping)
        flood(sender, [other, sender], frames)
        seen = numbers(stalled.receive_until(frames[-1]))
        assert seen[-4:] == list(range(16, 20))
        assert len(seen) < 20


@check("ISO-3")
def a_consumer_that_does_not_read_for_seconds_stays_connected(subject: Subject) -> None:
    frames = [subject.valid(number, 1500) for number in range(600)]
    with subject.start("--queue-frames", "100") as relay:
        stalled, other, sender = relay.joined(3, subject.ping)
        flood(sender, [other, sender], frames)
        select.select([], [], [], LONG_STALL_S)  # that nothing happens then is what is checked
        assert numbers(stalled.receive_until(frames[-1]))[-1] == 599
        transmit(sender, [stalled, other, sender], [frames[0]], frames[0], subject.fence)


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


def large(subject: Subject, sequence: int) -> bytes:
    """A frame of nearly 1 MiB: no socket takes it at once."""
    return frame(sequence, tlv(TYPES[subject.domain], bytes(65_000)) * 15, subject.domain)


@check("FWD-7", "ISO-5")
def more_than_a_queue_holds_comes_to_who_reads(subject: Subject) -> None:
    with subject.start("--queue-bytes", "300000") as relay:
        reader, sender = relay.joined(2, subject.ping)
        for number in range(20):
            frames = [large(subject, number)]
            transmit(sender, [reader, sender], frames, frames[0], subject.fence)


@check("ISO-5")
def a_queue_that_was_filled_and_emptied_holds_as_much_again(subject: Subject) -> None:
    frames = [large(subject, number) for number in range(6)]
    with subject.start("--queue-bytes", "6500000") as relay:
        stalled, other, sender = relay.joined(3, subject.ping)
        for _ in range(3):
            flood(sender, [other, sender], frames)
            assert numbers(stalled.receive_until(frames[-1])) == list(range(6))


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
