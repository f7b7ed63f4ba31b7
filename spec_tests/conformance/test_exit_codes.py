"""The command as a process: its exit codes are part of its interface."""

import subprocess
import sys
from pathlib import Path

import pytest

from spec_tests.conformance.judged_relays import specimen

CORRECT = specimen("correct", "signal")
GENERIC = specimen("first-generic", "signal")


def conformance(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "torq_conformance", *arguments)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--exec", CORRECT, "--domain", "signal", "--section", "FWD-6", "--max-examples", "3"), 0),
        (("--exec", GENERIC, "--domain", "signal", "--section", "FRAME-1", "--max-examples", "20"), 1),
        (("--exec", CORRECT, "--domain", "signal", "--section", "NOSUCH"), 2),
        (("--target", "/tmp/torq-there-is-no-such.sock", "--domain", "signal"), 2),
        (("--exec", "torq-specimen correct --socket {socket}"), 2),
        (("--exec", CORRECT, "--domain", "signal", "--section", "FWD", "--time-budget", "0.001s"), 3),
    ],
    ids=["all hold", "one fails", "unknown section", "unreachable", "no domain", "no time"],
)
def test_exit_codes(tmp_path: Path, arguments: tuple[str, ...], code: int) -> None:
    done = conformance(tmp_path, "run", *arguments, "--seed", "3")
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_counterexample_replays_reproduced_and_fixed(tmp_path: Path) -> None:
    conformance(tmp_path, "run", "--exec", GENERIC, "--domain", "signal", "--section", "DOM-1", "--seed", "3")
    (file,) = (tmp_path / "torq-failures").glob("*/DOM-1-*.json")
    broken = conformance(tmp_path, "replay", str(file), "--exec", GENERIC)
    assert (broken.returncode, "REPRODUCED" in broken.stdout) == (1, True)
    fixed = conformance(tmp_path, "replay", str(file), "--exec", CORRECT)
    assert (fixed.returncode, "FIXED" in fixed.stdout) == (0, True)
    seldom = conformance(tmp_path, "replay", str(file), "--exec", CORRECT, "--runs", "1")
    assert (seldom.returncode, "NOT REPRODUCED" in seldom.stdout) == (3, True)
