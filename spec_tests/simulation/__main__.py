"""Play simulated histories of a relay and those that take its place: ``python -m spec_tests.simulation --seconds 60``.

Each seed is a history. The first that contradicts a requirement is printed with the line that replays it and makes it
short, and ends the command with 1. A part of the time is played with the interpreted hub alone, to measure what of the
code the histories reach.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import coverage

if TYPE_CHECKING:
    from .world import Outcome

_ENGINE = Path(__file__).resolve().parents[2] / "engine" / "torq_engine"
_MEASURED = ("hub.py", "connection.py", "backlog.py", "server.py", "handover/*.py")
_REPLACED = str(_ENGINE / "handover" / "system.py")
_MEASURED_PART = 0.25
_PLANTED_SEEDS = 400


@dataclass
class Sums:
    """What has been played."""

    histories: int = 0
    simulated: float = 0.0
    calls: int = 0
    frames: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """One history more."""
        self.histories += 1
        self.simulated += outcome.seconds
        self.calls += outcome.calls
        self.frames += outcome.frames
        self.faults += outcome.faults
        for reason, times in outcome.handovers.items():
            self.ends["taken" if reason == "taken" else "failed"] += times

    def add_all(self, other: Sums) -> None:
        """All of others more."""
        self.histories += other.histories
        self.simulated += other.simulated
        self.calls += other.calls
        self.frames += other.frames
        self.ends += other.ends
        self.faults += other.faults


def main() -> int:
    """Play what the command line says; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m spec_tests.simulation", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="for how long seeds are played (default 60)")
    parser.add_argument("--first", type=int, default=0, metavar="SEED", help="the first seed (default 0)")
    parser.add_argument("--seed", type=int, help="play this seed alone, and print its program and what is wrong in it")
    parser.add_argument(
        "--shrink", action="store_true", help="with --seed: print the shortest program that fails like it"
    )
    parser.add_argument("--trace", action="store_true", help="with --seed: print every call")
    parser.add_argument(
        "--digest", type=int, metavar="N", help="print a digest of the trace of each of the first N seeds"
    )
    parser.add_argument("--planted", nargs="?", const="", metavar="FAULT", help="find planted faults, or one of them")
    given = parser.parse_args()
    if given.seed is not None:
        return _replay(given.seed, shrink=given.shrink, trace=given.trace)
    if given.digest is not None:
        return _digests(given.digest)
    if given.planted is not None:
        return _planted(given.planted)
    return _explore(given.seconds, given.first)


def _explore(seconds: float, first: int) -> int:
    seeds = count(first)
    measured = _Measured()
    with measured:
        from .programs import in_form, program_of
        from .world import play

        interpreted = Sums()
        for seed in _for(seconds * _MEASURED_PART, seeds):
            outcome = play(in_form(program_of(seed), "interpreted"))
            interpreted.add(outcome)
            if outcome.problems:
                return _failed(seed, outcome)
    sums, started = Sums(), time.process_time()
    for seed in _for(seconds * (1 - _MEASURED_PART), seeds):
        outcome = play(program_of(seed))
        sums.add(outcome)
        if outcome.problems:
            return _failed(seed, outcome)
    spent = time.process_time() - started
    speed = sum(sums.ends.values()) / spent * 60
    measured_of = interpreted.histories
    sums.add_all(interpreted)
    print(f"{sums.histories} histories, from seed {first} on: nothing is wrong in any")
    print(f"handovers  {_listed(sums.ends)}")
    print(f"simulated  {sums.simulated / 3600:.1f} hours")
    print(f"passed     {sums.frames} frames, {sums.calls} lines of traces")
    print(f"faults     {_listed(sums.faults)}")
    print(f"branches   {measured.text()} (of {measured_of} histories with the interpreted hub)")
    print(f"speed      {speed:.0f} handovers a minute of processor time, with both forms of the hub")
    return 0


def _for(seconds: float, seeds: Iterator[int]) -> Iterator[int]:
    """The next seeds for so long, at least one."""
    limit = time.monotonic() + seconds
    yield next(seeds)
    while time.monotonic() < limit:
        yield next(seeds)


def _failed(seed: int, outcome: Outcome) -> int:
    print(f"seed {seed}:")
    _tell(outcome)
    print(f"replay it and make it short: python -m spec_tests.simulation --seed {seed} --shrink")
    return 1


def _replay(seed: int, *, shrink: bool, trace: bool) -> int:
    from .programs import program_of
    from .shrinking import shrunk
    from .world import play

    program = program_of(seed)
    outcome = play(program)
    if shrink and outcome.problems:
        program = shrunk(program)
        outcome = play(program)
    print(program)
    if trace:
        print(outcome.trace)
    _tell(outcome)
    return int(bool(outcome.problems))


def _tell(outcome: Outcome) -> None:
    for problem in outcome.problems or ["nothing is wrong"]:
        print(problem)


def _digests(seeds: int) -> int:
    from .programs import program_of
    from .world import play

    for seed in range(seeds):
        print(seed, hashlib.sha256(play(program_of(seed)).trace.encode()).hexdigest())
    return 0


def _planted(name: str) -> int:
    from .planted import FAULTS
    from .shrinking import first_found

    missed = 0
    for fault in [name] if name else FAULTS:
        found = first_found(fault, range(_PLANTED_SEEDS))
        if found is None:
            missed += 1
            print(f"{fault}: not found by {_PLANTED_SEEDS} seeds")
            continue
        print(
            f"{fault}: seed {found.seed}, {len(found.shortest.events)} events\n{found.shortest}\n     {found.problem}\n"
        )
    return int(bool(missed))


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in sorted(counts.items(), key=lambda each: (-each[1], each[0])))


class _Measured:
    """Branch coverage of the hub and the handover, from before they are imported."""

    def __init__(self) -> None:
        include = [str(_ENGINE / name) for name in _MEASURED]
        self._coverage = coverage.Coverage(
            None, config_file=False, branch=True, include=include, omit=[_REPLACED], concurrency="greenlet"
        )
        for passed_over in (r"if TYPE_CHECKING:", r"\.\.\.$"):
            self._coverage.exclude(passed_over)

    def __enter__(self) -> None:
        self._coverage.start()

    def __exit__(self, *_: object) -> None:
        self._coverage.stop()

    def text(self) -> str:
        """Of each file, how many of its lines and branches were reached."""
        with TemporaryDirectory() as folder, redirect_stdout(io.StringIO()):
            path = Path(folder) / "report.json"
            self._coverage.json_report(outfile=str(path))
            files = json.loads(path.read_text("utf-8"))["files"]
        found = {name.rpartition("torq_engine/")[2]: each["summary"]["percent_covered"] for name, each in files.items()}
        return ", ".join(f"{name} {int(percent)} %" for name, percent in sorted(found.items()))


if __name__ == "__main__":
    sys.exit(main())
