"""The screens of a run in the terminal: its plan, its progress and its verdicts.

Facts: on a terminal there is colour, progress and wrapping to its width; a pipe gets the same words as plain lines, one
fact a line, never wrapped, so that grep and a CI log can use them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from ..counting import counted, failing_runs, inflected
from ..errors import OutputError
from ..judging.plan import Observer, Plan
from ..judging.verdict import Counterexample, Lack, Result, Verdict
from ..model.requirements import Requirement
from ..printable import visible
from .ascii import draw
from .conclusion import RunVerdict, run_verdict
from .model import FAILING, VERDICT_ORDER, Report
from .narrate import contradictions, evidence, narrate, prose
from .trace import diagram_of

COLOURS = {
    "PASS": "green",
    "FAIL": "bold red",
    "FLAKY": "bold magenta",
    "UNKNOWN": "yellow",
    "UNSUPPORTED": "dim",
    "EXPECTED-FAIL": "cyan",
    "UNEXPECTED-PASS": "bold red",
}
CONCLUSION_COLOURS = {RunVerdict.PASS: "bold green", RunVerdict.FAIL: "bold red"}
INDENT = 5
MAX_STEP_LINES = 60


class _Output(Console):
    """A console that ends the command, not the process, when the reader of its output is gone."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        raise OutputError


def console() -> Console:
    """The console of a command: nothing is highlighted by guessing. Printing raises OutputError in a closed pipe."""
    return _Output(highlight=False)


class TerminalObserver(Observer):
    """Progress on a terminal; a line per verdict where the output is piped."""

    def __init__(self, out: Console, plan: Plan) -> None:
        self._console = out
        self._plan = plan
        self._progress = Progress(
            SpinnerColumn(),
            MofNCompleteColumn(),
            BarColumn(bar_width=24),
            TextColumn("{task.description}"),
            TextColumn("{task.fields[status]}", style="dim"),
            console=out,
            transient=True,
            disable=not out.is_terminal,
        )
        self._task = self._progress.add_task("", total=len(plan.requirements), status="")

    def __enter__(self) -> TerminalObserver:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def started(self, requirement: Requirement) -> None:
        self._progress.update(self._task, description=requirement.id, status="")

    def played(self, requirement: Requirement, count: int) -> None:
        self._progress.update(self._task, status=f"{count} of {counted(self._plan.max_examples, 'program')}")

    def failed(self, counterexample: Counterexample) -> None:
        steps = len(counterexample.program.steps)
        self._progress.update(self._task, status=f"failed; shrinking, best so far {counted(steps, 'step')}")

    def finished(self, result: Result) -> None:
        self._progress.advance(self._task)
        self._progress.console.print(verdict_line(result), soft_wrap=True)


def verdict_line(result: Result) -> Text:
    """One requirement, its verdict and the evidence."""
    line = Text()
    line.append(f"{result.verdict.value:<16}", style=COLOURS.get(result.verdict.value, ""))
    line.append(f"{result.requirement.id:<9}", style="bold")
    line.append(visible(evidence(result)))
    return line


def facts(out: Console, rows: Iterable[tuple[str, str]]) -> None:
    """Names and values under each other: wrapped beside the name on a terminal, one line each in a pipe."""
    if not out.is_terminal:
        for name, value in rows:
            out.print(Text(f"{name:<10}{visible(value)}"), soft_wrap=True)
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    for name, value in rows:
        table.add_row(name, Text(visible(value)))
    out.print(table)


def show_first_screen(out: Console, plan: Plan, target: str, reports: Iterable[str] = ()) -> None:
    """The first screen: target, profile and requirements."""
    names = " ".join(requirement.id for requirement in plan.requirements)
    each = f"up to {counted(plan.max_examples, 'program')} each"
    facts(
        out,
        [
            ("target", target),
            ("domain", plan.domain),
            ("profile", ": ".join(filter(None, (plan.profile.name, plan.profile.description)))),
            ("judging", f"{counted(len(plan.requirements), 'requirement')}: {names}"),
            (
                "effort",
                f"{each}, at most {plan.time_budget:.0f} s in all, seed {plan.seed}",
            ),
            *(("report", report) for report in reports),
        ],
    )
    out.print()


def show_counterexample(out: Console, result: Result, lines: Iterable[tuple[str, str]]) -> None:
    """A failure: the requirement, the contradiction in words, the steps, the diagram, its rate, what to do next."""
    shown = result.counterexample
    if shown is None:
        return
    requirement = result.requirement
    out.print()
    head = Text.assemble(
        (f"{result.verdict.value} {requirement.id}", COLOURS.get(result.verdict.value, "")),
        f" [{requirement.level}] {requirement.text}",
    )
    _paragraph(out, head, 0)
    _paragraph(out, Text(visible(prose(shown)), style="bold"), INDENT)
    steps = list(narrate(shown.program, shown.history, shown.findings))
    for line in steps[:MAX_STEP_LINES]:
        _detail(out, line)
    if len(steps) > MAX_STEP_LINES:
        out.print(f"     ... {counted(len(steps) - MAX_STEP_LINES, 'more line')}; the replay file has them all")
    for line in contradictions(shown):
        _detail(out, line)
    for line in shown.history.remains:
        _detail(out, f"{'':{INDENT}}{line}")
    diagram = diagram_of(shown)
    if diagram.shows_more_than_words:
        out.print()
        for drawn in draw(diagram):
            out.print(Text(drawn.text, style="bold red" if drawn.marked else ""), soft_wrap=True)
    out.print()
    for name, value in (("rate", _rate(shown)), *lines):
        out.print(Text(f"     {name:<10} {visible(value)}"), soft_wrap=True)


def _paragraph(out: Console, text: Text, indent: int) -> None:
    """Text that wraps on a terminal and is one line in a pipe."""
    if out.is_terminal:
        out.print(Padding(text, (0, 0, 0, indent)))
    else:
        out.print(Text(" " * indent).append_text(text), soft_wrap=True)


def _detail(out: Console, line: str) -> None:
    """A line of a step or a contradiction; on a terminal its rest is indented as it is."""
    line = visible(line)
    hang = len(line) - len(line.lstrip()) if line.startswith(" " * INDENT) else INDENT
    if out.is_terminal and len(line) > out.width:
        wrapped = textwrap.wrap(line, max(out.width, 40), subsequent_indent=" " * hang, break_on_hyphens=False)
        line = "\n".join(wrapped)
    out.print(Text(line), soft_wrap=True)


def _rate(shown: Counterexample) -> str:
    return failing_runs(shown.failures, shown.runs, shown.served_before)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run came out, for the last screen. ``advice`` gives the lines that follow a failure."""

    results: list[Result]
    report: Report
    advice: Callable[[Counterexample], Iterable[tuple[str, str]]]


def show_last_screen(out: Console, outcome: Outcome) -> None:
    """The failures one by one, then the counts of verdicts, what to do next, and the conclusion."""
    for result in outcome.results:
        if result.counterexample is not None:
            show_counterexample(out, result, outcome.advice(result.counterexample))
    out.print()
    counts = Text()
    for verdict in VERDICT_ORDER:
        number = sum(result.verdict.value == verdict for result in outcome.results)
        if number:
            counts.append(f"{number} {verdict}  ", style=COLOURS.get(verdict, ""))
    report = outcome.report
    programs = sum(result.evidence["programs"] for result in outcome.results)
    counts.append(f"({counted(programs, 'program')} in {report.seconds:.1f} s)")
    out.print(counts, soft_wrap=True)
    if report.stop_reason:
        verb = inflected(len(outcome.results), "was", "were")
        judged = f"{len(outcome.results)} of {counted(len(report.judgements), 'requirement')} {verb} judged"
        out.print(Text(f"INCOMPLETE: {visible(report.stop_reason)}; {judged}", style="bold yellow"), soft_wrap=True)
    else:
        _show_unjudged(out, outcome.results)
    _show_thin(out, report)
    for problem in report.problems:
        out.print(Text(f"expected failures: {problem}", style="bold red"), soft_wrap=True)
    failing = [result.requirement.id for result in outcome.results if result.verdict.value in FAILING]
    if failing:
        out.print(Text(f"next: torq-conformance explain {failing[0]}", style="dim"), soft_wrap=True)
    out.print(Text(visible(report.conclusion), style=_style_of(report)), soft_wrap=True)


def _style_of(report: Report) -> str:
    verdict = run_verdict(report.judgements, report.exit_code, report.stop_reason)
    return CONCLUSION_COLOURS.get(verdict, "bold yellow")


def _show_unjudged(out: Console, results: list[Result]) -> None:
    """The requirements that were not judged, by reason, each reason with its remedy."""
    reasons: dict[str, list[str]] = {}
    for result in results:
        if result.verdict is Verdict.UNKNOWN:
            reasons.setdefault(result.reason, []).append(result.requirement.id)
    for reason, identifiers in reasons.items():
        out.print(Text(f"not judged ({reason}): {' '.join(identifiers)}", style="yellow"), soft_wrap=True)
    lacks = {result.lacks for result in results if result.verdict is Verdict.UNKNOWN}
    if Lack.TIME in lacks:
        out.print(Text("next: give more --time-budget", style="dim"), soft_wrap=True)
    elif Lack.PROGRAMS in lacks:
        out.print(Text("next: give more --max-examples", style="dim"), soft_wrap=True)


def _show_thin(out: Console, report: Report) -> None:
    """The cases that the programs of passing requirements could have used and hardly did."""
    thin = [f"{each.id} ({', '.join(cell.words for cell in each.thin)})" for each in report.thin]
    if thin:
        out.print(Text(f"thin: {'; '.join(thin)}", style="yellow"), soft_wrap=True)
        ended = any(each.lacks == Lack.TIME.value for each in report.judgements)
        more = "--time-budget" if ended else "--max-examples"
        out.print(Text(f"next: more {more} fills what is thin", style="dim"), soft_wrap=True)
