"""``docs/matrix.md``: the reference relays, the historical relays and every mutant, judged by the suite.

``python -m spec_tests.matrix_page`` judges them all and writes the outcomes to ``docs/matrix.json`` and the page, made
from them, to ``docs/matrix.md``. ``--check`` judges nothing: it exits 1 when the page is not what its outcomes say, a
mutant is missing, unknown or alive, or a right relay is accused.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import msgspec

from spec_tests.matrix import CANDIDATES, OUTCOMES, Matrix, accusation, accused, judge, load, renewed, right_runs
from torq_conformance.counting import counted
from torq_conformance.judging.selftest import Selftest, listed_mutants
from torq_conformance.model.requirements import requirements, sections
from torq_conformance.reports.markdown import MARKS, cell
from torq_conformance.reports.model import FAILING, MEANINGS, VERDICT_ORDER

PAGE = OUTCOMES.with_suffix(".md")


def page(matrix: Matrix) -> str:
    """The page as Markdown."""
    return "\n".join([*_head(matrix), *_relays(matrix), *_failures(matrix), *_mutants(matrix.selftest)]) + "\n"


def _head(matrix: Matrix) -> Iterator[str]:
    selftest = matrix.selftest
    yield from (
        "# Every relay, judged",
        "",
        "Written by `make matrix` from what the suite saw; a test in `spec_tests` keeps the page and its data",
        "([`matrix.json`](matrix.json)) together, and the list of mutants complete.",
        "",
        f"- torq-conformance {matrix.version}, seed {matrix.seed}, up to {matrix.max_examples} programs for each "
        f"requirement, at most {matrix.time_budget} for each relay, {matrix.workers} relays at a time; "
        f"{matrix.seconds:.0f} s in all.",
        f"- **{selftest.killed} of {len(selftest.mutants)} mutants are killed** in each run ({_runs(selftest)}).",
        f"- **{len(accused(matrix))} accusations in {right_runs(matrix)} runs of right relays.**",
        "",
        "## Relays",
        "",
        "Under the profile `reference` a relay is held to everything that the [specification](spec/relay.md) asks.",
        "",
        "| relay | profile | verdicts | programs | seconds | command |",
        "|-|-|-|-:|-:|-|",
    )
    for relay in matrix.relays:
        counts = Counter(each.verdict for each in relay.judged.values())
        verdicts = ", ".join(f"{counts[name]} {name}" for name in VERDICT_ORDER if counts[name])
        effort = f"{relay.programs} | {relay.seconds:.0f}"
        yield f"| {relay.name} | {relay.profile} | {verdicts} | {effort} | `{relay.target}` |"


def _relays(matrix: Matrix) -> Iterator[str]:
    yield ""
    yield ", ".join(f"{MARKS[verdict]} {verdict}: {MEANINGS[verdict]}" for verdict in VERDICT_ORDER) + "."
    known = [each for name, each in requirements().items() if any(name in relay.judged for relay in matrix.relays)]
    for section, members in groupby(known, key=lambda each: each.section):
        heads = " | ".join(relay.name for relay in matrix.relays)
        yield from ("", f"### {section}: {sections()[section].title}", "", f"| id | requirement | {heads} |")
        yield "|-|-|" + ":-:|" * len(matrix.relays)
        for requirement in members:
            marks = (
                MARKS[relay.judged[requirement.id].verdict] if requirement.id in relay.judged else ""
                for relay in matrix.relays
            )
            yield f"| {requirement.id} | {cell(requirement.text)} | {' | '.join(marks)} |"


def _failures(matrix: Matrix) -> Iterator[str]:
    yield from ("", "## What speaks against them", "", "| relay | requirement | contradiction | rate |", "|-|-|-|-|")
    for relay in matrix.relays:
        for name, each in relay.judged.items():
            if each.verdict in FAILING:
                yield f"| {relay.name} | {name} | {cell(each.prose)} | {each.rate} |"


def _runs(selftest: Selftest) -> str:
    """How often the mutants were judged: some more often than others where the page was written in parts."""
    counts = [len(rate.outcomes) for rate in selftest.mutants]
    fewest, most = min(counts, default=0), max(counts, default=0)
    return counted(most, "time") if fewest == most else f"{fewest} to {counted(most, 'time')}"


def _mutants(selftest: Selftest) -> Iterator[str]:
    faults = {mutant.name: mutant.text for mutant in listed_mutants()}
    yield from (
        "",
        "## Mutants",
        "",
        "Each is the same small relay with one fault; a fault has to be found by a requirement that it breaks.",
        f"Each is judged {_runs(selftest)}, with the seeds from {selftest.seed} on; programs and seconds are medians.",
        "`torq-conformance selftest --only mutants --mutants NAME --seed SEED` shows one again.",
        "",
        "| mutant | fault | domain | killed | by | what was seen | programs | seconds |",
        "|-|-|-|-:|-|-|-:|-:|",
    )
    for rate in selftest.mutants:
        first = rate.outcomes[0]
        seen = first.error or first.failed.get(first.killed_by, "")
        killed = f"{rate.rightly} of {len(rate.outcomes)}"
        if not rate.always:
            killed = f"**{killed}**, not with seed {', '.join(str(each.seed) for each in rate.missed)}"
        by = ", ".join(rate.killed_by) or f"nothing of {', '.join(first.expected)}"
        yield (
            f"| {rate.name} | {cell(faults.get(rate.name, ''))} | {rate.domain} | {killed} | {by} "
            f"| {cell(_brief(seen))} | {rate.programs} | {rate.seconds:.1f} |"
        )
    yield from ("", "## Right relays among them", "", "| relay | domain | verdict | runs | programs | seconds |")
    yield "|-|-|-|-:|-:|-:|"
    for rate in selftest.right:
        verdict = "; ".join(f"**accused** with seed {each.seed}: {cell(accusation(each))}" for each in rate.missed)
        yield (
            f"| {rate.name} | {rate.domain} | {verdict or 'nothing fails'} | {len(rate.outcomes)} | {rate.programs} "
            f"| {rate.seconds:.1f} |"
        )


def _brief(text: str, most: int = 160) -> str:
    return text if len(text) <= most else text[: most - 4].rpartition(" ")[0] + " ..."


def faults(matrix: Matrix, text: str, mutants: Sequence[str]) -> list[str]:
    """What is wrong with the page ``text``, its outcomes, and the mutants that there are; empty when all is well."""
    listed = [each.name for each in matrix.selftest.mutants]
    found = [f"mutant {name} is not on the page" for name in mutants if name not in listed]
    found += [f"mutant {name} is on the page and does not exist" for name in listed if name not in mutants]
    found += [f"mutant {each.name} survives" for each in matrix.selftest.survivors]
    found += [f"a right relay is accused: {each}" for each in accused(matrix)]
    missing = {candidate.name for candidate in CANDIDATES} - {relay.name for relay in matrix.relays}
    found += [f"relay {name!r} is not on the page" for name in sorted(missing)]
    if text != page(matrix):
        found.append("docs/matrix.md is not what docs/matrix.json says; write it with --render")
    return found


def main() -> int:
    """Judge and write, or check; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m spec_tests.matrix_page", description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="judge nothing; exit 1 with what is wrong with the page")
    parser.add_argument("--render", action="store_true", help="judge nothing; write the page from its outcomes")
    parser.add_argument("--relays", nargs="*", choices=[each.name for each in CANDIDATES], help="only these relays")
    parser.add_argument("--mutants", nargs="*", metavar="NAME", help="only these mutants")
    parser.add_argument("--again", action="store_true", help="judge only what is named; keep the rest of the page")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="relays judged at once")
    parser.add_argument("--max-examples", type=int, default=100, help="programs for each requirement")
    parser.add_argument("--time-budget", default="240s", help="time for each relay that is judged in full")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each mutant, with the seeds from --seed on")
    parser.add_argument("--seed", type=int, default=1, help="seed of the programs")
    parser.add_argument("-o", "--output", type=Path, default=PAGE, help="the page; its outcomes go beside it")
    arguments = parser.parse_args()
    if arguments.check:
        found = faults(load(), PAGE.read_text("utf-8"), [mutant.name for mutant in listed_mutants()])
        print("\n".join(found) or "docs/matrix.md is complete")
        return int(bool(found))
    matrix = load() if arguments.render else judge(arguments)
    if arguments.again:
        matrix = renewed(load(), matrix)
    if not arguments.render:
        data = msgspec.json.format(msgspec.json.encode(matrix), indent=1)
        arguments.output.with_suffix(".json").write_bytes(data + b"\n")
    arguments.output.write_text(page(matrix), "utf-8")
    print(f"wrote {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
