"""What a run shows in the terminal: what will be tested, how far it is, and what came out."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table
from rich.text import Text

from .narrate import contradictions, narrate
from .requirements import Requirement
from .runner import Counterexample, Observer, Plan, Result, Verdict

COLOURS = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.FLAKY: "bold magenta",
    Verdict.UNKNOWN: "yellow",
    Verdict.UNSUPPORTED: "dim",
}


class TerminalObserver(Observer):
    """Progress on a terminal; a line per verdict where the output is piped."""

    def __init__(self, console: Console, plan: Plan) -> None:
        self._console = console
        self._plan = plan
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[status]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
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
        self._progress.update(self._task, status=f"{count} of {self._plan.max_examples} programs")

    def failed(self, counterexample: Counterexample) -> None:
        steps = len(counterexample.program.steps)
        self._progress.update(self._task, status=f"failed; shrinking, best so far {steps} steps")

    def finished(self, result: Result) -> None:
        self._progress.advance(self._task)
        self._progress.console.print(verdict_line(result), soft_wrap=True)


def verdict_line(result: Result) -> Text:
    """One requirement, its verdict and the evidence."""
    line = Text()
    line.append(f"{result.verdict.value:<12}", style=COLOURS[result.verdict])
    line.append(f"{result.requirement.id:<9}", style="bold")
    line.append(evidence(result))
    return line


def evidence(result: Result) -> str:
    """The evidence of a verdict in a few words, such as ``0 of 412 programs, 9 800 frames``."""
    if result.verdict in (Verdict.UNSUPPORTED, Verdict.UNKNOWN) and result.reason:
        return result.reason
    frames = f"{result.evidence['frames']:,} frames".replace(",", " ")
    programs = f"{result.exercised:,}".replace(",", " ")
    if result.counterexample is None:
        text = f"0 of {programs} programs fail, {frames}"
        return f"{text}; {result.reason}" if result.reason else text
    shown = result.counterexample
    return (
        f"a program of {len(shown.program.steps)} steps fails {shown.failures} of {shown.runs} runs; "
        f"found after {result.evidence['programs']} programs"
    )


def show_first_screen(console: Console, plan: Plan, target: str) -> None:
    """What will be tested, and how."""
    table = Table.grid(padding=(0, 2))
    table.add_row("target", target)
    table.add_row("domain", plan.domain)
    table.add_row("profile", f"{plan.profile.name}: {plan.profile.description}")
    names = " ".join(requirement.id for requirement in plan.requirements)
    table.add_row("judging", f"{len(plan.requirements)} requirements: {names}")
    table.add_row(
        "effort", f"{plan.max_examples} programs each, at most {plan.time_budget:.0f} s in all, seed {plan.seed}"
    )
    console.print(table)
    console.print()


def show_counterexample(console: Console, result: Result, replay_line: str) -> None:
    """A failure as numbered steps, what was expected and seen, its rate, and how to replay it."""
    shown = result.counterexample
    if shown is None:
        return
    requirement = result.requirement
    console.print()
    console.print(
        Text.assemble(
            (f"{result.verdict.value} {requirement.id} [{requirement.level}]", COLOURS[result.verdict]),
            f" {requirement.text}",
        ),
        soft_wrap=True,
    )
    for line in (*narrate(shown.program, shown.history), *contradictions(shown)):
        console.print(Text(line), soft_wrap=True)
    console.print(Text(f"     {'rate':<10} {shown.failures} of {shown.runs} runs fail"))
    console.print(Text(f"     {'replay':<10} {replay_line}"), soft_wrap=True)


def show_last_screen(console: Console, results: list[Result], files: dict[str, Path], where: str, since: float) -> None:
    """The failures one by one, then the counts of verdicts."""
    for result in results:
        if result.counterexample is not None:
            show_counterexample(console, result, f"torq-conformance replay {files[result.requirement.id]} {where}")
    console.print()
    counts = Text()
    for verdict in Verdict:
        number = sum(result.verdict is verdict for result in results)
        if number:
            counts.append(f"{number} {verdict.value}  ", style=COLOURS[verdict])
    programs = sum(result.evidence["programs"] for result in results)
    counts.append(f"({programs:,} programs in {time.monotonic() - since:.1f} s)".replace(",", " "))
    console.print(counts)
