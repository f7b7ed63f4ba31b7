"""LIFE-5: whatever a command inherits, it begins in the same state. Each heritage is bequeathed by exec."""

import ast
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from torq_domains.command import RELAYS
from torq_engine.operations import inheritance

from ..daemons import Daemon, command, listening, receive
from ..frames import frame
from ..relays import LIMIT, short_directory
from .test_command import connected

BEQUEST = "import os, resource, signal, sys, tempfile, shutil; {}; os.execvp(sys.argv[1], sys.argv[1:])"
HERITAGES = {
    "every signal blocked": "signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())",
    "every signal ignored": (
        "[signal.signal(n, signal.SIG_IGN) for n in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}]"
    ),
    "no standard descriptors": "os.closerange(0, 3)",
    "an umask of 0777": "os.umask(0o777)",
    "an umask of 0": "os.umask(0)",
    "few descriptors at first": "resource.setrlimit(resource.RLIMIT_NOFILE, (12, 4096))",
    "no room in files": "resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))",
    "descriptors that leaked": "[os.set_inheritable(os.dup(0), True) for _ in range(200)]",
    "no environment": "os.environ.clear()",
    "a locale that is not there": "os.environ.update(LC_ALL='xx_YY.KOI8', LANG='C')",
    "ASCII": "os.environ.update(LC_ALL='C', PYTHONCOERCECLOCALE='0', PYTHONUTF8='0')",
    "places that are not there": "os.environ.update(HOME='/no/such', TMPDIR='/no/such', PWD='/no/such')",
    "a deleted working directory": "place = tempfile.mkdtemp(); os.chdir(place); shutil.rmtree(place)",
}
STATE = """
import os, resource, signal, sys
from torq_engine.operations.inheritance import begin_afresh
begin_afresh(hears={hears})
waiting = sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ())))
ignored = sorted(int(n) for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN)
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
names = sorted(map(int, os.listdir("/proc/self/fd")))[:-1]
text = repr((waiting, ignored, soft == hard, os.umask(0), names))
os.write(os.open(sys.argv[1], os.O_WRONLY), text.encode())
"""


def inheriting(heritage: str, words: list[str]) -> list[str]:
    return [sys.executable, "-S", "-c", BEQUEST.format(heritage), *words]


@contextmanager
def supervised(heritage: str, directory: Path) -> "Iterator[subprocess.Popen[bytes]]":
    file = directory / "relays.toml"
    tables = "".join(f'[{name}]\nsocket = "{directory}/{name}"\n' for name in RELAYS)
    file.write_text(f"audit = false\n{tables}", encoding="utf-8")
    words = [sys.executable, "-m", "torq_domains.command", "run", "--all", "--config", str(file)]
    with subprocess.Popen(inheriting(heritage, words), stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def test_life_5_without_proc_a_command_begins_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def unmounted(path: str) -> list[str]:
        raise FileNotFoundError(path)

    monkeypatch.setattr(os, "listdir", unmounted)
    inheritance._close_leaked_descriptors([], {})
    monkeypatch.undo()
    with open(os.devnull, "rb") as leaked:
        os.set_inheritable(leaked.fileno(), True)
        inheritance._close_leaked_descriptors([f"/dev/fd/{number}" for number in os.listdir("/proc/self/fd")], {})
        assert os.fstat(leaked.fileno())


@pytest.mark.usefixtures("unmeasured_processes")
@pytest.mark.parametrize(
    ("number", "heritage"),
    [
        *((signal.SIGTERM, heritage) for heritage in HERITAGES),
        *((signal.SIGINT, heritage) for heritage in HERITAGES if "signal" in heritage),
    ],
)
def test_life_5_a_relay_serves_and_ends_whatever_it_inherits(number: signal.Signals, heritage: str) -> None:
    with short_directory() as directory:
        words = command("market_data", "--socket", directory / "s", "--control-socket", directory / "c")
        with listening(inheriting(HERITAGES[heritage], words), directory / "s") as relay:
            client = relay.connect()
            client.sendall(frame())
            assert receive(client, 32) == frame()
            relay.signal(number)
            assert relay.ends() == 0
            assert os.listdir(directory) == []


@pytest.mark.usefixtures("unmeasured_processes")
@pytest.mark.parametrize("heritage", HERITAGES)
def test_life_5_a_supervisor_ends_with_its_relays_whatever_it_inherits(heritage: str) -> None:
    with short_directory() as directory, supervised(HERITAGES[heritage], directory) as supervisor:
        for name, logic in RELAYS.items():
            with connected(directory / name) as client:
                client.sendall(frame(domain=logic.domain))
                assert receive(client, 32) == frame(domain=logic.domain)
        supervisor.terminate()
        assert supervisor.wait(LIMIT) == 0


@pytest.mark.usefixtures("unmeasured_processes")
@pytest.mark.parametrize("heritage", HERITAGES)
def test_life_5_ctl_and_torq_audit_answer_whatever_they_inherit(heritage: str) -> None:
    with short_directory() as directory:
        flags = ["--socket", directory / "s", "--control-socket", directory / "c", "--audit"]
        with listening(command("market_data", *flags), directory / "s"):
            status = ["-m", "torq_domains.command", "ctl", "--socket", f"{directory}/c", "status", "--json"]
            verify = ["-c", "from torq_engine.operations.audit_command import main; main()", "verify"]
            for words in (status, [*verify, f"{directory}/s.audit"]):
                process = subprocess.run(
                    inheriting(HERITAGES[heritage], [sys.executable, *words]),
                    capture_output=True,
                    text=True,
                    timeout=LIMIT,
                    check=False,
                )
                assert (process.returncode, process.stderr) == (0, "")


@pytest.mark.parametrize("hears", [False, True])
@pytest.mark.parametrize("heritage", ["pass", *HERITAGES.values()], ids=["nothing", *HERITAGES])
def test_life_5_a_command_begins_in_one_state(heritage: str, hears: bool, tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    words = [sys.executable, "-c", STATE.format(hears=hears), str(tmp_path / "state")]
    process = subprocess.run(inheriting(heritage, words), timeout=LIMIT, check=False)
    if "FSIZE" in heritage:
        return  # it cannot say its state
    waiting, ignored, raised, umask, descriptors = ast.literal_eval((tmp_path / "state").read_text())
    assert (process.returncode, waiting) == (0, [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2] if hears else [])
    left = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
    if "SIG_IGN" not in heritage:  # these tests may run under nohup, or behind a shell, themselves
        left = {number for number in left if signal.getsignal(number) is signal.SIG_IGN}
    assert set(ignored) == left | {signal.SIGPIPE, signal.SIGXFSZ}
    assert (raised, umask, descriptors) == (True, 0o077, [0, 1, 2])


@pytest.mark.usefixtures("unmeasured_processes")
def test_life_5_who_waits_for_the_end_of_a_pipe_does_not_wait_for_a_relay_that_inherited_it() -> None:
    reader, writer = os.pipe()
    with short_directory() as directory, open(reader, "rb", buffering=0) as waiting:
        words = command("signal", "--socket", directory / "s")
        with listening(words, directory / "s", pass_fds=[writer]):
            os.close(writer)
            assert waiting.read() == b""


@pytest.mark.usefixtures("unmeasured_processes")
def test_a_descriptor_that_the_command_line_names_is_read() -> None:
    reader, writer = os.pipe()
    os.write(writer, b"queue_frames = 7\n")
    os.close(writer)
    words = command("signal", "check-config", f"/dev/fd/{reader}")
    process = subprocess.run(words, pass_fds=[reader], capture_output=True, text=True, timeout=LIMIT, check=False)
    os.close(reader)
    assert (process.returncode, process.stdout) == (0, f"/dev/fd/{reader}: can be used by signal_relay\n")


def limited(soft: int, hard: int) -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("unmeasured_processes")
@pytest.mark.parametrize(("soft", "hard", "admitted"), [(40, 200, 100), (64, 64, 40)])
def test_conn_10_max_connections_holds_as_far_as_descriptors_are_there(soft: int, hard: int, admitted: int) -> None:
    with short_directory() as directory:
        flags = ["--socket", directory / "s", "--control-socket", directory / "c", "--max-connections", 100]
        started = listening(command("market_data", *flags), directory / "s", preexec_fn=lambda: limited(soft, hard))
        with started as relay:
            connected(directory / "c").close()  # the socket that it claims last
            crowd = [relay.connect() for _ in range(150)]
            control = [sys.executable, "-m", "torq_domains.command", "ctl", "--socket", f"{directory}/c"]
            told = subprocess.run(
                [*control, "status", "--json"], capture_output=True, text=True, timeout=LIMIT, check=False
            )
            assert f'"max_connections":{admitted},' in told.stdout, told.stderr
            crowd[0].sendall(frame())
            assert receive(crowd[1], 32) == frame()
            assert_ends(relay)
            assert ("too few descriptors for max_connections" in relay.log()) == (admitted < 100)


def assert_ends(relay: Daemon) -> None:
    relay.signal()
    assert relay.ends() == 0
