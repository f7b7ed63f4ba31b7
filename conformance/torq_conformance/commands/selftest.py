"""Judge the suite itself: a right relay must pass, and every seeded fault must be found."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from ..errors import UsageError
from ..exits import Exit
from ..options import Duration, split_names
from ..requirements import DOMAIN_NAMES
from ..selftest import DEFAULT_EXAMPLES, Effort, Outcome, Selftest, cases, chosen_mutants, run_selftest


@click.command("selftest")
@click.option("--mutants", multiple=True, metavar="NAMES", help="Only these mutants, comma-separated.  [default: all]")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="Only the first N mutants.")
@click.option("--domain", type=click.Choice(DOMAIN_NAMES), help="Only this domain.  [default: all]")
@click.option(
    "--max-examples",
    type=click.IntRange(1),
    default=DEFAULT_EXAMPLES,
    show_default=True,
    metavar="N",
    help="Programs for each requirement of a mutant; the right relay gets a tenth of them for every requirement.",
)
@click.option(
    "--time-budget",
    type=Duration(),
    default="5m",
    show_default=True,
    help="Time that a run over all requirements would have: each gets its share of it.",
)
@click.option(
    "--seed", type=click.IntRange(0), metavar="N", help="Seed of the programs.  [default: a random one, shown]"
)
@click.option("--workers", type=click.IntRange(1), metavar="N", help="Relays judged at once.  [default: one a core]")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the outcomes here.")
def command(
    mutants: tuple[str, ...],
    limit: int | None,
    domain: str | None,
    max_examples: int,
    time_budget: float,
    seed: int | None,
    workers: int | None,
    json_file: Path | None,
) -> int:
    """Judge the suite on this machine before trusting its verdicts.

    \b
    torq-conformance selftest --workers 2
    torq-conformance selftest --mutants drop-random,head-of-line --seed 7

    A mutant is the right relay with one fault (torq-specimen --list-mutants). Every mutant must fail a requirement that
    it names, and the right relay, in each domain and with several settings, none.

    \b
    Exit codes: 0 every mutant is killed and no right relay fails; 1 a mutant survives, or a false alarm; 2 wrong usage.
    """
    effort = Effort(random.randrange(10**6) if seed is None else seed, max_examples, time_budget)
    chosen = list(cases(chosen_mutants(split_names(mutants), limit), effort, domain=domain))
    count = workers or os.cpu_count() or 1
    click.echo(
        f"{len(chosen)} relays, up to {max_examples} programs a requirement, seed {effort.seed}, {count} at a time"
    )
    done = run_selftest(chosen, effort, workers=count, told=_tell)
    _conclude(done)
    if json_file is not None:
        try:
            json_file.write_bytes(msgspec.json.format(msgspec.json.encode(done), indent=1) + b"\n")
        except OSError as error:
            raise UsageError(f"cannot write {json_file}: {error.strerror or error}") from error
    return Exit.PASS if done.trusted else Exit.FAIL


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
    effort = f"({outcome.programs} programs, {outcome.seconds:.1f} s)"
    click.echo(f"{word:<11} {outcome.name:<30} {outcome.domain:<11} {why} {effort}")


def _conclude(done: Selftest) -> None:
    total = len(done.mutants)
    rate = (
        f"{done.killed} of {total} mutants killed ({100 * done.killed / total:.1f} %)" if total else "no mutant judged"
    )
    right = sum(outcome.good for outcome in done.outcomes)
    alarms = len(done.false_alarms)
    click.echo(
        f"\n{rate}, {alarms} false {'alarm' if alarms == 1 else 'alarms'} on {right} right relays, "
        f"in {done.seconds:.0f} s with seed {done.seed}"
    )
    click.echo("\n".join(_judgement(done)))


def _judgement(done: Selftest) -> Iterator[str]:
    """What that means for whoever reads a verdict of the suite, and what to do next."""
    if done.trusted:
        yield "The verdicts of the suite can be trusted on this machine."
        return
    reasons = []
    if done.survivors:
        names = ", ".join(outcome.name for outcome in done.survivors)
        reasons.append(f"a relay with a known fault can pass ({names})")
    if done.false_alarms:
        names = ", ".join(f"{outcome.name} of {outcome.domain}" for outcome in done.false_alarms)
        reasons.append(f"a right relay can fail ({names})")
    yield f"Do not trust the verdicts of the suite on this machine yet: {'; '.join(reasons)}."
    if done.survivors:
        again = ",".join(outcome.name for outcome in done.survivors)
        yield f"again: torq-conformance selftest --mutants {again} --seed {done.seed} --workers 1"
