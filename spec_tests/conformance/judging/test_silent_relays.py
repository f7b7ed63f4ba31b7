"""Relays that fall silent: what is waited for, and whom it is charged to."""

import dataclasses
import shlex
import sys
from pathlib import Path

import pytest

from spec_tests.conformance.judged_relays import judged, plan_for, relay, specimen
from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.errors import TargetError
from torq_conformance.judging.runner import replay
from torq_conformance.judging.verdict import Verdict
from torq_conformance.model.frames import Frame, Raw
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Connect, Write
from torq_conformance.play.executor import Executor

SLOWLY_DYING = """
import os, select, socket, sys
listener, clients = socket.socket(socket.AF_UNIX), []
listener.bind(sys.argv[1])
listener.listen()
while True:
    for sock in select.select([listener, *clients], [], [])[0]:
        if sock is listener:
            clients.append(listener.accept()[0])
        elif not (data := sock.recv(65536)):
            clients.remove(sock)
        elif data.startswith(bytes.fromhex("efbeadde")):
            for client in clients:
                client.sendall(data)
        else:
            sock.close()
            select.select([listener], [], [])  # it lives on until somebody asks whether it does
            os._exit(3)
"""


def test_the_sink_serves_nobody_and_what_needs_service_stays_unknown() -> None:
    with relay(specimen("legacy-sink", "signal")) as target:
        results = judged(target, dataclasses.replace(plan_for("FWD-1", "ORD-1", "CONN-6"), first_failure_only=True))
    assert results["FWD-1"].verdict is Verdict.FAIL
    for name in ("ORD-1", "CONN-6"):  # the second asks for service too, and who leaves is not why there is none
        assert results[name].verdict is Verdict.UNKNOWN
        assert "serves no connection" in results[name].reason


def test_the_timing_classifier_guesses_roles() -> None:
    with relay(specimen("timing-classifier", "signal")) as target:
        assert (
            judged(target, plan_for("CONN-3", shrink_seconds=0.1, confirm_seconds=0.1))["CONN-3"].verdict
            is Verdict.FAIL
        )


def test_a_relay_that_hangs_fails_what_made_it_hang_and_nothing_else() -> None:
    with relay(specimen("correct", "signal", "--mutant hang-on-one-byte")) as target:
        results = judged(target, plan_for("FRAME-1", "FWD-1", max_examples=10, shrink_seconds=0.1, confirm_seconds=0.1))
    hang = results["FRAME-1"].counterexample
    assert hang is not None
    assert results["FRAME-1"].verdict is Verdict.FAIL
    assert (hang.findings[0].kind, hang.failures) == ("crashed", hang.runs)
    assert "the relay hangs" in hang.findings[0].seen
    assert results["FWD-1"].verdict is Verdict.PASS


def test_a_relay_that_hung_before_is_never_called_fixed() -> None:
    one_byte = Program("signal", (Connect(0), Write(0, (Frame(2),), cuts=(1,))))
    with relay(specimen("correct", "signal", "--mutant hang-on-one-byte")) as target:
        Executor(target, rules_of("signal")).play(one_byte)
        with pytest.raises(TargetError, match="serves none of them"):
            replay(Program("signal", (Connect(0), Write(0, (Frame(2),)))), "FRAME-2", rules_of("signal"), target, 3)


def test_a_relay_that_takes_its_time_to_die_is_charged_with_the_program_that_killed_it(tmp_path: Path) -> None:
    file = tmp_path / "relay.py"
    file.write_text(SLOWLY_DYING)
    garbage = Program("signal", (Connect(0), Write(0, (Raw("00" * 40),))))
    with relay(shlex.join((sys.executable, str(file), "{socket}"))) as target:
        assert Executor(target, rules_of("signal")).play(garbage).crash == "the relay exited with status 3"
