"""Whatever standard output is, the commands write everything or fail: never less with exit code 0."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from torq_protocol import encode_message

MANY = b"".join(encode_message(2, 20, [(20, bytes(16))], sequence=number, timestamp=1) for number in range(500))
INSPECT = [sys.executable, "-m", "torq_protocol.inspect"]
TORQ = [sys.executable, "-c", "import sys; from torq_protocol.command import main; sys.exit(main())"]
GENERATE = [sys.executable, "-m", "torq_protocol.generate", "--help"]
COMMANDS = {
    "inspect": [*INSPECT, "-"],
    "inspect --version": [*INSPECT, "--version"],
    "torq": TORQ,
    "torq --help": [*TORQ, "--help"],
    "generate": GENERATE,
}


def run(command: list[str], stdout: int | None, before: Callable[[], None] | None = None) -> tuple[int, str]:
    done = subprocess.run(
        command, input=MANY, stdout=stdout, stderr=subprocess.PIPE, preexec_fn=before, timeout=60, check=False
    )
    return done.returncode, done.stderr.decode()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_closed_descriptor_is_told(name: str) -> None:
    code, told = run(COMMANDS[name], None, lambda: os.close(1))
    assert code == 2
    assert told.count("\n") == 1
    assert "standard output is closed" in told


@pytest.mark.parametrize("name", COMMANDS)
def test_without_output_and_error_a_command_fails_all_the_same(name: str) -> None:
    assert run(COMMANDS[name], None, lambda: os.closerange(1, 3))[0] == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this system")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_full_disk_is_told(name: str) -> None:
    with open("/dev/full", "wb") as full:
        code, told = run(COMMANDS[name], full.fileno())
    assert code == 2
    assert told.count("\n") == 1
    assert "cannot write: No space left on device" in told


@pytest.mark.parametrize("name", COMMANDS)
def test_a_pipe_that_nobody_reads_ends_it_quietly_and_not_with_0(name: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert run(COMMANDS[name], writing) == (2, "")
    finally:
        os.close(writing)


@pytest.mark.parametrize("name", ["inspect", "torq"])
def test_a_pipe_that_does_not_block_gets_everything(name: str, tmp_path: Path) -> None:
    whole = subprocess.run(COMMANDS[name], input=MANY, stdout=subprocess.PIPE, check=True).stdout
    (tmp_path / "many").write_bytes(MANY)
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    with (
        (tmp_path / "many").open("rb") as given,
        subprocess.Popen(COMMANDS[name], stdin=given, stdout=writing, stderr=subprocess.PIPE) as command,
        open(reading, "rb") as pipe,
    ):
        os.close(writing)
        assert command.stderr is not None
        assert pipe.read() == whole
        assert command.stderr.read() == b""
    assert command.returncode == 0


def test_a_closed_standard_input_is_told() -> None:
    done = subprocess.run([*INSPECT, "-"], preexec_fn=lambda: os.close(0), capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
    assert b"standard input is closed; give a file" in done.stderr
    assert done.stderr.count(b"\n") == 1
