"""A relay takes what started it as it comes: closed descriptors, any umask, few descriptors, a log nobody reads."""

import os
import select
import shutil
import signal
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from torq_domains.command import RELAYS

from ..daemons import command, daemon, receive, run
from ..frames import frame
from ..relays import LIMIT, short_directory
from .test_command import connected

pytestmark = pytest.mark.usefixtures("unmeasured_processes")


@pytest.mark.parametrize("closed", [(2,), (0, 1, 2)], ids=str)
def test_a_relay_started_without_standard_descriptors_serves(closed: tuple[int, ...]) -> None:
    def close() -> None:
        for number in closed:
            os.close(number)

    with short_directory() as directory:
        words = command("market_data", "--socket", directory / "s", "--control-socket", directory / "c")
        process = subprocess.Popen(words, preexec_fn=close)
        try:
            with connected(directory / "s") as client:
                client.sendall(frame())
                assert receive(client, 32) == frame()
                for number in closed:
                    assert os.readlink(f"/proc/{process.pid}/fd/{number}") == "/dev/null"
            process.terminate()
            assert process.wait(LIMIT) == 0
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("umask", [0o000, 0o777], ids=oct)
def test_sec_1_what_a_relay_makes_is_its_user_s_alone_whatever_the_umask(umask: int) -> None:
    with short_directory() as directory:
        path = directory / "a" / "b" / "s"
        flags = ["--audit", "--log-file", directory / "log"]
        with daemon("market_data", *flags, path=path, umask=umask) as relay:
            client = relay.connect()
            client.sendall(frame())
            assert receive(client, 32) == frame()  # everything is there by now
            made = [directory / "a", path.parent, path, directory / "log", path.with_name("s.audit")]
            made += list(path.with_name("s.audit").iterdir())
            assert {stat.S_IMODE(one.stat().st_mode) & 0o077 for one in made} == {0}
            assert all(stat.S_IMODE(one.stat().st_mode) & 0o600 == 0o600 for one in made)
            relay.signal()
            assert relay.ends() == 0


def test_conn_8_too_few_descriptors_are_one_line_and_exit_1() -> None:
    with short_directory() as directory:
        words = ["/bin/sh", "-c", 'ulimit -n 31; exec "$@"', "sh", *command("signal", "--socket", directory / "s")]
        process = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT, check=False)
    assert process.returncode == 1
    assert process.stderr.startswith("signal_relay: only 31 descriptors may be open (ulimit -n, LimitNOFILE=)")
    assert process.stderr.count("\n") == 1


def test_life_1_a_directory_that_was_removed_meanwhile_does_not_disturb_the_end() -> None:
    with short_directory() as directory:
        path = directory / "d" / "s"
        with daemon("market_data", "--audit", path=path) as relay:
            shutil.rmtree(path.parent)
            relay.signal()
            assert relay.ends() == 0
            assert "Traceback" not in relay.log()


def test_a_log_that_nobody_reads_or_that_is_closed_disturbs_no_client() -> None:
    reader, writer = os.pipe()
    with short_directory() as directory:
        process = subprocess.Popen(command("market_data", "--socket", directory / "s"), stderr=writer)
        os.close(writer)
        try:
            with connected(directory / "s") as first:
                for sequence in range(600):  # each connection is a line of the log: more than a pipe holds
                    with connected(directory / "s") as other:
                        other.sendall(frame(sequence=sequence))
                        assert receive(first, 32) == frame(sequence=sequence)
                os.close(reader)
                first.sendall(frame(sequence=600))
                assert receive(first, 32) == frame(sequence=600)
            process.terminate()
            assert process.wait(LIMIT) == 0
        finally:
            process.kill()
            process.wait()


@pytest.mark.parametrize("words", [["check-config", "/dev/null"], ["--version"]], ids=" ".join)
def test_output_that_cannot_be_written_is_one_line_and_exit_1(words: list[str]) -> None:
    with open("/dev/full", "w") as full:
        process = subprocess.run(
            command("signal", *words), stdout=full, stderr=subprocess.PIPE, text=True, timeout=LIMIT, check=False
        )
    assert process.returncode == 1
    assert process.stderr == "signal_relay: standard output: No space left on device\n"


def test_check_config_names_a_path_that_the_terminal_cannot_show(tmp_path: Path) -> None:
    file = tmp_path / "\u00fc.toml"
    file.touch()
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    process = subprocess.run(
        command("signal", "check-config", file),
        capture_output=True,
        text=True,
        env=environment,
        timeout=LIMIT,
        check=False,
    )
    assert (process.returncode, process.stdout.count("xfc.toml: can be used")) == (0, 1)


def test_sec_3_an_empty_audit_key_is_refused() -> None:
    with short_directory() as directory:
        process = run("execution", "--socket", directory / "s", "--audit-key-file", "/dev/null")
    assert process.returncode == 1
    assert "audit_key_file: /dev/null is empty" in process.stderr


def supervised(directory: Path, **options: object) -> "subprocess.Popen[str]":
    file = directory / "relays.toml"
    tables = [f'[{name}]\nsocket = "{directory}/{name}"\noverflow = "disconnect"\n' for name in RELAYS]
    file.write_text("".join(tables), encoding="utf-8")
    words = [sys.executable, "-m", "torq_domains.command", "run", "--all", "--pause", "0.01", "--config", str(file)]
    process: subprocess.Popen[str] = subprocess.Popen(words, text=True, **options)  # type: ignore[call-overload]  # any
    return process


def all_serve(directory: Path) -> None:
    for name, logic in RELAYS.items():
        with connected(directory / name) as client:
            client.sendall(frame(domain=logic.domain))
            assert receive(client, 32) == frame(domain=logic.domain)


def relays_of(supervisor: "subprocess.Popen[str]") -> list[int]:
    children = Path(f"/proc/{supervisor.pid}/task/{supervisor.pid}/children")
    return [int(word) for word in children.read_text(encoding="ascii").split()]


def await_end(process: int) -> None:
    """Wait until a process that is not our child has ended."""
    with suppress(ProcessLookupError), open(os.pidfd_open(process), "rb", buffering=0) as ended:
        assert select.select([ended], [], [], LIMIT)[0]


def test_life_1_ctrl_c_in_a_terminal_drains_every_relay_once() -> None:
    with short_directory() as directory:
        supervisor = supervised(directory, stderr=subprocess.PIPE, start_new_session=True)
        try:
            all_serve(directory)
            os.killpg(supervisor.pid, signal.SIGINT)  # as a terminal does: to all of its foreground group
            _, said = supervisor.communicate(timeout=LIMIT)
            assert supervisor.returncode == 0
            assert said.count("stopped undelivered_frames=0") == len(RELAYS)
            assert "Traceback" not in said
        finally:
            supervisor.kill()


def test_life_1_signals_to_its_last_moment_do_not_change_how_a_supervisor_ends() -> None:
    with short_directory() as directory:
        supervisor = supervised(directory, stderr=subprocess.DEVNULL)
        try:
            all_serve(directory)
            supervisor.terminate()
            while supervisor.poll() is None:
                supervisor.send_signal(signal.SIGHUP)
            assert supervisor.returncode == 0
        finally:
            supervisor.kill()
            supervisor.wait()


def test_an_error_that_nobody_hears_does_not_change_the_exit_code() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed, short_directory() as directory:
        for flags, code in ((("--socket-mode", "9"), 2), (("--log-file", "/no/such/log"), 1)):
            words = command("signal", "--socket", directory / "s", *flags)
            assert subprocess.run(words, stderr=closed, timeout=LIMIT, check=False).returncode == code


def test_a_supervisor_that_nobody_hears_goes_on_restarting() -> None:
    reader, writer = os.pipe()
    with short_directory() as directory:
        supervisor = supervised(directory, stderr=writer)
        os.close(writer)
        try:
            all_serve(directory)
            os.close(reader)
            children = relays_of(supervisor)
            os.kill(children[0], signal.SIGKILL)
            await_end(children[0])
            all_serve(directory)
            supervisor.terminate()
            assert supervisor.wait(LIMIT) == 0
        finally:
            supervisor.kill()
            supervisor.wait()


def test_life_1_a_relay_that_was_killed_while_all_end_is_not_a_good_end() -> None:
    with short_directory() as directory:
        supervisor = supervised(directory, stderr=subprocess.DEVNULL)
        try:
            all_serve(directory)
            children = relays_of(supervisor)
            os.kill(children[0], signal.SIGSTOP)
            supervisor.terminate()
            for child in children[1:]:  # the others have ended: the signal is on its way
                await_end(child)
            os.kill(children[0], signal.SIGKILL)
            assert supervisor.wait(LIMIT) == 1
        finally:
            supervisor.kill()
            supervisor.wait()
