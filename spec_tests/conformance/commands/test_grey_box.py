"""``--coverage`` from the command line: what is wrong with it ends in one line, what it shows is in every report."""

import json
import sys
from importlib.resources import files
from pathlib import Path

import pytest

from spec_tests.conformance.commands.running import run_command
from spec_tests.conformance.grey_box.boxes import HIDDEN_FAULT, HIDDEN_FAULT_COMMAND
from torq_conformance.play.naming import target_for

RELAY = ("--exec", HIDDEN_FAULT_COMMAND, "--domain", "signal", "--section", "FWD-6", "--workers", "1")
ISOLATED = f"{sys.executable} -I -m torq_conformance.specimens correct --socket {{socket}}"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--target", "/tmp/none.sock", "--coverage", "python"), "needs a relay that the suite starts: give --exec"),
        (("--target", "/tmp/none.sock", "--coverage", "map"), "with CONFORMANCE_COVERAGE_MAP in their environment"),
        (("--coverage", "lines"), "write python, map, gcov"),
        (("--coverage-of", "."), "give that too"),
        (("--coverage-of", "/no/such/file", "--coverage", "python"), "does not exist"),
        (("--exec", ISOLATED, "--coverage", "python"), "-I, -E and -S keep it from looking at PYTHONPATH"),
        (("--exec", ISOLATED, "--coverage", "map"), "build it with sanitizer coverage and link torq_coverage.c"),
        (("--exec", ISOLATED, "--coverage", "gcov"), "the relay wrote no .gcda file at its end; build it with"),
    ],
)
def test_what_is_wrong_is_told_before_any_verdict(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = run_command(capsys, "run", "--domain", "signal", "--section", "FWD-6", *arguments)
    assert shown.code == 2
    assert words in " ".join(shown.err.split())
    assert "PASS" not in shown.out


def test_without_gcov_it_says_where_to_put_it(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GCOV", "no-such-gcov")
    shown = run_command(capsys, "run", *RELAY, "--coverage", "gcov")
    assert shown.code == 2
    assert "name it in the environment variable GCOV" in shown.err


def test_a_run_says_what_was_never_reached_on_its_screen_and_in_its_reports(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    formats = ("json", "junit", "html", "markdown")
    reports = [word for each in formats for word in ("--report", f"{each}:report.{each}")]
    shown = run_command(
        capsys,
        "run",
        *RELAY,
        "--coverage",
        "python",
        "--coverage-of",
        str(HIDDEN_FAULT),
        "--max-examples",
        "1",
        *reports,
    )
    assert shown.code == 0
    lines = shown.out.splitlines()
    (figures,) = (line for line in lines if line.startswith("reached: relay's code (python): "))
    assert " branches, " in figures
    assert " of 17 lines reached; 0 of these by explored programs only; " in figures
    assert sum(line.startswith("never reached: ") for line in lines) == 1
    (reached,) = json.loads(Path("report.json").read_text())["reached"]
    assert {23, 24} <= set(reached["never"][0]["lines"])
    for each in formats:
        assert "hidden_fault.py" in Path(f"report.{each}").read_text()
    assert f"--coverage python --coverage-of {HIDDEN_FAULT}" in json.loads(Path("report.json").read_text())["command"]


def test_a_relay_that_runs_already_may_give_its_map(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = tmp_path / "map"
    given.write_bytes(bytes(1 << 16))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CONFORMANCE_COVERAGE_MAP", str(given))
    words = ("--domain", "signal", "--section", "FWD-6", "--coverage", "map", "--max-examples", "1")
    with target_for(None, "torq-specimen correct --socket {socket}", "signal") as target:
        silent = run_command(capsys, "run", "--target", str(target.address), *words)
        given.write_bytes(b"\1" * 3 + bytes((1 << 16) - 3))
        told = run_command(capsys, "run", "--target", str(target.address), *words)
    assert (silent.code, told.code) == (2, 0)
    assert "reached: relay's code (map): 3 edges reached" in told.out


def test_the_file_of_c_is_printed_whole(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run_command(capsys, "coverage-runtime")
    assert shown.code == 0
    assert shown.out == files("torq_conformance.grey_box").joinpath("torq_coverage.c").read_text()
