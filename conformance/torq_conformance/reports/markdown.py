"""The report as Markdown, for a pull request or a wiki: verdicts by section, then each failure with its diagram."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..counting import counted
from ..printable import visible
from .mermaid import mermaid
from .model import Failure, Judgement, Report

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


def cell(words: str) -> str:
    """Text that is safe in a cell of a table."""
    return visible(words).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def text(words: str) -> str:
    """Words of others as plain text: no element, link, emphasis or line break."""
    return re.sub(r"([\\`*\[\]|])", r"\\\1", visible(words).replace("\n", " ")).replace("<", "&lt;")


def code(words: str) -> str:
    """Text as inline code, whatever backticks it holds."""
    shown = visible(words).replace("\n", " ")
    fence = "`" * (_longest_run(shown) + 1)
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}"


def block(lines: Iterable[str], kind: str = "") -> Iterator[str]:
    """Lines as a block of code, whatever backticks they hold."""
    shown = [visible(line) for line in lines]
    fence = "`" * max(3, _longest_run("\n".join(shown)) + 1)
    yield f"{fence}{kind}"
    yield from shown
    yield fence


def _longest_run(words: str) -> int:
    return max((len(run) for run in re.findall("`+", words)), default=0)


def _lines(report: Report) -> Iterator[str]:
    yield f"# Conformance of {code(report.target)}"
    yield ""
    yield f"> **{text(report.conclusion)}**"
    yield ""
    for problem in report.problems:
        yield f"- expected failures: {text(problem)}"
    if report.problems:
        yield ""
    for name, value in _facts(report):
        yield f"- {name}: {value}"
    yield ""
    yield from block([report.command])
    if report.thin:
        yield ""
        yield "The programs hardly exercised these cases, so a PASS says little about them:"
        yield ""
        for each in report.thin:
            yield f"- {each.id}: {'; '.join(cell.words for cell in each.thin)}"
    for section, title, judgements in report.by_section:
        yield ""
        yield f"## {section}: {title}"
        yield ""
        yield "| | id | level | verdict | evidence |"
        yield "|-|-|-|-|-|"
        for each in judgements:
            verdict = f"**{each.verdict}**" if each.failure else each.verdict
            yield f"| {MARKS[each.verdict]} | {each.id} | {each.level} | {verdict} | {cell(each.words)} |"
    for judgement in report.failures:
        yield from _failure(judgement)


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    yield "verdicts", report.verdict_line
    for name, judgements in report.attention:
        yield name, ", ".join(each.id for each in judgements)
    if report.left_out:
        yield "left out of the run", ", ".join(report.left_out)
    yield "judged as", f"a {report.domain.replace('_', ' ')} relay under the profile {code(report.profile)}"
    if report.departures:
        yield "the profile departs in", "; ".join(f"{name} {text(value)}" for name, value in report.departures.items())
    yield "effort", f"{counted(report.programs, 'program')}, {counted(report.frames, 'frame')}, seed {report.seed}"
    yield "time", f"{report.seconds:.1f} s, begun {report.started}"
    if report.files:
        yield "files judged", ", ".join(f"{code(word)} (SHA-256 {digest}...)" for word, digest in report.files.items())
    if report.machine:
        yield "machine", text(report.machine)


def _failure(judgement: Judgement) -> Iterator[str]:
    failure = judgement.failure
    if failure is None:
        return
    yield ""
    yield f"## {judgement.verdict} {judgement.id} ({judgement.level})"
    yield ""
    yield text(judgement.text)
    yield ""
    yield f"**{text(failure.prose)}** ({failure.rate})"
    yield ""
    yield from block(_seen(failure), "text")
    yield ""
    if failure.diagram.shows_more_than_words:
        yield from block(mermaid(failure.diagram), "mermaid")
        yield ""
    yield from block([failure.replay])


def _seen(failure: Failure) -> Iterator[str]:
    """The steps, the contradictions, and the last output of a dead relay."""
    yield from failure.steps
    yield ""
    for each in failure.contradictions:
        yield f"{each.kind}: expected {each.expected}; seen: {each.seen}"
    if failure.last_output:
        yield ""
        yield from failure.last_output.splitlines()
