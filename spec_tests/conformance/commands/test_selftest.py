"""The self-test as a user sees it: its sentence, its exit code, and nothing left of it when it is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from spec_tests.conformance.commands.running import run_command
from torq_conformance.commands import selftest as command_module
from torq_conformance.judging.selftest_cases import Case, Effort
from torq_conformance.judging.selftest_outcomes import Outcome, Selftest


def test_a_killed_mutant_is_told_with_each_seed_and_written_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "outcomes.json"
    shown = run_command(
        capsys, "selftest", "--only", "mutants", "--mutants", "drop-header-only", "--seed", "3", "--repeat", "2",
        "--json", str(file),
    )  # fmt: skip
    assert (shown.code, shown.err) == (0, "")
    lines = shown.out.splitlines()
    assert lines[0].startswith("1 relay, each 2 times, up to 100 programs a requirement, seed 3, ")
    assert sorted(line.rpartition(" ")[2] for line in lines if line.startswith("killed")) == ["3)", "4)"]
    assert lines[-2].startswith("1 of 1 mutant killed (100.0 %), in ")
    assert lines[-1] == "The verdicts of the suite can be trusted on this machine."
    written = msgspec.json.decode(file.read_bytes(), type=Selftest)
    assert [(each.killed_by, each.seed) for each in written.outcomes] == [("FWD-6", 3), ("FWD-6", 4)]


def judged(fault: Callable[[Outcome], Outcome]) -> Callable[..., Selftest]:
    """A self-test in which everything went well, but for what is made of each outcome."""

    def run(chosen: list[Case], effort: Effort, *, workers: int, told: Callable[[Outcome], None]) -> Selftest:
        outcomes = []
        for case in chosen:
            catches = case.mutant.catches if case.mutant else ()
            killed = {catches[0]: "lost"} if catches else {}
            good = Outcome(
                case.name,
                case.domain,
                not catches,
                catches,
                killed,
                next(iter(killed), ""),
                9,
                0.5,
                "",
                case.effort.seed,
            )
            outcomes.append(fault(good))
            told(outcomes[-1])
        return Selftest(effort.seed, effort.max_examples, workers, 2.0, tuple(outcomes))

    return run


def survives_once(outcome: Outcome) -> Outcome:
    return msgspec.structs.replace(outcome, killed_by="", failed={}) if outcome.seed == 8 else outcome


def accused(outcome: Outcome) -> Outcome:
    return msgspec.structs.replace(outcome, failed={"FWD-1": "lost"}) if outcome.good and outcome.seed == 8 else outcome


@pytest.mark.parametrize(
    ("fault", "arguments", "words", "again"),
    [
        (
            survives_once,
            ("--only", "mutants", "--mutants", "drop-header-only", "--repeat", "3"),
            "a relay with a known fault can pass (drop-header-only, killed 2 of 3)",
            "again: torq-conformance selftest --only mutants --mutants drop-header-only --seed 8 --workers 1",
        ),
        (
            accused,
            ("--only", "right", "--domain", "signal", "--repeat", "2"),
            "a right relay can fail (correct of signal, ",
            "again: torq-conformance selftest --only right --domain signal --seed 8 --workers 1",
        ),
    ],
)
def test_a_suite_that_misjudges_once_is_not_to_be_trusted(
    fault: Callable[[Outcome], Outcome],
    arguments: tuple[str, ...],
    words: str,
    again: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(command_module, "run_selftest", judged(fault))
    shown = run_command(capsys, "selftest", "--seed", "7", *arguments)
    assert shown.code == 1
    assert f"Do not trust the verdicts of the suite on this machine yet: {words}" in shown.out
    assert again in shown.out.splitlines()


def test_right_relays_alone_leave_no_mutant_to_choose(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run_command(capsys, "selftest", "--only", "right", "--mutants", "drop-header-only")
    assert shown.code == 2
    assert "leave out --mutants" in shown.err


def of_folder(folder: Path) -> list[str]:
    """The processes that were told to keep their files in a folder."""
    mark, found = f"TMPDIR={folder}\0".encode(), []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes() + b"\0":
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


def is_pending(pid: int, number: signal.Signals) -> bool:
    """Whether a process has not yet taken a signal that was sent to it."""
    status = Path(f"/proc/{pid}/status").read_text()
    (pending,) = (line.split()[1] for line in status.splitlines() if line.startswith("ShdPnd:"))
    return bool(int(pending, 16) >> (number - 1) & 1)


@pytest.mark.parametrize(("number", "times"), [(signal.SIGTERM, 1), (signal.SIGINT, 1), (signal.SIGINT, 3)])
def test_a_self_test_that_is_ended_leaves_no_relay_and_no_file(
    number: signal.Signals, times: int, tmp_path: Path
) -> None:
    words = ("selftest", "--only", "mutants", "--mutants", "drop-header-only", "--repeat", "500", "--workers", "2")
    process = subprocess.Popen(
        [sys.executable, "-m", "torq_conformance", *words],
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while not process.stdout.readline().startswith("killed"):
        assert process.poll() is None
    for _ in range(times):
        process.send_signal(number)
        while process.poll() is None and is_pending(process.pid, number):
            os.sched_yield()  # a second one before the first is taken would be the same
    _, complaints = process.communicate(timeout=60)
    assert process.returncode == 128 + number, complaints
    assert "Traceback" not in complaints
    assert of_folder(tmp_path) == []
    assert list(tmp_path.iterdir()) == []
