"""LIFE-3: real relays take over from each other under clients that count."""

import json
import os
import re
import shlex
import signal
import socket
from pathlib import Path

import pytest

from torq_engine.operations.audit_chain import files_of, lines, read_seal, unpacked_frames, verify

from ..daemons import command, receive
from ..frames import frame
from ..operations.test_systemd import activated
from ..relays import LIMIT, short_directory
from .line import line


def test_life_3_nobody_is_disconnected_and_no_frame_is_lost_doubled_torn_or_reordered() -> None:
    with line() as relay:
        crowd = relay.crowd
        crowd.join(publishers=3, consumers=3, stalled=2, half_closed=1)
        inode = os.stat(relay.path).st_ino
        for _ in range(3):
            relay.pump()
            relay.take_over()
        assert relay.relay.ends() == 0
        relay.pump()
        crowd.finish()
        found = relay.status()
        assert found.takeovers == 3
        assert found.received_frames == sum(publisher.sent for publisher in crowd.publishers)
        assert found.joined == found.connections + found.closed["peer-left"]
        assert found.offered_frames == found.delivered_frames + sum(found.dropped.values()) + found.queued_frames
        assert os.stat(relay.path).st_ino == inode


def test_life_3_ten_takeovers_in_a_row() -> None:
    with line() as relay:
        relay.crowd.join(publishers=2, consumers=2, stalled=1)
        held = []
        for _ in range(10):
            relay.take_over()
            connections = relay.status().connections  # nobody else has come when that is answered
            held.append(len(os.listdir(f"/proc/{relay.serving.pid}/fd")) - connections)
            relay.crowd.join_late()
            relay.pump(20)
        relay.crowd.finish()
        assert max(held) <= held[0] + 1  # whatever they hold besides, it does not grow; an operator may be there
        assert relay.status().takeovers == 10


@pytest.mark.parametrize("overflow", ["disconnect", "backpressure"])
def test_life_3_under_every_overflow_policy(overflow: str) -> None:
    with line("--overflow", overflow, "--stall-timeout", 30, "--queue-bytes", 300_000) as relay:
        crowd = relay.crowd
        crowd.join(publishers=3, consumers=2)
        for _ in range(2):
            crowd.consumers[0].stalled = overflow == "backpressure"  # so that it holds up the others by then
            relay.pump(300)
            relay.take_over()
            crowd.consumers[0].stalled = False
            relay.pump(300)
        crowd.finish()


def test_life_3_an_incomplete_frame_is_completed_at_the_successor() -> None:
    with line() as relay:
        crowd = relay.crowd
        crowd.join(publishers=1, consumers=1)
        large = frame(bytes(200_000), source=9, sequence=7)
        with crowd.connect() as sender:
            sender.sendall(large[:150_000])
            relay.take_over()
            sender.sendall(large[150_000:])
            crowd.consumers[0].until(lambda frames: (9, 7) in frames)


def test_life_3_an_incomplete_frame_that_stands_too_long_ends_its_connection_at_the_successor() -> None:
    with line("--partial-frame-timeout", 1) as relay:
        crowd = relay.crowd
        crowd.join(publishers=1, consumers=1)
        with crowd.connect() as sender:
            sender.sendall(frame(bytes(100))[:100])
            relay.take_over()
            sender.settimeout(LIMIT)
            while sender.recv(65_536):
                pass
        assert relay.status().closed["partial-frame-timeout"] >= 1  # a publisher of the crowd may be another


def test_life_3_the_audit_log_goes_on_in_one_chain() -> None:
    with short_directory() as kept:
        with line("--audit-directory", kept / "audit", domain="execution") as relay:
            relay.crowd.join(publishers=2, consumers=1)
            for _ in range(3):
                relay.pump(100)
                relay.take_over()
            relay.pump(100)
            relay.crowd.finish()
            sent = sum(publisher.sent for publisher in relay.crowd.publishers)
        path = kept / "audit" / "execution.seal"
        finding = verify(files_of(path), read_seal(path, b""))
        assert (finding.sealed, finding.problems, finding.notes) == (True, [], [])
        records = [json.loads(each) for file in files_of(path) for each in lines(file)]
        assert [record["n"] for record in records] == list(range(1, len(records) + 1))
        assert [record["event"] for record in records if "connection" not in record] == [
            "file",
            "started",
            *["taken-over"] * 3,
            "stopped",
        ]
        assert sum(len(list(unpacked_frames(record["frames"]))) for record in records if "frames" in record) == sent


def test_life_3_ctl_takeover_starts_a_successor_with_the_relays_own_command_line() -> None:
    with line() as relay:
        relay.crowd.join(publishers=1, consumers=2)
        for _ in range(2):
            relay.pump()
            before = relay.status().pid
            answer = relay.ctl("takeover")
            found = re.fullmatch(
                r"process (\d+) took over, torq .* \(\w+\): 3 connections, [\d,]+ bytes held, \d+ descriptors; "
                r"frozen for [\d.]+ ms\n",
                answer.output,
            )
            assert found, answer
            assert answer.exit_code == 0
            assert int(found[1]) == relay.status().pid != before
        relay.pump()
        relay.crowd.finish()
        assert relay.relay.process.wait(LIMIT) == 0


def test_life_3_ctl_takeover_by_another_command_line() -> None:
    with line() as relay:
        relay.crowd.join(publishers=1, consumers=1)
        words = shlex.join(command("market_data", *relay.words, "--log-level", "error"))
        answer = relay.ctl("takeover", "--exec", words)
        assert answer.exit_code == 0
        assert relay.status().log_level == "error"
        relay.crowd.finish()


def test_life_4_ctl_takeover_that_fails_says_why_and_the_relay_serves_on() -> None:
    with line() as relay:
        relay.crowd.join(publishers=1, consumers=1)
        pid = relay.status().pid
        for words, why in (
            ("false", "the successor ended with exit code 1; the relay's standard error says why"),
            (
                "/nowhere/relay",
                "the successor cannot be started: [Errno 2] No such file or directory: '/nowhere/relay'",
            ),
            (
                shlex.join(command("market_data", *relay.words, "--alias", "/nowhere/a")),
                "aliases is not set here and /nowhere/a in the successor",
            ),
        ):
            answer = relay.ctl("takeover", "--exec", words)
            assert answer.exit_code == 1
            assert answer.output.startswith(f"torq-relay ctl: takeover failed, process {pid} serves on with ")
            assert answer.output.endswith(f": {why}\n")
        relay.pump()
        relay.crowd.finish()
        assert relay.status().pid == pid


def test_life_4_a_rehearsal_says_what_would_be_handed_over_and_what_would_refuse_it() -> None:
    with line() as relay:
        relay.crowd.join(publishers=1, consumers=1)
        pid = relay.status().pid
        answer = relay.ctl("takeover", "--dry-run")
        assert answer.exit_code == 0
        assert re.fullmatch(
            r"a successor could take over, .*: 2 connections, 0 bytes held, \d+ descriptors; nothing handed over\n",
            answer.output,
        )
        other = shlex.join(command("market_data", *relay.words, "--metrics", "unix:/nowhere/m"))
        answer = relay.ctl("takeover", "--dry-run", "--exec", other)
        assert answer.exit_code == 1
        assert answer.output.startswith(f"torq-relay ctl: takeover not possible, process {pid} serves on")
        assert answer.output.endswith("metrics is not set here and unix:/nowhere/m in the successor\n")
        relay.crowd.finish()
        assert relay.status().pid == pid


def test_life_3_sigusr2_starts_a_successor() -> None:
    with line() as relay:
        relay.crowd.join(publishers=2, consumers=2)
        before = relay.status().pid
        relay.relay.signal(signal.SIGUSR2)
        relay.pump_until(lambda: relay.status().pid != before)
        assert relay.relay.ends() == 0
        relay.pump()
        relay.crowd.finish()


def test_life_3_metrics_go_on_and_tell_of_takeovers() -> None:
    with short_directory() as directory, line("--metrics", f"unix:{directory}/m") as relay:
        relay.crowd.join(publishers=1, consumers=1)
        relay.crowd.finish()
        before = metrics(directory / "m")
        relay.take_over()
        relay.crowd.finish()
        after = metrics(directory / "m")
        assert after["torq_relay_received_frames_total"] == relay.crowd.publishers[0].sent
        assert after["torq_relay_takeovers_total"] == 1
        assert after["torq_relay_takeovers_failed_total"] == 0
        assert 0 < after["torq_relay_takeover_frozen_seconds"] < LIMIT
        for name in ("connections_joined_total", "start_time_seconds"):
            assert after[f"torq_relay_{name}"] == before[f"torq_relay_{name}"] > 0
        for name in ("forwarding_seconds_count", "cpu_seconds_total"):
            assert after[f"torq_relay_{name}"] >= before[f"torq_relay_{name}"] > 0


def metrics(path: Path) -> dict[str, float]:
    """Every sample without labels but ``relay``, by name."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(LIMIT)
        sock.connect(str(path))
        sock.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        page = b"".join(iter(lambda: sock.recv(65_536), b"")).decode()
    return {name: float(value) for name, value in re.findall(r'^(\w+)\{relay="\w+"\} (\S+)$', page, re.MULTILINE)}


@pytest.mark.parametrize("loops", [("uvloop", "asyncio"), ("asyncio", "uvloop")])
def test_life_3_from_one_loop_to_the_other(loops: tuple[str, str]) -> None:
    with line("--loop", loops[0]) as relay:
        relay.crowd.join(publishers=2, consumers=2, stalled=1, half_closed=1)
        relay.pump()
        relay.words += ["--loop", loops[1]]
        relay.take_over()
        assert relay.status().loop == loops[1]
        relay.pump()
        relay.crowd.finish()


def test_life_3_a_relay_whose_path_leaves_no_room_for_a_door_is_taken_over_all_the_same() -> None:
    with short_directory() as directory:
        path = directory / ("s" * (100 - len(str(directory))))
        with line(path=path) as relay:
            relay.crowd.join(publishers=1, consumers=1)
            assert not path.with_name(path.name + ".takeover").exists()
            assert relay.ctl("takeover").exit_code == 0
            assert relay.ctl("takeover").exit_code == 0
            relay.crowd.finish()


def test_life_3_a_relay_on_a_socket_of_systemd_is_taken_over_and_leaves_its_path() -> None:
    with short_directory() as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "s"))
        listener.listen()
        process = activated(listener, directory)
        try:
            assert process.stderr is not None
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(LIMIT)
                client.connect(str(directory / "s"))
                client.sendall(frame())
                assert receive(client, 32) == frame()
                process.send_signal(signal.SIGUSR2)
                assert process.wait(LIMIT) == 0
                client.sendall(frame(sequence=1))
                assert receive(client, 32) == frame(sequence=1)
                told = next(each for each in iter(process.stderr.readline, b"") if b"handed over" in each)
                os.kill(int(re.findall(rb"successor=(\d+)", told)[0]), signal.SIGTERM)
                assert client.recv(1) == b""
            assert (directory / "s").exists()
        finally:
            process.kill()
            process.communicate()
