"""Requirements by relays: several JSON reports in one table, as HTML or Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from ..model.requirements import Requirement, requirements, sections
from .html import badge, document, plain
from .markdown import MARKS, cell
from .model import MEANINGS, VERDICT_ORDER, Judgement, Report

SIGNS = {
    "PASS": "✓",
    "FAIL": "✗",
    "FLAKY": "~",
    "UNEXPECTED-PASS": "!",
    "EXPECTED-FAIL": "(✗)",
    "UNKNOWN": "?",
    "UNSUPPORTED": "–",
}
"""What stands for a verdict where many relays stand side by side."""
FEW_RELAYS = 5
"""As many relays as have room for verdicts in words."""


def names(reports: Sequence[Report]) -> list[str]:
    """A short name for each report, made different where two relays would have the same."""
    found = [_short(report) for report in reports]
    domains = [f" {report.domain.replace('_', ' ')}" for report in reports]
    profiles = [f" as {report.profile}" for report in reports]
    for endings in (domains, profiles):
        longer = [name + ending for name, ending in zip(found, endings, strict=True)]
        told = {
            name for name in found if len({more for old, more in zip(found, longer, strict=True) if old == name}) > 1
        }
        found = [more if old in told else old for old, more in zip(found, longer, strict=True)]
    return [name if found.count(name) == 1 else f"{name} ({index + 1})" for index, name in enumerate(found)]


def _short(report: Report) -> str:
    """The command of a target without its socket, or its address."""
    kept: list[str] = []
    for word in report.target.split():
        if "{socket}" in word or "{port}" in word:
            if kept and kept[-1].startswith("-"):
                kept.pop()
            continue
        kept.append(word.rpartition("/")[2] if not kept else word)
    if len(kept) > 1 and kept[0] == "torq-specimen":
        kept.pop(0)
    if kept[:2] == ["correct", "--mutant"]:
        del kept[:2]
    return " ".join(kept) or report.target


def rows(reports: Sequence[Report]) -> Iterator[tuple[Requirement, list[Judgement | None]]]:
    """Every requirement that some report has judged, with the judgement of each report."""
    by_id = [report.by_id() for report in reports]
    for identifier, requirement in requirements().items():
        judged = [judgements.get(identifier) for judgements in by_id]
        if any(judged):
            yield requirement, judged


def matrix_markdown(reports: Sequence[Report]) -> str:
    """The matrix as a Markdown page."""
    heads = names(reports)
    lines = ["# Requirements by relays", "", "| relay | profile | verdicts | seed | target |", "|-|-|-|-|-|"]
    for name, report in zip(heads, reports, strict=True):
        state = " (incomplete)" if report.state == "incomplete" else ""
        target = cell(report.target)
        lines.append(f"| {cell(name)} | {report.profile} | {report.verdict_line}{state} | {report.seed} | `{target}` |")
    lines += ["", ", ".join(f"{MARKS[verdict]} {verdict}: {MEANINGS[verdict]}" for verdict in VERDICT_ORDER) + "."]
    for section, members in groupby(rows(reports), key=lambda row: row[0].section):
        lines += ["", f"## {section}: {sections()[section].title}", ""]
        lines.append(f"| id | level | requirement | {' | '.join(cell(name) for name in heads)} |")
        lines.append("|-|-|-|" + ":-:|" * len(heads))
        for requirement, judged in members:
            marks = " | ".join(_mark(each) for each in judged)
            lines.append(f"| {requirement.id} | {requirement.level} | {cell(requirement.text)} | {marks} |")
    return "\n".join(lines) + "\n"


def _mark(judgement: Judgement | None) -> str:
    if judgement is None:
        return ""
    rate = (
        f" {judgement.failure.failures}/{judgement.failure.runs}"
        if judgement.verdict == "FLAKY" and judgement.failure
        else ""
    )
    return MARKS[judgement.verdict] + rate


def matrix_html(reports: Sequence[Report]) -> str:
    """The matrix as one self-contained HTML page."""
    return document("Requirements by relays", _html(reports))


def _html(reports: Sequence[Report]) -> Iterator[str]:
    heads = names(reports)
    yield "<h1>Requirements by relays</h1>"
    columns = "".join(f"<th>{name}</th>" for name in ("relay", "profile", "verdicts", "seed", "target"))
    yield f'<table class="relays"><thead><tr>{columns}</tr></thead><tbody>'
    for name, report in zip(heads, reports, strict=True):
        state = " (incomplete)" if report.state == "incomplete" else ""
        counts = " ".join(
            f"{badge(verdict)} {report.counts[verdict]}" for verdict in VERDICT_ORDER if report.counts.get(verdict)
        )
        yield (
            f'<tr><td>{plain(name)}</td><td data-name="profile">{plain(report.profile)}</td><td>{counts}{state}</td>'
            f'<td data-name="seed">{report.seed}</td><td><code>{plain(report.target)}</code></td></tr>'
        )
    yield "</tbody></table><dl>"
    brief = len(reports) > FEW_RELAYS
    for verdict in VERDICT_ORDER:
        sign = f"{_sign(verdict)} " if brief else ""
        yield f"<dt>{sign}{badge(verdict)}</dt><dd>{MEANINGS[verdict]}</dd>"
    yield f'</dl><div class="scroll"><table class="matrix{" brief" if brief else ""}"><thead>'
    yield "<tr><th>id</th><th>requirement</th>"
    yield "".join(f'<th class="relay"><span>{plain(name)}</span></th>' for name in heads) + "</tr></thead>"
    for section, members in groupby(rows(reports), key=lambda row: row[0].section):
        title = plain(sections()[section].title)
        yield f'<tbody><tr class="section"><th colspan="{len(heads) + 2}">{section}: {title}</th></tr>'
        for requirement, judged in members:
            cells = "".join(_cell(each, brief=brief) for each in judged)
            text = f'<td class="text">{plain(requirement.text)}</td>'
            yield f'<tr><td class="id">{requirement.id}</td>{text}{cells}</tr>'
        yield "</tbody>"
    yield "</table></div>"


def _sign(verdict: str) -> str:
    return f'<span class="verdict {verdict.lower()}" aria-label="{verdict}">{SIGNS[verdict]}</span>'


def _cell(judgement: Judgement | None, *, brief: bool) -> str:
    if judgement is None:
        return "<td></td>"
    words = judgement.words if judgement.failure is None else f"{judgement.failure.prose} ({judgement.failure.rate})"
    shown = _sign(judgement.verdict) if brief else badge(judgement.verdict)
    return f'<td title="{judgement.verdict}: {plain(words)}">{shown}</td>'
