"""The report as Markdown, for a pull request or a wiki: verdicts by section, then each failure with its diagram."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

from ..counting import counted
from ..printable import visible
from .mermaid import mermaid
from .model import Judgement, Report

MARKS = {
    "PASS": "✅",
    "FAIL": "❌",
    "FLAKY": "⚠️",
    "UNEXPECTED-PASS": "❗",
    "EXPECTED-FAIL": "☑️",
    "UNKNOWN": "❔",
    "UNSUPPORTED": "➖",
}


def markdown(report: Report) -> str:
    """The whole page."""
    return "\n".join(_lines(report)) + "\n"


def cell(text: str) -> str:
    """Text that is safe in a cell of a table."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def text(words: str) -> str:
    """Words of others that are only words: no element, link, emphasis or line of their own."""
    return re.sub(r"([\\`*\[\]|])", r"\\\1", visible(words).replace("\n", " ")).replace("<", "&lt;")


def code(text: str) -> str:
    """Text as inline code, whatever backticks it holds."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{text}{fence}"


def _lines(report: Report) -> Iterator[str]:
    yield f"# Conformance of {code(report.target)}"
    yield ""
    yield f"> **{text(report.conclusion)}**"
    yield ""
    for problem in report.problems:
        yield f"- expected failures: {text(problem)}"
    yield f"Judged as a {report.domain.replace('_', ' ')} relay under the profile {code(report.profile)}, with seed "
    yield f"{report.seed}: {counted(report.programs, 'program')}, {counted(report.frames, 'frame')} in "
    yield f"{report.seconds:.1f} s, begun {report.started}. {report.verdict_line}."
    yield ""
    yield "```"
    yield report.command
    yield "```"
    if report.thin:
        yield ""
        yield "Hardly exercised, so that a PASS hardly speaks of it:"
        yield ""
        for each in report.thin:
            yield f"- {each.id}: {'; '.join(cell.words for cell in each.thin)}"
    for section, members in groupby(report.judgements, key=lambda judgement: judgement.section):
        yield ""
        yield f"## {section}: {report.sections[section]}"
        yield ""
        yield "| | id | level | verdict | evidence |"
        yield "|-|-|-|-|-|"
        for each in members:
            verdict = f"**{each.verdict}**" if each.failure else each.verdict
            yield f"| {MARKS[each.verdict]} | {each.id} | {each.level} | {verdict} | {cell(each.words)} |"
    for judgement in report.failures:
        yield from _failure(judgement)


def _failure(judgement: Judgement) -> Iterator[str]:
    failure = judgement.failure
    if failure is None:
        return
    yield ""
    yield f"## {judgement.verdict} {judgement.id}"
    yield ""
    yield judgement.text
    yield ""
    yield f"**{cell(failure.prose)}** ({failure.rate})"
    yield ""
    yield "```text"
    yield from failure.steps
    yield ""
    for each in failure.contradictions:
        yield f"{each.kind}: expected {each.expected}; seen: {each.seen}"
    yield "```"
    yield ""
    if failure.diagram.shows_more_than_words:
        yield "```mermaid"
        yield from mermaid(failure.diagram)
        yield "```"
        yield ""
    yield "```"
    yield failure.replay
    yield "```"
