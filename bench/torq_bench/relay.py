"""``torq_bench relay``: the relay against its floor, in one interleaved run; figures go to a JSON file."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path
from statistics import median

import click

from torq_protocol.build_info import build_info
from torq_protocol.constants import RelayDomain

from .crowd import measure_crowd
from .latency import Latency, measure_latency
from .relays import RelayError, relay_command, spawned_relay
from .stages import measure_stages
from .traffic import FanOut, Load, fan_out, make_frame

DEFAULT_RESULTS = Path("bench/results/relay.json")
SIZE = 74
BATCH = 64
SUBJECTS = {
    "floor": ([sys.executable, "-m", "torq_bench.floor", "{socket}"], RelayDomain.MARKET_DATA),
    "specialised": ([sys.executable, "-m", "torq_bench.specialised", "{socket}"], RelayDomain.MARKET_DATA),
    "market_data": (relay_command("market_data"), RelayDomain.MARKET_DATA),
    "signal": (relay_command("signal"), RelayDomain.SIGNAL),
    "execution": (relay_command("execution"), RelayDomain.EXECUTION),
}
"""What is measured side by side: the command, and the domain of the frames it is sent."""
PLAIN = ("floor", "specialised", "market_data")


@click.command()
@click.option(
    "--rounds", type=click.IntRange(1), default=5, show_default=True, help="Interleaved rounds; medians count."
)
@click.option(
    "--deliveries", type=click.IntRange(10_000), default=5_000_000, show_default=True, help="Frames out per run."
)
@click.option("--samples", type=click.IntRange(100), default=5000, show_default=True, help="Frames per latency run.")
@click.option("--crowd", type=click.IntRange(1), multiple=True, default=(1000, 10_000), show_default=True)
@click.option("--results", type=click.Path(path_type=Path), default=DEFAULT_RESULTS, show_default=True)
def relay(rounds: int, deliveries: int, samples: int, crowd: tuple[int, ...], results: Path) -> None:
    """Measure throughput, latency, memory and stages of the relay; write them to a file for `relay-report`.

    Exit code 0: measured; 1: frames were lost; 2: a relay could not be run.
    """
    try:
        figures = {
            "machine": _machine(),
            "throughput": [_throughput(receivers, deliveries, rounds) for receivers in (1, 10)],
            "many": _many(deliveries, rounds),
            "latency": [_latency(receivers, samples, rounds) for receivers in (1, 10, 100)],
            "crowd": [_crowd(size) for size in crowd],
            "stages": {str(batch): measure_stages(batch) for batch in (1, BATCH, 885)},
        }
    except RelayError as error:
        click.echo(f"torq_bench relay: {error}", err=True)
        raise SystemExit(2) from None
    results.parent.mkdir(parents=True, exist_ok=True)
    results.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    click.echo(f"figures written to {results}; `python -m torq_bench relay-report` makes the page of them")


def _machine() -> dict[str, object]:
    return {
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {'.'.join(platform.release().split('.')[:2])} {platform.machine()}",
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
        "build": str(build_info()),
    }


def _run(name: str, load: Load) -> FanOut:
    command, domain = SUBJECTS[name]
    with spawned_relay(command) as (path, process):
        result = fan_out(path, make_frame(domain, SIZE, 1), load, process)
    if result.lost_bytes:
        click.echo(f"torq_bench relay: {name}: {result.lost_bytes} bytes lost", err=True)
        raise SystemExit(1)
    return result


def _throughput(receivers: int, deliveries: int, rounds: int) -> dict[str, object]:
    """Medians of every subject, run in turn so that they share the machine's moods."""
    load = Load(deliveries // receivers, SIZE, BATCH, receivers)
    seen: dict[str, list[FanOut]] = {name: [] for name in SUBJECTS}
    for _ in range(rounds):
        for name in SUBJECTS:
            seen[name].append(_run(name, load))
    click.echo(f"1 to {receivers}, {BATCH} a send:")
    rows = {name: _summary(runs, seen["floor"]) for name, runs in seen.items()}
    for name, row in rows.items():
        click.echo(
            f"  {name:12} {row['in']:6.2f} M/s in {row['out']:6.2f} M/s out  {row['of_floor']:.2f} of the floor"
            f"  {row['processor']:.1f} ns of processor per delivery ({row['processor_of_floor']:.2f} of the floor)"
        )
    return {"receivers": receivers, "batch": BATCH, "size": SIZE, "subjects": rows}


def _summary(runs: list[FanOut], floor: list[FanOut]) -> dict[str, float]:
    def processor(run: FanOut) -> float:
        return run.processor_seconds / (run.frames * (run.receivers + 1)) * 1e9

    pairs = list(zip(runs, floor, strict=True))
    return {
        "in": median(run.frames_in_per_second for run in runs) / 1e6,
        "out": median(run.frames_out_per_second for run in runs) / 1e6,
        "of_floor": median(run.frames_in_per_second / base.frames_in_per_second for run, base in pairs),
        "processor": median(processor(run) for run in runs),
        "processor_of_floor": median(processor(run) / processor(base) for run, base in pairs),
    }


def _many(deliveries: int, rounds: int) -> list[dict[str, object]]:
    """The same number of deliveries with few and with many receivers (PERF-3), the floor beside the relay."""
    cases = [(receivers, name) for receivers in (10, 1000) for name in ("floor", "market_data")]
    seen: dict[tuple[int, str], list[FanOut]] = {case: [] for case in cases}
    for _ in range(rounds):
        for receivers, name in cases:
            seen[receivers, name].append(_run(name, Load(deliveries // receivers, SIZE, BATCH, receivers)))
    rows: list[dict[str, object]] = []
    for (receivers, name), runs in seen.items():
        out = median(run.frames_out_per_second for run in runs) / 1e6
        processor = median(run.processor_seconds / (run.frames * run.receivers) for run in runs) * 1e9
        click.echo(f"1 to {receivers}: {name:12} {out:.2f} M/s out, {processor:.1f} ns of processor per delivery")
        rows.append({"receivers": receivers, "subject": name, "out": out, "processor": processor})
    return rows


def _latency(receivers: int, samples: int, rounds: int) -> dict[str, object]:
    seen: dict[str, list[Latency]] = {name: [] for name in PLAIN}
    for _ in range(rounds):
        for name in PLAIN:
            command, domain = SUBJECTS[name]
            with spawned_relay(command) as (path, _):
                seen[name].append(measure_latency(path, make_frame(domain, SIZE, 1), receivers, samples))
    click.echo(f"latency in us, {receivers} receivers, one frame at a time:")
    rows = {}
    for name, runs in seen.items():
        middle = Latency(samples, *(median(getattr(run, key) for run in runs) for key in ("p50", "p95", "p99")))
        rows[name] = asdict(middle)
        click.echo(f"  {name:12} p50 {middle.p50:.1f}  p95 {middle.p95:.1f}  p99 {middle.p99:.1f}")
    return {"receivers": receivers, "subjects": rows}


def _crowd(size: int) -> dict[str, float]:
    command, domain = SUBJECTS["market_data"]
    with spawned_relay(command) as (path, process):
        crowd = measure_crowd(path, process, make_frame(domain, SIZE, 1), size)
    click.echo(f"{size} connections: {crowd.idle_bytes:,.0f} bytes each idle, {crowd.active_bytes:,.0f} active")
    return asdict(crowd)
