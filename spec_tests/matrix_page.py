"""``docs/matrix.md``: the reference relays, the historical relays and every mutant, judged by the suite.

``python -m spec_tests.matrix_page`` judges them all and writes the outcomes to ``docs/matrix.json`` and the page, made
from them, to ``docs/matrix.md``. ``--check`` judges nothing: it exits 1 when the page is not what its outcomes say, a
mutant is missing, unknown or alive, or a right relay is accused.

The page is long because every mutant has a row: who doubts that a fault would be found looks it up there.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from spec_tests.matrix import (
    CANDIDATES,
    OUTCOMES,
    Matrix,
    Specimen,
    accusation,
    accused,
    encoded,
    judge,
    load,
    renewed,
    right_runs,
)
from spec_tests.matrix_picture import PICTURE, picture, told
from torq_conformance.counting import counted
from torq_conformance.judging.selftest_cases import listed_mutants
from torq_conformance.model.requirements import requirements, sections
from torq_conformance.reports.markdown import cell
from torq_conformance.reports.model import FAILING, VERDICTS
from torq_conformance.specimens import mutants
from torq_conformance.specimens.mutants.table import TABLE

PAGE = OUTCOMES.with_suffix(".md")


def page(matrix: Matrix) -> str:
    """The page as Markdown."""
    return "\n".join([*_head(matrix), *_relays(matrix), *_failures(matrix), *_mutants(matrix)]) + "\n"


def _head(matrix: Matrix) -> Iterator[str]:
    killed = sum(not each.missed for each in matrix.mutants)
    yield from (
        "# Every relay, judged",
        "",
        "Written by `make matrix` from what the suite saw; a test in `spec_tests` keeps the page and its data",
        "([`matrix.json`](matrix.json)) together, and the list of mutants complete.",
        "",
        f"- torq-conformance {matrix.version}, seed {matrix.seed}, up to {matrix.max_examples} programs for each "
        f"requirement, at most {matrix.time_budget} for each relay, {matrix.workers} relays at a time; "
        f"{matrix.seconds:.0f} s in all.",
        f"- **{killed} of {len(matrix.mutants)} mutants are killed** in each run ({_runs(matrix)}).",
        f"- **{len(accused(matrix))} accusations in {right_runs(matrix)} runs of right relays.**",
        "",
        f"![{told(matrix)}. The tables below say the same in words.]({PICTURE})",
        "",
        "## Relays",
        "",
        "Under the profile `reference` a relay is held to everything that the [specification](spec/relay.md) asks.",
        "",
        "| relay | profile | verdicts | programs | seconds | command |",
        "|-|-|-|-:|-:|-|",
    )
    for relay in matrix.relays:
        counts = Counter(each.word for each in relay.judged.values())
        verdicts = ", ".join(f"{counts[name]} {name}" for name in VERDICTS if counts[name])
        effort = f"{relay.programs} | {relay.seconds:.0f}"
        yield f"| {relay.name} | {relay.profile} | {verdicts} | {effort} | `{relay.target}` |"


def _relays(matrix: Matrix) -> Iterator[str]:
    yield ""
    yield ", ".join(f"{look.mark} {verdict}: {look.meaning}" for verdict, look in VERDICTS.items()) + "."
    known = [each for name, each in requirements().items() if any(name in relay.judged for relay in matrix.relays)]
    for section, members in groupby(known, key=lambda each: each.section):
        heads = " | ".join(relay.name for relay in matrix.relays)
        yield from ("", f"### {section}: {sections()[section].title}", "", f"| id | requirement | {heads} |")
        yield "|-|-|" + ":-:|" * len(matrix.relays)
        for requirement in members:
            marks = (
                VERDICTS[relay.judged[requirement.id].word].mark if requirement.id in relay.judged else ""
                for relay in matrix.relays
            )
            yield f"| {requirement.id} | {cell(requirement.text)} | {' | '.join(marks)} |"


def _failures(matrix: Matrix) -> Iterator[str]:
    yield from ("", "## Failures", "", "| relay | requirement | contradiction | rate |", "|-|-|-|-|")
    for relay in matrix.relays:
        for name, each in relay.judged.items():
            if each.verdict in FAILING:
                yield f"| {relay.name} | {name} | {cell(each.prose)} | {each.rate} |"


def _runs(matrix: Matrix) -> str:
    """How often the mutants were judged: some more often than others where the page was written in parts."""
    counts = [each.runs for each in matrix.mutants]
    fewest, most = min(counts, default=0), max(counts, default=0)
    return counted(most, "time") if fewest == most else f"{fewest} to {counted(most, 'time')}"


def _mutants(matrix: Matrix) -> Iterator[str]:
    faults = {mutant.name: mutant.text for mutant in listed_mutants()}
    yield from (
        "",
        "## Mutants",
        "",
        "Each is the same small relay with one fault; a fault has to be found by a requirement that it breaks.",
        f"Each is judged {_runs(matrix)}, with the seeds from {matrix.seed} on; programs and seconds are medians.",
        "`torq-conformance selftest --only mutants --mutants NAME --seed SEED` shows one again.",
        "[Faults by kind](specimens.md#faults-by-kind) have rows as far as they are judged.",
        "",
        "| mutant | fault | killed by | what was seen | programs | seconds |",
        "|-|-|-|-|-:|-:|",
    )
    for each in matrix.mutants:
        yield (
            f"| {each.name} | {cell(faults.get(each.name, ''))} | {_killed(each)} | {cell(_brief(each.seen))} "
            f"| {each.programs} | {each.seconds:.1f} |"
        )
    yield from ("", "## Right relays among them", "", "| relay | domain | verdict | runs | programs | seconds |")
    yield "|-|-|-|-:|-:|-:|"
    for each in matrix.right:
        verdict = "; ".join(f"**accused** with seed {run.seed}: {cell(accusation(run))}" for run in each.missed)
        yield (
            f"| {each.name} | {each.domain} | {verdict or 'nothing fails'} | {each.runs} | {each.programs} "
            f"| {each.seconds:.1f} |"
        )


def _killed(mutant: Specimen) -> str:
    """The requirements that find a mutant, and the runs in which none did."""
    by = ", ".join(mutant.killed_by)
    if not mutant.missed:
        return by
    seeds = ", ".join(str(run.seed) for run in mutant.missed)
    by = by or f"nothing of {', '.join(mutant.missed[0].expected)}"
    return f"{by} (**{mutant.runs - len(mutant.missed)} of {mutant.runs}**, not with seed {seeds})"


def _brief(text: str, most: int = 120) -> str:
    return text if len(text) <= most else text[: most - 4].rpartition(" ")[0] + " ..."


def faults(matrix: Matrix, text: str, mutants: Sequence[str], by_kind: Sequence[str] = ()) -> list[str]:
    """What is wrong with the page ``text``, its outcomes, and the mutants that there are; empty when all is well.

    The page may lack mutants ``by_kind``.
    """
    listed = [each.name for each in matrix.mutants]
    found = [f"mutant {name} is not on the page" for name in mutants if name not in (*listed, *by_kind)]
    found += [f"mutant {name} is on the page and does not exist" for name in listed if name not in mutants]
    found += [f"mutant {each.name} survives" for each in matrix.mutants if each.missed]
    found += [f"a right relay is accused: {each}" for each in accused(matrix)]
    missing = {candidate.name for candidate in CANDIDATES} - {relay.name for relay in matrix.relays}
    found += [f"relay {name!r} is not on the page" for name in sorted(missing)]
    if text != page(matrix):
        found.append("docs/matrix.md is not what docs/matrix.json says; write it with --render")
    return found


def faults_of_the_page() -> list[str]:
    """What is wrong with the page that is checked in."""
    mutants.load()
    by_kind = [row.name for row in TABLE.values() if row.family]
    return faults(load(), PAGE.read_text("utf-8"), list(TABLE), by_kind)


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
        found = faults_of_the_page()
        print("\n".join(found) or "docs/matrix.md is complete")
        return int(bool(found))
    matrix = load() if arguments.render else judge(arguments)
    if arguments.again:
        matrix = renewed(load(), matrix)
    if not arguments.render:
        arguments.output.with_suffix(".json").write_bytes(encoded(matrix))
    arguments.output.write_text(page(matrix), "utf-8")
    drawn = arguments.output.parent / PICTURE
    drawn.parent.mkdir(exist_ok=True)
    drawn.write_text(picture(matrix), "utf-8")
    print(f"wrote {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
