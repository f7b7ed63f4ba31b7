"""``torq_bench relay``: our relays beside plain C, in one interleaved run; figures go to a JSON file.

Facts:
- what slows the machine for a while must slow every subject: they run in turn, each round begins with another, and a
  ratio is the median of the ratios within a round;
- a figure of a relay that loses frames is no figure: what is lost stands beside each, and makes the exit code 1.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import click
import msgspec

from .cases import CASES, METRICS, Case, Measured, Setup, Subject, Target, subjects, with_subjects
from .client_loops import client_loops
from .relays import RelayError
from .results import Figure, Results, Run, load, this_machine
from .stages import measure_stages

DEFAULT_RESULTS = Path("bench/results/relay.json")
STAGES = "stages"
QUICK = 0.02
BOUND_BELOW = 90.0
"""A relay that was at work for less than this percentage of the time waited: the client was what bounded the figure."""


def _added(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> dict[str, Subject]:
    found = {}
    for value in values:
        name, _equals, command = value.partition("=")
        if not name or "{socket}" not in command:
            raise click.BadParameter(f"{value!r}: write NAME=COMMAND, with {{socket}} where the command takes its path")
        found[name] = Subject(name, tuple(shlex.split(command)))
    return found


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="Rounds; medians of them count.")
@click.option(
    "--cases", "names", type=click.Choice([*CASES, STAGES]), multiple=True, help="Only these.  [default: all]"
)
@click.option("--quick", is_flag=True, help="A fiftieth of the load: shows that all runs, and no figure to rely on.")
@click.option(
    "--subject", "added", metavar="NAME=COMMAND", multiple=True, callback=_added, help="Another relay of market data."
)
@click.option("--check", is_flag=True, help="Exit with 1 too when a figure misses what it must reach.")
@click.option("--results", type=click.Path(path_type=Path), default=DEFAULT_RESULTS, show_default=True)
def relay(
    rounds: int, names: tuple[str, ...], quick: bool, added: dict[str, Subject], check: bool, results: Path
) -> None:
    """Measure our relays, and others, beside a relay in plain C; write the figures to a file for `relay-report`.

    Exit code 0: measured, nothing lost; 1: a subject lost frames, or missed a target with --check; 2: usage, or a
    subject could not be run. The file is written in every case but wrong usage.
    """
    known, missing = subjects()
    if taken := known.keys() & added:
        raise click.UsageError(f"--subject {min(taken)}=...: there is a subject of that name; take another")
    known |= added
    setup = Setup(client_loops(), QUICK if quick else 1.0)
    for sentence in missing:
        click.echo(f"torq_bench relay: {sentence}", err=True)
    machine = this_machine(setup.loops.language)
    wanted = names or (*CASES, STAGES)
    chosen = with_subjects((name for name in CASES if name in wanted), added)
    runs = [run for case in chosen for run in _measured(case, known, setup, rounds)]
    Results(
        machine=msgspec.structs.replace(machine, load_after=load()),
        rounds=rounds,
        scale=setup.scale,
        missing=missing,
        added={name: shlex.join(subject.command) for name, subject in added.items()},
        runs=runs,
        stages={str(batch): measure_stages(batch) for batch in (1, 64, 885)} if STAGES in wanted else {},
    ).write(results)
    click.echo(f"figures written to {results}; `python -m torq_bench relay-report` makes the page of them")
    raise SystemExit(_exit_code(runs, check=check))


def _exit_code(runs: list[Run], *, check: bool) -> int:
    if any(run.error for run in runs):
        return 2
    missed = check and any(figure.met == "no" for run in runs for figure in run.figures)
    return int(missed or any(run.fault for run in runs))


@dataclass(slots=True)
class _Rounds:
    """What a subject did in the rounds of a case, and the first error if it could not go on."""

    subject: Subject
    seen: list[Measured]
    error: str = ""

    @property
    def lost(self) -> int:
        return sum(seen.lost for seen in self.seen)

    @property
    def fault(self) -> str:
        faults = [seen.fault for seen in self.seen if seen.fault]
        rounds = f"in {len(faults)} of {len(self.seen)} rounds"
        if self.lost:
            return f"{self.lost:,} frames lost, {rounds}"
        return f"{faults[0]}, {rounds}" if faults else ""


def _measured(case: Case, known: dict[str, Subject], setup: Setup, rounds: int) -> list[Run]:
    """Run the subjects of a case in turn, each round beginning with another."""
    taking_part = [_Rounds(known[name], []) for name in case.subjects if name in known]
    for number in range(rounds):
        first = number % len(taking_part)
        for each in (*taking_part[first:], *taking_part[:first]):
            if not each.error:
                try:
                    each.seen.append(case.measure(each.subject, setup))
                except (RelayError, OSError) as error:
                    each.error = str(error)
    by_name = {each.subject.name: each for each in taking_part}
    click.echo(f"{case.title}:")
    return [_run(case, each, by_name.get(each.subject.beside)) for each in taking_part]


def _run(case: Case, rounds: _Rounds, beside: _Rounds | None) -> Run:
    name = rounds.subject.name
    figures = [] if rounds.error else list(_figures(case, rounds, beside))
    shares = [figure.median for figure in figures if figure.metric == "at work"]
    words = "  ".join(f"{figure.metric} {_shown(figure)}" for figure in figures)
    click.echo(f"  {name:22}  {words}  {rounds.error or rounds.fault or 'lost 0'}")
    return Run(
        case=case.title,
        subject=name,
        lost=rounds.lost,
        fault=rounds.fault,
        error=rounds.error,
        client_bound=any(share < BOUND_BELOW for share in shares),
        figures=figures,
    )


def _figures(case: Case, rounds: _Rounds, beside: _Rounds | None) -> Iterator[Figure]:
    for metric, described in METRICS.items():
        if metric not in rounds.seen[0].values:
            continue
        samples = [seen.values[metric] for seen in rounds.seen]
        figure = Figure(metric, described.unit, median(samples), samples)
        if described.compared and beside is not None and beside is not rounds and not beside.error:
            ratios = [value / seen.values[metric] for value, seen in zip(samples, beside.seen, strict=True)]
            figure = msgspec.structs.replace(figure, beside=beside.subject.name, ratio=median(ratios))
        target = case.targets.get((rounds.subject.name, metric))
        yield figure if target is None else _judged(figure, target, lossless=not rounds.fault)


def _judged(figure: Figure, target: Target, *, lossless: bool) -> Figure:
    """The figure with what it must reach, and whether it does; that of a subject which lost frames reaches nothing."""
    value = figure.median if target.absolute else figure.ratio
    met = "" if value is None else "no"
    for name, bound in (("must", target.must), ("aim", target.aim)):
        if value is not None and lossless and METRICS[figure.metric].reaches(value, bound):
            met = name
    return msgspec.structs.replace(figure, must=target.must, aim=target.aim, absolute=target.absolute, met=met)


def _shown(figure: Figure) -> str:
    ratio = "" if figure.ratio is None else f" ({figure.ratio:.2f} of {figure.beside})"
    return f"{figure.median:,.4g} {figure.unit}{ratio}"
