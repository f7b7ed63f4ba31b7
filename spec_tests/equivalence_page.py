"""``docs/equivalence_matrix.md``: what ``torq-conformance diff`` found in which pair of relays, and how long it took.

``make equivalence``, or ``python -m spec_tests.equivalence_page --budget 2h``, goes on where the last campaign stopped.
``--only mutants drop-first`` compares parts and pairs of these names alone, ``--again`` those that are known too.
Outcomes go to ``docs/equivalence_matrix.json``, or to the file of ``--outcomes``, from which no page is made;
``--render`` writes the page and compares nothing.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import permutations
from pathlib import Path
from statistics import median

from spec_tests.equivalence import (
    BUILDS,
    CHOICES,
    CHOICES_OF_B,
    HISTORICAL,
    LIST_S,
    LONG_S,
    MUTANTS,
    OUTCOMES,
    PARTS,
    RIGHT,
    RIGHT_S,
    ROOT,
    RUN_EXAMPLES,
    SHORT_S,
    VALID,
    Effort,
    Outcome,
    Outcomes,
    Pair,
    choice_pairs,
    compare_all,
    compared_mutants,
    historical_pairs,
    keep,
    load,
    mutant_pairs,
    right_pairs,
    second_tasks,
    tasks,
)
from spec_tests.predictions import NAME as LEGACY
from spec_tests.predictions import table
from torq_conformance.counting import counted
from torq_conformance.reports.markdown import cell
from torq_conformance.specimens import mutants
from torq_conformance.specimens.mutants.table import TABLE

PAGE = "docs/equivalence_matrix.md"
MOST_IDS = 6
"""Ids of one pair that a row names."""


def page(root: Path) -> str:
    """The page as Markdown, from the outcomes below a root."""
    return text_of(load(root / OUTCOMES.relative_to(ROOT)))


def text_of(known: Outcomes) -> str:
    """The page of some outcomes."""
    parts = (_head(known), _right(known), _choices(known), _historical(known), _mutants(known))
    return "\n".join(line for part in parts for line in part) + "\n"


def _head(known: Outcomes) -> Iterator[str]:
    right, faults, choices = known.of(RIGHT), _best(known.of(MUTANTS)), _best(known.of(CHOICES))
    false = [each for each in right if each.differs]
    programs = sum(each.programs for each in right)
    missed = [each for each in faults if not each.found]
    short = sum(each.budget < LONG_S for each in missed)
    yield from (
        "# Pairs of relays, compared",
        "",
        "Written by `make equivalence` from what [`torq-conformance diff`](equivalence.md) saw. Relay A is right;",
        "relay B is right too and of another build, or does something otherwise.",
        "",
        f"- **{counted(len(false), 'false difference')} in {counted(len(right), 'run')}** of right relays of different "
        f"build, {counted(programs, 'program')} on both; {_loads(right)}.",
        f"- **{_found(faults)} of {len(faults)} faults are found**, each with one seed; of those found the first "
        f"difference stood after {_seconds(faults)} in the median. Of the {len(missed)} others {short} had the short "
        "budget only; `python -m spec_tests.equivalence_page --missed` compares them again.",
        f"- **{_found(choices)} of {len(choices)} choices are found of which no requirement speaks**; `run` passes "
        f"{sum(each.judged.startswith('PASS') for each in choices)} of them.",
        "",
        "Seconds are those of the whole command: starting and probing three relays, and confirming what was found. The",
        "cause in an id is that of a program which was made smaller for a second or two.",
    )


def _found(outcomes: Sequence[Outcome]) -> int:
    return sum(bool(each.found) for each in outcomes)


def _seconds(outcomes: Sequence[Outcome]) -> str:
    seconds = [each.seconds for each in outcomes if each.found]
    return f"{median(seconds):.0f} s" if seconds else "no time"


def _loads(outcomes: Sequence[Outcome]) -> str:
    loads = [each.load for each in outcomes if each.load]
    if not loads:
        return "the load of the machine is not known"
    return f"2 cores with a load of {min(loads):.0f} to {max(loads):.0f}, {median(loads):.0f} in the median"


def _best(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """One outcome for each pair: one that found something, if any did, else the longest."""
    best: dict[tuple[str, str, str], Outcome] = {}
    for each in outcomes:
        old = best.get(each.key)
        if old is None or (bool(each.found), each.budget) > (bool(old.found), old.budget):
            best[each.key] = each
    return list(best.values())


def _right(known: Outcomes) -> Iterator[str]:
    yield from (
        "",
        "## Right relays of different build",
        "",
        "Three builds: the specimen (Python, one thread), the reference relay (the engine), and a relay in C++ with",
        "two threads for each connection. Most runs are too short to compare everything: they end with UNKNOWN, by",
        "their budget, and count as such; their programs were compared all the same.",
        "",
        "| A / B | domain | seconds | runs | equivalent | ended by the budget | false | flaky | programs | seeds |",
        "|-|-|-:|-:|-:|-:|-|-|-:|-|",
    )
    for key in sorted({(*each.key, each.budget) for each in known.of(RIGHT)}):
        runs = [each for each in known.of(RIGHT) if (*each.key, each.budget) == key]
        false = [f"seed {each.seed}: {', '.join(each.found)}" for each in runs if each.found]
        flaky = [f"seed {each.seed}: {', '.join(each.flaky)}" for each in runs if each.flaky]
        seeds = [each.seed for each in runs]
        yield (
            f"| {key[1]} | {key[2]} | {key[3]} | {len(runs)} | {sum(each.code == 0 for each in runs)} "
            f"| {sum(each.code == 3 for each in runs)} | {'; '.join(false) or 0} | {'; '.join(flaky) or 0} "
            f"| {sum(each.programs for each in runs)} | {min(seeds)} to {max(seeds)} |"
        )


def _choices(known: Outcomes) -> Iterator[str]:
    yield from (
        "",
        "## What no requirement speaks of",
        "",
        "The specification leaves these to the relay. B is right, and its clients find another relay all the same.",
        f"`run` judges B by a profile that says what it chose (`--max-examples {RUN_EXAMPLES}`).",
        "",
        "| choice | relay B | found | seconds | programs | `run` |",
        "|-|-|-|-:|-:|-|",
    )
    for each in _best(known.of(CHOICES)):
        text = CHOICES_OF_B[each.name][0] if each.name in CHOICES_OF_B else ""
        yield f"| {each.name} | {text} | {_verdict(each)} | {each.seconds:.0f} | {each.programs} | {each.judged} |"


def _historical(known: Outcomes) -> Iterator[str]:
    yield from (
        "",
        "## Historical relays",
        "",
        "The first is A, the second B. Everything is listed that a comparison finds in its time.",
        "",
        "| A / B | domain | found | programs | seconds |",
        "|-|-|-|-:|-:|",
    )
    for each in _best(known.of(HISTORICAL)):
        yield f"| {each.name} | {each.domain} | {_verdict(each, most=99)} | {each.programs} | {each.seconds:.0f} |"
    as_b, as_a = (_ids(known, name) for name in (f"reference / {LEGACY}", f"{LEGACY} / reference"))
    yield from (
        "",
        "### The hand-written market data relay, point by point",
        "",
        "What its source says that a comparison with the reference relay has to find, or must not find. Where it is A,",
        "the same difference has the opposite effect (`tears` and `mends`, `breaks` and `honours`).",
        "",
        *table(as_b, as_a),
    )


def _ids(known: Outcomes, name: str) -> set[str]:
    """Everything that any comparison of a pair found."""
    return {
        found
        for each in known.of(HISTORICAL)
        if each.name.removesuffix(VALID) == name
        for found in (*each.found, *each.flaky)
    }


def _mutants(known: Outcomes) -> Iterator[str]:
    mutants.load()
    outcomes = [each for each in _best(known.of(MUTANTS)) if each.name in TABLE]
    left = len(TABLE) - len(outcomes)
    yield from (
        "",
        "## Faults",
        "",
        "Relay B is the specimen with one fault, A the same without. [Each breaks a requirement](matrix.md), which",
        f"`diff` is not told. A comparison has {SHORT_S} s, and {LONG_S} s where that is too little, and ends at its",
        f"first difference. {left} of {len(TABLE)} faults are not compared yet, most of them variants of one that is.",
        "",
        "| fault | relay B | domain | found | seconds | programs |",
        "|-|-|-|-|-:|-:|",
    )
    for each in outcomes:
        yield (
            f"| {each.name} | {cell(TABLE[each.name].text)} | {each.domain} | {_verdict(each)} | {each.seconds:.0f} "
            f"| {each.programs} |"
        )


def _verdict(outcome: Outcome, most: int = MOST_IDS) -> str:
    """The ids that were found; what stands in their place where there are none."""
    ids = [*outcome.found, *(f"{each} (flaky)" for each in outcome.flaky)]
    if outcome.error:
        return f"**no verdict**: {cell(outcome.error)}"
    if not outcome.found:
        return ", ".join(["**not found**", *ids])
    return ", ".join(ids[:most]) + (f", and {len(ids) - most} more" if len(ids) > most else "")


def main() -> int:
    """Compare and write; returns the exit code: 0, or 1 where right relays differ."""
    parser = argparse.ArgumentParser(prog="python -m spec_tests.equivalence_page", description=_summary())
    parser.add_argument("--render", action="store_true", help="compare nothing; write the page from its outcomes")
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"parts ({', '.join(PARTS)}) or pairs alone")
    parser.add_argument("--again", action="store_true", help="compare what is known too")
    parser.add_argument("--missed", action="store_true", help="compare again at length what found nothing")
    parser.add_argument(
        "--runs", type=int, default=Effort().runs, help="runs of right relays, with the seeds from --seed on"
    )
    parser.add_argument("--run-seconds", type=int, default=RIGHT_S, metavar="N", help="time for each of these runs")
    parser.add_argument("--list-seconds", type=int, default=LIST_S, metavar="N", help="time for each historical relay")
    parser.add_argument("--sample", type=int, metavar="N", help="compare N of the faults, drawn with the seed")
    parser.add_argument("--seed", type=int, default=1, help="seed of the programs")
    parser.add_argument("--budget", type=_duration, default=3600.0, help="time for all, such as 90s, 30m or 2h")
    parser.add_argument("--outcomes", type=Path, default=OUTCOMES, metavar="FILE", help="where outcomes are kept")
    parser.add_argument("--workers", type=int, default=2, help="comparisons at once")
    arguments = parser.parse_args()
    if not arguments.render:
        _campaign(arguments)
    if arguments.outcomes == OUTCOMES:
        (ROOT / PAGE).write_text(page(ROOT), "utf-8")
        print(f"wrote {PAGE}")
    return int(any(each.differs for each in load(arguments.outcomes).of(RIGHT)))


def _campaign(arguments: argparse.Namespace) -> None:
    until, file = time.monotonic() + arguments.budget, arguments.outcomes

    def told(outcome: Outcome) -> None:
        keep(outcome, file)
        print(_line(outcome), flush=True)

    pairs = chosen(arguments.only, arguments.sample, arguments.seed)
    effort = Effort(arguments.seed, arguments.runs, arguments.run_seconds, arguments.list_seconds)
    due = tasks(load(file), pairs, effort, again=arguments.again)
    compare_all(due, arguments.workers, until, told)
    compare_all(second_tasks(load(file), pairs, effort.seed, again=arguments.missed), arguments.workers, until, told)


def chosen(only: Sequence[str] | None, sample: int | None, seed: int) -> list[Pair]:
    """The pairs of these parts and names, all if none are given; of the faults a sample. Raises SystemExit."""
    faults = mutant_pairs(compared_mutants())
    if sample is not None:
        faults = random.Random(seed).sample(faults, min(sample, len(faults)))
    parts = set(PARTS if only is None else only)
    of_right = {RIGHT, *(" / ".join(each) for each in permutations(BUILDS, 2))}
    pairs = [*(right_pairs() if parts & of_right else ()), *choice_pairs(), *historical_pairs(), *faults]
    found = [each for each in pairs if each.part in parts or each.name in parts]
    unknown = parts - {*PARTS, *(each.name for each in pairs)}
    if unknown:
        raise SystemExit(f"no pair is called {', '.join(sorted(unknown))}; the parts are {', '.join(PARTS)}")
    return found


def _line(outcome: Outcome) -> str:
    """An outcome as a campaign shows it."""
    said = " ".join([*outcome.found, *(f"{each}(FLAKY)" for each in outcome.flaky)]) or outcome.error or "-"
    return (
        f"{outcome.part:10} {outcome.code:2} {outcome.seconds:5.1f} s {outcome.programs:5}  {outcome.name} "
        f"({outcome.domain}, seed {outcome.seed}): {said}  {outcome.judged}".rstrip()
    )


def _duration(text: str) -> float:
    unit = {"s": 1, "m": 60, "h": 3600}.get(text[-1:])
    return float(text[:-1]) * unit if unit else float(text)


def _summary() -> str:
    return (__doc__ or "").partition("\n")[0]


if __name__ == "__main__":
    sys.exit(main())
