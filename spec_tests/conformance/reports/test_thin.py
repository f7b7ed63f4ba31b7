"""What is thin: a PASS that rests on little is told from one that does not, in the same words everywhere."""

import json
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from spec_tests.conformance import shown_comparisons, shown_runs
from spec_tests.conformance.commands.running import run_command
from torq_conformance.checks import CHECKS
from torq_conformance.comparison.evidence.html import page as comparison_page
from torq_conformance.comparison.evidence.junit import junit as comparison_junit
from torq_conformance.comparison.evidence.report import Ending
from torq_conformance.comparison.evidence.report import build as build_comparison
from torq_conformance.comparison.evidence.screens import tell
from torq_conformance.comparison.found import TopicResult
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.judging.verdict import Result, Verdict
from torq_conformance.model.requirements import requirements
from torq_conformance.reports.html import page
from torq_conformance.reports.junit import junit
from torq_conformance.reports.markdown import markdown
from torq_conformance.reports.matrix import matrix_html, matrix_markdown
from torq_conformance.reports.model import THIN_PASS
from torq_conformance.reports.narrate import upper_bound
from torq_conformance.reports.terminal import show_last_screen, verdict_line
from torq_conformance.reports.thin import THIN_RATE, rules_out_little, thin, word_of

FEW = 2


def holds(requirement: str, programs: int) -> Result:
    evidence = shown_runs.thorough(requirement, programs)
    return Result(requirements()[requirement], Verdict.PASS, exercised=programs, evidence=evidence)


@given(programs=st.integers(0, 10_000))
def test_programs_that_leave_a_great_rate_possible_rule_out_little(programs: int) -> None:
    assert rules_out_little(programs) is (upper_bound(programs) > THIN_RATE)
    assert rules_out_little(programs) is (programs <= 10)


@pytest.mark.parametrize("requirement", SCENARIOS)
def test_few_programs_are_thin_whatever_they_used_and_many_that_used_everything_are_not(requirement: str) -> None:
    (only,) = thin(holds(requirement, FEW))
    assert only.words == "programs that exercise it: 2 in 2 programs"
    assert word_of(holds(requirement, FEW)) == THIN_PASS
    assert word_of(holds(requirement, 11)) == "PASS"


def test_no_case_is_counted_more_often_than_there_are_programs() -> None:
    result = holds("ISO-4", FEW)
    result.exercised = 3  # a situation was about it as well
    (only,) = thin(result)
    assert only.words == "programs that exercise it: 3 in 3 programs"


@pytest.mark.parametrize("requirement", CHECKS)
def test_a_fixed_check_is_never_thin(requirement: str) -> None:
    assert word_of(holds(requirement, 1)) == "PASS"


def test_every_report_and_screen_says_that_a_pass_is_thin(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few = holds("ISO-2", FEW)
    report = shown_runs.report(shown=[few, holds("FWD-2", 100)])
    assert verdict_line(few).plain.startswith("THIN PASS       ISO-2    0 of 2 programs fail (below 78 %")
    assert verdict_line(few).spans[0].style == "yellow"
    out = Console(width=200)
    with out.capture() as captured:
        show_last_screen(out, [few, holds("FWD-2", 100)], report, lambda _: ("again", ""))
    assert "1 THIN PASS  1 PASS  " in captured.get()
    assert "thin: ISO-2 (programs that exercise it: 2 in 2 programs)" in captured.get()
    assert "2 hold (1 thin)" in report.conclusion
    assert report.verdict_line == "1 THIN PASS, 1 PASS"

    shown = page(report)
    assert '<a class="cell thin-pass" href="#ISO-2-row"' in shown
    assert '<a class="cell pass" href="#FWD-2-row"' in shown
    assert '<span class="verdict thin-pass">THIN PASS</span>' in shown
    assert "| 🟡 | ISO-2 | MUST | THIN PASS | 0 of 2 programs fail" in markdown(report)
    assert "| ✅ | FWD-2 | MUST | PASS |" in markdown(report)
    assert '<property name="thin" value="programs that exercise it: 2 in 2 programs" />' in junit(report).decode()
    told = {
        each["id"]: (each["verdict"], each["thin"]) for each in json.loads(msgspec.json.encode(report))["judgements"]
    }
    few_programs = {"name": "programs that exercise it", "count": 2, "programs": 2}
    assert told == {"ISO-2": ("PASS", [few_programs]), "FWD-2": ("PASS", [])}

    assert "| ISO-2 | MUST | " in matrix_markdown([report])
    assert matrix_markdown([report]).count("| 🟡 |") == 1
    assert '<span class="verdict thin-pass">THIN PASS</span></td>' in matrix_html([report])
    unknown = Result(requirements()["ISO-2"], Verdict.UNKNOWN, "why")
    files = []
    for name, each in (("old", shown_runs.report(shown=[unknown])), ("new", report)):
        files.append(str(tmp_path / f"{name}.json"))
        Path(files[-1]).write_bytes(msgspec.json.encode(each))
    assert "UNKNOWN -> THIN PASS" in run_command(capsys, "compare", *files).out


def topic(programs: int) -> TopicResult:
    result = TopicResult("ISO-2")
    result.evidence["programs"] = programs
    return result


@pytest.mark.parametrize(("programs", "word"), [(FEW, "THIN SAME"), (11, "SAME")])
def test_a_comparison_says_of_few_programs_without_a_difference_that_they_are_few(programs: int, word: str) -> None:
    out = Console(width=200)
    with out.capture() as captured:
        tell(out, topic(programs))
    assert captured.get().startswith(f"{word:<12}ISO-2")
    course = shown_comparisons.course()
    course.topics = [topic(programs)]
    report = build_comparison(shown_comparisons.setting(), course, Ending(1.0))
    shown = next(each for each in report.compared if each.name == "ISO-2")
    assert shown.thin is (word == "THIN SAME")
    assert f'<span class="verdict {word.lower().replace(" ", "-")}">{word}</span></td>' in comparison_page(report)
    assert ('<property name="thin"' in comparison_junit(report).decode()) is shown.thin
