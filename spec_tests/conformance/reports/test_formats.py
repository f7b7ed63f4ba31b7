"""Every form of a report: whole, valid, and safe whatever a target is called or a relay prints."""

import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import msgspec
import pytest
import xmlschema
from hypothesis import given, settings
from hypothesis import strategies as st
from markupsafe import escape

from spec_tests.conformance import shown_runs
from torq_conformance.errors import UsageError
from torq_conformance.judging.verdict import Meeting, Result, Verdict
from torq_conformance.model.profile import load_profile
from torq_conformance.model.program import Program
from torq_conformance.model.requirements import requirements
from torq_conformance.model.steps import Act, Connect, Write
from torq_conformance.replay.schema import SCHEMAS, schema
from torq_conformance.reports.build import Ending, Entry, build, failure_id
from torq_conformance.reports.html import page
from torq_conformance.reports.junit import junit
from torq_conformance.reports.markdown import markdown
from torq_conformance.reports.model import Report, load_report

SCHEMA_FOLDER = Path(__file__).resolve().parents[3] / "docs" / "schemas"
XSD = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))
HOSTILE = shown_runs.HOSTILE
VOID = {"meta", "br", "hr", "img", "input", "link"}


class Page(HTMLParser):
    """Checks that elements are closed in the order in which they were opened, and collects what pages refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []
        self.identifiers: list[str] = []
        self.feed(text)
        self.close()
        assert not self.stack, f"not closed: {self.stack}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        named = dict(attrs)
        self.references += [named[name] or "" for name in ("src", "href", "srcset", "action") if name in named]
        if "id" in named:
            self.identifiers.append(named["id"] or "")
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack, f"</{tag}> closes nothing"
        assert self.stack.pop() == tag


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_published_schema_is_that_of_the_code(name: str) -> None:
    assert (SCHEMA_FOLDER / name).read_bytes() == schema(name), (
        "docs/schemas has drifted: run python -m torq_conformance.replay.schema docs/schemas"
    )


@pytest.mark.parametrize("target", ["my_relay {socket}", HOSTILE])
def test_json_validates_and_reads_back_equal(target: str, tmp_path: Path) -> None:
    report = shown_runs.report(target)
    encoded = msgspec.json.encode(report)
    jsonschema.Draft202012Validator(json.loads(schema("report.schema.json"))).validate(json.loads(encoded))
    (tmp_path / "a.json").write_bytes(encoded)
    assert load_report(tmp_path / "a.json") == report


def test_a_report_of_the_first_minor_version_is_still_read(tmp_path: Path) -> None:
    report = shown_runs.report()
    old = json.loads(msgspec.json.encode(report))
    for name in ("minor", "conclusion", "problems", "left_out", "departures", "files", "machine"):
        del old[name]
    for judgement in old["judgements"]:
        del judgement["thin"]
    jsonschema.Draft202012Validator(json.loads(schema("report.schema.json"))).validate(old)
    (tmp_path / "old.json").write_text(json.dumps(old), "utf-8")
    read = load_report(tmp_path / "old.json")
    assert (read.version, read.minor, read.counts) == (1, 0, report.counts)
    assert all(page(read).count(each.id) for each in report.judgements)


def test_a_report_of_a_later_minor_version_is_read_and_of_a_later_version_refused(tmp_path: Path) -> None:
    report = shown_runs.report()
    later = json.loads(msgspec.json.encode(report)) | {"minor": 99, "later": 1}
    later["judgements"][0]["later"] = [1]
    (tmp_path / "later.json").write_text(json.dumps(later), "utf-8")
    assert load_report(tmp_path / "later.json").judgements == report.judgements
    (tmp_path / "other.json").write_text(json.dumps(later | {"version": 2}), "utf-8")
    with pytest.raises(UsageError, match="no JSON report"):
        load_report(tmp_path / "other.json")


@settings(max_examples=60, deadline=None)
@given(
    data=st.one_of(
        st.binary(max_size=60), st.recursive(st.none() | st.integers(), st.lists).map(json.dumps).map(str.encode)
    )
)
def test_a_file_that_is_no_report_is_a_usage_error(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "no-report.json"
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"no JSON report.*--report json:FILE"):
        load_report(path)


def test_failure_ids_follow_from_the_program_alone() -> None:
    program = shown_runs.lost_frame().program
    same = msgspec.json.decode(msgspec.json.encode(program), type=Program)
    other = Program("signal", (Connect(0), Write(0, (shown_runs.frame(),))))
    assert failure_id("FWD-1", same) == failure_id("FWD-1", program) != failure_id("FWD-1", other)
    assert re.fullmatch(r"FWD-1-[0-9a-f]{12}", failure_id("FWD-1", program))


def test_failure_ids_of_fixed_checks_do_not_follow_from_the_folder_of_a_run(tmp_path: Path) -> None:
    def acted(folder: str, act: str = "connect a client") -> Program:
        return Program("signal", (Act(f"start the relay: my_relay --socket {folder}"), Act(act)))

    first, second = (f"/tmp/torq-{name}/relay1{name[-3:]}.sock" for name in ("a_c4efgh", "zyxwvu9s"))
    moved = f"{tmp_path}/torq-zyxwvu9s/relay2u9s.sock"
    name = failure_id("CONN-2", acted(first))
    assert name == failure_id("CONN-2", acted(second)) == failure_id("CONN-2", acted(moved))
    assert name != failure_id("CONN-2", acted(first, "connect two clients"))


@settings(max_examples=30, deadline=None)
@given(target=st.text(st.characters(codec=None), max_size=30))
def test_junit_validates_whatever_a_target_is_called(target: str) -> None:
    XSD.validate(ElementTree.fromstring(junit(shown_runs.report(target))))


def test_junit_has_one_testcase_for_each_requirement_and_counts_them() -> None:
    root = ElementTree.fromstring(junit(shown_runs.report(HOSTILE)))
    XSD.validate(root)
    cases = {case.attrib["name"].partition(" ")[0]: case for case in root.iter("testcase")}
    assert list(cases) == [result.requirement.id for result in shown_runs.results()]
    kinds = {name: [child.tag for child in case if child.tag != "properties"] for name, case in cases.items()}
    assert kinds == {
        "FWD-1": ["failure"],
        "FWD-2": [],
        "FRAME-5": ["skipped"],
        "ORD-2": ["failure"],
        "DOM-5": ["error"],
        "VAL-6": ["failure"],
    }
    assert (root.attrib["tests"], root.attrib["failures"], root.attrib["errors"]) == ("6", "3", "1")
    properties = {each.attrib["name"]: each.attrib["value"] for each in cases["FWD-2"].iter("property")}
    assert properties["programs"] == "4812"
    failure = cases["ORD-2"].find("failure")
    assert failure is not None
    assert failure.attrib["type"] == "FLAKY"
    assert "58 of 60 runs fail" in failure.attrib["message"]
    assert "relay" in (failure.text or "")


@pytest.mark.parametrize("target", ["my_relay {socket}", HOSTILE])
def test_html_is_one_file_of_closed_elements_without_any_address(target: str) -> None:
    text = page(shown_runs.report(target))
    parsed = Page(text)
    assert all(reference.startswith("#") for reference in parsed.references)
    assert {reference[1:] for reference in parsed.references} <= set(parsed.identifiers)
    assert len(parsed.identifiers) == len(set(parsed.identifiers))
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    assert parsed.tags.count("script") == 1
    assert parsed.tags.count("svg") == 1 + len(shown_runs.report().failures)


def test_the_head_of_a_report_names_what_has_to_be_looked_at_first() -> None:
    text = page(shown_runs.report())
    head = text[text.index("<header>") : text.index("</header>")]
    for name in ("FWD-1", "ORD-2", "VAL-6"):
        assert f'<a href="#{name}">{name}</a>' in head
    before_the_verdicts = text[: text.index("<h2>Verdicts</h2>")]
    assert '<dt>not visible from outside</dt><dd><a href="#FRAME-5-row">FRAME-5</a></dd>' in before_the_verdicts
    assert '<dt>the time budget was used up</dt><dd><a href="#DOM-5-row">DOM-5</a></dd>' in before_the_verdicts
    lines = markdown(shown_runs.report()).splitlines()
    assert "- MUST that fail: FWD-1, ORD-2, VAL-6" in lines
    assert "- not judged: FRAME-5, DOM-5" in lines


def test_the_colour_of_the_conclusion_follows_the_exit_code_and_no_word() -> None:
    report = msgspec.structs.replace(shown_runs.report(), conclusion="pass: nothing of it", exit_code=1)
    assert '<p class="conclusion fail"><strong>FAIL</strong>' in page(report)
    assert "<dt>conclusion</dt><dd>pass: nothing of it</dd>" in page(report)
    assert '<p class="conclusion incomplete">' in page(
        msgspec.structs.replace(report, stop_reason="it was interrupted")
    )
    assert '<p class="conclusion incomplete">' in page(msgspec.structs.replace(report, exit_code=None))


def test_what_fails_as_listed_is_told_from_what_fails() -> None:
    failed, held, *_ = shown_runs.results()
    failed.verdict, held.verdict = Verdict.EXPECTED_FAIL, Verdict.UNEXPECTED_PASS
    report = shown_runs.report(shown=[failed, held])
    assert [(name, [each.id for each in judgements]) for name, judgements in report.attention] == [
        ("fail as listed", ["FWD-1"]),
        ("hold though listed", ["FWD-2"]),
    ]
    assert '<dt>fail as listed</dt><dd><a href="#FWD-1">FWD-1</a></dd>' in page(report)
    assert "of 2 requirements 1 holds though listed as failing, 1 fails as listed" in page(report)
    assert "- hold though listed: FWD-2" in markdown(report).splitlines()


def test_a_profile_that_promises_less_is_seen_in_every_report() -> None:
    profile = msgspec.structs.replace(load_profile("reference"), name="lax", checksum=False, overflow="disconnect")
    plan = dataclasses.replace(shown_runs.plan(), profile=profile)
    entries = [Entry(result.requirement, 0.0, result) for result in shown_runs.results()]
    report = build(plan, shown_runs.setting(), entries, Ending(1.0, complete=True, exit_code=1), Meeting())
    assert report.departures == {
        "checksum": "false, by default true",
        "overflow": "disconnect, by default drop_oldest",
    }
    said = "checksum false, by default true; overflow disconnect, by default drop_oldest"
    assert f"<dt>it departs in</dt><dd>{said}</dd>" in page(report)
    assert f"- the profile departs in: {said}" in markdown(report).splitlines()
    assert '<property name="departs in checksum" value="false, by default true" />' in junit(report).decode()


def test_every_report_names_the_client_that_no_step_and_no_picture_shows() -> None:
    report = shown_runs.report()
    words = "first the suite's witness W connects, one more client beside A, B and C: it stays, reads everything and"
    assert f"\n     {words} sends nothing but fences\n" in markdown(report)
    assert f"<p>Not drawn: {escape(words)} sends nothing but fences.</p>" in page(report)
    assert words in junit(report).decode()
    failed = Result(requirements()["LIFE-1"], Verdict.FAIL, counterexample=shown_runs.failed_check())
    checked = shown_runs.report(shown=[failed])
    assert "witness" not in page(checked)


def test_markdown_holds_a_row_for_each_requirement_and_a_diagram_for_each_failure() -> None:
    text = markdown(shown_runs.report(HOSTILE))
    for result in shown_runs.results():
        assert re.search(rf"^\| \S+ \| {result.requirement.id} \| {result.requirement.level} \|", text, re.MULTILINE)
    assert text.count("```mermaid\nsequenceDiagram\n") == 3 == len(shown_runs.report().failures)
    assert text.count("```") % 2 == 0
    assert "<script>" not in "\n".join(line for line in text.splitlines() if line.startswith("|"))


@pytest.mark.parametrize("verdict", [verdict.value for verdict in Verdict])
def test_every_verdict_of_the_runner_can_be_reported(verdict: str) -> None:
    result = Result(shown_runs.results()[1].requirement, Verdict(verdict), "for a reason", exercised=1)
    report = shown_runs.report(shown=[result])
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report).judgements[0].verdict == verdict
    assert verdict in markdown(report)
    assert f">{verdict}</span>" in page(report)
    XSD.validate(ElementTree.fromstring(junit(report)))
