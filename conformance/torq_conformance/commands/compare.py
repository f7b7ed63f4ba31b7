"""Compare two JSON reports: what newly fails, newly passes, or is no longer judged."""

from __future__ import annotations

from pathlib import Path

import click

from ..exits import Exit
from ..reports.model import Report, load_report

COLOURS = {"newly failing": "red", "no longer judged": "yellow", "rate changed": "magenta", "newly passing": "green"}
MOST_ALONE = 3
"""Changes of the same words that have a line each; more share one, as where one of the runs judged a part."""


@click.command("compare")
@click.argument("old", type=click.Path(path_type=Path), metavar="OLD.json")
@click.argument("new", type=click.Path(path_type=Path), metavar="NEW.json")
def command(old: Path, new: Path) -> int:
    """Compare two JSON reports, the older one first.

    \b
    torq-conformance compare main.json branch.json

    Rates count as changed when their 95 % intervals do not touch.

    \b
    Exit codes: 0 nothing newly fails; 1 something newly fails; 2 a file is no report; 3 a MUST is no longer judged.
    """
    from ..reports.comparison import changes

    before, after = load_report(old), load_report(new)
    for file, report in ((old, before), (new, after)):
        click.echo(f"{file}: {_line(report)}")
        if report.state == "incomplete":
            click.echo(f"  incomplete: {report.stop_reason}")
    for name, was, now in _settings(before, after):
        click.echo(f"note: {name} differs: {was} and {now}")
    found = changes(before, after)
    alike: dict[tuple[str, str, str], list[str]] = {}
    for change in found:
        alike.setdefault((change.kind, change.level, change.words), []).append(change.id)
    for (kind, level, words), identifiers in alike.items():
        title = click.style(f"{kind:<18}", fg=COLOURS.get(kind))
        if len(identifiers) > MOST_ALONE:
            click.echo(f"{title}{len(identifiers):<9}{level:<7}{words}: {', '.join(identifiers)}")
            continue
        for identifier in identifiers:
            click.echo(f"{title}{identifier:<9}{level:<7}{words}")
    if not found:
        click.echo("nothing changed")
    kinds = {change.kind for change in found}
    if "newly failing" in kinds:
        return Exit.FAIL
    lost = any(change.kind == "no longer judged" and change.level == "MUST" for change in found)
    return Exit.UNKNOWN if lost else Exit.PASS


def _line(report: Report) -> str:
    return f"{report.verdict_line or 'nothing judged'} ({report.target}, {report.domain}, profile {report.profile})"


def _settings(before: Report, after: Report) -> list[tuple[str, str, str]]:
    """Settings in which the runs differ so much that their verdicts mean different things."""
    pairs = [
        ("domain", before.domain, after.domain),
        ("profile", before.profile, after.profile),
        ("target", before.target, after.target),
    ]
    return [(name, was, now) for name, was, now in pairs if was != now]
