"""systemd's side of the protocol, played: passed sockets, states, heartbeats; and its units, read by its own tool."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from torq_domains.command import RELAYS
from torq_engine.daemon import run_relay
from torq_engine.endpoint import EndpointError
from torq_engine.operations.loading import load
from torq_engine.operations.systemd import CLIENTS, STATE, Notifier, passed_by_systemd

from ..daemons import receive
from ..frames import frame
from ..relays import LIMIT, short_directory
from .services import operating
from .test_command import own_signals

UNITS = Path(__file__).parents[3] / "docs" / "systemd"


@contextmanager
def notify_socket(directory: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(directory / "notify"))
        sock.settimeout(LIMIT)
        yield sock


def states(sock: socket.socket) -> dict[str, str]:
    return dict(line.split("=", 1) for line in sock.recv(4096).decode().split("\n"))


def activated(listener: socket.socket, directory: Path, *, watchdog: str = "") -> subprocess.Popen[bytes]:
    """A relay started as systemd does: descriptor 3 listens, LISTEN_PID is its own."""
    code = (
        "import os, sys; os.environ['LISTEN_PID'] = str(os.getpid());"
        "from torq_engine.daemon import run_relay; from torq_domains.market_data import MarketDataLogic;"
        "sys.exit(run_relay(MarketDataLogic()))"
    )
    environment = {**os.environ, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "relay", "NOTIFY_SOCKET": f"{directory}/notify"}
    if watchdog:
        environment["WATCHDOG_USEC"] = watchdog
    saved = os.dup(3) if _is_open(3) else -1
    os.dup2(listener.fileno(), 3)
    try:
        return subprocess.Popen([sys.executable, "-c", code], pass_fds=[3], env=environment, stderr=subprocess.PIPE)
    finally:
        os.close(3) if saved < 0 else os.dup2(saved, 3)
        if saved >= 0:
            os.close(saved)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def test_a_passed_socket_is_served_states_are_told_and_the_path_stays() -> None:
    with short_directory() as directory, notify_socket(directory) as notify, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "s"))
        listener.listen()
        process = activated(listener, directory, watchdog="200000")
        try:
            ready = states(notify)
            assert ready == {"READY": "1", "MAINPID": str(process.pid), "STATUS": "serving market_data"}
            assert states(notify) == states(notify) == {"WATCHDOG": "1"}
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(LIMIT)
                client.connect(str(directory / "s"))
                client.sendall(frame())
                assert receive(client, 32) == frame()
            process.send_signal(signal.SIGHUP)
            seen = _until(notify, "RELOADING")
            assert seen["MONOTONIC_USEC"].isdecimal()
            assert _until(notify, "READY")["STATUS"] == "serving market_data"
            process.send_signal(signal.SIGTERM)
            assert _until(notify, "STOPPING")["STOPPING"] == "1"
            assert process.wait(LIMIT) == 0
            assert (directory / "s").exists()
        finally:
            process.kill()
            process.communicate()


def _until(sock: socket.socket, state: str) -> dict[str, str]:
    while True:
        found = states(sock)
        if state in found:
            return found


def test_a_passed_descriptor_that_does_not_listen_is_one_line_and_exit_1() -> None:
    with short_directory() as directory, socket.socket(socket.AF_UNIX) as idle:
        process = activated(idle, directory)
        _, errors = process.communicate(timeout=LIMIT)
        assert process.returncode == 1
        assert errors.decode().startswith(
            "market_data_relay: descriptor 3 passed by systemd is no listening Unix stream"
        )
        assert errors.count(b"\n") == 1


def test_a_passed_socket_whose_path_is_gone_is_one_line_and_exit_1() -> None:
    with short_directory() as directory, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(directory / "s"))
        listener.listen()
        (directory / "s").unlink()
        process = activated(listener, directory)
        _, errors = process.communicate(timeout=LIMIT)
        assert process.returncode == 1
        assert errors.decode() == (
            f"market_data_relay: {directory}/s: passed by systemd, but no longer there: No such file or directory;"
            " restart its .socket unit\n"
        )


def test_sockets_passed_to_another_process_are_not_ours() -> None:
    assert passed_by_systemd({}) == ([], {})
    assert passed_by_systemd({"LISTEN_FDS": "1", "LISTEN_PID": "1"}) == ([], {})
    for count in ("x", "-1", "9" * 5000):
        assert passed_by_systemd({"LISTEN_FDS": count, "LISTEN_PID": str(os.getpid())}) == ([], {})


def test_abstract_sockets_and_closed_descriptors_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0torq-test-" + str(os.getpid()))
        abstract.listen()
        copy = os.dup(abstract.fileno())
        monkeypatch.setattr("torq_engine.operations.systemd._FIRST_DESCRIPTOR", copy)
        environment = {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": "x"}
        with pytest.raises(EndpointError, match="has no path"):
            passed_by_systemd(environment)
        assert environment == {}
        os.close(copy)
        with pytest.raises(EndpointError, match="Bad file descriptor"):
            passed_by_systemd({"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())})
        for count, names in (
            ("1", CLIENTS),
            ("2", f"{STATE}:{CLIENTS}:{CLIENTS}"),
            ("9" * 20, CLIENTS),
            ("9" * 20, ""),
        ):
            nonsense = {"LISTEN_FDS": count, "LISTEN_PID": str(os.getpid()), "LISTEN_FDNAMES": names}
            with pytest.raises(EndpointError, match="Bad file descriptor"):
                passed_by_systemd(nonsense)


def test_without_systemd_or_with_a_deaf_one_nothing_happens() -> None:
    Notifier({}).ready("serving")
    Notifier({"NOTIFY_SOCKET": "/no/such/socket"}).heartbeat()
    assert Notifier({"WATCHDOG_USEC": "1000000"}).watchdog_interval == 0
    heard = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000"}
    assert Notifier(heard).watchdog_interval == 0.5
    assert Notifier({**heard, "WATCHDOG_PID": "1"}).watchdog_interval == 0
    assert Notifier({**heard, "WATCHDOG_PID": str(os.getpid())}).watchdog_interval == 0.5


def test_states_reach_an_abstract_socket() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind("\0torq-notify-" + str(os.getpid()))
        sock.settimeout(LIMIT)
        Notifier({"NOTIFY_SOCKET": f"@torq-notify-{os.getpid()}"}).stopping()
        assert states(sock) == {"STOPPING": "1", "STATUS": "draining"}


async def test_a_service_tells_its_states_in_order_and_a_refused_reload() -> None:
    with short_directory() as directory, notify_socket(directory) as notify:
        environment = {"NOTIFY_SOCKET": f"{directory}/notify", "WATCHDOG_USEC": "20000"}
        async with operating(environment=environment) as running:
            assert states(notify)["READY"] == "1"
            assert await asyncio.to_thread(states, notify) == {"WATCHDOG": "1"}
            running.write("nonsense = 1\n")
            running.service.reload()
            assert "RELOADING" in _until(notify, "RELOADING")
            assert _until(notify, "READY")["STATUS"] == "the last reload was refused"
        assert "STOPPING" in _until(notify, "STOPPING")


@pytest.mark.parametrize("relay", ["market_data", "signal", "execution"])
def test_units_fit_the_relay_and_harden_it(relay: str) -> None:
    service = (UNITS / f"torq-{relay}.service").read_text("utf-8")
    listening = (UNITS / f"torq-{relay}.socket").read_text("utf-8")
    assert "Type=notify\n" in service
    for line in ("NoNewPrivileges=yes", "ProtectSystem=strict", "RestrictAddressFamilies=AF_UNIX", "UMask=0077"):
        assert line in service
    assert f"{relay}_relay --config /etc/torq/relays.toml" in service
    assert f"ListenStream=/run/torq/{relay}.sock" in listening
    assert "SocketMode=0600\n" in listening
    load(RELAYS[relay], str(UNITS / "relays.toml"), {}, {})


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_finds_no_fault_with_the_units() -> None:
    with tempfile.TemporaryDirectory() as name:
        for unit in UNITS.glob("torq-*"):
            text = unit.read_text("utf-8").replace("/opt/torq/.venv/bin/", "/bin/true #")
            (Path(name) / unit.name).write_text(text, encoding="utf-8")
        units = [str(path) for path in Path(name).glob("torq-*")]
        found = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
        assert [line for line in found.stderr.splitlines() if "torq-" in line] == []


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
@pytest.mark.parametrize("relay", RELAYS)
def test_sec_1_checklist_17_a_service_is_exposed_to_little(relay: str) -> None:
    service = str(UNITS / f"torq-{relay}.service")
    rated = ["systemd-analyze", "security", "--offline=yes", "--threshold=6", "--no-pager", service]
    found = subprocess.run(rated, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout.splitlines()[-1]


def test_an_unusable_loop_is_one_line(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with short_directory() as directory, own_signals():
        assert run_relay(RELAYS["signal"], ["--socket", f"{directory}/s", "--loop", "uvloop"]) == 1
        assert os.listdir(directory) == []
    assert "loop: uvloop is not installed; pip install uvloop, or use auto" in capfd.readouterr().err
