"""The screens of a comparison in the terminal: what is compared, what each topic showed, and what it came to."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from rich.console import Console
from rich.text import Text

from ...counting import counted
from ...exits import Exit
from ...reports.ascii import draw
from ...reports.diagram import Diagram
from ...reports.terminal import facts, say
from ...reports.thin import rules_out_little
from ..course import Course
from ..figures import Measured
from ..fixed import CheckResult, label
from ..found import FoundDifference, TopicResult
from ..outcome import Entry, Outcome
from ..topics import Level, topics_of
from .report import Report, Setting, Shown
from .words import LOOKS, figure_words, same, word_of

STYLES = {word: look.colour for word, look in LOOKS.items()} | {"SEEN": "yellow"}
INPUTS = {Level.EXACT: "every input, malformed too", Level.WELL_FORMED: "valid traffic only"}


def first_screen(out: Console, setting: Setting, effort: Sequence[tuple[str, str]], examples: int) -> None:
    """What is compared with what; ``effort`` are more facts about it, ``examples`` the programs of each topic."""
    compared = (
        f"situations, {counted(len(topics_of(setting.level)), 'topic')}, at most {counted(examples, 'program')} each, "
        "and fixed checks"
    )
    level = setting.level
    rows = [("relay A", setting.a), ("relay B", setting.b), ("domain", setting.domain)]
    facts(out, [*rows, ("level", f"{level.value}: {INPUTS[level]}"), ("comparing", compared), *effort])
    out.print()


def tell(out: Console, result: TopicResult) -> None:
    """What the programs of a topic showed, in a line."""
    found = [f"{each.id} (FLAKY)" if each.flaky else each.id for each in result.found]
    word = "CUT SHORT" if result.cut_short else same(thin=rules_out_little(result.programs))
    word = "SKIPPED" if result.skipped else word
    word = "SEEN" if result.put_off else word
    if found:
        word = "FLAKY" if all(each.flaky for each in result.found) else "DIFFERENT"
    differences = ", ".join(found) or "no new difference"
    line = _row(word, result.name, result.skipped or f"{counted(result.programs, 'program')}; {differences}")
    if result.put_off:
        line.append(f"; {counted(result.put_off, 'candidate')} to be settled", style="yellow")
    if result.noise:
        line.append(f"; relay A differs from its copy in {result.noise} of {result.calibrated}", style="yellow")
    if result.passed_over:
        line.append(f"; {result.passed_over} more like doubtful ones were not looked at", style="yellow")
    say(out, line)


def tell_check(out: Console, result: CheckResult) -> None:
    """What a fixed check showed, in a line."""
    found = [f"{each.id} (FLAKY)" if each.flaky else each.id for each in result.found]
    word = "DIFFERENT" if found else "SKIPPED" if result.skipped else "SAME"
    said = ", ".join(found) or result.skipped or "no difference"
    say(out, _row(word, label(result.requirement), said))


def tell_figures(out: Console, figures: Sequence[Measured]) -> None:
    """What both relays cost, a line for each figure; where none was measured, one line that says why."""
    known = [each for each in figures if each.is_measured]
    for each in known:
        say(out, _row(word_of(each), each.name, figure_words(each)))
    reasons: dict[str, list[str]] = {}
    for each in figures:
        if not each.is_measured:
            reasons.setdefault(each.reason, []).append(each.name)
    for reason, names in reasons.items():
        say(out, _row("SKIPPED", "figures" if len(names) == len(figures) else ", ".join(names), reason))


def _row(word: str, topic: str, said: str) -> Text:
    return Text.assemble((f"{word:<12}", STYLES[word]), (f"{topic:<29}", "bold"), said)


def last_screen(out: Console, course: Course, result: Outcome, report: Report) -> None:
    """The differences, what is stale, and the verdict."""
    for entry in result.entries:
        _show(out, entry, report.evidence[entry.listed], course.shown_by_programs(entry))
    out.print()
    for word, said in result.complaints:
        say(out, Text.assemble((f"{word:<12}", "bold red"), said))
    say(out, report.verdict, "green" if report.exit_code == Exit.PASS else "bold red")
    if course.coverage:
        say(out, f"compared in {course.coverage.words}")
    checked = counted(course.calibrated, "program")
    out.print(f"{report.seconds:.1f} s; relay A differed from its copy in {course.noise} of {checked} checked")


def _show(out: Console, entry: Entry, shown: Shown, found: FoundDifference | None) -> None:
    out.print()
    style = "yellow" if entry.status == "ACCEPTED" else "bold red"
    say(out, Text.assemble((f"{entry.status} {entry.id}", style), f"  {entry.text}"))
    if entry.reason:
        say(out, f"     {'' if entry.status == 'ACCEPTED' else 'not '}accepted because: {entry.reason}")
    if entry.needs:
        say(out, f"     it needs   {entry.needs}")
    for line in shown.steps:
        say(out, line)
    say(out, f"     relay A    {entry.in_a}\n     relay B    {entry.in_b}")
    if found is not None:
        say(
            out,
            f"     rate       relay B differs from relay A in {found.in_b} of {counted(found.runs, 'run')}, "
            f"the copy of relay A in {found.in_copy}",
        )
    say(out, f"     replay     {shown.replay}")
    if shown.a is not None and shown.b is not None and entry.status != "ACCEPTED":
        show_side_by_side(out, shown.a, shown.b)


def show_side_by_side(out: Console, a: Diagram, b: Diagram) -> None:
    """The sequence diagrams of A and B beside each other, under each other where the terminal is narrow."""
    left, right = ([str(line.text) for line in draw(diagram)] for diagram in (a, b))
    width = max(map(len, left), default=0) + 4
    out.print()
    if width + max(map(len, right), default=0) + 5 <= max(out.width, 80):
        for one, other in zip_longest([" relay A", *left], [" relay B", *right], fillvalue=""):
            say(out, f"     {one:<{width}}{other}")
        return
    for title, lines in (("relay A", left), ("relay B", right)):
        for line in (title, *lines):
            say(out, f"     {line}")
