"""Explain what a requirement demands, why, and how it is tested."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterable, Iterator

import click

from ..checks import CHECKS, EXTRA_CHECKS
from ..generation.fixed_programs import fixed_programs
from ..judging.scenarios import SCENARIOS, Scenario
from ..model.profile import load_profile
from ..model.requirements import ORIGINALS, Original, Requirement, select
from ._options import split_names

WIDTH = 110


@click.command("explain")
@click.argument("ids", nargs=-1, required=True, metavar="ID...")
def command(ids: tuple[str, ...]) -> None:
    """Explain one or several requirements, or whole sections.

    \b
    torq-conformance explain FRAME-1
    torq-conformance explain DOM-1,DOM-2 ORD

    torq-conformance run --list shows all ids.
    """
    for index, requirement in enumerate(select(split_names(ids), [])):
        if index:
            click.echo()
        _explain(requirement)


def _explain(requirement: Requirement) -> None:
    binds = "every relay" if len(requirement.domains) == 3 else " and ".join(requirement.domains).replace("_", " ")
    click.echo(f"{click.style(requirement.id, bold=True)} [{requirement.level}] binds {binds}")
    _paragraph("", requirement.text)
    _paragraph("why", requirement.why)
    _paragraphs("notes", (note.replace("`", "") for note in requirement.notes))
    scenario = SCENARIOS.get(requirement.id)
    check = CHECKS.get(requirement.id) or EXTRA_CHECKS.get(requirement.id)
    if check is not None:
        _paragraph("tested", f"by a fixed check on relays started for it: {_first_sentence(check)}")
    if scenario is None and check is None:
        figure = requirement.level == "FIGURE"
        reason = "figures are measured by the benchmarks" if figure else "no program exercises it"
        _paragraph("tested", f"not by the suite: {reason}")
    if scenario is not None:
        _paragraphs("first", (each.title for each in fixed_programs(requirement.id)))
        _explain_judging(scenario)
    _paragraphs("originals", _originals(requirement))
    if scenario is not None or check is not None:
        domain = requirement.domains[0] if len(requirement.domains) < 3 else "signal"
        _paragraph("try", f"torq-conformance --domain {domain} --section {requirement.id}")


def _explain_judging(scenario: Scenario) -> None:
    """The features that write the programs, the oracles that judge them, and what makes a program count."""
    for title, parts in (("programs", scenario.features), ("fails on", scenario.oracles)):
        _paragraphs(title, (f"{part.__name__.replace('_', ' ')}: {_first_sentence(part)}" for part in parts))
    if scenario.needs is not None:
        _paragraph("counts if", _first_sentence(scenario.needs) or "the program holds what the requirement is about")
    if scenario.control is not None:
        belongs = "A program that fails so too belongs to another requirement."
        _paragraph("control", f"{_first_sentence(scenario.control)} {belongs}")


def _originals(requirement: Requirement) -> Iterator[str]:
    """Which original relays do not hold it, with the reason that their profiles give."""
    found = False
    for original, words in ORIGINALS.items():
        reason = load_profile(_PROFILES[original]).not_promised.get(requirement.id, "")
        if reason or original in requirement.differ:
            found = True
            yield f"{words} does not hold it{f': {reason}' if reason else ''}"
    if not found:
        yield "none is known to differ"


_PROFILES: dict[Original, str] = {"LM": "legacy-market-data", "LS": "sink", "GC": "first-generic"}
"""The profiles of the originals."""


def _first_sentence(subject: object) -> str:
    return " ".join((inspect.getdoc(subject) or "").partition("\n\n")[0].split())


def _paragraphs(title: str, texts: Iterable[str]) -> None:
    """Several paragraphs under the title of the first."""
    for text in texts:
        _paragraph(title, text)
        title = ""


def _paragraph(title: str, text: str) -> None:
    lines = textwrap.wrap(text, WIDTH - 12) or [""]
    click.echo(f"  {click.style(f'{title:<10}', dim=True)}{lines[0]}")
    for line in lines[1:]:
        click.echo(f"{'':12}{line}")
