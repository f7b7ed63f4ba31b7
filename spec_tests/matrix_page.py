"""``docs/matrix.md``: the reference relays, the historical relays and every mutant, judged by the suite.

``python -m spec_tests.matrix_page`` judges them all and writes the outcomes to ``docs/matrix.json`` and the page, made
from them, to ``docs/matrix.md``. ``--check`` judges nothing: it exits 1 when the page is not what its outcomes say, a
mutant is missing, unknown or alive, or a right relay is accused. Only public commands are run:
``torq-conformance run`` and ``torq-conformance selftest``.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, groupby
from pathlib import Path

import msgspec

from torq_conformance.counting import counted
from torq_conformance.reports.markdown import MARKS, cell
from torq_conformance.reports.model import FAILING, MEANINGS, VERDICT_ORDER, load_report
from torq_conformance.requirements import requirements, sections
from torq_conformance.selftest import Outcome, Selftest, listed_mutants

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "matrix.md"
OUTCOMES = ROOT / "docs" / "matrix.json"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A relay to judge in full: ``command`` "" is the reference relay of the domain; ``right`` if nothing may fail."""

    name: str
    domain: str
    command: str = ""
    profile: str = "reference"

    @property
    def right(self) -> bool:
        """Whether it has to keep every requirement."""
        return not self.command


CANDIDATES = (
    Candidate("reference, market data", "market_data"),
    Candidate("reference, signal", "signal"),
    Candidate("reference, execution", "execution"),
    Candidate("legacy market data", "market_data", "torq-specimen legacy-market-data --socket {socket}"),
    Candidate("legacy sink", "signal", "torq-specimen legacy-sink --socket {socket}"),
    Candidate("legacy sink, as a sink", "signal", "torq-specimen legacy-sink --socket {socket}", "sink"),
    Candidate("first generic", "signal", "torq-specimen first-generic --socket {socket}"),
    Candidate("timing classifier", "market_data", "torq-specimen timing-classifier --socket {socket}"),
)


class Judged(msgspec.Struct, frozen=True):
    """One requirement of one relay: the verdict, and for a failure the contradiction and how often it shows."""

    verdict: str
    prose: str = ""
    rate: str = ""


class Relay(msgspec.Struct, frozen=True):
    """A relay that was judged in full."""

    name: str
    target: str
    domain: str
    profile: str
    programs: int
    seconds: float
    judged: dict[str, Judged]


class Matrix(msgspec.Struct, frozen=True):
    """Everything the page is made from."""

    version: str
    seed: int
    max_examples: int
    time_budget: str
    workers: int
    seconds: float
    relays: tuple[Relay, ...]
    selftest: Selftest


# --- judging ---------------------------------------------------------------------------------------------------------


def judge(arguments: argparse.Namespace) -> Matrix:
    """Judge every relay and every mutant. Raises SystemExit with what went wrong."""
    started = time.monotonic()
    _known(arguments.mutants or ())
    with tempfile.TemporaryDirectory(prefix="torq-matrix-") as name:
        folder = Path(name)
        everyone = not arguments.relays and not arguments.again
        chosen = [each for each in CANDIDATES if everyone or each.name in (arguments.relays or ())]
        with ThreadPoolExecutor(arguments.workers) as pool:
            relays = tuple(pool.map(lambda each: _judge_relay(each, folder, arguments), chosen))
        selftest = _judge_mutants(folder, arguments)
    return Matrix(
        version=_suite("--version", output=True).split()[-1],
        seed=arguments.seed,
        max_examples=arguments.max_examples,
        time_budget=arguments.time_budget,
        workers=arguments.workers,
        seconds=round(time.monotonic() - started, 1),
        relays=relays,
        selftest=selftest,
    )


def _known(names: Sequence[str]) -> None:
    unknown = sorted(set(names) - {mutant.name for mutant in listed_mutants()})
    if unknown:
        raise SystemExit(f"no mutant is called {', '.join(unknown)}; torq-specimen --list-mutants names them all")


def renewed(old: Matrix, new: Matrix) -> Matrix:
    """The old outcomes with the new ones in place of all those of the same relays and mutants, whatever the seed."""
    relays = {each.name: each for each in new.relays}
    outcomes = _by_subject(old.selftest) | _by_subject(new.selftest)
    return msgspec.structs.replace(
        old,
        time_budget=new.time_budget if relays else old.time_budget,
        seconds=round(old.seconds + new.seconds, 1),
        relays=tuple(relays.get(each.name, each) for each in old.relays),
        selftest=msgspec.structs.replace(old.selftest, outcomes=tuple(chain.from_iterable(outcomes.values()))),
    )


def _by_subject(selftest: Selftest) -> dict[tuple[str, str], tuple[Outcome, ...]]:
    return {(rate.name, rate.domain): rate.outcomes for rate in selftest.rates}


def _judge_relay(candidate: Candidate, folder: Path, arguments: argparse.Namespace) -> Relay:
    file = folder / f"{candidate.name.replace(' ', '-')}.json"
    words = [
        "run",
        "--domain",
        candidate.domain,
        "--profile",
        candidate.profile,
        "--workers",
        "1",
        "--seed",
        str(arguments.seed),
    ]
    words += ["--max-examples", str(arguments.max_examples), "--time-budget", arguments.time_budget]
    words += ["--failures", str(folder / "failures"), "--report", f"json:{file}"]
    words += ["--exec", candidate.command] if candidate.command else []
    _suite(*words)
    report = load_report(file)
    print(f"{candidate.name}: {report.verdict_line} ({report.seconds:.0f} s)", flush=True)
    return Relay(
        name=candidate.name,
        target=report.target,
        domain=report.domain,
        profile=report.profile,
        programs=report.programs,
        seconds=round(report.seconds, 1),
        judged={
            each.id: Judged(
                each.verdict,
                _without_paths(each.failure.prose if each.failure else ""),
                each.failure.rate if each.failure else "",
            )
            for each in report.judgements
        },
    )


def _judge_mutants(folder: Path, arguments: argparse.Namespace) -> Selftest:
    if arguments.again and not arguments.mutants:
        return Selftest(arguments.seed, arguments.max_examples, arguments.workers, 0.0, ())
    file = folder / "selftest.json"
    words = ["selftest", "--workers", str(arguments.workers), "--seed", str(arguments.seed), "--json", str(file)]
    words += ["--max-examples", str(arguments.max_examples), "--repeat", str(arguments.repeat)]
    words += ["--mutants", ",".join(arguments.mutants)] if arguments.mutants else []
    _suite(*words, quiet=False)
    selftest = msgspec.json.decode(file.read_bytes(), type=Selftest)
    outcomes = (
        msgspec.structs.replace(
            each,
            failed={name: _without_paths(text) for name, text in each.failed.items()},
            seconds=round(each.seconds, 1),
        )
        for each in selftest.outcomes
    )
    return msgspec.structs.replace(selftest, outcomes=tuple(outcomes), seconds=round(selftest.seconds, 1))


def _suite(*words: str, quiet: bool = True, output: bool = False) -> str:
    """Run the suite's command. Raises SystemExit when it does not come to a verdict."""
    command = (sys.executable, "-m", "torq_conformance", *words)
    kept = subprocess.PIPE if quiet or output else None
    done = subprocess.run(command, stdout=kept, stderr=subprocess.STDOUT if kept else None, text=True, check=False)
    if done.returncode not in (0, 1, 3):
        raise SystemExit(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout or ''}")
    return done.stdout or ""


def _without_paths(text: str) -> str:
    """The text without the folders that a run makes for itself, and without that of the interpreter."""
    return re.sub(r"/\S*/torq-[^/\s]+/", "", text.replace(f"{Path(sys.executable).parent}/", ""))


# --- the page --------------------------------------------------------------------------------------------------------


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
        f"- **{len(accused(matrix))} accusations in {_right_runs(matrix)} runs of right relays.**",
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
        verdict = "; ".join(f"**accused** with seed {each.seed}: {cell(_accusation(each))}" for each in rate.missed)
        yield (
            f"| {rate.name} | {rate.domain} | {verdict or 'nothing fails'} | {len(rate.outcomes)} | {rate.programs} "
            f"| {rate.seconds:.1f} |"
        )


def _brief(text: str, most: int = 160) -> str:
    return text if len(text) <= most else text[: most - 4].rpartition(" ")[0] + " ..."


def _accusation(outcome: Outcome) -> str:
    return outcome.error or "; ".join(f"{name}: {text}" for name, text in outcome.failed.items())


# --- the check -------------------------------------------------------------------------------------------------------


def _right_runs(matrix: Matrix) -> int:
    return sum(map(_is_right, matrix.relays)) + sum(len(rate.outcomes) for rate in matrix.selftest.right)


def _is_right(relay: Relay) -> bool:
    return any(candidate.name == relay.name and candidate.right for candidate in CANDIDATES)


def accused(matrix: Matrix) -> list[str]:
    """Right relays of which something fails, each with what fails."""
    found = [
        f"{relay.name}: {name}"
        for relay in matrix.relays
        if _is_right(relay)
        for name, each in relay.judged.items()
        if each.verdict in FAILING
    ]
    return found + [
        f"{each.name} ({each.domain}, seed {each.seed}): {_accusation(each)}" for each in matrix.selftest.false_alarms
    ]


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


def load() -> Matrix:
    """The outcomes that the page was made from."""
    return msgspec.json.decode(OUTCOMES.read_bytes(), type=Matrix)


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
