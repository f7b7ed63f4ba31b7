"""ORD: one order of all frames."""

from spec_tests.conformance.specimens.black_box_checks.subject import Subject, check, transmit
from spec_tests.conformance.specimens.specimen_process import TYPES, frame, tlv


@check("ORD-2")
def receivers_agree_on_one_order(subject: Subject) -> None:
    with subject.start() as relay:
        clients = relay.joined(4, subject.ping)
        for turn in range(20):
            for number, sender in enumerate(clients[:3]):
                sender.send(subject.valid(turn * 10 + number) * (number + 1))
        size = len(subject.valid(0)) * 20 * 6
        histories = {client.receive(size) for client in clients}
        assert len(histories) == 1


@check("ORD-3", "ORD-2")
def a_reply_comes_after_what_it_replies_to(subject: Subject) -> None:
    question, answer = subject.valid(1), subject.valid(2)
    with subject.start() as relay:
        clients = relay.joined(4, subject.ping)
        for asker in clients:
            for replier in clients:
                if asker is not replier:
                    asker.send(question)
                    assert replier.receive(len(question)) == question
                    replier.send(answer)
                    for client in clients:
                        expected = answer if client is replier else question + answer
                        assert client.receive(len(expected)) == expected


@check("ORD-1")
def a_large_frame_is_not_overtaken(subject: Subject) -> None:
    kind = TYPES[subject.domain]
    large, small = frame(1, tlv(kind, bytes(60_000)) * 2, subject.domain), subject.valid(2)
    with subject.start() as relay:
        clients = relay.joined(2, subject.ping)
        transmit(clients[0], clients, [large + small, large, small], (large + small) * 2, subject.fence)
