"""``torq-relay``, and the whole life of a relay inside one process."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from torq_domains.command import RELAYS
from torq_engine.daemon import run_relay
from torq_engine.operations.control_client import ControlClient
from torq_engine.operations.supervisor import RestartPolicy, Supervisor

from ..daemons import receive
from ..frames import frame
from ..relays import LIMIT, short_directory
from .invoked import torq_relay

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


@contextmanager
def own_signals() -> Iterator[None]:
    """Leave the process's signal handlers as they were."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    heard = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, heard)
        for number, handler in before.items():
            signal.signal(number, handler)


@pytest.fixture(autouse=True)
def signals_as_before() -> Iterator[None]:
    with own_signals():
        yield


def connected(path: Path) -> socket.socket:
    """A connection to a relay that may still be starting."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(LIMIT)
    waiting = threading.Event()
    for _ in range(5000):
        try:
            sock.connect(str(path))
        except OSError:
            waiting.wait(0.002)  # a process that is starting gives no event to wait for
        else:
            return sock
    raise AssertionError(f"nobody listens at {path}")


def beside(act: Callable[[], None]) -> threading.Thread:
    """Act in a thread, then end this process's relay."""

    def run() -> None:
        try:
            act()
        finally:
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


@pytest.mark.parametrize("relay", ["market_data", "execution"])
def test_life_1_a_relay_with_everything_on_serves_and_gives_all_back(relay: str) -> None:
    seen: list[bytes] = []
    with short_directory() as directory, own_signals():

        def act() -> None:
            client = connected(directory / "s")
            sent = frame(domain=RELAYS[relay].domain)
            client.sendall(sent)
            seen.append(receive(client, 32))
            control = ControlClient(f"{directory}/c")
            seen.append(control.ask("status"))
            control.close()
            client.close()

        thread = beside(act)
        flags = ["--socket", f"{directory}/s", "--control-socket", f"{directory}/c", "--metrics", f"unix:{directory}/m"]
        flags += ["--log-file", f"{directory}/log", "--audit-directory", f"{directory}/audit"]
        assert run_relay(RELAYS[relay], flags) == 0
        thread.join()
        assert seen[0] == frame(domain=RELAYS[relay].domain)
        assert b'"state":"serving"' in seen[1]
        assert set(os.listdir(directory)) - {"audit"} == {"log"}


def test_a_log_file_that_cannot_be_opened_is_one_line_and_exit_1(capfd: pytest.CaptureFixture[str]) -> None:
    with short_directory() as directory, own_signals():
        assert run_relay(RELAYS["signal"], ["--socket", f"{directory}/s", "--log-file", "/no/such/log"]) == 1
        assert run_relay(RELAYS["signal"], ["check-config", "/no/such/file"]) == 2
        assert run_relay(RELAYS["signal"], ["--metrics", "nowhere"]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "signal_relay: log_file: cannot log to /no/such/log: No such file or directory; use another path"
    assert len(lines) == 3


def test_check_config_checks_the_file_for_every_relay_or_the_one_it_names(tmp_path: Path) -> None:
    file = tmp_path / "relays.toml"
    file.write_text("[signal]\nqueue_frames = 3\n", encoding="utf-8")
    good = torq_relay("check-config", str(file))
    assert (good.exit_code, good.output) == (0, f"{file}: can be used by market_data, signal, execution\n")
    file.write_text('relay = "signal"\n', encoding="utf-8")
    assert torq_relay("check-config", str(file)).output == f"{file}: can be used by signal\n"
    file.write_text('relay = "signals"\n', encoding="utf-8")
    bad = torq_relay("check-config", str(file))
    assert bad.exit_code == 2
    assert "no such relay: 'signals'; use --relay NAME" in bad.output
    assert torq_relay("check-config", "/no/such/file").exit_code == 2


def test_run_says_what_it_needs_when_no_relay_is_named(tmp_path: Path) -> None:
    nothing = torq_relay("run")
    assert (nothing.exit_code, "which relay? use --relay" in nothing.output) == (2, True)
    file = tmp_path / "relays.toml"
    file.write_text("echo = true\n", encoding="utf-8")
    unsaid = torq_relay("run", "--config", str(file))
    assert (unsaid.exit_code, "does not say which relay it is for" in unsaid.output) == (2, True)
    extra = torq_relay("run", "--all", "--no-echo")
    assert (extra.exit_code, "--all takes settings from the file" in extra.output) == (2, True)
    assert "torq 0" in torq_relay("--version").output


def test_run_runs_the_relay_that_its_file_names() -> None:
    with short_directory() as directory, own_signals():
        file = directory / "relays.toml"
        file.write_text(f'[signal]\nsocket = "{directory}/s"\n', encoding="utf-8")

        def act() -> None:
            with connected(directory / "s") as client:
                client.sendall(frame(domain=RELAYS["signal"].domain))
                receive(client, 32)

        thread = beside(act)
        result = torq_relay("run", "--config", str(file), "--log-file", f"{directory}/log")
        thread.join()
        assert result.exit_code == 0
        assert "torq.signal: listening" in (directory / "log").read_text("utf-8")


def test_life_1_run_all_starts_restarts_and_ends_every_relay() -> None:
    with short_directory() as directory:
        file = directory / "relays.toml"
        tables = [
            f'[{name}]\nsocket = "{directory}/{name}"\ncontrol_socket = "{directory}/{name}.c"\n' for name in RELAYS
        ]
        file.write_text("".join(tables), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "torq_domains.command",
            "run",
            "--all",
            "--pause",
            "0.01",
            "--config",
            str(file),
        ]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as supervisor:
            assert supervisor.stderr is not None
            try:
                for name, logic in RELAYS.items():
                    with connected(directory / name) as client:
                        client.sendall(frame(domain=logic.domain))
                        assert receive(client, 32) == frame(domain=logic.domain)
                started = [_line(supervisor.stderr, "signal started, process ")]
                os.kill(int(started[0].split()[-1]), signal.SIGKILL)
                assert "exit code -9, failure 1; starting it again" in _line(supervisor.stderr, "signal ended")
                connected(directory / "signal").close()
                supervisor.send_signal(signal.SIGHUP)
                _line(supervisor.stderr, "configuration reloaded")
                supervisor.send_signal(signal.SIGTERM)
                supervisor.stderr.read()
                assert supervisor.wait(LIMIT) == 0
                assert not [name for name in RELAYS if (directory / name).exists()]
            finally:
                supervisor.kill()


def _line(stream: object, words: str) -> str:
    """The next line of a supervisor with certain words."""
    for line in stream:  # type: ignore[attr-defined]  # a text stream
        if words in line:
            return str(line)
    raise AssertionError(f"no line with {words!r}")


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


@pytest.mark.parametrize("failures", [0, 1, 3])
async def test_a_relay_is_given_up_after_so_many_failures_as_are_written(
    failures: int, capfd: pytest.CaptureFixture[str]
) -> None:
    assert await Supervisor({"broken": python("raise SystemExit(3)")}, RestartPolicy(0.001, failures)).run() == 1
    said = capfd.readouterr().err
    assert said.count("broken started") == max(failures, 1)
    assert f"broken ended with exit code 3, failure {max(failures, 1)}; given up, the others go on" in said


@pytest.mark.parametrize("code", [2, 3])
async def test_a_relay_that_is_given_up_leaves_the_healthy_ones_alone(
    code: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with short_directory() as directory:
        os.mkfifo(directory / "broken has been given up")
        wait = f"open({str(directory / 'broken has been given up')!r}).read()"
        commands = {"steady": python(wait), "broken": python(f"raise SystemExit({code})")}
        async with asyncio.TaskGroup() as tasks:
            life = tasks.create_task(Supervisor(commands, RestartPolicy(0.001, 2)).run())
            said = ""
            while "given up" not in said:
                await asyncio.sleep(0)
                said += capfd.readouterr().err
            assert "steady ended" not in said
            (directory / "broken has been given up").open("w").close()
            assert await life == 1
        assert "steady ended by itself" in capfd.readouterr().err


@pytest.mark.parametrize("mended", [True, False])
async def test_sighup_starts_a_relay_that_was_given_up_again(mended: bool, capfd: pytest.CaptureFixture[str]) -> None:
    with short_directory() as directory:
        os.mkfifo(directory / "go")
        wait = f"import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN); open({str(directory / 'go')!r}).read()"
        broken = f"import os; raise SystemExit(0 if os.path.exists({str(directory / 'mended')!r}) else 2)"
        async with asyncio.TaskGroup() as tasks:
            commands = {"steady": python(wait), "broken": python(broken)}
            life = tasks.create_task(Supervisor(commands, RestartPolicy(0.001, 2)).run())
            said = ""
            while "given up" not in said:
                await asyncio.sleep(0)
                said += capfd.readouterr().err
            with await asyncio.to_thread(open, directory / "go", "w"):  # the steady one ignores SIGHUP by now
                if mended:
                    (directory / "mended").touch()
                os.kill(os.getpid(), signal.SIGHUP)
                while said.count("broken ended") < 2:
                    await asyncio.sleep(0)
                    said += capfd.readouterr().err
            assert await life == (0 if mended else 1)
        assert said.count("given up") == (1 if mended else 2)


async def test_a_wrong_configuration_is_not_tried_again(capfd: pytest.CaptureFixture[str]) -> None:
    assert await Supervisor({"wrong": python("raise SystemExit(2)")}, RestartPolicy(0.001, 9)).run() == 1
    assert capfd.readouterr().err.count("wrong started") == 1


async def test_relays_that_end_well_are_not_started_again(capfd: pytest.CaptureFixture[str]) -> None:
    assert await Supervisor({"done": python(""), "too": python("")}, RestartPolicy(0.001, 9)).run() == 0
    assert "done ended by itself; not started again" in capfd.readouterr().err


def test_wrong_usage_is_one_line_that_says_what_shows_more() -> None:
    for words, said in (
        ([], "torq-relay: the following arguments are required: COMMAND; see torq-relay --help\n"),
        (["check-config", "a", "--b"], "torq-relay: unrecognized arguments: --b; see torq-relay --help\n"),
        (
            ["run", "--all", "--pause", "x"],
            "argument --pause: 'x' is not allowed; use 0 to 30; see torq-relay run --help\n",
        ),
        (["run", "--all", "--failures", "x"], "'x' is not allowed; use 0 or more; see torq-relay run --help\n"),
    ):
        result = torq_relay(*words)
        assert (result.exit_code, result.output.count("\n")) == (2, 1)
        assert result.output.endswith(said)


def test_what_stands_after_two_hyphens_goes_to_the_relay() -> None:
    shown = torq_relay("run", "--relay", "signal", "--", "--help")
    assert shown.exit_code == 0
    assert shown.output.startswith("usage: signal_relay")
