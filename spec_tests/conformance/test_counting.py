"""Counts as people read them: no number without its noun in the right number."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.conformance import shown_runs
from torq_conformance.counting import counted, failing_runs, grouped, inflected
from torq_conformance.judging.verdict import Result, Verdict
from torq_conformance.reports.html import page
from torq_conformance.reports.markdown import markdown
from torq_conformance.reports.narrate import evidence
from torq_conformance.reports.rendering import words


@settings(max_examples=50)
@given(count=st.integers(0, 10**12))
def test_a_grouped_count_is_the_count_in_groups_of_three(count: int) -> None:
    first, *rest = grouped(count).split(" ")
    assert int(first + "".join(rest)) == count
    assert 1 <= len(first) <= 3
    assert all(len(group) == 3 for group in rest)


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 frames"), (1, "1 frame"), (2, "2 frames"), (21, "21 frames"), (1001, "1 001 frames")]
)
def test_the_noun_agrees_with_its_count(count: int, text: str) -> None:
    assert counted(count, "frame") == text


def test_a_plural_that_is_more_than_an_s_is_given() -> None:
    assert [inflected(count, "frame is", "frames are") for count in (1, 2)] == ["frame is", "frames are"]


@pytest.mark.parametrize(
    ("failures", "runs", "text"),
    [
        (0, 0, "seen once, not confirmed"),
        (1, 1, "1 of 1 run fails"),
        (1, 60, "1 of 60 runs fails"),
        (58, 60, "58 of 60 runs fail"),
        (0, 10, "seen once, then in 0 of 10 runs"),
    ],
)
def test_a_rate_reads_as_a_sentence(failures: int, runs: int, text: str) -> None:
    assert failing_runs(failures, runs) == text


def test_a_failure_that_needs_a_history_tells_it_and_one_that_needs_none_does_not() -> None:
    served = "103 programs with 412 connections"
    assert failing_runs(0, 60, served) == (
        "seen once, then in 0 of 60 runs; first seen when the relay had served 103 programs with 412 connections"
    )
    assert failing_runs(20, 20, served) == "20 of 20 runs fail"


@pytest.mark.parametrize(("frames", "text"), [(1, "1 frame"), (2, "2 frames"), (1_234_567, "1 234 567 frames")])
def test_the_evidence_and_the_reports_count_in_the_right_number(frames: int, text: str) -> None:
    result = Result(shown_runs.results()[1].requirement, Verdict.PASS, exercised=1)
    result.evidence.update(programs=1, frames=frames, bytes=1)
    assert evidence(result) == f"holds in 1 program, {text}"
    report = shown_runs.report(shown=[result])
    assert f"- effort: 1 program, {text}, seed 7" in markdown(report).splitlines()
    assert f"<dd>1 program, {text}, 1 byte</dd>" in page(report).replace("\u202f", " ")


def test_no_number_wraps_in_html() -> None:
    result = Result(shown_runs.results()[1].requirement, Verdict.PASS, exercised=4812)
    result.evidence.update(programs=4812, frames=1_234_567)
    text = page(shown_runs.report(shown=[result]))
    assert (
        "0 of 4\u202f812 programs fail (below 0.062\u202f% with 95\u202f% confidence), 1\u202f234\u202f567 frames"
        in text
    )
    assert "programs 4\u202f812" in text


@pytest.mark.parametrize(
    "text", ["5 of 5 times", "TLV 30 of 8", "2 frames in 2 writes of 1, 31 bytes", "domain 2 20 65537"]
)
def test_what_is_no_grouped_number_keeps_its_spaces(text: str) -> None:
    assert words(text) == text
