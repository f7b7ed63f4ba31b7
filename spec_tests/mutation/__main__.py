"""``make mutation``: judges a sample of the mutants, goes on where it stopped, and writes ``docs/mutation.md``.

``python -m spec_tests.mutation --sample 100 --seed 1 --budget 10m``; ``--list`` names all mutants, ``--render`` only
writes the page. Every mutant gets a short budget first; those that survive it a long one in two domains.
"""

from __future__ import annotations

import argparse
import random
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from .judging import DOMAINS, LONG, SHORT, Effort, Outcome, fault_of_unchanged, judge
from .page import PAGE, RESULTS, Results, encoded, load, page, triage
from .subjects import SUBJECTS, mutants_in


def main() -> int:
    """Judge and write; returns the exit code: 0, or 1 where a relay fails with nothing changed."""
    parser = argparse.ArgumentParser(prog="python -m spec_tests.mutation", description=__doc__.partition("\n")[0])
    parser.add_argument("--list", action="store_true", help="name all mutants and what each changes; judge nothing")
    parser.add_argument("--render", action="store_true", help="judge nothing; write the page from its outcomes")
    parser.add_argument("--sample", type=int, default=100, help="mutants to judge in all, those judged before included")
    parser.add_argument("--seed", type=int, default=1, help="seed of the sample and of the programs")
    parser.add_argument("--budget", type=_seconds, default=600.0, help="time for all, such as 90s or 10m")
    parser.add_argument("--workers", type=int, default=2, help="mutants judged at once")
    arguments = parser.parse_args()
    every = {name: mutant for subject in SUBJECTS for name, mutant in mutants_in(subject).items()}
    if arguments.list:
        for name, mutant in every.items():
            print(f"{name}  {mutant.change}")
        return 0
    old = load()
    if old.outcomes and arguments.seed != old.seed:
        parser.error(f"--seed {arguments.seed}: {RESULTS} holds outcomes of seed {old.seed}; remove it to begin anew")
    known = {each.name: each for each in old.outcomes if each.name in every and each.change == every[each.name].change}
    started = time.monotonic()
    if not arguments.render:
        for relay in DOMAINS:
            if fault := fault_of_unchanged(relay, SHORT, arguments.seed):
                print(f"{relay}: fails with nothing changed, so no mutant of it is judged: {fault}", file=sys.stderr)
                return 1
        names = random.Random(arguments.seed).sample(sorted(every), min(arguments.sample, len(every)))

        def keep() -> None:
            spent = old.seconds + time.monotonic() - started
            outcomes = tuple(known[name] for name in sorted(known))
            made = Results(arguments.seed, len(names), len(every), date.today().isoformat(), round(spent), outcomes)
            RESULTS.write_bytes(encoded(made))

        ends = started + arguments.budget
        _judge_all([name for name in names if name not in known], SHORT, known, arguments, ends, keep)
        alive = [name for name in names if name in known and _to_be_judged_long(known[name])]
        _judge_all(alive, LONG, known, arguments, ends, keep)
        keep()
    PAGE.write_text(page(load(), triage()), "utf-8")
    print(f"wrote {PAGE}")
    return 0


def _to_be_judged_long(outcome: Outcome) -> bool:
    return not outcome.killed_by and outcome.effort == SHORT.name


def _judge_all(
    names: list[str],
    effort: Effort,
    known: dict[str, Outcome],
    arguments: argparse.Namespace,
    ends: float,
    keep: Callable[[], None],
) -> None:
    """Judge mutants while there is time; each outcome is kept as soon as it is known."""
    lock = threading.Lock()

    def one(name: str) -> None:
        if time.monotonic() > ends:
            return
        outcome = judge(name, effort, arguments.seed)
        with lock:
            known[name] = outcome
            keep()
            print(f"{outcome.killed_by or 'SURVIVES':9} {effort.name:5} {name}  {outcome.change}", flush=True)

    with ThreadPoolExecutor(arguments.workers) as pool:
        list(pool.map(one, names))


def _seconds(text: str) -> float:
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    return float(text[:-1]) * unit if unit else float(text)


if __name__ == "__main__":
    sys.exit(main())
