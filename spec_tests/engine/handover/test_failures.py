"""LIFE-4: a takeover that fails, at any step and by any fault, leaves the relay serving as if nothing had happened."""

import os
import signal
import socket
import subprocess

import pytest

from torq_engine.handover.channel import Refuse

from ..daemons import command, run
from ..relays import LIMIT, short_directory
from .half_successors import POINTS, HalfSuccessor
from .line import Line, line

UNMEASURED = pytest.mark.usefixtures("unmeasured_processes")
"""For what starts many processes and reaches nothing that others do not reach."""
STEPS = (
    "nothing",
    "greeted",
    "offered",
    "ready",
    "the copy",
    "some descriptors",
    "acknowledged",
    "the state",
    "prepared",
)
STANDING_STILL = STEPS[5:]


def reached(relay: Line, step: str) -> HalfSuccessor:
    """A successor that has come to a step."""
    half = relay.half_successor()
    steps = half.steps()
    while step != "nothing" and next(steps) != step:
        pass
    return half


def serves_on(relay: Line) -> None:
    """Nobody has lost anything, the relay can be asked, and be taken over."""
    relay.pump()
    relay.crowd.finish()
    found = relay.status()
    assert found.pid == relay.relay.process.pid
    assert found.takeovers == 0
    assert found.received_frames == sum(publisher.sent for publisher in relay.crowd.publishers)
    relay.take_over()
    relay.pump()
    relay.crowd.finish()


@UNMEASURED
@pytest.mark.parametrize("step", STEPS)
def test_life_4_a_successor_that_dies_at_any_step_has_changed_nothing(step: str) -> None:
    with line() as relay:
        relay.crowd.join(publishers=2, consumers=2, stalled=1, half_closed=1)
        relay.pump()
        reached(relay, step).leave()
        serves_on(relay)


@UNMEASURED
@pytest.mark.parametrize("step", STANDING_STILL)
def test_life_4_a_successor_that_hangs_is_waited_for_a_little_and_has_changed_nothing(step: str) -> None:
    with line() as relay:
        crowd = relay.crowd
        crowd.join(publishers=2, consumers=2, stalled=1)
        relay.pump()
        half = reached(relay, step)
        crowd.join_late()
        crowd.connect().close()
        relay.pump(3)  # nobody is served by now
        while not isinstance(half.hear(), Refuse):
            pass
        half.leave()
        serves_on(relay)


@UNMEASURED
@pytest.mark.parametrize("point", list(POINTS)[:4])
def test_life_4_a_real_successor_that_dies_before_it_owns_anything(point: str) -> None:
    with line() as relay:
        relay.crowd.join(publishers=2, consumers=2, stalled=1)
        relay.pump()
        successor = relay.changed_successor(point, "die")
        relay.pump_until(lambda: successor.poll() is not None)
        assert successor.returncode == -signal.SIGKILL
        serves_on(relay)


def test_life_4_a_successor_that_stopped_with_the_commit_unread_never_serves() -> None:
    with line() as relay:
        relay.crowd.join(publishers=2, consumers=2, stalled=1)
        relay.pump()
        successor = relay.changed_successor("prepared, before it looks at the baton", "stop")
        assert os.WIFSTOPPED(os.waitpid(successor.pid, os.WUNTRACED)[1])
        relay.pump_until(lambda: relay.status().pid == relay.relay.process.pid)
        relay.pump()
        relay.crowd.finish()
        successor.send_signal(signal.SIGCONT)
        assert successor.wait(LIMIT) == 1
        assert said(successor) == (
            "market_data_relay: takeover failed: no answer of the successor within 1 s (has given the baton away)"
        )
        serves_on(relay)


def test_life_3_a_successor_that_stopped_as_the_owner_serves_when_it_goes_on() -> None:
    with line() as relay:
        crowd = relay.crowd
        crowd.join(publishers=2, consumers=2, stalled=1)
        relay.pump()
        successor = relay.changed_successor("as the owner, before it serves", "stop")
        assert os.WIFSTOPPED(os.waitpid(successor.pid, os.WUNTRACED)[1])
        relay.pump()
        assert relay.relay.process.wait(LIMIT) == 0  # it cannot take the baton back
        crowd.join_late()
        successor.send_signal(signal.SIGCONT)
        relay.pump_until_served_by(successor)
        crowd.finish()


def test_life_3_a_predecessor_killed_while_it_stands_still_is_succeeded_all_the_same() -> None:
    with line() as relay:
        crowd = relay.crowd
        crowd.join(publishers=2, consumers=2, stalled=1, half_closed=1)
        relay.pump()
        successor = relay.changed_successor("with everything, before it says that it is prepared", "orphan")
        assert relay.relay.process.wait(LIMIT) == -signal.SIGKILL
        relay.pump_until_served_by(successor)
        relay.pump()
        crowd.finish()


def test_life_3_clients_that_come_send_or_leave_while_nobody_serves() -> None:
    with line() as relay:
        crowd = relay.crowd
        crowd.join(publishers=2, consumers=2, stalled=1)
        relay.pump()
        successor = relay.changed_successor("with everything, before it says that it is prepared", "wait")
        assert successor.stdin is not None
        assert successor.stdout is not None
        assert successor.stdout.readline() == "here\n"
        crowd.join_late()
        crowd.connect().close()
        crowd.publishers[0].sock.shutdown(socket.SHUT_RD)
        relay.pump(3)
        successor.stdin.write("\n")
        successor.stdin.flush()
        relay.pump_until_served_by(successor)
        relay.pump()
        crowd.finish()


def said(process: subprocess.Popen[str]) -> str:
    """The last line of what it said."""
    assert process.stderr is not None
    return process.stderr.read().splitlines()[-1]


DIFFERENT = {
    "another control socket": (
        ["--control-socket", "/nowhere/c"],
        "control_socket is {path}.c here and /nowhere/c in the successor",
    ),
    "an alias": (["--alias", "/nowhere/a"], "aliases is not set here and /nowhere/a in the successor"),
    "metrics": (["--metrics", "unix:/nowhere/m"], "metrics is not set here and unix:/nowhere/m in the successor"),
    "an audit log": (["--audit"], "audit_directory is not set here and {path}.audit in the successor"),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_life_4_a_successor_that_would_be_another_relay_is_refused_by_name(name: str) -> None:
    flags, why = DIFFERENT[name]
    with line() as relay:
        relay.crowd.join(publishers=1, consumers=1)
        successor = relay.successor(*flags)
        assert successor.wait(LIMIT) == 1
        assert said(successor) == "market_data_relay: takeover failed: " + why.format(path=relay.path)
        serves_on(relay)


def test_life_4_a_relay_of_another_domain_is_refused_by_name() -> None:
    with line() as relay:
        relay.crowd.join(publishers=1, consumers=1)
        words = [word for word in relay.words if word != "--no-echo"]
        ended = run("signal", *words, "--no-alias", "--takeover")
        assert ended.returncode == 1
        assert ended.stderr == "signal_relay: takeover failed: domain is 1 here and 2 in the successor\n"
        serves_on(relay)


def test_life_4_a_successor_without_room_for_the_descriptors_is_refused() -> None:
    with line() as relay:
        relay.crowd.join(publishers=1, consumers=30)
        few = ["prlimit", "--nofile=40", *command("market_data", *relay.words, "--takeover")]
        ended = subprocess.run(few, capture_output=True, text=True, timeout=LIMIT, check=False)
        assert ended.returncode == 1
        assert "descriptors, " in ended.stderr
        assert "are needed (ulimit -n, LimitNOFILE=)" in ended.stderr
        serves_on(relay)


def test_life_4_of_two_successors_at_once_the_second_is_refused() -> None:
    with line() as relay:
        relay.crowd.join(publishers=1, consumers=1)
        first = reached(relay, "offered")
        second = relay.successor()
        assert second.wait(LIMIT) == 1
        assert said(second) == "market_data_relay: takeover failed: another takeover is under way"
        first.leave()
        serves_on(relay)


def test_life_4_there_is_nothing_to_take_over() -> None:
    with short_directory() as directory:
        ended = run("signal", "--socket", directory / "s", "--takeover")
        assert ended.returncode == 1
        assert ended.stderr == (
            f"signal_relay: takeover failed: {directory}/s.takeover: no relay to take over: No such file or directory\n"
        )
        assert os.listdir(directory) == []


@pytest.mark.parametrize("where", ["/dev/fd/99", "/dev/fd/1", "/dev/fd/x", "/nowhere"])
def test_life_4_a_place_where_no_predecessor_is(where: str) -> None:
    with short_directory() as directory:
        ended = run("signal", "--socket", directory / "s", f"--takeover={where}")
        assert ended.returncode == 1
        assert ended.stderr.startswith("signal_relay: takeover failed: ")
        assert ended.stderr.count("\n") == 1
        assert os.listdir(directory) == []


def test_life_1_a_relay_that_is_asked_to_end_hands_over_no_more() -> None:
    with line() as relay:
        relay.crowd.join(publishers=1, consumers=1)
        half = reached(relay, "offered")
        relay.relay.signal()
        assert half.hear() == Refuse("the relay is draining")
        half.leave()
        assert relay.relay.ends() == 0
        assert os.listdir(relay.path.parent) == []
        relay.ended = True
