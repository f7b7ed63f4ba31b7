"""Judge the suite itself: a right relay must pass, and every seeded fault must be found."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from .. import files
from ..counting import counted
from ..errors import UsageError
from ..exits import Exit
from ..judging.selftest import run_selftest
from ..judging.selftest_cases import DEFAULT_EXAMPLES, Case, Effort, chosen_mutants, mutant_cases, repeated, right_cases
from ..judging.selftest_outcomes import Outcome, Selftest
from ..model.requirements import DOMAIN_NAMES
from ._lost_files import verdict_written
from ._options import search_options, split_names


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a self-test as given."""

    mutants: tuple[str, ...]
    limit: int | None
    only: str | None
    repeat: int
    domain: str | None
    max_examples: int
    time_budget: float
    seed: int
    workers: int | None
    json_file: Path | None


@click.command("selftest")
@click.option("--mutants", multiple=True, metavar="NAMES", help="Only these mutants, comma-separated.  [default: all]")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N mutants.  [default: all]")
@click.option(
    "--only",
    type=click.Choice(("right", "mutants", "kinds")),
    help="Judge the right relays alone, the mutants alone, or the faults by kind alone.  [default: right and mutants]",
)
@click.option(
    "--repeat",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Judge each relay N times, with the seeds from --seed on: a kill rate, and a bound for false alarms.",
)
@click.option("--domain", type=click.Choice(DOMAIN_NAMES), help="Only this domain.  [default: all]")
@search_options(
    examples=DEFAULT_EXAMPLES,
    programs="Programs for each requirement of a mutant; the right relay gets a tenth of them for every requirement.",
    budget="5m",
    time="Time that a run over all requirements would have: each gets its share of it, and 30 s at least.",
)
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Relays judged at once.  [default: one a core]")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the outcomes here.")
def command(**given: object) -> int:
    """Judge the suite on this machine before trusting its verdicts.

    \b
    torq-conformance selftest --workers 2
    torq-conformance selftest --mutants drop-random,head-of-line --only mutants --seed 7
    torq-conformance selftest --only right --repeat 25

    A mutant is the right relay with one fault (torq-specimen --list-mutants). Every mutant must fail a requirement that
    it names, and the right relay, in each domain and with several settings, none. Faults by kind are mutants with
    other numbers each: what part of them dies says how well the suite finds faults that nobody has named.

    \b
    Exit codes: 0 every mutant is killed and no right relay fails; 1 a mutant survives, or a false alarm; 2 wrong usage.
    """
    options = msgspec.convert(given, Options)
    if options.json_file is not None:
        files.require_folder(options.json_file)
    effort = Effort(options.seed, options.max_examples, options.time_budget)
    chosen = repeated(_chosen(options, effort), options.repeat)
    workers = options.workers or os.cpu_count() or 1
    relays = counted(len(chosen) // options.repeat, "relay")
    times = f", each {options.repeat} times" if options.repeat > 1 else ""
    click.echo(
        f"{relays}{times}, up to {counted(effort.max_examples, 'program')} a requirement, seed {effort.seed}, "
        f"{workers} at a time"
    )
    done = run_selftest(chosen, effort, workers=workers, told=_tell)
    _conclude(done)
    code = Exit.PASS if done.trusted else Exit.FAIL
    if options.json_file is not None:
        return verdict_written(code, options.json_file, files.json_text(done))
    return code


def _chosen(options: Options, effort: Effort) -> Iterator[Case]:
    names = split_names(options.mutants)
    if options.only == "right" and (names or options.limit):
        raise UsageError("--only right judges no mutant: leave out --mutants and --limit")
    mutants = chosen_mutants(names, options.limit, by_kind=options.only == "kinds")
    if options.only in (None, "right"):
        yield from right_cases(effort, domain=options.domain)
    if options.only != "right":
        yield from mutant_cases(mutants, effort, domain=options.domain)


def _tell(outcome: Outcome) -> None:
    if outcome.error:
        word, why = "ERROR", outcome.error
    elif outcome.good:
        word = "right" if outcome.as_it_should else "FALSE ALARM"
        why = "; ".join(f"{name}: {text}" for name, text in outcome.failed.items()) or "no requirement fails"
    elif outcome.as_it_should:
        word, why = "killed", f"by {outcome.killed_by}"
    else:
        word, why = "SURVIVES", f"nothing of {', '.join(outcome.expected)} fails"
    effort = f"({counted(outcome.programs, 'program')}, {outcome.seconds:.1f} s, seed {outcome.seed})"
    click.echo(f"{word:<11} {outcome.name:<30} {outcome.domain:<11} {why} {effort}")


def _conclude(done: Selftest) -> None:
    said = []
    if total := len(done.mutants):
        said.append(f"{done.killed} of {counted(total, 'mutant')} killed ({100 * done.killed / total:.1f} %)")
    if done.right:
        runs, alarms = sum(len(rate.outcomes) for rate in done.right), len(done.false_alarms)
        said.append(
            f"{counted(alarms, 'false alarm')} in {counted(runs, 'run')} of {counted(len(done.right), 'right relay')}"
        )
    click.echo(f"\n{', '.join(said)}, in {done.seconds:.0f} s with seed {done.seed}")
    click.echo("\n".join(_judgement(done)))


def _judgement(done: Selftest) -> Iterator[str]:
    """What the outcome means for the suite's verdicts, and what to do next."""
    if done.trusted:
        yield "The verdicts of the suite can be trusted on this machine."
        return
    reasons = []
    if done.survivors:
        names = ", ".join(f"{rate.name}, killed {rate.rightly} of {len(rate.outcomes)}" for rate in done.survivors)
        reasons.append(f"a relay with a known fault can pass ({names})")
    if done.false_alarms:
        names = ", ".join(f"{outcome.name} of {outcome.domain}" for outcome in done.false_alarms)
        reasons.append(f"a right relay can fail ({names})")
    yield f"Do not trust the verdicts of the suite on this machine yet: {'; '.join(reasons)}."
    for rate in done.survivors:
        seed = rate.missed[0].seed
        yield f"again: torq-conformance selftest --only mutants --mutants {rate.name} --seed {seed} --workers 1"
    for outcome in done.false_alarms:
        yield (
            f"again: torq-conformance selftest --only right --domain {outcome.domain} --seed {outcome.seed} --workers 1"
        )
