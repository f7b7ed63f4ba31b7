"""Two states at once: blocked and within a frame, silent and then heard, late and large."""

import math
import select
import signal
import socket
import time
from contextlib import suppress

from spec_tests.conformance.specimens.black_box_checks.subject import (
    MAX_SIZE,
    Subject,
    check,
    flood,
    numbers,
    refused,
    transmit,
)
from spec_tests.conformance.specimens.specimen_process import EXECUTION, SIGNAL, TYPES, Client, frame, tlv

SILENCE_S = 2.2
SILENCE_AFTER_SPEECH_S = 1.3
BACKLOG = 300
BACKLOG_BYTES = 2_000


def speak_until_heard(speaker: Client, message: bytes, hearers: list[Client], patience_s: float) -> None:
    deadline = time.monotonic() + patience_s
    while not all(hearer.has_something() for hearer in hearers):
        assert time.monotonic() < deadline, "it is never served"
        speaker.send(message)


@check("CONN-3", "FWD-1")
def a_client_is_heard_and_served_whoever_speaks_first(subject: Subject) -> None:
    with subject.start() as relay:
        silent, speaker = relay.connect(), relay.connect()
        speak_until_heard(speaker, subject.ping, [silent, speaker], subject.patience_s)


@check("CONN-3")
def a_client_that_was_silent_for_long_is_heard(subject: Subject) -> None:
    with subject.start() as relay:
        silent, speaker = relay.connect(), relay.connect()
        speak_until_heard(speaker, subject.ping, [silent, speaker], subject.patience_s)
        select.select([], [], [], SILENCE_S)  # the silence is what is checked
        silent.send(subject.fence)
        assert speaker.receive_until(subject.fence).endswith(subject.fence)


@check("CONN-7")
def a_half_closed_client_gets_frames_of_every_size(subject: Subject) -> None:
    with subject.start() as relay:
        half, sender = relay.joined(2, subject.ping)
        half.finish_sending()
        frames = [subject.valid(number, size) for number, size in enumerate((12, 5_000, 60_000, 12))]
        transmit(sender, [half, sender], frames, b"".join(frames), subject.fence)


@check("FWD-7")
def each_of_many_clients_gets_large_frames(subject: Subject) -> None:
    large = frame(1, tlv(TYPES[subject.domain], bytes(60_000)) * 2, subject.domain)
    with subject.start() as relay:
        clients = relay.joined(12, subject.ping)
        transmit(clients[0], clients, [large], large, subject.fence)


@check("FWD-7")
def a_large_frame_comes_in_as_many_reads_as_it_likes(subject: Subject) -> None:
    large = frame(1, tlv(TYPES[subject.domain], bytes(60_000)) * 2, subject.domain)
    with subject.start() as relay:
        sender, other = relay.joined(2, subject.ping)
        pieces = [large[at : at + 4_000] for at in range(0, len(large), 4_000)]
        transmit(sender, [sender, other], pieces, large, subject.fence)


@check("DOM-2", domains=(SIGNAL, EXECUTION))
def a_foreign_type_behind_many_own_ones_reaches_nobody(subject: Subject) -> None:
    own, foreign = tlv(TYPES[subject.domain]), tlv(100, bytes(8))
    refused(subject, *(frame(7, own * count + foreign, subject.domain) for count in (64, 256, 1_024)))


@check("ISO-5", "ORD-2")
def what_waited_for_a_client_comes_in_the_order_of_all(subject: Subject) -> None:
    with subject.start() as relay:
        slow, one, other = relay.joined(3, subject.ping)
        sent = []
        for number in range(BACKLOG):
            sender, source = ((one, 20), (other, 21))[number % 2]
            sent.append(frame(number, tlv(TYPES[subject.domain], bytes(BACKLOG_BYTES)), subject.domain, 1, source))
            flood(sender, [one, other], sent[-1:])
        one.send(subject.fence)
        assert numbers(slow.receive_until(subject.fence))[:-1] == list(range(BACKLOG))


@check("ISO-5", "FWD-1")
def a_backlog_comes_to_a_client_that_is_within_a_frame(subject: Subject) -> None:
    frames = [subject.valid(number, BACKLOG_BYTES) for number in range(BACKLOG)]
    with subject.start() as relay:
        slow, sender = relay.joined(2, subject.ping)
        slow.send_and_see_it_read(subject.fence[:10])
        flood(sender, [sender], frames)
        expected = b"".join(frames)
        assert slow.receive(len(expected)) == expected
        slow.send(subject.fence[10:])
        assert sender.receive_until(subject.fence) == subject.fence


def taken_at_once() -> int:
    """Bytes of which a Unix socket takes all or none: where it cuts a write short."""
    writer, reader = socket.socketpair()
    with writer, reader:
        writer.setblocking(False)
        whole, again = writer.send(bytes(1 << 22)), 0
        while not again and reader.recv(1_024):  # until there is room for the next part
            with suppress(BlockingIOError):
                again = writer.send(bytes(1 << 22))
        return math.gcd(whole, again)


@check("FWD-2", "ISO-5", "FWD-1")
def what_ends_where_a_write_is_cut_short_comes_once(subject: Subject) -> None:
    size = taken_at_once() // 32
    frames = [subject.valid(number, size - 34 if size - 34 < 256 else size - 37) for number in range(600_000 // size)]
    assert {len(frame) for frame in frames} == {size}
    with subject.start() as relay:
        slow, sender = relay.joined(2, subject.ping)
        flood(sender, [sender], frames)
        expected = b"".join(frames)
        assert slow.receive(len(expected)) == expected
        sender.send(subject.fence)
        assert slow.receive_until(subject.fence) == subject.fence


@check("ISO-1")
def two_that_do_not_read_keep_nothing_from_a_third(subject: Subject) -> None:
    frames = [subject.valid(number, BACKLOG_BYTES) for number in range(BACKLOG)]
    with subject.start() as relay:
        _, _, third, sender = relay.joined(4, subject.ping)
        flood(sender, [third, sender], frames)


@check("FWD-5")
def who_joins_gets_nothing_of_one_that_was_closed_with_a_backlog(subject: Subject) -> None:
    frames = [subject.valid(number, BACKLOG_BYTES) for number in range(BACKLOG)]
    with subject.start() as relay:
        closed, sender = relay.joined(2, subject.ping)
        flood(sender, [sender], frames)
        closed.send_and_see_it_read(bytes(64))
        closed.receive_all()
        newcomer = relay.connect()
        speak_until_heard(sender, subject.fence, [newcomer], subject.patience_s)
        assert newcomer.receive(len(subject.fence)) == subject.fence


@check("VAL-5", "DOM-1")
def a_too_large_frame_of_another_domain_is_a_framing_error(subject: Subject) -> None:
    for domain in (subject.domain % 3 + 1, 0, 255):
        for payload in (MAX_SIZE - 31, 2**32 - 1):
            header = bytearray(frame(1, domain=domain))
            header[24:28] = payload.to_bytes(4, "little")
            with subject.start() as relay:
                offender, other = relay.joined(2, subject.ping)
                offender.send(bytes(header))
                assert offender.receive_all() == b""
                other.send(subject.fence)
                assert other.receive_until(subject.fence) == subject.fence


@check("CONN-3")
def a_client_that_falls_silent_after_it_spoke_is_heard_again(subject: Subject) -> None:
    with subject.start() as relay:
        speaker, other = relay.joined(2, subject.ping)
        transmit(speaker, [speaker, other], [subject.valid(1)], subject.valid(1), subject.fence)
        select.select([], [], [], SILENCE_AFTER_SPEECH_S)  # the silence is what is checked
        transmit(speaker, [speaker, other], [subject.valid(2)], subject.valid(2), subject.fence)


@check("FWD-1", "FWD-2")
def what_another_has_just_sent_is_forwarded_once_more(subject: Subject) -> None:
    same = subject.valid(7)
    with subject.start() as relay:
        clients = relay.joined(3, subject.ping)
        for sender in (*clients, *reversed(clients)):
            sender.send_and_see_it_read(same)
        clients[0].send(subject.fence)
        for client in clients:
            assert client.receive_until(subject.fence) == same * 6 + subject.fence


@check("CONN-6", "ISO-4")
def a_partly_sent_frame_goes_on_where_it_was_when_another_leaves(subject: Subject) -> None:
    frames = [frame(number, tlv(TYPES[subject.domain], bytes(60_000)) * 5, subject.domain) for number in range(3)]
    with subject.start() as relay:
        slow, sender, leaving = relay.joined(3, subject.ping)
        flood(sender, [sender, leaving], frames)
        leaving.close()
        transmit(
            sender, [sender], [subject.valid(1), subject.valid(2)], subject.valid(1) + subject.valid(2), subject.fence
        )
        expected = b"".join(frames) + subject.valid(1) + subject.valid(2) + subject.fence
        assert slow.receive(len(expected)) == expected


@check("CONN-7", "FWD-1")
def the_last_frames_of_a_client_that_half_closes_reach_everybody(subject: Subject) -> None:
    frames = [subject.valid(number, size) for number, size in enumerate((12, 5_000, 30_000, 5_000))]
    with subject.start() as relay:
        sender, *others = relay.joined(7, subject.ping)
        relay.process.send_signal(signal.SIGSTOP)  # so that the relay finds the end right behind the frames
        sender.send(b"".join(frames))
        sender.finish_sending()
        relay.process.send_signal(signal.SIGCONT)
        expected = b"".join(frames)
        for client in (sender, *others):
            assert client.receive(len(expected)) == expected
        transmit(others[0], others, [], b"", subject.fence)


@check("ISO-5", "ORD-2")
def a_header_only_frame_overtakes_nothing_that_waits(subject: Subject) -> None:
    with subject.start() as relay:
        slow, one, other = relay.joined(3, subject.ping)
        for number in range(BACKLOG):
            large = frame(2 * number, tlv(TYPES[subject.domain], bytes(BACKLOG_BYTES)), subject.domain, 1, 20)
            flood(one, [one, other], [large])
            flood(other, [one, other], [frame(2 * number + 1, b"", subject.domain, 1, 21)])
        one.send(subject.fence)
        assert numbers(slow.receive_until(subject.fence))[:-1] == list(range(2 * BACKLOG))


@check("CONN-7", "ISO-5")
def a_half_closed_client_that_does_not_read_has_a_queue_as_all(subject: Subject) -> None:
    frames = [subject.valid(number, 200) for number in range(3_000)]
    with subject.start() as relay:
        half, sender = relay.joined(2, subject.ping)
        half.finish_sending()
        flood(sender, [sender], frames)
        expected = b"".join(frames)
        assert half.receive(len(expected)) == expected


@check("VAL-1", domains=(SIGNAL, EXECUTION))
def a_wrong_checksum_reaches_nobody_however_many_right_ones_came_before(subject: Subject) -> None:
    good = [subject.valid(number) for number in range(300)]
    wrong = [bytes((*one[:28], one[28] ^ 1, *one[29:])) for one in good[:40]]
    with subject.start() as relay:
        sender, other = relay.joined(2, subject.ping)
        transmit(sender, [sender, other], [b"".join(good)], b"".join(good), subject.fence)
        transmit(sender, [sender, other], [b"".join(wrong)], b"", subject.fence)


@check("VAL-1", domains=(SIGNAL, EXECUTION))
def a_payload_changed_behind_a_known_checksum_reaches_nobody(subject: Subject) -> None:
    good = subject.valid(1)
    with subject.start() as relay:
        sender, other = relay.joined(2, subject.ping)
        transmit(sender, [sender, other], [good, good[:-1] + bytes((good[-1] ^ 1,)), good], good * 2, subject.fence)


@check("CONN-7")
def a_client_that_half_closes_within_a_frame_goes_on_receiving(subject: Subject) -> None:
    with subject.start() as relay:
        half, sender = relay.joined(2, subject.ping)
        half.send_and_see_it_read(subject.valid(1)[:20])
        half.finish_sending()
        transmit(sender, [half, sender], [subject.valid(2)], subject.valid(2), subject.fence)


@check("CONN-6", "FWD-1")
def all_that_a_client_sent_before_it_left_reaches_the_others(subject: Subject) -> None:
    frames = [subject.valid(number, 10_000) for number in range(15)]
    with subject.start() as relay:
        sender, other = relay.joined(2, subject.ping)
        relay.process.send_signal(signal.SIGSTOP)  # so that the relay finds the frames and the end at once
        sender.send(b"".join(frames))
        sender.close()
        relay.process.send_signal(signal.SIGCONT)
        expected = b"".join(frames)
        assert other.receive(len(expected)) == expected


@check("CONN-6", "FWD-1")
def who_sends_and_leaves_before_it_is_accepted_is_heard(subject: Subject) -> None:
    with subject.start() as relay:
        (other,) = relay.joined(1, subject.ping)
        relay.process.send_signal(signal.SIGSTOP)
        visitor = relay.connect()
        visitor.send(subject.fence)
        visitor.close()
        relay.process.send_signal(signal.SIGCONT)
        assert other.receive_until(subject.fence) == subject.fence


@check("FRAME-3")
def large_frames_of_two_clients_grow_side_by_side(subject: Subject) -> None:
    one, two = (frame(n, tlv(TYPES[subject.domain], bytes((n,)) * 60_000) * 2, subject.domain) for n in (1, 2))
    with subject.start() as relay:
        clients = relay.joined(2, subject.ping)
        for client, data in zip(clients, (one, two), strict=True):
            client.send_and_see_it_read(data[:70_000])
        for client, data in zip(clients, (one, two), strict=True):
            client.send(data[70_000:])
            for receiver in clients:
                assert receiver.receive(len(data)) == data


@check("LIFE-1", "CONN-7")
def sigterm_delivers_what_waits_for_a_half_closed_client(subject: Subject) -> None:
    frames = [subject.valid(number, BACKLOG_BYTES) for number in range(BACKLOG)]
    with subject.start() as relay:
        half, sender = relay.joined(2, subject.ping)
        half.finish_sending()
        flood(sender, [sender], frames)
        relay.process.send_signal(signal.SIGTERM)
        assert half.receive_all() == b"".join(frames)
        assert relay.process.wait(subject.patience_s) == 0


@check("CONN-6")
def who_joins_behind_one_that_left_with_much_unread_is_served(subject: Subject) -> None:
    with subject.start() as relay:
        slow, sender = relay.joined(2, subject.ping)
        flood(sender, [sender], [subject.valid(number, BACKLOG_BYTES) for number in range(BACKLOG)])
        slow.close()
        speak_until_heard(sender, subject.ping, [relay.connect()], subject.patience_s)
