"""The command as a process: its exit codes are part of its interface."""

import json
import os
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


RUN = (
    "run",
    "--exec",
    CORRECT,
    "--domain",
    "signal",
    "--section",
    "FWD-6",
    "--max-examples",
    "3",
    "--report",
    "json:r",
)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [("explain", "FWD-1"), ("run", "--list"), ("--help",), RUN], ids=" ".join)
def test_output_that_nobody_takes_is_no_verdict(tmp_path: Path, arguments: tuple[str, ...], unbuffered: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed, open("/dev/full", "wb") as full:
        for output in (closed, full):
            done = subprocess.run(
                (sys.executable, "-m", "torq_conformance", *arguments),
                cwd=tmp_path, env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
                stdout=output, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
            )  # fmt: skip
            assert done.returncode == 2, done.stderr
            (line,) = done.stderr.splitlines()
            assert line.startswith(("torq-conformance: standard output: ", "torq-conformance: cannot write: "))
            if arguments is RUN:
                report = json.loads((tmp_path / "r").read_text("utf-8"))
                assert (report["state"], report["exit_code"]) == ("incomplete", 2)


@pytest.mark.parametrize("closed", ["1", "2", "1 and 2"])
def test_a_verdict_needs_no_standard_streams(tmp_path: Path, closed: str) -> None:
    words = (sys.executable, "-m", "torq_conformance", *RUN)
    streams = " ".join(f"{number}>&-" for number in closed.split(" and "))
    done = subprocess.run(
        ("sh", "-c", f'"$@" {streams}', "sh", *words), cwd=tmp_path, stdout=subprocess.PIPE, timeout=60, check=False
    )
    assert done.returncode == 0
    assert json.loads((tmp_path / "r").read_text("utf-8"))["state"] == "complete"


def test_errors_that_nobody_hears_do_not_change_the_exit_code(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as closed:
        for arguments, code in ((("run", "--section", "NOSUCH"), 2), (("explain", "FWD-1"), 0), (("nonsense",), 2)):
            command = (sys.executable, "-m", "torq_conformance", *arguments)
            done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=closed, timeout=60, check=False)
            assert done.returncode == code, arguments


def test_a_report_takes_the_place_of_no_device_and_no_link(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("real")
    refused = conformance(tmp_path, *RUN[:-1], "json:pipe")
    assert (refused.returncode, "pipe: it is no regular file" in refused.stderr) == (2, True)
    assert (tmp_path / "pipe").is_fifo()
    written = conformance(tmp_path, *RUN[:-1], "json:link")
    assert written.returncode == 0, written.stderr
    assert (tmp_path / "link").is_symlink()
    assert json.loads((tmp_path / "real").read_text("utf-8"))["state"] == "complete"
