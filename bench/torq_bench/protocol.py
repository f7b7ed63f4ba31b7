"""``torq_bench protocol``: building, parsing and judging messages; every way of doing it side by side."""

from __future__ import annotations

import json
import platform
from pathlib import Path

import click

import torq_protocol
from torq_protocol.build_info import build_info, interpreted_package

from .protocol_work import RUN, Work, protocol_work
from .rounds import Figure, interleaved_medians

WAYS = ("construct", "interpreted", "installed", "batch")


@click.command()
@click.option("--rounds", type=click.IntRange(1, 1000), default=9, show_default=True, help="Samples of each figure.")
@click.option("--sample-ms", type=click.IntRange(1, 10_000), default=40, show_default=True, help="Length of a sample.")
@click.option("--only", metavar="TEXT", help="Only the rows whose name contains TEXT.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures here.")
@click.option("--check", is_flag=True, help="Exit with 1 if a figure misses its goal.")
def protocol(rounds: int, sample_ms: int, only: str | None, json_path: Path | None, check: bool) -> None:
    """Measure the protocol library on one core, in million operations a second.

    Columns: construct is the schema itself, the floor; interpreted the library's .py files; installed what runs here
    (compiled, where a C compiler was there); batch many messages in one call. Each figure is the median of samples
    taken in interleaved rounds. Exit code 0; 1 with --check if a goal is missed; 2 usage error.
    """
    works = [work for work in protocol_work(torq_protocol, interpreted_package()) if only is None or only in work.name]
    if not works:
        raise click.UsageError(f"no row's name contains {only!r}")
    click.echo(f"installed    {build_info()}")
    click.echo(f"interpreted  {interpreted_package().build_info()}")
    click.echo(f"machine      Python {platform.python_version()}, {platform.machine()}, one core")
    click.echo(f"messages     74 bytes: header and one 40-byte Trade; batches and chunks of {RUN} messages")
    click.echo(f"samples      median of {rounds} interleaved rounds of {sample_ms} ms\n")
    runs = {(work.name, way): run for work in works for way, run in work.ways.items()}
    with click.progressbar(length=rounds, label="measuring", show_eta=False) as bar:
        figures = interleaved_medians(runs, rounds, sample_ms / 1000, lambda: bar.update(1))
    _print_table(works, figures)
    missed = _missed(works, figures)
    if json_path is not None:
        _write(json_path, works, figures)
    for line in missed:
        click.echo(f"MISSED  {line}")
    if check and missed:
        raise SystemExit(1)


def _print_table(works: list[Work], figures: dict[tuple[str, str], Figure]) -> None:
    width = max(len(work.name) for work in works)
    click.echo(f"\n{'M/s':<{width}}" + "".join(f"{way:>13}" for way in WAYS) + f"{'goal':>20}")
    for work in works:
        cells = "".join(
            f"{figures[work.name, way].millions:>13.3f}" if way in work.ways else f"{'-':>13}" for way in WAYS
        )
        goal = f"{work.goal_way} {work.goal:g}" if work.goal else ""
        click.echo(f"{work.name:<{width}}{cells}{goal:>20}")
    click.echo("")
    for work in works:
        click.echo(f"{work.name:<{width}}  one operation: {work.operation}")


def _missed(works: list[Work], figures: dict[tuple[str, str], Figure]) -> list[str]:
    """A line for each goal that was not reached."""
    lines = []
    for work in works:
        if work.goal and figures[work.name, work.goal_way].millions < work.goal:
            reached = figures[work.name, work.goal_way].millions
            lines.append(f"{work.name}, {work.goal_way}: {reached:.2f} of {work.goal:g} M/s")
    return lines


def _write(path: Path, works: list[Work], figures: dict[tuple[str, str], Figure]) -> None:
    rows = [
        {
            "name": work.name,
            "way": way,
            "operation": work.operation,
            "operations_per_second": figures[work.name, way].per_second,
            "samples": figures[work.name, way].samples,
            "goal": work.goal * 1e6 if way == work.goal_way else None,
        }
        for work in works
        for way in work.ways
    ]
    head = {"build": str(build_info()), "python": platform.python_version(), "machine": platform.machine()}
    path.write_text(json.dumps({"bench": "protocol", **head, "figures": rows}, indent=1) + "\n")
