"""The reference relays, the historical relays and every mutant, judged by the suite; ``matrix_page`` shows them.

Only public commands are run: ``torq-conformance run`` and ``torq-conformance selftest``. The outcomes of all stand in
``docs/matrix.json``.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import msgspec

from torq_conformance.judging.selftest import Outcome, Selftest, listed_mutants
from torq_conformance.reports.model import FAILING, load_report

OUTCOMES = Path(__file__).resolve().parent.parent / "docs" / "matrix.json"


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


def load() -> Matrix:
    """The outcomes that the page was made from."""
    return msgspec.json.decode(OUTCOMES.read_bytes(), type=Matrix)


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
    words += ["--only", "mutants"] if arguments.again else []
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


def right_runs(matrix: Matrix) -> int:
    """How many times a right relay was judged."""
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
        f"{each.name} ({each.domain}, seed {each.seed}): {accusation(each)}" for each in matrix.selftest.false_alarms
    ]


def accusation(outcome: Outcome) -> str:
    """What was said against a right relay."""
    return outcome.error or "; ".join(f"{name}: {text}" for name, text in outcome.failed.items())
