"""The one sentence: every requirement is counted once, and it says no more than the verdicts do."""

import re
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from spec_tests.conformance import shown_runs
from torq_conformance.commands.run import exit_code
from torq_conformance.exits import Exit
from torq_conformance.judging.expected import Problem
from torq_conformance.judging.verdict import Lack, Meeting, Result, Verdict
from torq_conformance.model.requirements import requirements
from torq_conformance.reports.build import Ending, Entry, build
from torq_conformance.reports.conclusion import MEANINGS, conclusion, headline
from torq_conformance.reports.html import page
from torq_conformance.reports.junit import junit
from torq_conformance.reports.markdown import markdown
from torq_conformance.reports.model import Judgement, Report
from torq_conformance.reports.rendering import words
from torq_conformance.reports.terminal import show_last_screen

XSD = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))
MUSTS = [each for each in requirements().values() if each.level == "MUST"]
SHOULDS = [each for each in requirements().values() if each.level == "SHOULD"]


def judged(**verdicts: str) -> list[Result]:
    """Results of requirements by level: ``MUST="PASS FAIL"``."""
    levels = {"MUST": MUSTS, "SHOULD": SHOULDS}
    return [
        Result(requirement, Verdict(verdict), "for a reason", exercised=1)
        for level, names in verdicts.items()
        for requirement, verdict in zip(levels[level], names.split(), strict=False)
    ]


def sentence(results: list[Result], code: int | None = None, reason: str = "") -> str:
    return conclusion(judgements(results), exit_code(results) if code is None else code, reason)


def judgements(results: list[Result]) -> tuple[Judgement, ...]:
    return shown_runs.report(shown=results).judgements


@pytest.mark.parametrize(
    ("results", "text"),
    [
        (
            judged(MUST="PASS PASS UNSUPPORTED", SHOULD="PASS"),
            "PASS: of 3 MUST 2 hold (1 thin), 0 fail, 0 could not be judged, 1 is unsupported; "
            "of 1 SHOULD 1 holds, 0 fail, 0 could not be judged; exit code 0: every MUST that was judged holds.",
        ),
        (
            judged(MUST="PASS FAIL FLAKY FLAKY UNKNOWN", SHOULD="FAIL"),
            "FAIL: of 5 MUST 1 holds, 3 fail (2 of them not every time), 1 could not be judged; "
            "of 1 SHOULD 0 hold, 1 fails, 0 could not be judged; exit code 1: something fails or is flaky.",
        ),
        (
            judged(MUST="PASS UNKNOWN"),
            "UNKNOWN: of 2 MUST 1 holds, 0 fail, 1 could not be judged; exit code 3: a MUST could not be judged.",
        ),
        (
            judged(MUST="PASS EXPECTED-FAIL EXPECTED-FAIL"),
            "PASS: of 3 MUST 1 holds, 0 fail, 0 could not be judged, 2 fail as listed; "
            "exit code 0: every MUST that was judged holds, or fails as listed.",
        ),
        (
            judged(MUST="UNEXPECTED-PASS"),
            "FAIL: of 1 MUST 0 hold, 0 fail, 0 could not be judged, 1 holds though listed as failing; "
            "exit code 1: the list of expected failures does not fit what was seen.",
        ),
        (
            judged(SHOULD="UNSUPPORTED UNSUPPORTED"),
            "NOTHING JUDGED: of 2 SHOULD 0 hold, 0 fail, 0 could not be judged, 2 are unsupported; "
            "exit code 3: nothing was judged.",
        ),
    ],
    ids=["pass", "fail", "unknown", "expected", "unexpected", "nothing"],
)
def test_the_conclusion_in_words(results: list[Result], text: str) -> None:
    assert sentence(results) == text


@settings(max_examples=60)
@given(names=st.lists(st.sampled_from([verdict.value for verdict in Verdict]), min_size=1, max_size=len(MUSTS)))
def test_each_requirement_is_counted_once(names: list[str]) -> None:
    text = sentence(judged(MUST=" ".join(names)))
    counts = re.sub(r"\([^)]*\)", "", text.partition("MUST ")[2].partition(";")[0])
    assert sum(int(number) for number in re.findall(r"\d+", counts)) == len(names)


@settings(max_examples=60)
@given(names=st.lists(st.sampled_from([verdict.value for verdict in Verdict]), min_size=1, max_size=len(MUSTS)))
def test_a_headline_counts_each_requirement_once_and_begins_with_what_fails(names: list[str]) -> None:
    text = headline(judgements(judged(MUST=" ".join(names))), 0)
    total, *counts = re.findall(r"\d+", re.sub(r"\([^)]*\)", "", text))
    assert int(total) == len(names) == sum(map(int, counts))
    assert "0" not in counts
    first = text.partition(",")[0]
    assert bool(re.search(r" fails?\b(?! as)", first)) is any(name in ("FAIL", "FLAKY") for name in names)


def test_a_fitting_verdict_with_a_list_that_does_not_fit_says_so() -> None:
    assert sentence(judged(MUST="PASS"), 1).endswith(
        "exit code 1: the list of expected failures does not fit what was seen."
    )


@pytest.mark.parametrize("code", [Exit.USAGE, Exit.INTERRUPTED, Exit.TERMINATED])
def test_a_run_that_ended_early_is_no_pass(code: Exit) -> None:
    assert sentence(judged(MUST="PASS UNKNOWN"), code, "why") == (
        f"INCOMPLETE (why): of 2 MUST 1 holds, 0 fail, 1 was not judged; exit code {code}: {MEANINGS[code]}."
    )


def test_a_run_that_goes_on_has_no_exit_code_yet() -> None:
    assert (
        conclusion(judgements(judged(MUST="PASS")), None) == "INCOMPLETE: of 1 MUST 1 holds, 0 fail, 0 were not judged."
    )


def test_a_run_that_was_asked_about_less_says_what_it_left_out() -> None:
    text = conclusion(judgements(judged(MUST="PASS")), 0, "", [*MUSTS[1:3], SHOULDS[0]])
    assert text == (
        "PASS: of 1 MUST 1 holds, 0 fail, 0 could not be judged; 2 MUST and 1 SHOULD left out of the run; "
        "exit code 0: every MUST that was judged holds."
    )


def test_what_is_left_out_stands_in_every_report_and_a_whole_run_leaves_out_nothing() -> None:
    binding = {each.id for each in requirements().values() if each.binds("signal") and each.level != "FIGURE"}
    report = shown_runs.report()
    assert set(report.left_out) == binding - {each.id for each in report.judgements}
    assert f"<dt>left out of the run</dt><dd>{', '.join(report.left_out)}</dd>" in page(report)
    assert f"- left out of the run: {', '.join(report.left_out)}" in markdown(report).splitlines()
    whole = build(
        shown_runs.plan(sorted(binding)), shown_runs.setting(), [], Ending(1.0, complete=True, exit_code=0), Meeting()
    )
    assert whole.left_out == ()
    assert "left out" not in whole.conclusion


def test_what_does_not_bind_the_domain_is_neither_judged_nor_left_out() -> None:
    known = requirements()
    foreign = known["SEC-3"]
    assert foreign.level == "MUST"
    assert not foreign.binds("signal")
    binding = Counter(each.level for each in known.values() if each.binds("signal") and each.level != "FIGURE")
    whole = [name for name, each in known.items() if each.level != "FIGURE" and each.binds("signal")]
    for names in ([foreign.id], [foreign.id, "FWD-1"], ["FWD-1"], whole):
        plan = shown_runs.plan(names)
        entries = [Entry(each, 0.0, Result(each, Verdict.UNSUPPORTED, "why")) for each in plan.requirements]
        text = build(plan, shown_runs.setting(), entries, Ending(1.0, complete=True, exit_code=3), Meeting()).conclusion
        counts = re.findall(r"(?<=of )\d+(?= MUST)|\d+(?= MUST (?:and|left))", text)
        assert sum(map(int, counts)) == binding["MUST"], text
        assert ("1 MUST binds other domains only" in text) is (foreign.id in names)


def ended(problems: tuple[Problem, ...] = ()) -> Report:
    results = judged(MUST="PASS UNKNOWN", SHOULD="PASS")
    entries = [Entry(result.requirement, 0.0, result) for result in results]
    return build(shown_runs.plan(), shown_runs.setting(), entries, Ending(1.0, True, "", 3, problems), Meeting())


def test_every_report_begins_with_it_and_the_terminal_ends_with_it() -> None:
    report = ended()
    out = Console(width=60, quiet=False)
    with out.capture() as captured:
        show_last_screen(out, [], report, lambda _: ("again", ""))
    assert captured.get().splitlines()[-1] == report.conclusion
    assert markdown(report).splitlines()[2] == f"> **{report.conclusion}**"
    before_the_table = page(report).partition("<table")[0]
    assert "<strong>UNKNOWN</strong> <span>of 3 requirements 2 hold, 1 could not be judged</span>" in before_the_table
    assert f"<dt>conclusion</dt><dd>{words(report.conclusion)}</dd>" in page(report)
    suites = list(ElementTree.fromstring(junit(report)).iter("testsuite"))
    for suite in suites:
        first = next(suite.iter("property"))
        assert (first.attrib["name"], first.attrib["value"]) == ("conclusion", report.conclusion)
    assert [suite.findtext("system-out", "").splitlines()[:1] for suite in suites] == [
        [report.conclusion], *([] for _ in suites[1:]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("lacks", "advice"),
    [
        ([Lack.TIME], ["next: give more --time-budget"]),
        ([Lack.TIME, Lack.NOTHING], ["next: give more --time-budget"]),
        ([Lack.PROGRAMS], ["next: give more --max-examples"]),
        ([Lack.PROGRAMS, Lack.TIME], ["next: give more --time-budget"]),
        ([Lack.NOTHING], []),
        ([Lack.NOTHING, Lack.NOTHING], []),
    ],
)
def test_what_would_judge_more_is_told_and_nothing_else(lacks: list[Lack], advice: list[str]) -> None:
    results = [Result(each, Verdict.UNKNOWN, "why", lacks=lack) for each, lack in zip(MUSTS, lacks, strict=False)]
    assert [line for line in last_screen(results) if line.startswith("next:")] == advice


@pytest.mark.parametrize(("lack", "advice"), [(Lack.NOTHING, "--max-examples"), (Lack.TIME, "--time-budget")])
def test_what_is_thin_because_the_time_ended_needs_more_time(lack: Lack, advice: str) -> None:
    thin = Result(requirements()["FRAME-2"], Verdict.PASS, exercised=2, lacks=lack)
    thin.evidence["programs"] = 100
    assert f"next: more {advice} fills what is thin" in last_screen([thin])


def last_screen(results: list[Result]) -> list[str]:
    out = Console(width=200)
    with out.capture() as captured:
        show_last_screen(out, results, shown_runs.report(shown=results), lambda _: ("again", ""))
    return captured.get().splitlines()


def test_what_the_list_of_expected_failures_has_against_a_run_stands_in_every_report() -> None:
    problem = "FWD-1 passes although it is listed; take it out of the list"
    report = ended((Problem("FWD-1", "passes although it is listed; take it out of the list"),))
    for text in (page(report), markdown(report), junit(report).decode()):
        assert problem in text
    root = ElementTree.fromstring(junit(report))
    XSD.validate(root)
    assert root.attrib["failures"] == "1"
    (failure,) = root.iter("failure")
    assert failure.attrib["message"] == problem
