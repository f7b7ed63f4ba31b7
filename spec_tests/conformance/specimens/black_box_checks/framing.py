"""FRAME: frames however their bytes come, and nothing of what is no whole frame."""

import contextlib
import signal
import time

from spec_tests.conformance.specimens.black_box_checks.subject import Subject, check, transmit
from spec_tests.conformance.specimens.specimen_process import TYPES, frame, tlv


@check("FRAME-1", "FWD-2")
def splits_mean_nothing(subject: Subject) -> None:
    whole = subject.valid(5)
    with subject.start() as relay:
        clients = relay.joined(2, subject.ping)
        for cut in range(1, len(whole)):
            transmit(clients[0], clients, [whole[:cut], whole[cut:]], whole, subject.fence)
        singles = [whole[at : at + 1] for at in range(len(whole))]
        transmit(clients[0], clients, singles, whole, subject.fence)


@check("FRAME-3", "FRAME-4")
def connections_never_mix_and_parts_go_nowhere(subject: Subject) -> None:
    first, second = subject.valid(1), subject.valid(2, 200)
    with subject.start() as relay:
        one, two, three = clients = relay.joined(3, subject.ping)
        one.send_and_see_it_read(first[:10])
        two.send_and_see_it_read(second[:50])
        transmit(three, clients, [], b"", subject.fence)
        two.send_and_see_it_read(second[50:])
        transmit(one, clients, [first[10:]], second + first, subject.fence)


@check("FRAME-5")
def an_incomplete_frame_stands_for_its_time_and_no_longer(subject: Subject) -> None:
    whole = subject.valid(1, 200)
    with subject.start("--partial-frame-timeout", "1") as relay:
        silent, trickling, steady, done = relay.joined(4, subject.ping)
        done.send_and_see_it_read(whole[:40])
        done.send(whole[40:])
        for client in (silent, trickling, steady, done):
            assert client.receive(len(whole)) == whole
        for client in (silent, trickling, steady):
            client.send(whole[:40])
        until = time.monotonic() + 1.5
        for at in range(40, len(whole)):
            steady.send(whole[40:] + whole[:40])
            assert steady.receive(len(whole)) == whole
            assert done.receive(len(whole)) == whole
            for client in (silent, trickling):
                with contextlib.suppress(OSError):  # it is closed
                    client.receive(len(whole))
            if time.monotonic() > until:
                break
            with contextlib.suppress(OSError):
                trickling.send(whole[at : at + 1])
                trickling.has_something(within_s=0.1)
        for client in (silent, trickling):
            assert client.receive_all() == b""


@check("FRAME-1")
def a_magic_in_a_payload_begins_no_frame(subject: Subject) -> None:
    outer = frame(1, tlv(TYPES[subject.domain], subject.valid(2) * 2), subject.domain)
    inside = outer.index(subject.valid(2))
    with subject.start() as relay:
        clients = relay.joined(2, subject.ping)
        for cut in (inside, inside + 4, inside + 32, inside + len(subject.valid(2))):
            transmit(clients[0], clients, [outer[:cut], outer[cut:]], outer, subject.fence)


@check("FRAME-1", "FRAME-3")
def a_join_changes_nothing_for_a_client_within_a_frame(subject: Subject) -> None:
    whole = subject.valid(1)
    with subject.start() as relay:
        sender, other = relay.joined(2, subject.ping)
        sender.send_and_see_it_read(whole[:10])
        late = relay.connect()
        late.send(subject.ping)
        for client in (late, sender, other):
            assert client.receive(len(subject.ping)) == subject.ping
        transmit(sender, [sender, other, late], [whole[10:]], whole, subject.fence)


@check("FRAME-2")
def frames_that_fill_a_read_exactly_are_forwarded_though_nothing_follows(subject: Subject) -> None:
    size = 64
    for total in (4096, 65_536):
        whole = b"".join(subject.valid(number, size - 34) for number in range(total // size))
        assert len(whole) == total
        with subject.start() as relay:
            clients = relay.joined(2, subject.ping)
            relay.process.send_signal(signal.SIGSTOP)  # so that it finds all of it at once
            clients[0].send(whole)
            relay.process.send_signal(signal.SIGCONT)
            for client in clients:
                assert client.receive(total) == whole


@check("FRAME-2", "FWD-1")
def all_frames_of_a_full_read_are_forwarded_at_once(subject: Subject) -> None:
    data = frame(1, b"", subject.domain) * 2_048
    with subject.start() as relay:
        clients = relay.joined(2, subject.ping)
        relay.process.send_signal(signal.SIGSTOP)  # so that one read finds them all
        clients[0].send(data)
        relay.process.send_signal(signal.SIGCONT)
        for client in clients:
            assert client.receive(len(data)) == data
