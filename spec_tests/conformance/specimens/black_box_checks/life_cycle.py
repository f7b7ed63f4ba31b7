"""LIFE: how a relay ends."""

import os
import signal
import time

from spec_tests.conformance.specimens.black_box_checks.subject import Subject, check, flood, numbers
from spec_tests.conformance.specimens.specimen_process import Specimen


def _await_drain(relay: Specimen, subject: Subject) -> None:
    deadline = time.monotonic() + subject.patience_s
    while os.path.exists(relay.name):
        assert time.monotonic() < deadline, "the signal begins no drain"


@check("LIFE-1")
def sigterm_delivers_what_was_accepted_and_exits_0(subject: Subject) -> None:
    frames = [subject.valid(number, 5_000) for number in range(600)]
    with subject.start() as relay:
        stalled, sender = relay.joined(2, subject.ping)
        flood(sender, [sender], frames)
        relay.process.send_signal(signal.SIGTERM)
        assert numbers(stalled.receive_all()) == list(range(600))
        assert relay.process.wait(subject.patience_s) == 0
        assert not os.path.exists(relay.name)


@check("LIFE-1")
def a_second_signal_exits_at_once(subject: Subject) -> None:
    frames = [subject.valid(number, 1500) for number in range(600)]
    with subject.start("--drain-timeout", "60") as relay:
        _, sender = relay.joined(2, subject.ping)
        flood(sender, [sender], frames)
        relay.process.send_signal(signal.SIGTERM)
        _await_drain(relay, subject)
        relay.process.send_signal(signal.SIGTERM)
        assert relay.process.wait(subject.patience_s) == 1


@check("LIFE-1")
def who_leaves_meanwhile_ends_the_drain_for_nobody_else(subject: Subject) -> None:
    frames = [subject.valid(number, 5_000) for number in range(600)]
    with subject.start("--drain-timeout", "60") as relay:
        leaver, stalled, sender = relay.joined(3, subject.ping)
        flood(sender, [sender], frames)
        relay.process.send_signal(signal.SIGTERM)
        _await_drain(relay, subject)
        leaver.close()
        assert numbers(stalled.receive_all()) == list(range(600))
