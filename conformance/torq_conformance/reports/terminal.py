"""The screens of a run in the terminal: its plan, its progress and its verdicts.

Facts: on a terminal there is colour, progress and wrapping to its width; a pipe gets the same words as plain lines, one
fact a line, never wrapped, so that grep and a CI log can use them.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from ..counting import counted, failing_runs, inflected
from ..errors import OutputError
from ..grey_box.reached import Reached
from ..judging.plan import Observer, Plan
from ..judging.verdict import Counterexample, Lack, Meeting, Result, Verdict
from ..model.requirements import Requirement
from ..printable import visible
from .ascii import draw
from .conclusion import RunVerdict, run_verdict
from .model import FAILING, VERDICTS, Report
from .narrate import contradictions, evidence, narrate, prose
from .thin import word_of
from .trace import diagram_of

CONCLUSION_COLOURS = {RunVerdict.PASS: "bold green", RunVerdict.FAIL: "bold red"}
INDENT = 5
MAX_STEP_LINES = 60
MOST_FILES = 20
"""Files of which the last screen says what was never reached in them."""


class _Output(Console):
    """A console that ends the command, not the process, when the reader of its output is gone."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        raise OutputError


def console() -> Console:
    """The console of a command: nothing is highlighted by guessing. Printing raises OutputError in a closed pipe."""
    return _Output(highlight=False)


def say(out: Console, what: str | Text, style: str = "") -> None:
    """Print one line, which the suite does not wrap."""
    out.print(Text(what, style=style) if isinstance(what, str) else what, soft_wrap=True)


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

    def met(self, count: int, of: int) -> None:
        self._progress.update(self._task, description="situations", status=f"{count} of {of}")

    def explored(self, count: int, kept: int) -> None:
        status = f"{counted(count, 'program')}, {kept} kept"
        self._progress.update(self._task, description="exploring", status=status)

    def started(self, requirement: Requirement) -> None:
        self._progress.update(self._task, description=requirement.id, status="")

    def played(self, requirement: Requirement, count: int) -> None:
        self._progress.update(self._task, status=f"{count} of {counted(self._plan.max_examples, 'program')}")

    def failed(self, counterexample: Counterexample) -> None:
        steps = len(counterexample.program.steps)
        self._progress.update(self._task, status=f"failed; shrinking, best so far {counted(steps, 'step')}")

    def ended_leg(self, words: str, results: Sequence[Result], meeting: Meeting) -> None:
        say(self._progress.console, f"{'marathon':<16}{words}")

    def finished(self, result: Result) -> None:
        self._progress.advance(self._task)
        say(self._progress.console, verdict_line(result))


def verdict_line(result: Result) -> Text:
    """One requirement, its verdict and the evidence."""
    line = Text()
    word = word_of(result)
    line.append(f"{word:<16}", style=VERDICTS[word].colour)
    line.append(f"{result.requirement.id:<9}", style="bold")
    line.append(visible(evidence(result)))
    return line


def facts(out: Console, rows: Iterable[tuple[str, str]]) -> None:
    """Names and values under each other: wrapped beside the name on a terminal, one line each in a pipe."""
    if not out.is_terminal:
        for name, value in rows:
            say(out, f"{name:<10}{visible(value)}")
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
        (f"{result.verdict.value} {requirement.id}", VERDICTS[result.verdict.value].colour),
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
            say(out, drawn.text, "bold red" if drawn.marked else "")
    out.print()
    for name, value in (("rate", _rate(shown)), *lines):
        say(out, f"     {name:<10} {visible(value)}")


def _paragraph(out: Console, text: Text, indent: int) -> None:
    """Text that wraps on a terminal and is one line in a pipe."""
    if out.is_terminal:
        out.print(Padding(text, (0, 0, 0, indent)))
    else:
        say(out, Text(" " * indent).append_text(text))


def _detail(out: Console, line: str) -> None:
    """A line of a step or a contradiction; on a terminal its rest is indented as it is."""
    line = visible(line)
    hang = len(line) - len(line.lstrip()) if line.startswith(" " * INDENT) else INDENT
    if out.is_terminal and len(line) > out.width:
        wrapped = textwrap.wrap(line, max(out.width, 40), subsequent_indent=" " * hang, break_on_hyphens=False)
        line = "\n".join(wrapped)
    say(out, line)


def _rate(shown: Counterexample) -> str:
    return failing_runs(shown.failures, shown.runs, shown.served_before)


def show_last_screen(
    out: Console, results: list[Result], report: Report, advice: Callable[[Counterexample], tuple[str, str]]
) -> None:
    """The failures one by one, then the counts of verdicts, what to do next, and the conclusion.

    ``advice`` is the last line of a failure, with its name.
    """
    for result in results:
        if result.counterexample is not None:
            show_counterexample(out, result, [advice(result.counterexample)])
    out.print()
    counts = Text()
    words = Counter(map(word_of, results))
    for word, look in VERDICTS.items():
        if words[word]:
            counts.append(f"{words[word]} {word}  ", style=look.colour)
    counts.append(f"({counted(report.programs, 'program')} in {report.seconds:.1f} s)")
    say(out, counts)
    if report.coverage is not None:
        say(out, f"met: {report.coverage.words}")
    for each in report.reached:
        _show_reached(out, each)
    if report.stop_reason:
        verb = inflected(len(results), "was", "were")
        judged = f"{len(results)} of {counted(len(report.judgements), 'requirement')} {verb} judged"
        say(out, f"INCOMPLETE: {visible(report.stop_reason)}; {judged}", "bold yellow")
    else:
        _show_unjudged(out, results)
    _show_thin(out, report)
    for problem in report.problems:
        say(out, f"expected failures: {problem}", "bold red")
    failing = [result.requirement.id for result in results if result.verdict.value in FAILING]
    if failing:
        say(out, f"next: torq-conformance explain {failing[0]}", "dim")
    say(out, visible(report.conclusion), _style_of(report))


def _show_reached(out: Console, reached: Reached) -> None:
    """What of the relay's code was reached, and a line for each file of what never was."""
    say(out, f"reached: {visible(reached.figures)}")
    for missed in reached.never[:MOST_FILES]:
        say(out, f"never reached: {visible(missed.words)}", "yellow")
    if len(reached.never) > MOST_FILES:
        say(out, f"never reached: lines of {len(reached.never) - MOST_FILES} more files; a report names them", "yellow")


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
        say(out, f"not judged ({reason}): {' '.join(identifiers)}", "yellow")
    lacks = {result.lacks for result in results if result.verdict is Verdict.UNKNOWN}
    if Lack.TIME in lacks:
        say(out, "next: give more --time-budget", "dim")
    elif Lack.PROGRAMS in lacks:
        say(out, "next: give more --max-examples", "dim")


def _show_thin(out: Console, report: Report) -> None:
    """What hardly any program of the requirements that hold was about."""
    thin = [f"{each.id} ({', '.join(cell.words for cell in each.thin)})" for each in report.thin]
    if thin:
        say(out, f"thin: {'; '.join(thin)}", "yellow")
        ended = any(each.lacks == Lack.TIME.value for each in report.judgements)
        more = "--time-budget" if ended else "--max-examples"
        say(out, f"next: more {more} fills what is thin", "dim")
