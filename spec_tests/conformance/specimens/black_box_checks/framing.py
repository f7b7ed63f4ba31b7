"""FRAME: frames however their bytes come, and nothing of what is no whole frame."""

import contextlib
import time

from spec_tests.conformance.specimens.black_box_checks.subject import Subject, check, transmit


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
        silent, trickling, steady = relay.joined(3, subject.ping)
        for client in (silent, trickling, steady):
            client.send(whole[:40])
        until = time.monotonic() + 1.5
        for at in range(40, len(whole)):
            steady.send(whole[40:] + whole[:40])
            assert steady.receive(len(whole)) == whole
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
