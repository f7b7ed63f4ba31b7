"""The reference relays, the historical relays and every mutant, judged by the suite; ``matrix_page`` shows them.

Only public commands are run: ``torq-conformance run`` and ``torq-conformance selftest``. ``docs/matrix.json`` keeps
what the page shows and ``--again`` carries over, a line for each relay: of the runs of a mutant their number, the
medians and what the first run saw. The rest of a run is not kept: its seed runs it again.
"""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median_high

import msgspec

from torq_conformance.judging.selftest_cases import listed_mutants
from torq_conformance.judging.selftest_outcomes import Outcome, Rate, Selftest
from torq_conformance.reports.model import FAILING, THIN_PASS, load_report

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
    Candidate("reference, market data", "market_data", profile="torq"),
    Candidate("reference, signal", "signal", profile="torq"),
    Candidate("reference, execution", "execution", profile="torq"),
    Candidate("legacy market data", "market_data", "torq-specimen legacy-market-data --socket {socket}"),
    Candidate("legacy sink", "signal", "torq-specimen legacy-sink --socket {socket}"),
    Candidate("legacy sink, as a sink", "signal", "torq-specimen legacy-sink --socket {socket}", "sink"),
    Candidate("first generic", "signal", "torq-specimen first-generic --socket {socket}"),
    Candidate("timing classifier", "market_data", "torq-specimen timing-classifier --socket {socket}"),
)


class Judged(msgspec.Struct, frozen=True, omit_defaults=True):
    """One requirement of one relay: the verdict, whether it is thin, for a failure the contradiction and its rate."""

    verdict: str
    prose: str = ""
    rate: str = ""
    thin: bool = False

    @property
    def word(self) -> str:
        """What is said of it, as a key of VERDICTS."""
        return THIN_PASS if self.thin else self.verdict


class Relay(msgspec.Struct, frozen=True):
    """A relay that was judged in full."""

    name: str
    target: str
    domain: str
    profile: str
    programs: int
    seconds: float
    judged: dict[str, Judged]


class Specimen(msgspec.Struct, frozen=True, omit_defaults=True):
    """All runs of one specimen: a mutant, or a ``right`` relay under one setting.

    ``killed_by`` are the requirements that found the mutant, the most frequent first, and ``seen`` is what the first
    run saw; ``programs`` and ``seconds`` are medians; ``missed`` are the runs that the suite did not judge rightly.
    """

    name: str
    domain: str
    runs: int
    programs: int
    seconds: float
    right: bool = False
    killed_by: tuple[str, ...] = ()
    seen: str = ""
    missed: tuple[Outcome, ...] = ()


class Matrix(msgspec.Struct, frozen=True):
    """Everything the page is made from."""

    version: str
    seed: int
    max_examples: int
    time_budget: str
    workers: int
    seconds: float
    relays: tuple[Relay, ...]
    specimens: tuple[Specimen, ...]

    @property
    def mutants(self) -> list[Specimen]:
        """The specimens with a fault."""
        return [each for each in self.specimens if not each.right]

    @property
    def right(self) -> list[Specimen]:
        """The specimens without a fault."""
        return [each for each in self.specimens if each.right]


def encoded(matrix: Matrix) -> bytes:
    """The outcomes as JSON, a line for each relay and each specimen: a change shows in its line."""
    fields = (f'"{name}": {lines(getattr(matrix, name))}' for name in matrix.__struct_fields__)
    return ("{\n" + ",\n".join(fields) + "\n}\n").encode()


def lines(value: object) -> str:
    """JSON with a line for each member of an array: a change shows in its line."""
    if isinstance(value, tuple):
        return "[\n" + ",\n".join(map(lines, value)) + "\n]"
    return msgspec.json.encode(value).decode()


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
        specimens = _judge_specimens(folder, arguments)
    return Matrix(
        version=version("torq"),
        seed=arguments.seed,
        max_examples=arguments.max_examples,
        time_budget=arguments.time_budget,
        workers=arguments.workers,
        seconds=round(time.monotonic() - started, 1),
        relays=relays,
        specimens=specimens,
    )


def _known(names: Sequence[str]) -> None:
    unknown = sorted(set(names) - {mutant.name for mutant in listed_mutants()})
    if unknown:
        raise SystemExit(f"no mutant is called {', '.join(unknown)}; torq-specimen --list-mutants names them all")


def renewed(old: Matrix, new: Matrix) -> Matrix:
    """The old outcomes with the new ones in place of all those of the same relays and mutants, whatever the seed."""
    relays = {each.name: each for each in new.relays}
    specimens = {(each.name, each.domain): each for each in (*old.specimens, *new.specimens)}
    return msgspec.structs.replace(
        old,
        time_budget=new.time_budget if relays else old.time_budget,
        seconds=round(old.seconds + new.seconds, 1),
        relays=tuple(relays.get(each.name, each) for each in old.relays),
        specimens=tuple(specimens.values()),
    )


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
                bool(each.thin),
            )
            for each in report.judgements
        },
    )


def _judge_specimens(folder: Path, arguments: argparse.Namespace) -> tuple[Specimen, ...]:
    if arguments.again and not arguments.mutants:
        return ()
    file = folder / "selftest.json"
    words = ["selftest", "--workers", str(arguments.workers), "--seed", str(arguments.seed), "--json", str(file)]
    words += ["--max-examples", str(arguments.max_examples), "--repeat", str(arguments.repeat)]
    words += ["--mutants", ",".join(arguments.mutants)] if arguments.mutants else []
    words += ["--only", "mutants"] if arguments.again else []
    _suite(*words, quiet=False)
    return tuple(map(specimen, msgspec.json.decode(file.read_bytes(), type=Selftest).rates))


def specimen(rate: Rate) -> Specimen:
    """What is kept of all runs of one specimen: medians, and what found it, the most frequent first."""
    runs = [_portable(run) for run in rate.outcomes]
    return Specimen(
        name=rate.name,
        domain=rate.domain,
        right=rate.good,
        runs=len(runs),
        programs=median_high(run.programs for run in runs),
        seconds=round(median_high(run.seconds for run in runs), 1),
        killed_by=tuple(name for name, _ in Counter(run.killed_by for run in runs if run.killed_by).most_common()),
        seen=runs[0].error or runs[0].failed.get(runs[0].killed_by, ""),
        missed=tuple(run for run in runs if not run.as_it_should),
    )


def _portable(run: Outcome) -> Outcome:
    failed = {name: _without_paths(text) for name, text in run.failed.items()}
    return msgspec.structs.replace(run, failed=failed, error=_without_paths(run.error), seconds=round(run.seconds, 1))


def _suite(*words: str, quiet: bool = True) -> None:
    """Run the suite's command. Raises SystemExit when it does not come to a verdict."""
    command = (sys.executable, "-m", "torq_conformance", *words)
    kept = subprocess.PIPE if quiet else None
    done = subprocess.run(command, stdout=kept, stderr=subprocess.STDOUT if kept else None, text=True, check=False)
    if done.returncode not in (0, 1, 3):
        raise SystemExit(f"{shlex.join(command)} ended with {done.returncode}:\n{done.stdout or ''}")


def _without_paths(text: str) -> str:
    """The text without the folders that a run makes for itself, and without that of the interpreter."""
    return re.sub(r"/\S*/torq-[^/\s]+/", "", text.replace(f"{Path(sys.executable).parent}/", ""))


def right_runs(matrix: Matrix) -> int:
    """How many times a right relay was judged."""
    return sum(map(_is_right, matrix.relays)) + sum(each.runs for each in matrix.right)


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
        f"{each.name} ({each.domain}, seed {run.seed}): {accusation(run)}"
        for each in matrix.right
        for run in each.missed
    ]


def accusation(outcome: Outcome) -> str:
    """What was said against a right relay."""
    return outcome.error or "; ".join(f"{name}: {text}" for name, text in outcome.failed.items())
