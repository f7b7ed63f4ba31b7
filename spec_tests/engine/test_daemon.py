"""The commands as processes: LIFE, SEC, exit codes and what they print."""

import os
import resource
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import torq_engine.daemon
from torq_engine.operations.audit_chain import read_seal, verify
from torq_engine.operations.configuration import ConfigError

from .daemons import command, daemon, listening, receive, run
from .frames import EXECUTION, MAGIC, MARKET_DATA, SIGNAL, frame
from .relays import LIMIT, short_directory


def test_life_1_sigterm_delivers_what_was_sent_removes_the_socket_and_exits_0() -> None:
    with daemon("market_data", "--no-echo") as relay:
        sender, receiver = relay.connect(), relay.connect()
        sender.sendall(frame(sequence=0))
        assert receive(receiver, 32) == frame(sequence=0)
        sent = b"".join(frame(bytes(42), sequence=n) for n in range(9000))
        sender.sendall(sent[: 74 * 2000])
        relay.signal()
        assert receive(receiver, 74 * 2000) == sent[: 74 * 2000]
        assert receiver.recv(1) == b""
        assert relay.ends() == 0
        assert os.listdir(relay.path.parent) == []


def test_life_1_queue_of_a_consumer_that_reads_late_is_delivered_within_the_drain_timeout() -> None:
    with daemon("market_data", "--no-echo") as relay:
        sender, receiver, witness = relay.connect(), relay.connect(), relay.connect()
        sender.sendall(frame(sequence=0))
        assert receive(receiver, 32) == receive(witness, 32) == frame(sequence=0)
        sent = [frame(bytes(42), sequence=n) for n in range(8000)]
        for start in range(0, 8000, 100):
            sender.sendall(b"".join(sent[start : start + 100]))
            receive(witness, 7400)
        relay.signal()
        relay.stops_listening()
        assert receive(receiver, 8000 * 74) == b"".join(sent)
        assert relay.ends() == 0


SIGTERM_WITHIN_A_FINALIZER = """
import os, signal, sys
from torq_domains import signal as relay
from torq_engine import daemon
class Ended:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        os.getpid()
daemon._check_descriptors = lambda: Ended() and None
sys.argv[0] = "signal_relay"
relay.main()
"""


def test_life_1_a_signal_while_starting_ends_the_relay_without_an_exception_of_its_own() -> None:
    with short_directory() as directory:
        words = [sys.executable, "-c", SIGTERM_WITHIN_A_FINALIZER, "--socket", str(directory / "s")]
        ended = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False)
        assert ended.returncode == 0, ended.stderr
        assert "Exception ignored" not in ended.stderr
        assert "draining" in ended.stderr
        assert os.listdir(directory) == []


SIGTERM_JUST_BEHIND_A_SIGNAL = """
import os, signal, sys
from uvloop import _noop
from torq_domains import signal as relay
behind = [signal.SIGTERM]
def noop():  # the loop has read which signals came, and lets the interpreter handle them
    if behind:
        os.kill(os.getpid(), behind.pop())
_noop.noop = noop
sys.argv[0] = "signal_relay"
relay.main()
"""


def test_life_1_one_signal_behind_another_is_not_two() -> None:
    pytest.importorskip("uvloop")
    with short_directory() as directory:
        words = [sys.executable, "-c", SIGTERM_JUST_BEHIND_A_SIGNAL, "--loop", "uvloop", "--socket"]
        with listening([*words, str(directory / "s")], directory / "s") as relay:
            client = relay.connect()
            client.sendall(frame(domain=SIGNAL))
            assert receive(client, 32) == frame(domain=SIGNAL)
            relay.signal(signal.SIGHUP)
            assert relay.ends() == 0


def test_life_1_clients_that_had_connected_by_the_signal_are_still_heard() -> None:
    with daemon("market_data", "--no-echo") as relay:
        receiver, first = relay.connect(), relay.connect()
        first.sendall(frame())
        assert receive(receiver, 32) == frame()
        relay.signal(signal.SIGSTOP)
        senders = [relay.connect() for _ in range(200)]
        for number, sender in enumerate(senders):
            sender.sendall(frame(sequence=number))
        relay.signal()
        relay.signal(signal.SIGCONT)
        seen = receive(receiver, 200 * 32)
        assert {part[8] for part in (seen[at : at + 32] for at in range(0, len(seen), 32))} == set(range(200))
        assert relay.ends() == 0


def test_life_1_second_signal_exits_at_once() -> None:
    with daemon("market_data") as relay:
        clients = [relay.connect() for _ in range(2)]
        for _ in range(3000):
            clients[0].sendall(frame(bytes(500)))
        relay.signal()
        relay.stops_listening()
        relay.signal(signal.SIGINT)
        assert relay.ends() == 128 + signal.SIGINT
        assert os.listdir(relay.path.parent) == []


def test_life_2_after_kill_9_a_restart_on_the_same_path_serves() -> None:
    with short_directory() as directory:
        for _ in range(2):
            with daemon("signal", path=directory / "s") as relay:
                client = relay.connect()
                client.sendall(frame(domain=SIGNAL))
                assert receive(client, 32) == frame(domain=SIGNAL)
                relay.signal(signal.SIGKILL)
                assert relay.ends() == -signal.SIGKILL
                client.close()
            assert (directory / "s").exists()


def test_conn_2_second_daemon_on_a_live_path_exits_1_with_one_line() -> None:
    with daemon("signal") as relay:
        second = run("signal", "--socket", relay.path)
        assert second.returncode == 1
        assert second.stderr.count("\n") == 1
        assert "live relay" in second.stderr
        client = relay.connect()
        client.sendall(frame(domain=SIGNAL))
        assert receive(client, 32) == frame(domain=SIGNAL)


def test_a_limit_of_too_few_descriptors_is_told_before_anything_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (10, 10))
    with pytest.raises(ConfigError, match=r"only 10 descriptors may be open .*; a relay needs \d+ or more"):
        torq_engine.daemon._check_descriptors()


def test_without_uvloop_auto_takes_asyncio_and_uvloop_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert torq_engine.daemon._loop_factory("auto") is None
    with pytest.raises(ConfigError, match="uvloop is not installed; pip install uvloop, or use auto"):
        torq_engine.daemon._loop_factory("uvloop")


def test_conn_8_without_descriptors_the_daemon_serves_on_and_recovers() -> None:
    with daemon("market_data", preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))) as relay:
        first, second = relay.connect(), relay.connect()
        crowd = [relay.connect() for _ in range(60)]
        for sequence in range(3):
            first.sendall(frame(sequence=sequence))
            assert receive(second, 32) == frame(sequence=sequence)
        for sock in crowd:
            sock.close()
        late = relay.connect()
        late.sendall(frame(sequence=7))
        assert receive(late, 32) == frame(sequence=7)


def test_conn_8_without_descriptors_an_operator_waits_and_the_relay_serves_on() -> None:
    with short_directory() as directory:
        control = directory / "c"
        limited = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (40, 40))
        with daemon("market_data", "--control-socket", control, preexec_fn=limited) as relay:
            first, second = relay.connect(), relay.connect()
            first.sendall(frame())
            assert receive(second, 32) == frame()  # the relay serves, its control socket too
            crowd = [relay.connect() for _ in range(60)]
            operator = socket.socket(socket.AF_UNIX)
            relay.connections.append(operator)
            operator.connect(str(control))
            for sequence in range(3):
                first.sendall(frame(sequence=sequence))
                assert receive(second, 32) == frame(sequence=sequence)
            for sock in crowd:
                sock.close()
            words = [sys.executable, "-m", "torq_domains.command", "ctl", "--socket", str(control), "status", "--json"]
            status = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False)
            assert (status.returncode, status.stderr) == (0, "")
            relay.signal()
            assert relay.ends() == 0


def test_conn_1_signal_answers_on_its_alias_as_one_relay() -> None:
    with short_directory() as directory, daemon("signal", "--alias", directory / "a") as relay:
        here = relay.connect()
        here.sendall(frame(domain=SIGNAL))
        assert receive(here, 32) == frame(domain=SIGNAL)
        at_alias = socket.socket(socket.AF_UNIX)
        relay.connections.append(at_alias)
        at_alias.connect(str(directory / "a"))
        at_alias.sendall(frame(domain=SIGNAL, sequence=1))
        assert receive(here, 32) == frame(domain=SIGNAL, sequence=1)
        relay.signal()
        assert relay.ends() == 0
        assert not (directory / "a").exists()


def test_conn_1_when_one_of_two_paths_is_taken_neither_is_kept() -> None:
    with short_directory() as directory, daemon("signal", path=directory / "a"):
        second = run("signal", "--socket", directory / "b", "--alias", directory / "a")
        assert second.returncode == 1
        assert not (directory / "b").exists()


def test_conn_1_whoever_can_connect_finds_all_else_that_the_relay_offers() -> None:
    with short_directory() as directory:
        others = directory / "c", directory / "m", directory / "s.takeover"
        flags = "--control-socket", others[0], "--metrics", f"unix:{others[1]}", "--no-alias"
        with daemon("signal", *flags, path=directory / "s"):
            for path, kind in zip(others, (socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_SEQPACKET), strict=True):
                with socket.socket(socket.AF_UNIX, kind) as other:
                    other.connect(str(path))


def test_conn_2_a_relay_that_cannot_listen_says_so_of_its_own_path_first() -> None:
    with short_directory() as directory:
        flags = "--control-socket", directory / "c", "--no-alias"
        with daemon("signal", *flags, path=directory / "s"):
            second = run("signal", "--socket", directory / "s", *flags)
            assert second.returncode == 1
            assert second.stderr.startswith(f"signal_relay: {directory}/s: a live relay holds it")
            assert second.stderr.count("\n") == 1


def test_sec_1_checklist_2_socket_and_new_directory_are_closed_to_others() -> None:
    with short_directory() as directory, daemon("execution", path=directory / "new" / "s") as relay:
        assert stat.S_IMODE(os.lstat(relay.path).st_mode) == 0o600
        assert stat.S_IMODE(os.lstat(relay.path.parent).st_mode) == 0o700


def test_sec_2_checklist_13_descriptors_passed_by_a_client_are_not_kept() -> None:
    with daemon("execution") as relay:
        client = relay.connect()
        client.sendall(frame(domain=EXECUTION))
        receive(client, 32)
        before = relay.descriptors()
        for _ in range(20):
            socket.send_fds(client, [frame(domain=EXECUTION)], [0, 1])
            assert receive(client, 32) == frame(domain=EXECUTION)
        assert relay.descriptors() <= before


@pytest.mark.parametrize(("domain", "number"), [("market_data", MARKET_DATA), ("signal", SIGNAL)])
@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
def test_fwd_1_daemon_serves_on_either_loop(domain: str, number: int, loop: str) -> None:
    with daemon(domain, "--loop", loop) as relay:
        client = relay.connect()
        client.sendall(frame(domain=number))
        assert receive(client, 32) == frame(domain=number)
        relay.signal(signal.SIGINT)
        assert relay.ends() == 0
        assert loop in relay.log()


def test_version_says_how_the_kernel_runs_and_help_names_every_flag() -> None:
    version = run("signal", "--version")
    assert version.returncode == 0
    assert "signal_relay: torq" in version.stdout
    assert "compiled" in version.stdout or "interpreted" in version.stdout
    text = run("signal", "--help").stdout
    for flag in ("--socket", "--alias", "--no-alias", "--echo", "--no-echo", "--log-level", "--version", "--loop"):
        assert flag in text
    assert "/tmp/torq/signal.sock" in text


def test_wrong_usage_exits_2(tmp_path: Path) -> None:
    assert run("signal", "--log-level", "loud").returncode == 2
    assert run("signal", "--socket").returncode == 2


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1])
def test_life_1_reloads_and_rotations_to_its_last_moment_do_not_change_how_it_ends(number: int) -> None:
    with daemon("market_data") as relay:
        client = relay.connect()
        client.sendall(frame())
        assert receive(client, 32) == frame()
        relay.signal()
        while relay.process.poll() is None:
            relay.signal(number)
        assert relay.ends() == 0


@settings(max_examples=6, deadline=None)
@given(
    st.lists(st.sampled_from([signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1]), max_size=4),
    st.integers(0, 400),
)
def test_life_1_signals_at_any_moment_leave_nothing_behind_and_no_traceback(early: list[int], turns: int) -> None:
    """While it starts, serves, drains or ends: all is given back, the exit code is 0 or tells of the second signal."""
    with short_directory() as directory:
        flags = ("--socket", f"{directory}/s", "--control-socket", f"{directory}/c", "--audit-directory")
        with subprocess.Popen(
            command("execution", *flags, f"{directory}/audit"), stderr=subprocess.PIPE, text=True
        ) as relay:
            waited = threading.Event()
            while not (directory / "s").exists():
                waited.wait(0.001)  # a path that appears gives no event to wait for
            for _ in range(turns):
                relay.poll()
            for number in [*early, signal.SIGTERM]:
                relay.send_signal(number)
            said = relay.communicate(timeout=LIMIT)[1]
        ended = [number for number in [*early, signal.SIGTERM] if number in (signal.SIGTERM, signal.SIGINT)]
        assert relay.returncode in {0, *(128 + number for number in ended[1:])}
        assert "Traceback" not in said
        assert set(os.listdir(directory)) <= {"audit"}
        written = sorted((directory / "audit").glob("*.jsonl"))
        assert (
            not written or verify(written, read_seal(directory / "audit" / "execution.seal", b""), b"").problems == []
        )


def test_res_1_connections_cost_at_most_64_kib_each_idle_and_active() -> None:
    with daemon("market_data") as relay:
        first = relay.connect()
        first.sendall(frame())
        receive(first, 32)
        before = relay.resident_bytes()
        crowd = [relay.connect() for _ in range(1000)]
        crowd[-1].sendall(frame(sequence=1))
        receive(crowd[-1], 32)
        assert (relay.resident_bytes() - before) / 1000 < 16_384
        for _ in range(5):
            first.sendall(frame(bytes(42)) * 64)
            for sock in crowd[:-1]:
                sock.recv(65_536)
        assert (relay.resident_bytes() - before) / 1000 < 65_536


def test_res_2_memory_of_queues_returns_after_each_of_several_bursts() -> None:
    pytest.importorskip("torq_engine._sockets")  # without a C compiler the C library keeps what it likes
    data = frame(payload=bytes((1, 200)) + bytes(200)) * 300
    with daemon("market_data", "--no-echo", "--queue-bytes", 100_000_000, "--queue-frames", 1_000_000) as relay:
        stalled, reader, sender = relay.connect(), relay.connect(), relay.connect()
        sender.sendall(frame())
        receive(stalled, 32)
        receive(reader, 32)
        before = relay.resident_bytes()
        for _ in range(4):
            for _ in range((24 << 20) // len(data)):
                sender.sendall(data)
                receive(reader, len(data))
            assert relay.resident_bytes() - before > 16 << 20
            for _ in range((24 << 20) // len(data)):
                receive(stalled, len(data))
            sender.sendall(frame())
            receive(stalled, 32)
            receive(reader, 32)
            assert relay.resident_bytes() - before < 8 << 20


def test_res_2_val_6_descriptors_memory_and_threads_are_flat_under_hostile_clients() -> None:
    claim = MAGIC + bytes((1, 1, 1, 0)) + bytes(16)
    with daemon("market_data", "--log-level", "critical") as relay:
        witness = relay.connect()

        def hostile_round(number: int) -> None:
            for hello in (b"GET / HTTP/1.1", frame(bytes(1000))[:700], claim + b"\0\0\0\x40" + bytes(4), claim):
                for _ in range(20):
                    sock = relay.connect()
                    sock.sendall(hello)
                    sock.close()
            witness.sendall(frame(sequence=number))
            assert receive(witness, 32) == frame(sequence=number)

        def settle(number: int) -> None:
            """Exchange frames until the daemon has let every hostile client go."""
            limit = time.monotonic() + LIMIT
            while relay.descriptors() > descriptors and time.monotonic() < limit:
                witness.sendall(frame(sequence=number))
                assert receive(witness, 32) == frame(sequence=number)

        witness.sendall(frame())
        receive(witness, 32)
        descriptors = relay.descriptors()
        for number in range(3):
            hostile_round(number)
            settle(number)
        memory = relay.resident_bytes()
        for number in range(3, 15):
            hostile_round(number)
            settle(number)
        assert relay.resident_bytes() - memory < 2_000_000
        assert relay.descriptors() <= descriptors
        assert relay.threads() == 1
