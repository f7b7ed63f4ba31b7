"""JUnit XML: one test case for each requirement, evidence as properties, the counterexample as the failure's text.

Facts: readers take ``skipped`` for "not a problem" and ``error`` for "could not be judged"; so a MUST that is UNKNOWN
is an error, and a requirement that the profile does not promise is skipped. Hidden characters are written as escapes,
characters that XML cannot hold as ``?``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from xml.etree import ElementTree as Xml

from ..printable import visible
from .ascii import draw
from .model import FAILING, Judgement, Report

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(report: Report) -> bytes:
    """The report as a JUnit document: one suite for each section."""
    root = Xml.Element("testsuites", _counts(report.judgements, len(report.problems)))
    root.set("name", f"torq-conformance {report.target}")
    root.set("time", f"{report.seconds:.3f}")
    for section, title, judgements in report.by_section:
        suite = _suite(root, f"{section} {title}", report, judgements)
        properties(suite, _facts(report))
        for judgement in judgements:
            _test_case(suite, judgement)
        if section == report.judgements[0].section:
            Xml.SubElement(suite, "system-out").text = "\n".join(_summary(report))
    if report.problems:
        _list_of_problems(root, report)
    return document(root)


def document(root: Xml.Element) -> bytes:
    """The bytes of a document, in which nothing is left that XML cannot hold."""
    _clean(root)
    Xml.indent(root, " ")
    text: bytes = Xml.tostring(root, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _suite(
    root: Xml.Element, name: str, report: Report, judgements: Sequence[Judgement], problems: int = 0
) -> Xml.Element:
    about = {
        "name": name,
        "skipped": str(sum(_outcome(each) == "skipped" for each in judgements)),
        "time": f"{sum(each.seconds for each in judgements):.3f}",
        "timestamp": report.started.removesuffix("Z"),
    }
    return Xml.SubElement(root, "testsuite", _counts(judgements, problems) | about)


def _outcome(judgement: Judgement) -> str:
    """The element that stands for a verdict; "" for a pass."""
    if judgement.verdict in FAILING:
        return "failure"
    if judgement.verdict == "UNKNOWN" and judgement.level == "MUST":
        return "error"
    return "" if judgement.verdict == "PASS" else "skipped"


def _list_of_problems(root: Xml.Element, report: Report) -> None:
    """Each deviation from the list of expected failures as a failed test: a run that exits with 1 has a failed test."""
    suite = _suite(root, "list of expected failures", report, (), len(report.problems))
    for identifier, problem in zip(report.problem_ids, report.problems, strict=True):
        about = {"name": f"{identifier} is as listed", "classname": "torq.expected", "time": "0.000"}
        case = Xml.SubElement(suite, "testcase", about)
        Xml.SubElement(case, "failure", {"message": problem, "type": "NOT-AS-LISTED"})


def _counts(judgements: Sequence[Judgement], problems: int = 0) -> dict[str, str]:
    outcomes = [*(_outcome(judgement) for judgement in judgements), *["failure"] * problems]
    return {
        "tests": str(len(outcomes)),
        "failures": str(outcomes.count("failure")),
        "errors": str(outcomes.count("error")),
    }


def _summary(report: Report) -> Iterator[str]:
    """The sentences that a reader of the run needs first; they stand with the first suite."""
    yield report.conclusion
    yield from (f"expected failures: {problem}" for problem in report.problems)
    for each in report.thin:
        yield f"thin: {each.id} ({', '.join(cell.words for cell in each.thin)})"


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    yield "conclusion", report.conclusion
    for problem in report.problems:
        yield "expected failures", problem
    yield "state", report.state
    if report.stop_reason:
        yield "stop reason", report.stop_reason
    yield "target", report.target
    yield "domain", report.domain
    yield "profile", report.profile
    yield "seed", str(report.seed)
    if report.left_out:
        yield "left out", " ".join(report.left_out)
    for name, value in report.departures.items():
        yield f"departs in {name}", value
    for word, digest in report.files.items():
        yield f"SHA-256 of {word}", digest
    if report.machine:
        yield "machine", report.machine
    if report.coverage is not None:
        yield "coverage", report.coverage.words
    for each in report.reached:
        yield f"reached ({each.by})", each.all_words
    yield "command", report.command


def properties(parent: Xml.Element, facts: Iterable[tuple[str, str]]) -> None:
    """Facts about a suite or a test case."""
    listed = Xml.SubElement(parent, "properties")
    for name, value in facts:
        Xml.SubElement(listed, "property", {"name": name, "value": value})


def _test_case(suite: Xml.Element, judgement: Judgement) -> None:
    case = Xml.SubElement(
        suite,
        "testcase",
        {
            "name": f"{judgement.id} {judgement.text}",
            "classname": f"torq.{judgement.section}",
            "time": f"{judgement.seconds:.3f}",
        },
    )
    properties(case, _evidence(judgement))
    outcome = _outcome(judgement)
    if outcome:
        element = Xml.SubElement(case, outcome, {"message": _message(judgement)})
        if outcome != "skipped":
            element.set("type", judgement.verdict)
        if judgement.failure is not None:
            element.text = "\n".join(_details(judgement))


def _evidence(judgement: Judgement) -> Iterator[tuple[str, str]]:
    yield "id", judgement.id
    yield "level", judgement.level
    yield "verdict", judgement.verdict
    yield "evidence", judgement.words
    if judgement.bound is not None:
        yield "failure rate below, with 95 % confidence", f"{judgement.bound:.6f}"
    for cell in judgement.thin:
        yield "thin", cell.words
    for name, count in judgement.evidence.items():
        yield name, str(count)
    if judgement.failure is not None:
        yield "failure id", judgement.failure.id
        yield "rate", judgement.failure.rate
        yield "replay", judgement.failure.replay


def _message(judgement: Judgement) -> str:
    failure = judgement.failure
    return f"{judgement.verdict}: {f'{failure.prose} ({failure.rate})' if failure else judgement.words}"


def _details(judgement: Judgement) -> Iterator[str]:
    failure = judgement.failure
    if failure is None:
        return
    yield ""
    yield failure.prose
    yield ""
    yield from failure.steps
    yield from (each.words for each in failure.contradictions)
    if failure.diagram.shows_more_than_words:
        yield ""
        yield from (line.text for line in draw(failure.diagram))
    if failure.last_output:
        yield ""
        yield failure.last_output
    yield ""
    yield f"replay: {failure.replay}"


def _clean(root: Xml.Element) -> None:
    for element in root.iter():
        element.text = _clean_text(element.text or "") or None
        for name, value in element.attrib.items():
            element.set(name, _clean_text(value))


def _clean_text(text: str) -> str:
    return _FORBIDDEN.sub("?", visible(text))
