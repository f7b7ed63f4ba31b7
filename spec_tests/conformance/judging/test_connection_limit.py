"""A relay with a limit, for which a client that has just left still counts for a moment: nobody is accused of that."""

import dataclasses
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from spec_tests.conformance.judged_relays import judged, plan_for, relay
from torq_conformance.judging.verdict import Verdict
from torq_conformance.model.frames import Frame, Tlv
from torq_conformance.model.profile import rules_for
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Close, Connect, Write
from torq_conformance.oracles.traffic import closed_unexpectedly, unserved
from torq_conformance.play.executor import Executor
from torq_conformance.play.target import SpawnedTarget

LIMIT = 8
FORGETS_LATE = """
import os, sys, time
from torq_conformance.specimens import cli
from torq_conformance.specimens.correct import relay

class ForgetsLate(relay.Relay):
    leaving = ()

    def sending_ended(self, connection, gone):
        if not gone:
            return super().sending_ended(connection, gone)
        self.poll.unregister(connection.sock)
        connection.receiving = connection.sending = False
        self.leaving += ((time.monotonic() + float(os.environ.get("FORGETS_AFTER", "0.15")), connection),)

    def refuse(self, sock):
        time.sleep(float(os.environ.get("REFUSES_AFTER", "0")))
        super().refuse(sock)

    def seconds_to_wait(self):
        waits = [super().seconds_to_wait(), *(until - time.monotonic() for until, _ in self.leaving)]
        return max(0.0, min((wait for wait in waits if wait is not None), default=0.0)) if self.leaving else waits[0]

    def tick(self):
        super().tick()
        now = time.monotonic()
        for until, connection in self.leaving:
            if until <= now:
                self.close(connection)
        self.leaving = tuple(each for each in self.leaving if each[0] > now)

relay.Relay = ForgetsLate
cli.main()
"""
PROFILE = msgspec.structs.replace(plan_for().profile, max_connections=LIMIT)


@pytest.fixture(scope="module")
def command(tmp_path_factory: pytest.TempPathFactory) -> str:
    script = tmp_path_factory.mktemp("relay") / "forgets_late.py"
    Path(script).write_text(FORGETS_LATE, "utf-8")
    words = f"correct --domain signal --max-connections {LIMIT} --socket {{socket}}"
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} {words}"


@pytest.fixture(scope="module")
def target(command: str) -> Iterator[SpawnedTarget]:
    with relay(command) as target:
        yield target


def test_whoever_is_refused_because_others_have_just_left_comes_again(target: SpawnedTarget) -> None:
    rules = rules_for(PROFILE, "signal")
    frame = Frame(rules.number, (Tlv(30, 8),))
    everybody = tuple(map(Connect, range(LIMIT - 1)))
    program = Program("signal", (*everybody, Write(0, (frame,)), Close(1), Close(2), Connect(7), Write(7, (frame,))))
    executor = Executor(target, rules)
    for _ in range(5):
        history = executor.play(program)
        assert [*closed_unexpectedly(history, rules), *unserved(history, rules)] == []
        assert len(history.peers[7].received) == 1


def test_a_relay_that_takes_its_time_to_refuse_is_given_it_each_time(command: str) -> None:
    rules = rules_for(PROFILE, "signal")
    everybody = Program("signal", tuple(map(Connect, range(LIMIT - 1))))
    with relay(f"env FORGETS_AFTER=1.2 REFUSES_AFTER=0.3 {command}") as target:
        executor = Executor(target, rules)
        for _ in range(2):
            history = executor.play(everybody)
            assert [*closed_unexpectedly(history, rules), *unserved(history, rules)] == []


def test_conn_5_the_first_above_the_limit_is_known_by_who_is_served(target: SpawnedTarget) -> None:
    result = judged(target, dataclasses.replace(plan_for("CONN-5"), profile=PROFILE))["CONN-5"]
    assert result.verdict is Verdict.PASS
