"""A comparison as a user sees it: what it writes as it goes, what is left when it is interrupted, and its options."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import msgspec
import pytest

from spec_tests.conformance import shown_comparisons as shown
from spec_tests.conformance.commands.running import Outcome, run_command
from spec_tests.conformance.judged_relays import specimen
from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.commands import diff as diff_module
from torq_conformance.comparison.arms import refused_by_either
from torq_conformance.comparison.evidence.keeper import DifferenceKeeper
from torq_conformance.comparison.found import TopicResult
from torq_conformance.errors import ImpededError, TargetError
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Connect
from torq_conformance.replay.difference import load_difference

CORRECT = specimen("correct", "signal")
CLOSING = specimen("correct", "signal", "--mutant", "half-close-closes")
BOTH = ("--exec-a", CORRECT, "--exec-b", CLOSING, "--domain", "signal", "--seed", "1")
FORMS = {"json": "r.json", "junit": "r.xml", "html": "r.html", "markdown": "r.md", "badge": "b.json"}


def words(folder: Path) -> list[str]:
    """The options that write everything that a comparison can write into a folder."""
    given = [word for form, name in FORMS.items() for word in ("--report", f"{form}:{folder / name}")]
    return [*given, "--json", str(folder / "j.json"), "--failures", str(folder / "f")]


def check_whole(folder: Path) -> dict[str, object]:
    """Every report reads; the JSON report."""
    report: dict[str, object] = json.loads((folder / "r.json").read_text("utf-8"))
    ElementTree.parse(folder / "r.xml")
    assert "</html>" in (folder / "r.html").read_text("utf-8")
    assert str(report["verdict"]).partition(";")[0].partition(" (")[0] in (folder / "r.md").read_text("utf-8")
    return report


class Stopped:
    """Shows a difference in situations, and then ends by an error in its second topic."""

    def __init__(self, error: BaseException) -> None:
        self._error = error
        self.strictest = refused_by_either("signal")
        self.results: list[TopicResult] = []

    def __call__(self, *_: object) -> Stopped:
        return self

    def glance(self, *_: object) -> None:
        """A glance shows nothing."""

    def meet(self, _: object, told: Callable[[TopicResult], None]) -> None:
        self.results.append(TopicResult("situations", found=[shown.closed()]))
        told(self.results[0])

    def run(self, *_: object) -> None:
        self.results.append(TopicResult("CONN-3", found=[shown.lost()]))
        raise self._error


def stopped(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    arm = SimpleNamespace(rules=rules_of("signal"))
    monkeypatch.setattr(diff_module, "Arm", lambda *_, **__: arm)
    monkeypatch.setattr(diff_module, "Differential", Stopped(error))


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (KeyboardInterrupt(), 130, "interrupted by Ctrl-C"),
        (TargetError("cannot connect to unix:/gone"), 2, "cannot connect to unix:/gone"),
        (ImpededError("the suite lacks memory"), 1, "the suite lacks memory"),
        (ZeroDivisionError("oops"), 2, "an error of the suite: ZeroDivisionError: oops"),
    ],
    ids=["interrupted", "target gone", "impeded", "error of the suite"],
)
def test_a_comparison_that_ends_early_has_written_all_it_knew(
    error: BaseException,
    code: int,
    reason: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stopped(monkeypatch, error)
    came = run_command(capsys, "diff", *BOTH, *words(tmp_path))
    assert came.code == code
    assert f"INCOMPLETE ({reason}) at level exact: 2 DIFFERENT so far" in came.out
    report = check_whole(tmp_path)
    assert (report["state"], report["stop_reason"], report["exit_code"]) == ("incomplete", reason, code)
    assert json.loads((tmp_path / "j.json").read_text("utf-8")) == report
    left_out = report["not_compared"]
    assert isinstance(left_out, dict)
    assert left_out["CONN-3"] == left_out["ISO-2 (fixed check)"] == reason
    assert "situations" not in left_out
    names = {load_difference(path).id for path in (tmp_path / "f").glob("*/*.json")}
    assert names == {"closes:half-closed", "loses:plain"}


def test_reports_stand_as_soon_as_something_is_found(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a SIGKILL in the second topic would leave."""
    before: dict[str, object] = {}

    class Looking(Stopped):
        def run(self, *_: object) -> None:
            before.update(check_whole(tmp_path), files=len(list((tmp_path / "f").glob("*/*.json"))))
            super().run()

    stopped(monkeypatch, KeyboardInterrupt())
    monkeypatch.setattr(diff_module, "Differential", Looking(KeyboardInterrupt()))
    run_command(capsys, "diff", *BOTH, *words(tmp_path))
    assert (before["state"], before["exit_code"], before["files"]) == ("incomplete", None, 1)
    assert "1 DIFFERENT so far" in str(before["verdict"])


def test_a_signal_leaves_whole_reports_that_say_incomplete(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torq_conformance", "diff", *BOTH, "--level", "well-formed", *words(tmp_path)]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PATH": path},
        cwd=tmp_path,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if line.startswith("reports"):
                break
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, errors) == (143, "")
    assert check_whole(tmp_path)["stop_reason"] == "ended by SIGTERM"


def test_a_difference_is_found_reported_replayed_and_gone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From two binaries to a gate, with the lines that the reports give."""
    came = run_command(
        capsys, "diff", *BOTH, "--level", "well-formed", "--max-examples", "3", "--time-budget", "12s",
        *words(tmp_path),
    )  # fmt: skip
    assert came.code == 1
    report = check_whole(tmp_path)
    assert (report["state"], report["exit_code"]) == ("complete", 1)
    [line] = [line.split(maxsplit=1)[1] for line in came.out.splitlines() if line.startswith("     replay ")]
    assert line in (tmp_path / "r.xml").read_text("utf-8").replace("&quot;", '"')
    [file] = (tmp_path / "f").glob("*/closes-half-closed-signal.json")
    assert f"torq-conformance replay {file} --exec-a '{CORRECT}' --exec-b '{CLOSING}'" == line

    def again(b: str, *more: str) -> Outcome:
        return run_command(capsys, "replay", str(file), "--exec-a", CORRECT, "--exec-b", b, *more)

    still = again(CLOSING)
    assert still.code == 1
    assert "DIFFERENT: closes:half-closed: it shows in 10 of 10 runs, on the copy of relay A in 0" in still.out
    assert "closed (end of stream)" in still.out
    gone = again(CORRECT)
    assert gone.code == 0
    assert "GONE: closes:half-closed: relay B does as relay A in 10 of 10 runs" in gone.out
    rarely = again(CORRECT, "--runs", "2")
    assert rarely.code == 3
    assert "NOT SHOWN" in rarely.out
    script = tmp_path / "difference.py"
    assert run_command(capsys, "replay", str(file), "--script", str(script)).code == 0
    for b, code, said in ((CLOSING, 1, "DIFFERENT"), (CORRECT, 0, "GONE"), ("false {socket}", 2, "")):
        done = subprocess.run(
            (sys.executable, "-S", "-E", "-I", script.name, "--exec-a", _whole(CORRECT), "--exec-b", _whole(b)),
            cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stdout.partition(" ")[0]) == (code, said), done.stdout + done.stderr


def _whole(command: str) -> str:
    """The command with the path of its program, for a script that runs in an environment of its own."""
    return command.replace("torq-specimen", str(Path(sys.executable).with_name("torq-specimen")))


def test_the_difference_of_a_fixed_check_is_replayed_by_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keeper = DifferenceKeeper(tmp_path, "old {socket}", "new {socket}", "market_data", 1)
    keeper.keep(shown.course())
    file = keeper.path("breaks:CONN-2-stolen")
    correct, legacy = specimen("correct", "market_data"), specimen("legacy-market-data", "market_data")
    for b, code, said in ((legacy, 1, "DIFFERENT: breaks:CONN-2-stolen: it shows in 2 of 2 runs, on relay A in 0"),
                          (correct, 3, "NOT SHOWN")):  # fmt: skip
        came = run_command(capsys, "replay", str(file), "--exec-a", correct, "--exec-b", b, "--runs", "2")
        assert came.code == code
        assert said in came.out
    script = run_command(capsys, "replay", str(file), "--script", str(tmp_path / "s.py"))
    assert script.code == 2
    assert "found by a fixed check" in script.err


FOUND = "closes:half-closed"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("diff", "--domain", "signal"), "--exec-b or --target-b is missing"),
        (("diff", "--domain", "signal", "--exec-b", "relay"), "--exec-b 'relay': write {socket}"),
        (("diff", "--domain", "signal", "--exec-b", "x {socket}", "--target-b", "y"), "give --target-b"),
        (("diff", "--domain", "signal", "--exec-b", "x {socket}", "--exec-a", "x"), "--exec-a 'x': write {socket}"),
        (("diff", *BOTH, "--json", "/no/where/j.json"), "there is no folder /no/where"),
        (("diff", *BOTH, "--report", "html:/no/where/r.html"), "cannot write the report /no/where/r.html"),
        (("diff", *BOTH, "--report", "pdf:r.pdf"), "one of the formats json, junit, html, markdown, badge"),
        (("diff", *BOTH, "--update-accepted", "--accepted", "l.toml", "--fail-fast"), "leave out --fail-fast"),
        (("diff", *BOTH, "--failures", "/no/where/f"), "there is no folder to make it in"),
        (("replay", FOUND, "--exec-a", CORRECT), "--exec-b or --target-b is missing"),
        (("replay", FOUND, "--exec-b", CORRECT), "--exec-a or --target-a is missing: say which relay is A (recorded"),
        (("replay", FOUND, "--exec", CORRECT), "is a difference of two relays: name them by --exec-a and --exec-b"),
    ],
)
def test_a_wrong_or_missing_option_is_named(
    arguments: tuple[str, ...], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keeper = DifferenceKeeper(tmp_path, "old {socket}", "new {socket}", "signal", 1)
    keeper.keep(shown.course(shown.closed()))
    given = [str(keeper.path(FOUND)) if word == FOUND else word for word in arguments]
    if "--failures" not in given and given[0] == "diff":
        given += ["--failures", str(tmp_path / "f")]
    came = run_command(capsys, *given)
    assert came.code == 2
    assert words in " ".join(came.err.split())
    assert "DIFFERENT" not in came.out


def test_an_accepted_program_of_another_domain_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "program.json").write_bytes(msgspec.json.encode(Program("execution", (Connect(0),))))
    accepted = tmp_path / "accepted.toml"
    accepted.write_text("[[difference]]\nid = 'loses:cut'\nreason = 'x'\nprogram = 'program.json'\n")
    came = run_command(capsys, "diff", *BOTH, "--accepted", str(accepted))
    assert came.code == 2
    assert "its program is for execution, not for signal" in " ".join(came.err.split())
