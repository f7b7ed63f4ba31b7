"""A run as a user sees it: its screens, its reports, and what is left when it is interrupted or killed."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest

from spec_tests.conformance import shown_runs
from spec_tests.conformance.commands.running import run_command
from spec_tests.conformance.judged_relays import specimen
from torq_conformance.cli import TRACEBACK_VARIABLE
from torq_conformance.commands import run as run_module
from torq_conformance.commands.run import exit_code
from torq_conformance.errors import TargetError
from torq_conformance.grey_box.feedback import MAP
from torq_conformance.judging.plan import Observer, Plan
from torq_conformance.judging.verdict import Result
from torq_conformance.model.requirements import requirements
from torq_conformance.play.target import Target
from torq_conformance.reports.model import load_report

GENERIC = specimen("first-generic", "signal")
CORRECT = specimen("correct", "signal")
ALL = ("json:r.json", "junit:r.xml", "html:r.html", "markdown:r.md")


def reports(folder: Path) -> list[str]:
    return [word for each in ALL for word in ("--report", each.replace(":", f":{folder}/"))]


def check_whole(folder: Path) -> None:
    """Every file is whole, whenever it was written."""
    assert (folder / "r.html").read_text("utf-8").endswith("</html>\n")
    assert ElementTree.parse(folder / "r.xml").getroot().tag == "testsuites"
    assert (folder / "r.md").read_text("utf-8").startswith("# Conformance of")
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


def test_a_run_shows_what_it_does_and_what_failed_in_plain_lines(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = run_command(
        capsys, "--exec", GENERIC, "--domain", "signal", "--section", "FRAME-1,FWD-6", "--seed", "3", "--max-examples",
        "12", "--shrink-budget", "60s", "--failures", str(tmp_path / "failures"), *reports(tmp_path),
    )  # fmt: skip
    assert shown.code == 1, shown.err
    lines = shown.out.splitlines()
    assert lines[0] == f"target    {GENERIC}"
    assert "judging   2 requirements: FWD-6 FRAME-1" in lines
    assert any(line.startswith("FAIL            FRAME-1  a program of 2 steps fails") for line in lines)
    assert any("relay" in line and line.split() == ["A", "relay"] for line in lines)
    file = tmp_path / "failures" / "torq-specimen-first-generic-signal" / "FRAME-1-signal-reference.json"
    assert f"     replay     torq-conformance replay {file} --exec '{GENERIC}'" in lines
    assert lines[-2] == "next: torq-conformance explain FRAME-1"
    binding = [each for each in requirements().values() if each.binds("signal")]
    left_out = Counter(each.level for each in binding if each.id not in ("FRAME-1", "FWD-6"))
    assert lines[-1] == (
        f"FAIL: of 2 MUST 1 holds, 1 fails, 0 could not be judged; {left_out['MUST']} MUST and "
        f"{left_out['SHOULD']} SHOULD left out of the run; "
        "exit code 1: something fails or is flaky."
    )
    assert "\x1b" not in shown.out
    check_whole(tmp_path)
    report = load_report(tmp_path / "r.json")
    assert report.conclusion == lines[-1]
    assert (report.state, report.exit_code, report.counts) == ("complete", 1, {"PASS": 1, "FAIL": 1})
    failure = report.by_id()["FRAME-1"].failure
    assert failure is not None
    assert failure.program == msgspec.convert(json.loads(file.read_text("utf-8"))["program"], type(failure.program))


class Stopped:
    """What the runner is told to do instead of judging: report two verdicts and a first failure, then end badly."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def __call__(self, plan: Plan, target: Target, observer: Observer) -> list[Result]:
        first, second, *_ = shown_runs.results()
        for result in (first, second):
            observer.started(result.requirement)
            observer.finished(result)
        observer.started(shown_runs.results()[3].requirement)
        found = shown_runs.two_orders()
        found.failures = found.runs = 0
        observer.failed(found)
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyboardInterrupt(), 130, "interrupted by Ctrl-C"),
        (TargetError("cannot connect to unix:/gone"), 2, "cannot connect to unix:/gone"),
        (ZeroDivisionError("oops"), 2, "an error of the suite: ZeroDivisionError: oops"),
    ],
    ids=["interrupted", "target gone", "error of the suite"],
)
def test_a_run_that_ends_early_has_written_all_it_knew(
    error: BaseException,
    code: int,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_module, "judge_all", Stopped(error))
    shown = run_command(
        capsys, "--exec", CORRECT, "--domain", "signal", "--failures", str(tmp_path / "f"), "--section",
        "FWD-1,FWD-2,ORD-2,DOM-5", *reports(tmp_path),
    )  # fmt: skip
    assert shown.code == code
    assert f"INCOMPLETE: {words}; 2 of 4 requirements were judged" in shown.out
    check_whole(tmp_path)
    report = load_report(tmp_path / "r.json")
    assert (report.state, report.stop_reason, report.exit_code) == ("incomplete", words, code)
    verdicts = {name: judgement.verdict for name, judgement in report.by_id().items()}
    assert verdicts == {"FWD-1": "FAIL", "FWD-2": "PASS", "ORD-2": "FAIL", "DOM-5": "UNKNOWN"}
    unconfirmed = report.by_id()["ORD-2"].failure
    assert unconfirmed is not None
    assert unconfirmed.rate == "seen once, not confirmed"
    assert (tmp_path / "f" / "torq-specimen-correct-signal" / "ORD-2-signal-reference.json").exists()


def test_a_marathon_that_is_interrupted_has_told_its_legs_and_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def go_on(seconds: str, *more: str) -> tuple[int, list[str]]:
        shown = run_command(
            capsys, "--exec", CORRECT, "--domain", "signal", "--section", "FWD-6", "--marathon", seconds, "--state",
            str(tmp_path / "state.json"), "--failures", str(tmp_path / "f"), *more,
        )  # fmt: skip
        assert "Traceback" not in shown.err
        return shown.code, shown.out.splitlines()

    code, lines = go_on("3s", *reports(tmp_path))
    assert code == 0
    assert any(re.match(r"marathon        1 leg in \d+ s of 3 s, \d+ situations?, ", line) for line in lines)
    assert any(line.startswith("PASS            FWD-6") for line in lines)
    first = load_report(tmp_path / "r.json")

    def stopped(*_: object) -> list[Result]:
        raise KeyboardInterrupt

    monkeypatch.setattr(run_module, "judge_all", stopped)
    code, lines = go_on("600s", *reports(tmp_path))
    assert code == 130
    assert any(re.match(r"marathon        goes on: \d legs? in ", line) for line in lines)
    assert any(line.startswith("PASS            FWD-6") for line in lines)
    words = "interrupted by Ctrl-C; the same command goes on behind the last whole leg of the marathon"
    assert f"INCOMPLETE: {words}; 1 of 1 requirement was judged" in "\n".join(lines)
    again = load_report(tmp_path / "r.json")
    assert (again.seed, again.coverage, again.counts) == (first.seed, first.coverage, {"PASS": 1})
    assert f"--marathon 600s --state {tmp_path}/state.json" in again.command
    (tmp_path / "state.json").write_text("{}")
    code, _ = go_on("600s")
    assert code == 2


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 143), (signal.SIGKILL, -9)],
    ids=["int", "term", "hup", "kill"],
)
def test_a_signal_leaves_whole_reports_that_say_incomplete_and_no_relay(
    number: signal.Signals, code: int, workers: str, tmp_path: Path
) -> None:
    pid_file = tmp_path / "pid"
    command = f"sh -c 'echo $$ >> {pid_file}; exec torq-specimen correct --domain signal --socket {{socket}}'"
    process = subprocess.Popen(
        [sys.executable, "-m", "torq_conformance", "--exec", command, "--domain", "signal", "--section", "FWD",
         "--max-examples", "20", "--seed", "1", "--workers", workers, "--failures", str(tmp_path / "f"),
         *reports(tmp_path)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("PASS"):
                break
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
        assert process.returncode == code, errors
        assert "Traceback" not in errors
        check_whole(tmp_path)
        report = load_report(tmp_path / "r.json")
        assert report.state == "incomplete"
        assert report.counts["PASS"] >= 1
        if number != signal.SIGKILL:
            for relay in pid_file.read_text("utf-8").split():
                with pytest.raises(ProcessLookupError):
                    os.kill(int(relay), 0)
    finally:
        process.kill()
        process.communicate()
        if number == signal.SIGKILL:
            for relay in pid_file.read_text("utf-8").split():
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(int(relay), signal.SIGKILL)


def test_exit_codes_follow_from_the_verdicts() -> None:
    by_id = {result.requirement.id: result for result in shown_runs.results()}
    assert exit_code(list(by_id.values())) == 1
    assert exit_code([by_id["FWD-2"], by_id["DOM-5"]]) == 3
    assert exit_code([by_id["FWD-2"], by_id["FRAME-5"]]) == 0
    assert exit_code([by_id["ORD-2"], by_id["DOM-5"]]) == 1
    assert exit_code([by_id["FRAME-5"]]) == 3


def test_a_command_with_domain_in_it_starts_a_relay_of_the_domain(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run_command(
        capsys, "--exec", "{domain}_relay --socket {socket}", "--domain", "execution", "--section", "DOM-5,FWD-6",
        "--max-examples", "3",
    )  # fmt: skip
    assert (shown.code, shown.err) == (0, "")
    assert re.findall(r"^(THIN PASS|PASS) +(\S+-\d+)", shown.out, re.MULTILINE) == [
        ("THIN PASS", "FWD-6"), ("PASS", "DOM-5"),
    ]  # fmt: skip


def test_the_help_names_every_variable_that_the_suite_reads(capsys: pytest.CaptureFixture[str]) -> None:
    shown = run_command(capsys, "run", "--help").out
    package = Path(run_module.__file__).resolve().parents[1]
    reading = re.compile(r"(?:environ(?:\.get)?|getenv)[\[(]([\w\"']+)")
    sources = [
        path.read_text("utf-8") for path in package.rglob("*.py") if path.name != "python_hook.py"
    ]  # the relay's
    names = {name for text in sources for name in reading.findall(text)}
    constants = {"TRACEBACK_VARIABLE": TRACEBACK_VARIABLE, "MAP": MAP}
    assert names, "the pattern finds nothing"
    for name in names:
        assert constants.get(name, name.strip("\"'")) in shown


@pytest.mark.parametrize(
    ("given", "coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)]
)
def test_the_variables_for_colours_do_what_the_help_says(given: dict[str, str], coloured: bool) -> None:
    plain = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "NO_COLOR")}
    done = subprocess.run(
        [sys.executable, "-m", "torq_conformance", "--exec", CORRECT, "--domain", "signal", "--section", "VAL-7"],
        env=plain | given, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    assert bool(re.search(r"\x1b\[(?:\d+;)*3\d", done.stdout)) is coloured


def test_sockets_and_output_of_a_relay_are_put_where_tmpdir_says(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="t") as folder:
        command = f"sh -c 'echo {{socket}} >> {tmp_path}/paths; exec torq-specimen correct --socket {{socket}}'"
        done = subprocess.run(
            [sys.executable, "-m", "torq_conformance", "--exec", command, "--domain", "signal", "--section", "FWD-6",
             "--max-examples", "1", "--failures", str(tmp_path / "f")],
            env=os.environ | {"TMPDIR": folder, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        used = (tmp_path / "paths").read_text("utf-8").split()
        assert used
        assert all(path.startswith(folder) for path in used)
        assert list(Path(folder).iterdir()) == []


@pytest.mark.parametrize(("more", "code", "verdict"), [(("--mutant", "drop-header-only"), 1, "FAIL"), ((), 2, "PASS")])
def test_a_report_that_cannot_be_written_hides_no_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], code: int, verdict: str
) -> None:
    folder, script = tmp_path / "reports", tmp_path / "relay.sh"
    folder.mkdir()
    command = specimen("correct", "signal", *more).replace("{socket}", "$1")
    script.write_text(f"rm -rf {folder}\nexec {Path(sys.executable).parent}/{command}\n")
    shown = run_command(
        capsys, "--exec", f"sh {script} {{socket}}", "--domain", "signal", "--section", "FWD-6", "--max-examples", "5",
        "--workers", "1", "--report", f"json:{folder}/report.json", "--failures", str(tmp_path / "failures"),
    )  # fmt: skip
    assert f"{verdict} " in shown.out
    assert shown.err.count("cannot write") == 1
    assert f"{folder}/report.json" in shown.err
    assert shown.code == code


def test_takeovers_are_judged_where_the_suite_is_told_how_a_successor_is_started(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ["--domain", "signal", "--section", "LIFE-3", "--max-examples", "1", "--seed", "1", "--workers", "1"]
    words += ["--failures", str(tmp_path / "failures")]
    left_out = run_command(capsys, "--exec", CORRECT, *words)
    assert "needs a command that starts a successor (--exec-successor 'CMD {socket}'" in left_out.out
    held = run_command(capsys, "--exec", CORRECT, "--exec-successor", "{command} --takeover", *words)
    assert (held.code, "PASS" in held.out) == (0, True), held.out
    by_profile = run_command(capsys, "--exec", CORRECT, "--profile", "specimen", *words)
    assert (by_profile.code, "PASS" in by_profile.out) == (0, True), by_profile.out


def test_a_failing_takeover_is_replayed_by_the_line_that_the_run_ends_with(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    broken = f"{CORRECT} --mutant takeover-forgets-partial"
    found = run_command(
        capsys,
        *("--exec", broken, "--exec-successor", "{command} --takeover", "--domain", "signal", "--section", "LIFE-3"),
        *("--max-examples", "1", "--seed", "1", "--workers", "1", "--failures", str(tmp_path)),
    )
    assert found.code == 1
    assert "a successor is started and takes over" in found.out
    line = re.search(r"replay +torq-conformance (replay .*)", found.out)
    assert line
    assert "--exec-successor '{command} --takeover'" in line[1]
    again = run_command(capsys, *shlex.split(line[1]), "--runs", "2")
    assert "REPRODUCED: 2 of 2 runs fail" in again.out
    file = next(tmp_path.rglob("LIFE-3-*.json"))
    recorded = run_command(capsys, "replay", str(file), "--exec", CORRECT, "--runs", "1")
    assert "NOT REPRODUCED: 1 run passes" in recorded.out


def test_a_relay_that_runs_already_has_no_successor(capsys: pytest.CaptureFixture[str]) -> None:
    refused = run_command(capsys, "--target", "/tmp/none/signal.sock", "--exec-successor", "next {socket}")
    assert refused.code == 2
    assert "--exec-successor takes over from a relay that the suite has started: give --exec" in refused.err
