"""``make foreign``: judges the right build of the foreign relay again and again, then each of its faults.

``python -m spec_tests.foreign --runs 20`` judges the right build, ``--faults`` each fault alone and all together; with
neither, both are done. Exit codes: 0; 1 where the right build is accused, by a fault of the relay or of the suite; 2
where there is no C++ compiler. A fault that survives is listed and fails nothing: it says what the suite has to learn.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from . import DOMAINS, RIGHT_BUILDS, CompilerError, faults, program
from .judging import Effort, Judgement, judge

_Task = TypeVar("_Task")

_VALIDATION = ("search-after=", "checksum-tires", "tlv-255")
"""Faults in checks that market data does not make (but the domain's, which all make)."""


def main() -> int:
    """Judge, print a line for each judgement and the sums; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m spec_tests.foreign", description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, metavar="N", help="judge the right build N times, in each domain in turn")
    parser.add_argument("--faults", action="store_true", help="judge each fault alone, and all together")
    parser.add_argument("--only", metavar="NAME", help="judge the faults whose name begins so")
    parser.add_argument("--seed", type=int, default=1, help="seed of the first run; each run has the next one")
    parser.add_argument("--max-examples", type=int, default=20, help="programs for each requirement")
    parser.add_argument("--run-budget", type=int, default=300, metavar="SECONDS", help="time for one run of the suite")
    parser.add_argument("--budget", type=_seconds, default=3600.0, help="time for all, such as 90s or 30m")
    parser.add_argument("--workers", type=int, default=2, help="runs of the suite at once")
    arguments = parser.parse_args()
    runs = arguments.runs if arguments.runs is not None else 0 if arguments.faults or arguments.only else 20
    try:
        program()
    except CompilerError as error:
        print(error, file=sys.stderr)
        return 2
    work = _Work(arguments)
    accused = work.right_build(runs) if runs else 0
    if arguments.faults or arguments.only or arguments.runs is None:
        work.faults(arguments.only or "")
    return 1 if accused else 0


class _Work:
    """What one call of the command does, within its budget."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._ends = time.monotonic() + arguments.budget
        self._effort = Effort(arguments.max_examples, arguments.run_budget)
        self._printing = threading.Lock()

    def right_build(self, runs: int) -> int:
        """Judge the right build; returns how many runs accuse it."""
        tasks = list(range(runs))
        done: list[Judgement] = []

        def one(index: int) -> None:
            domain, seed = DOMAINS[index % len(DOMAINS)], self._arguments.seed + index
            settings = RIGHT_BUILDS[index % len(RIGHT_BUILDS)]
            judgement = judge(domain, seed, self._effort, settings=settings)
            done.append(judgement)
            shown = " ".join(f"{key}={value}" for key, value in settings.items())
            self._print(f"{judgement.verdict:9} {domain:11} seed {seed:<4} {judgement.seconds:4.0f} s  {shown}")
            for lines in judgement.failing_lines:
                self._print(lines)

        self._all(one, tasks)
        accused = sum(bool(each.failures) for each in done)
        print(f"right build: accused in {accused} of {len(done)} runs{self._left_out(runs - len(done))}", flush=True)
        return accused

    def faults(self, prefix: str) -> None:
        """Judge each fault whose name begins with the prefix, and all together when it is empty."""
        words = [fault.word for fault in faults() if fault.word.startswith(prefix)] + ["all"] * (not prefix)
        survivors: list[str] = []
        judged: list[str] = []

        def one(word: str) -> None:
            for domain in _domains(word):
                judgement = judge(domain, self._arguments.seed, self._effort, word)
                if judgement.failures:
                    break
            else:
                survivors.append(word)
            judged.append(word)
            verdict = "found" if judgement.failures else "SURVIVES"
            self._print(f"{verdict:9} {word:33} {judgement.seconds:4.0f} s  {domain}: {judgement.words}")

        self._all(one, words)
        found = len(judged) - len(survivors)
        print(f"faults: {found} of {len(judged)} found{self._left_out(len(words) - len(judged))}", flush=True)

    def _all(self, one: Callable[[_Task], None], tasks: list[_Task]) -> None:
        def in_time(task: _Task) -> None:
            if time.monotonic() < self._ends:
                one(task)

        with ThreadPoolExecutor(self._arguments.workers) as pool:
            list(pool.map(in_time, tasks))

    def _left_out(self, count: int) -> str:
        return f"; {count} not judged: the budget ended" if count else ""

    def _print(self, line: str) -> None:
        with self._printing:
            print(line.rstrip(), flush=True)


def _domains(word: str) -> tuple[str, str]:
    """Where a fault is judged: in the strictest domain, and if it survives there in one on other paths of the code."""
    of_validation = word.startswith(_VALIDATION) and not word.endswith("bad-domain")
    return "execution", "signal" if of_validation else "market_data"


def _seconds(text: str) -> float:
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    return float(text[:-1]) * unit if unit else float(text)


if __name__ == "__main__":
    sys.exit(main())
