"""LIFE-3 under a supervisor, and under systemd."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torq_domains.command import RELAYS

from ..daemons import command, listening, receive
from ..frames import frame
from ..operations.invoked import torq_relay
from ..operations.test_command import connected
from ..operations.test_systemd import notify_socket, states
from ..relays import LIMIT, short_directory


@contextmanager
def supervised(directory: Path) -> Iterator[subprocess.Popen[str]]:
    """``run --all`` with a control socket for each relay."""
    file = directory / "relays.toml"
    tables = [f'[{name}]\nsocket = "{directory}/{name}"\ncontrol_socket = "{directory}/{name}.c"\n' for name in RELAYS]
    file.write_text("".join(tables), encoding="utf-8")
    words = [sys.executable, "-m", "torq_domains.command", "run", "--all", "--config", str(file)]
    with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as supervisor:
        try:
            yield supervisor
            supervisor.send_signal(signal.SIGTERM)
            assert supervisor.stderr is not None
            supervisor.stderr.read()
            assert supervisor.wait(LIMIT) == 0
            assert not [name for name in RELAYS if (directory / name).exists()]
        finally:
            supervisor.kill()


def line_with(supervisor: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The next line of a supervisor that has a pattern."""
    assert supervisor.stderr is not None
    too_late = threading.Timer(2 * LIMIT, supervisor.kill)
    too_late.start()
    seen = []
    try:
        for line in supervisor.stderr:
            seen.append(line)
            if found := re.search(pattern, line):
                return found
    finally:
        too_late.cancel()
    raise AssertionError(f"no line with {pattern!r} in {seen}")


def test_life_3_a_supervisor_replaces_its_relays_one_by_one_and_watches_the_successors() -> None:
    with short_directory() as directory, supervised(directory) as supervisor:
        clients = [(connected(directory / name), logic.domain) for name, logic in RELAYS.items()]
        for _ in range(2):
            supervisor.send_signal(signal.SIGUSR2)
            replaced = [line_with(supervisor, r"torq-relay: (\w+) taken over by process (\d+)") for _ in RELAYS]
            assert [found[1] for found in replaced] == list(RELAYS)
            for client, domain in clients:
                client.sendall(frame(domain=domain))
                assert receive(client, 32) == frame(domain=domain)
        os.kill(int(replaced[1][2]), signal.SIGKILL)
        line_with(supervisor, r"signal ended with exit code -9, failure 1; starting it again")
        for client, _ in clients:
            client.close()
        connected(directory / "signal").close()


def test_life_4_a_supervised_relay_is_replaced_by_its_supervisor_alone() -> None:
    with short_directory() as directory, supervised(directory) as supervisor:
        connected(directory / "signal").close()
        answer = torq_relay("ctl", "--socket", directory / "signal.c", "takeover")
        assert answer.exit_code == 1
        assert answer.output.endswith(f"process {supervisor.pid} supervises this relay, and replaces it at SIGUSR2\n")
        words = ["--config", directory / "relays.toml", "--takeover"]
        ended = subprocess.run(command("signal", *words), capture_output=True, text=True, timeout=LIMIT, check=False)
        assert (ended.returncode, ended.stderr) == (
            1,
            f"signal_relay: takeover failed: supervisor is {supervisor.pid} here and not set in the successor\n",
        )
        connected(directory / "signal").close()


def test_life_4_a_supervisor_says_that_a_successor_failed() -> None:
    with short_directory() as directory, supervised(directory) as supervisor:
        for name in RELAYS:
            connected(directory / name).close()
        file = directory / "relays.toml"
        text = file.read_text("utf-8")
        file.write_text(text.replace("[signal]", "[signal]\naliases = ['/nowhere/a']"), encoding="utf-8")
        supervisor.send_signal(signal.SIGUSR2)
        assert line_with(supervisor, r"(\w+) taken over by process")[1] == "market_data"
        line_with(supervisor, r"signal: process \d+ serves on; its successor ended with exit code 1")
        assert line_with(supervisor, r"(\w+) taken over by process")[1] == "execution"
        connected(directory / "signal").close()


def test_life_3_systemd_is_told_the_new_main_process_which_goes_on_with_the_heartbeats() -> None:
    with short_directory() as directory, notify_socket(directory) as notify:
        told = {"NOTIFY_SOCKET": f"{directory}/notify", "WATCHDOG_USEC": "200000"}
        words = command("signal", "--socket", directory / "s", "--no-alias")
        with listening(words, directory / "s", env={**os.environ, **told}) as relay:
            assert until(notify, "READY")["MAINPID"] == str(relay.process.pid)
            relay.signal(signal.SIGUSR2)
            told_by_both = [until(notify, "MAINPID") for _ in range(2)]  # in either order
            [successor] = {each["MAINPID"] for each in told_by_both}
            assert successor != str(relay.process.pid)
            assert ["READY" in each for each in told_by_both].count(True) == 1
            assert relay.ends() == 0
            until(notify, "WATCHDOG")
            os.kill(int(successor), signal.SIGTERM)
            until(notify, "STOPPING")


def until(sock: socket.socket, state: str) -> dict[str, str]:
    limit = time.monotonic() + LIMIT
    while True:
        assert time.monotonic() < limit
        found = states(sock)
        assert "STOPPING" not in found or state == "STOPPING"
        if state in found:
            return found
