"""JUnit XML of a comparison: a test case for each topic and fixed check, and one for each difference that it shows.

Facts: many readers show one failure of a test case only, so each difference has a test case of its own. What was not
compared, and what is accepted, is skipped; what is accepted and stale fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from xml.etree import ElementTree as Xml

from ...reports.ascii import draw
from ...reports.junit import document, properties
from ..outcome import Entry
from .report import Compared, Report
from .words import rate

SUITES = {
    "situations": "situations",
    "programs": "programs of the requirements",
    "check": "fixed checks",
    "figure": "figures with a bound",
}


@dataclass(frozen=True, slots=True)
class _Case:
    """A test case: ``outcome`` is the element that says how it ended, "" for a pass."""

    name: str
    classname: str
    outcome: str = ""
    message: str = ""
    kind: str = ""
    text: str = ""
    facts: tuple[tuple[str, str], ...] = ()


def junit(report: Report) -> bytes:
    """The report as a JUnit document: one suite for each kind of what is compared."""
    suites = [
        (SUITES[kind], [case for each in members for case in _cases(report, each)])
        for kind, members in groupby(report.compared, key=lambda each: each.kind)
    ]
    named = {identifier for each in report.compared for identifier in each.differences}
    others = [_difference(report, each, "start") for each in report.differences if each.listed not in named]
    stale = [
        _Case(f"{each} is as listed", "torq.accepted", "failure", f"{each} is accepted but does not appear", "STALE")
        for each in report.stale
    ]
    stale += [
        _Case(f"{each} is as listed", "torq.accepted", "failure", f"{each} is accepted no longer", "EXPIRED")
        for each in report.expired
    ]
    suites += [(name, cases) for name, cases in (("start", others), ("accepted differences", stale)) if cases]
    every = [case for _, cases in suites for case in cases]
    root = Xml.Element("testsuites", _counts(every))
    root.set("name", f"torq-conformance diff: {report.b} held against {report.a}")
    root.set("time", f"{report.seconds:.3f}")
    for place, (name, cases) in enumerate(suites):
        skipped = sum(case.outcome == "skipped" for case in cases)
        about = {"name": name, "skipped": str(skipped), "time": f"{0 if place else report.seconds:.3f}"}
        about["timestamp"] = report.started.removesuffix("Z")
        suite = Xml.SubElement(root, "testsuite", _counts(cases) | about)
        properties(suite, _facts(report))
        for case in cases:
            _write(suite, case)
        if not place:
            Xml.SubElement(suite, "system-out").text = report.verdict
    return document(root)


def _counts(cases: list[_Case]) -> dict[str, str]:
    failures = sum(case.outcome == "failure" for case in cases)
    return {"tests": str(len(cases)), "failures": str(failures), "errors": "0"}


def _write(suite: Xml.Element, case: _Case) -> None:
    written = Xml.SubElement(suite, "testcase", {"name": case.name, "classname": case.classname, "time": "0.000"})
    if case.facts:
        properties(written, case.facts)
    if case.outcome:
        element = Xml.SubElement(written, case.outcome, {"message": case.message})
        if case.outcome != "skipped":
            element.set("type", case.kind)
        element.text = case.text


def _cases(report: Report, compared: Compared) -> Iterator[_Case]:
    """The test cases of a topic or check: one for each difference, else one that passes or is skipped."""
    of_it = [each for each in report.differences if each.listed in compared.differences]
    yield from (_difference(report, each, compared.name) for each in of_it)
    if not of_it:
        facts = [("programs", compared.programs), ("relay A differs from its copy", compared.noise)]
        words = tuple((name, str(value)) for name, value in facts if value)
        words += (("thin", "so few programs might well have missed a difference"),) if compared.thin else ()
        outcome, message = ("skipped", f"not compared: {compared.gap}") if compared.gap else ("", "")
        yield _Case(compared.name, f"torq.{compared.kind}", outcome, message, facts=words)


def _difference(report: Report, entry: Entry, by: str) -> _Case:
    shown = report.evidence[entry.listed]
    facts = [("id", entry.id), ("status", entry.status), ("rate", rate(entry)), ("relay A", entry.in_a)]
    facts += [("relay B", entry.in_b), ("replay", shown.replay), ("file", shown.file)]
    accepted = entry.status == "ACCEPTED"
    message = f"ACCEPTED: {entry.reason}" if accepted else f"{entry.status} {entry.id}: {entry.text} ({rate(entry)})"
    return _Case(
        name=f"{by}: {entry.id}",
        classname="torq.difference",
        outcome="skipped" if accepted else "failure",
        message=message,
        kind=entry.status,
        text="" if accepted else "\n".join(_details(report, entry)),
        facts=tuple((name, value) for name, value in facts if value),
    )


def _details(report: Report, entry: Entry) -> Iterator[str]:
    shown = report.evidence[entry.listed]
    yield ""
    yield entry.text
    if entry.reason:
        yield f"not accepted because: {entry.reason}"
    if entry.needs:
        yield f"it needs: {entry.needs}"
    yield ""
    yield from shown.steps
    for relay, did, diagram in (("A", entry.in_a, shown.a), ("B", entry.in_b, shown.b)):
        yield ""
        yield f"relay {relay}: {did}"
        if diagram is not None:
            yield from (line.text for line in draw(diagram))
    yield ""
    yield f"replay: {shown.replay}"


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    yield "verdict", report.verdict
    yield "state", report.state
    yield "relay A", report.a
    yield "relay B", report.b
    yield "domain", report.domain
    yield "level", report.level
    yield "seed", str(report.seed)
    for each in report.figures:
        if each.is_measured:
            yield (
                each.name,
                f"A {each.values[0]}; B {each.values[1]}: {each.ratio} times as much; copy of A {each.noise}",
            )
    for word, digest in report.files.items():
        yield f"SHA-256 of {word}", digest
    yield "machine", report.machine
    if report.coverage is not None:
        yield "coverage", report.coverage.words
    yield "command", report.command
