"""Every form of a comparison's report: whole, valid, and safe whatever a relay is called or prints."""

import json
from xml.etree import ElementTree

import msgspec
import pytest

from spec_tests.conformance import shown_comparisons, shown_runs
from spec_tests.conformance.reports.test_formats import XSD, Page
from torq_conformance.comparison.course import Course
from torq_conformance.comparison.evidence.badge import badge
from torq_conformance.comparison.evidence.formats import FORMATS
from torq_conformance.comparison.evidence.html import page, place_of
from torq_conformance.comparison.evidence.junit import junit
from torq_conformance.comparison.evidence.markdown import MOST_CHARACTERS, markdown
from torq_conformance.comparison.evidence.report import UNENDED, Ending, Report, build
from torq_conformance.comparison.topics import Level
from torq_conformance.exits import Exit

DIFFERENT = ("loses:plain", "crashes:plain", "tears:plain", "breaks:CONN-2-stolen", "costs:delivery-time")
ACCEPTED = "closes:half-closed"
VERSION_2 = {"a", "b", "domain", "level", "seed", "verdict", "exit_code", "programs", "noise", "differences", "stale",
             "not_compared", "coverage", "format", "version"}  # fmt: skip
"""The fields that JSON of version 2 has had from its beginning."""


def test_the_report_holds_what_the_comparison_came_to() -> None:
    report = shown_comparisons.report()
    assert {each.id: each.status for each in report.differences} == {
        **dict.fromkeys(DIFFERENT, "DIFFERENT"),
        ACCEPTED: "ACCEPTED",
    }
    assert report.verdict.startswith("DIFFERENT at level exact: 5 differences not accepted, 1 accepted; not compared: ")
    assert report.not_compared == {
        **dict.fromkeys(("ISO-1", "figure memory"), "the time was over"),
        "LIFE-1 (fixed check)": shown_comparisons.LEFT_OUT,
    }
    assert report.headline in report.verdict
    assert "not compared" not in report.headline
    assert (report.state, report.exit_code, report.stale) == ("complete", 1, [])
    assert report.evidence["costs:delivery-time"].replay == report.command
    for each in report.differences[:-1]:
        replay = report.evidence[each.id].replay
        assert replay.startswith("torq-conformance replay torq-failures/new/")
        assert "--exec-a 'old {socket}' --exec-b 'new {socket}'" in replay


def test_json_keeps_every_field_of_its_version_and_reads_back_equal() -> None:
    report = shown_comparisons.report(shown_runs.HOSTILE)
    text = FORMATS["json"](report)
    assert json.loads(text).keys() >= VERSION_2
    assert msgspec.json.decode(text, type=Report) == report


@pytest.mark.parametrize("b", ["new {socket}", shown_runs.HOSTILE])
def test_junit_is_valid_and_has_a_case_for_each_topic_check_and_difference(b: str) -> None:
    report = shown_comparisons.report(b)
    text = junit(report)
    XSD.validate(text.decode())
    root = ElementTree.fromstring(text)
    cases = {str(case.get("name")): case for case in root.iter("testcase")}
    for each in report.compared:
        assert any(name == each.name or name.startswith(f"{each.name}: ") for name in cases)
    failed = [name.partition(": ")[2] for name, case in cases.items() if case.find("failure") is not None]
    assert sorted(failed) == sorted(DIFFERENT)
    assert int(root.get("failures", "")) == len(DIFFERENT)
    skipped = {name: case.find("skipped") for name, case in cases.items() if case.find("skipped") is not None}
    assert skipped.keys() == {"ISO-1", "figure memory", "LIFE-1 (fixed check)", f"FWD-1: {ACCEPTED}"}
    assert cases["FWD-2"].find("failure") is None
    lost = cases["FWD-1: loses:plain"].find("failure")
    assert lost is not None
    assert "relay B: frame A1 at client B: never came" in str(lost.text)


def test_a_stale_entry_and_a_relay_that_does_not_start_are_failed_cases() -> None:
    course = Course.of(Level.EXACT, ())
    course.failed_to_start(shown_comparisons.not_serving())
    report = build(shown_comparisons.setting(), course, Ending(1.0, code=None))
    assert [case.get("name") for case in ElementTree.fromstring(junit(report)).iter("testcase")] == [
        "start: crashes:plain"
    ]
    stale = msgspec.structs.replace(shown_comparisons.report(), stale=["tears:garbage"])
    text = junit(stale)
    XSD.validate(text.decode())
    assert "STALE" in text.decode()
    assert "❗ STALE | `tears:garbage`" in markdown(stale)
    assert "tears:garbage is accepted but does not appear" in page(stale)


def test_a_reason_that_accepts_no_longer_is_not_told_as_one_that_does() -> None:
    report = shown_comparisons.report()
    again = [
        msgspec.structs.replace(each, status="DIFFERENT", reason="it was accepted until 2027-03-01")
        for each in report.differences
    ]
    expired = msgspec.structs.replace(report, differences=again)
    for text in (page(expired), markdown(expired), junit(expired).decode()):
        assert "ot accepted because: it was accepted until 2027-03-01" in text
        assert "Accepted because" not in text


@pytest.mark.parametrize("b", ["new {socket}", shown_runs.HOSTILE])
def test_the_page_shows_both_runs_of_each_difference_and_refers_to_nothing_else(b: str) -> None:
    report = shown_comparisons.report(b)
    shown = Page(page(report))
    assert all(reference.startswith("#") for reference in shown.references)
    assert {reference.removeprefix("#") for reference in shown.references} <= set(shown.identifiers)
    assert set(shown.identifiers) == {*DIFFERENT, ACCEPTED, *map(place_of, report.compared)}
    by_programs = [each for each in report.differences if report.evidence[each.id].a is not None]
    assert shown.tags.count("svg") == 2 * len(by_programs)
    assert shown.tags.count("figure") == 2 * len(report.differences)
    assert "<script>alert" not in page(report)
    assert "<b>ouch" not in page(report)


def test_the_markdown_is_a_line_for_each_difference_with_its_details_folded() -> None:
    text = markdown(shown_comparisons.report())
    lines = text.splitlines()
    table = lines[4 : lines.index("", 2 + lines.index("|-|-|-|-|-|"))]
    assert len(table) == len(DIFFERENT) + 1
    assert all(line.count("|") - line.count("\\|") == 6 for line in table)
    assert [line.split("`")[1] for line in table if "❌" in line] == list(DIFFERENT)
    assert text.count("<details>") == text.count("</details>") == len(DIFFERENT) + 3
    assert "| 🔺 COSTS MORE | the stream-time |" in text
    assert "torq-conformance replay FILE --exec-a 'old {socket}' --exec-b 'new {socket}'" in text
    assert "10 of 10 runs, the copy of A 0" in text


def test_the_markdown_of_many_differences_fits_a_comment_and_says_what_it_leaves_out() -> None:
    text = markdown(shown_comparisons.with_many(120))
    assert len(text) <= MOST_CHARACTERS
    assert sum(line.startswith("| ❌ DIFFERENT | `") for line in text.splitlines()) == 120
    assert "more differences are in the other reports" in text


@pytest.mark.parametrize("name", FORMATS)
def test_a_comparison_that_was_stopped_says_so_in_every_form(name: str) -> None:
    report = shown_comparisons.report(stopped="ended by SIGTERM")
    assert (report.state, report.stop_reason) == ("incomplete", "ended by SIGTERM")
    text = FORMATS[name](report)
    said = "incomplete" if name == "badge" else "INCOMPLETE (ended by SIGTERM) at level exact"
    assert said in (text if isinstance(text, str) else text.decode())


def test_what_was_not_begun_is_a_gap_with_the_reason_and_nothing_is_stale() -> None:
    course = Course.of(Level.EXACT, ("CONN-2",))
    report = build(shown_comparisons.setting("a {socket}", "b {socket}", *shown_comparisons.ACCEPTED), course,
                   Ending(0.0, UNENDED))  # fmt: skip
    assert set(report.not_compared.values()) == {UNENDED}
    assert {"situations", "FWD-1", "CONN-2 (fixed check)"} <= report.not_compared.keys()
    assert (report.stale, report.exit_code) == ([], None)
    assert "no difference so far, in 0 programs" in report.verdict


def test_the_badge_says_the_verdict_in_the_form_of_shields_io() -> None:
    different = json.loads(badge(shown_comparisons.report()))
    assert different == {
        "schemaVersion": 1,
        "label": "signal relay, exact",
        "message": "5 different, 1 accepted",
        "color": "red",
        "isError": True,
    }
    outdated = msgspec.structs.replace(
        shown_comparisons.report(), expired=["tears:garbage"], verdict="EXPIRED at level exact", differences=[]
    )
    assert (json.loads(badge(outdated))["message"], json.loads(badge(outdated))["color"]) == ("1 expired", "orange")
    equal = build(shown_comparisons.setting(), shown_comparisons.course(checks=False), Ending(1.0, code=Exit.PASS))
    equal = msgspec.structs.replace(equal, verdict="EQUIVALENT at level exact: 0 of 60 programs differ", exit_code=0)
    assert (json.loads(badge(equal))["message"], json.loads(badge(equal))["color"]) == ("equivalent", "brightgreen")
    open_still = json.loads(badge(shown_comparisons.report(stopped=UNENDED)))
    assert (open_still["color"], open_still["isError"]) == ("lightgrey", False)
