"""CONN and RES: clients that come, are silent, leave, and what they cost."""

import os
import signal

from spec_tests.conformance.specimens.black_box_checks.subject import Subject, check, transmit
from spec_tests.conformance.specimens.specimen_process import PATIENCE_S, Specimen


@check("FRAME-3", "FRAME-4", "CONN-6")
def a_client_that_leaves_within_a_frame_disturbs_nobody(subject: Subject) -> None:
    with subject.start() as relay:
        first, leaver, other, last = relay.joined(4, subject.ping)
        for cut in (5, 40):
            leaver.send_and_see_it_read(subject.valid(1)[:cut])
            leaver.close()
            last.send(subject.fence)
            for client in (first, other, last):
                assert client.receive_until(subject.fence) == subject.fence
            leaver = relay.connect()
            leaver.send(subject.ping)
            for client in (first, other, last, leaver):
                assert client.receive(len(subject.ping)) == subject.ping


@check("CONN-6", "FWD-1")
def a_client_that_leaves_unread_or_at_once_disturbs_nobody(subject: Subject) -> None:
    with subject.start() as relay:
        first, leaver, other, last = relay.joined(4, subject.ping)
        for _ in range(3):
            leaver.send(subject.valid(1) * 3)
            assert leaver.has_something(within_s=subject.patience_s)
            leaver.close()
            for client in (first, other, last):
                assert client.receive(len(subject.valid(1)) * 3) == subject.valid(1) * 3
            at_once = relay.connect()
            at_once.send(subject.ping)
            at_once.close()
            for client in (first, other, last):
                assert client.receive(len(subject.ping)) == subject.ping
            transmit(last, [first, other, last], [subject.valid(2)] * 20, subject.valid(2) * 20, subject.fence)
            leaver = relay.connect()
            leaver.send(subject.ping)
            for client in (first, other, last, leaver):
                assert client.receive(len(subject.ping)) == subject.ping


@check("CONN-1", "LIFE-2")
def starts_over_a_stale_socket_and_without_its_directory(subject: Subject) -> None:
    with Specimen("legacy-sink") as room:
        path = os.path.join(room.directory, "new", "deep", "s.sock")
        for _ in range(2):
            with subject.start(path=path) as relay:
                relay.joined(2, subject.ping)
                relay.kill()
                assert os.path.exists(path)


@check("CONN-2")
def leaves_a_live_relay_alone(subject: Subject) -> None:
    with subject.start() as relay:
        clients = relay.joined(1, subject.ping)
        second = subject.start(path=relay.name)
        try:
            assert second.first_line == ""
            assert second.process.wait(subject.patience_s) == 1
            assert "a live relay answers" in second.stderr()
        finally:
            second.close()
        clients += relay.joined(0, subject.ping)
        late = relay.connect()
        late.send(subject.fence)
        assert clients[0].receive_until(subject.fence) == subject.fence


@check("CONN-3")
def a_client_silent_for_more_than_a_second_is_served(subject: Subject) -> None:
    with subject.start() as relay:
        silent, other = relay.connect(), relay.connect()
        assert not silent.has_something(within_s=1.3)
        many = [subject.valid(number) for number in range(60)]
        transmit(silent, [silent, other], many, b"".join(many), subject.fence)


@check("CONN-4", "RES-1")
def a_thousand_connections_each_receive_at_a_small_price(subject: Subject) -> None:
    count = 1000 if subject.patience_s == PATIENCE_S else 600
    with subject.start() as relay:
        before = relay.memory()
        clients = [relay.connect() for _ in range(count)]
        for sender in (clients[-1], clients[300]):
            sender.send(subject.fence)
            for client in clients:
                assert client.receive_until(subject.fence) == subject.fence
        assert relay.memory() - before < count * 65_536


@check("CONN-5")
def at_its_maximum_it_refuses_the_next_and_serves_the_others(subject: Subject) -> None:
    with subject.start("--max-connections", "4") as relay:
        clients = relay.joined(4, subject.ping)
        assert relay.connect().receive_all() == b""
        transmit(clients[0], clients, [], b"", subject.fence)


@check("CONN-7")
def a_half_closed_client_goes_on_receiving(subject: Subject) -> None:
    with subject.start() as relay:
        half, other = relay.joined(2, subject.ping)
        half.finish_sending()
        for _ in range(3):
            transmit(other, [half, other], [subject.valid(1)], subject.valid(1), subject.fence)


@check("CONN-8", "RES-2")
def connections_give_back_all_they_took(subject: Subject) -> None:
    with subject.start() as relay:
        stay = relay.joined(1, subject.ping)[0]
        memory, descriptors, threads = relay.memory(), relay.descriptors(), relay.threads()
        for _ in range(60):
            guest = relay.connect()
            guest.send(subject.fence * 50)
            for client in (guest, stay):
                assert client.receive(len(subject.fence) * 50) == subject.fence * 50
            guest.close()
            stay.send(subject.ping)
            assert stay.receive(len(subject.ping)) == subject.ping
        with_next = relay.connect()
        with_next.send(subject.ping)
        with_next.receive(len(subject.ping))
        assert relay.descriptors() <= descriptors + 2
        assert relay.threads() == threads
        assert relay.memory() - memory < 6_000_000


@check("CONN-7")
def what_a_client_sent_just_before_it_half_closed_reaches_all(subject: Subject) -> None:
    for _ in range(3):
        with subject.start() as relay:
            half, other = relay.joined(2, subject.ping)
            relay.process.send_signal(signal.SIGSTOP)  # so that it finds the frame and the end at once
            half.send(subject.valid(1))
            half.finish_sending()
            relay.process.send_signal(signal.SIGCONT)
            for client in (half, other):
                assert client.receive(len(subject.valid(1))) == subject.valid(1)


@check("CONN-6")
def who_leaves_ends_no_frame_of_others(subject: Subject) -> None:
    whole = subject.valid(1)
    with subject.start() as relay:
        sender, other, leaver = relay.joined(3, subject.ping)
        sender.send_and_see_it_read(whole[:10])
        leaver.close()
        other.send(subject.ping)
        for client in (sender, other):
            assert client.receive(len(subject.ping)) == subject.ping
        transmit(sender, [sender, other], [whole[10:]], whole, subject.fence)
