"""The report as one HTML file that needs nothing else: no other file, no network.

Facts: every text is escaped; the only script copies a replay line and filters the table; without scripts the page reads
just as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from itertools import groupby

from ..counting import counted, grouped
from ..printable import visible
from .conclusion import run_verdict
from .model import MEANINGS, VERDICT_ORDER, Failure, Judgement, Report
from .narrate import witness_words
from .style import SCRIPT, STYLE
from .svg import svg


def document(title: str, body: Iterator[str]) -> str:
    """A whole page around a body."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{plain(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + f"\n<script>{SCRIPT}</script>\n</body>\n</html>\n"
    )


def page(report: Report) -> str:
    """The report as a page."""
    return document(f"Conformance of {report.target}", _body(report))


def plain(text: str) -> str:
    """Text of others, escaped: it is seen as it is, and does nothing."""
    return escape(visible(text))


def words(text: str) -> str:
    """Text of the suite, escaped, in which no number wraps: its inner spaces become narrow no-break ones."""
    return _IN_A_NUMBER.sub("\u202f", plain(text))


_IN_A_NUMBER = re.compile(r"(?<=\d) (?=\d{3}(?!\d)|%)")


def badge(verdict: str) -> str:
    """A verdict as a coloured word."""
    return f'<span class="verdict {verdict.lower()}">{escape(verdict)}</span>'


def _body(report: Report) -> Iterator[str]:
    yield f"<header><h1>Conformance of <code>{plain(report.target)}</code></h1>"
    said = report.conclusion or report.verdict_line
    came_out = run_verdict(report.judgements, report.exit_code, report.stop_reason)
    yield f'<p class="conclusion {came_out.lower().replace(" ", "-")}">{words(said)}</p>'
    for problem in report.problems:
        yield f'<p class="problem">Expected failures: {words(problem)}.</p>'
    counts = [_count(report, verdict) for verdict in VERDICT_ORDER if report.counts.get(verdict)]
    yield f'<p class="counts">{" ".join(counts)}</p>'
    yield "<dl>"
    for name, value in _links(report):
        yield f"<dt>{name}</dt><dd>{value}</dd>"
    for name, value in _facts(report):
        yield f"<dt>{name}</dt><dd>{words(value)}</dd>"
    yield f"<dt>repeat it</dt><dd>{_copied(report.command)}</dd></dl></header>"
    yield "<main><h2>Verdicts</h2>"
    yield from _table(report)
    yield "<details><summary>what the verdicts say</summary><dl>"
    for verdict in VERDICT_ORDER:
        yield f"<dt>{badge(verdict)}</dt><dd>{MEANINGS[verdict]}</dd>"
    yield "</dl></details>"
    if report.failures:
        yield "<h2>Failures</h2>"
    for judgement in report.failures:
        if judgement.failure is not None:
            yield from _failure(judgement, judgement.failure)
    yield "<h2>Timeline</h2>"
    yield _timeline(report)
    yield "</main>"
    yield f"<footer>{plain(report.tool.name)} {plain(report.tool.version)}</footer>"


def _count(report: Report, verdict: str) -> str:
    return f'<button type="button" data-only="{verdict}">{badge(verdict)} {report.counts[verdict]}</button>'


def _links(report: Report) -> Iterator[tuple[str, str]]:
    """What has to be looked at before anything is decided, each with the way to it."""
    for name, judgements in report.attention:
        yield name, ", ".join(f'<a href="#{_place(each, name)}">{each.id}</a>' for each in judgements)


def _place(judgement: Judgement, name: str) -> str:
    return judgement.id if judgement.failure is not None and name != "thin" else f"{judgement.id}-row"


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    if report.left_out:
        yield "left out", ", ".join(report.left_out)
    yield "domain", report.domain.replace("_", " ")
    yield "profile", f"{report.profile}: {report.profile_description}"
    if report.departures:
        yield "it departs in", "; ".join(f"{name} {value}" for name, value in report.departures.items())
    yield "seed", str(report.seed)
    effort = counted(report.programs, "program"), counted(report.frames, "frame"), counted(report.bytes, "byte")
    yield "effort", ", ".join(effort)
    yield "time", f"{report.seconds:.1f} s, begun {report.started}"
    if report.files:
        yield "files judged", ", ".join(f"{word} (SHA-256 {digest}...)" for word, digest in report.files.items())
    if report.machine:
        yield "machine", report.machine


def _table(report: Report) -> Iterator[str]:
    yield '<table class="verdicts"><thead><tr><th>id</th><th>level</th><th>verdict</th><th>requirement</th>'
    yield "<th>evidence</th></tr></thead>"
    for section, members in groupby(report.judgements, key=lambda judgement: judgement.section):
        yield f'<tbody><tr class="section"><th colspan="5">{section}: {plain(report.sections[section])}</th></tr>'
        for each in members:
            name = f'<a href="#{each.id}">{each.id}</a>' if each.failure else each.id
            yield (
                f'<tr id="{each.id}-row" data-verdict="{each.verdict}"><td class="id">{name}</td>'
                f"<td>{each.level}</td><td>{badge(each.verdict)}</td><td>{plain(each.text)}</td>"
                f"<td>{words(each.words)}{_thin(each)}{_details(each)}</td></tr>"
            )
        yield "</tbody>"
    yield "</table>"


def _thin(judgement: Judgement) -> str:
    return "".join(f'<p class="thin">thin: {words(cell.words)}</p>' for cell in judgement.thin)


def _details(judgement: Judgement) -> str:
    if not judgement.evidence:
        return ""
    counts = ", ".join(f"{name} {grouped(count)}" for name, count in judgement.evidence.items())
    return f"<details><summary>counts</summary>{words(counts)}; {judgement.seconds:.2f} s</details>"


def _timeline(report: Report) -> str:
    """When each requirement was judged, as bars over the time of the run."""
    judged = [each for each in report.judgements if each.seconds > 0]
    whole = max((each.began + each.seconds for each in judged), default=0.0) or 1.0
    rows = []
    for index, each in enumerate(judged):
        x, width, y = 90 + 800 * each.began / whole, max(2.0, 800 * each.seconds / whole), 4 + index * 16
        label = f"{each.id}: {each.verdict}, {each.seconds:.2f} s"
        rows.append(
            f'<g><title>{escape(label)}</title><text x="82" y="{y + 10}" text-anchor="end">{each.id}</text>'
            f'<rect class="bar {each.verdict.lower()}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="12"/></g>'
        )
    height = 26 + len(judged) * 16
    rows.append(f'<text x="90" y="{height - 4}">0 s</text>')
    rows.append(f'<text x="890" y="{height - 4}" text-anchor="end">{whole:.1f} s</text>')
    size = f'viewBox="0 0 900 {height}" width="900" height="{height}"'
    return f'<div class="scroll"><svg class="timeline" {size}>{"".join(rows)}</svg></div>'


def _failure(judgement: Judgement, failure: Failure) -> Iterator[str]:
    head = f"{badge(judgement.verdict)} {judgement.id} <small>{judgement.level}</small>"
    yield f'<article id="{judgement.id}"><h3>{head}</h3>'
    yield f"<p>{plain(judgement.text)}</p>"
    rate = f'<span class="rate">{words(failure.rate)}</span>'
    yield f'<p class="contradiction"><b>{words(failure.prose)}</b> {rate}</p>'
    if failure.diagram.shows_more_than_words:
        yield f'<div class="scroll">{svg(failure.diagram, visible(failure.prose))}</div>'
        yield from _beside(failure)
    if failure.diagram.hidden_connections:
        yield f"<p>{counted(failure.diagram.hidden_connections, 'more connection')} not drawn.</p>"
    yield f"<p>Again: {_copied(failure.replay)}</p>"
    yield _folded(
        "the steps and their bytes", "\n".join(failure.steps), unfold=not failure.diagram.shows_more_than_words
    )
    yield "<details><summary>what was expected and what was seen</summary><ul>"
    for each in failure.contradictions:
        yield f"<li><b>{plain(each.kind)}</b>: expected {plain(each.expected)}; seen: {plain(each.seen)}</li>"
    yield "</ul></details>"
    if failure.last_output:
        yield _folded("what is left of the relay", failure.last_output)
    yield f'<p class="stable">{failure.id}</p></article>'


def _beside(failure: Failure) -> Iterator[str]:
    """Who is connected and not drawn: without it nobody repeats by hand what needs one connection more."""
    beside = witness_words(failure.program)
    if beside:
        yield f"<p>Not drawn: {words(beside)}.</p>"


def _folded(title: str, text: str, *, unfold: bool = False) -> str:
    return f"<details{' open' if unfold else ''}><summary>{title}</summary><pre>{plain(text)}</pre></details>"


def _copied(line: str) -> str:
    button = f'<button type="button" class="copy" data-copy="{escape(line)}">copy</button>'
    return f'<code class="line">{plain(line)}</code> {button}'
