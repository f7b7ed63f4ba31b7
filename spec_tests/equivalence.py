"""Pairs of relays, compared by ``torq-conformance diff``; ``equivalence_page`` shows what was found.

Facts:
- relay A is always a right one; B has a fault, or is right and of another build, or historical;
- only public commands are run. A fault is to be found, not to be listed: ``--fail-fast`` ends such a comparison;
- every fault gets a short budget first, and a longer one where that finds nothing; a choice gets the longer one;
- what ``torq-conformance run`` says of a relay that chose otherwise stands beside it;
- outcomes are kept one by one, under a lock: a campaign goes on where it stopped, and several may run at once.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import NamedTuple

import msgspec
import tomli_w

from spec_tests import foreign
from spec_tests.matrix import lines
from torq_conformance.comparison.outcome import Entry
from torq_conformance.judging.selftest_cases import SMALL_BOUNDS, Mutant, listed_mutants, profile_of
from torq_conformance.model.requirements import DOMAIN_NAMES

ROOT = Path(__file__).resolve().parent.parent
OUTCOMES = ROOT / "docs" / "equivalence_matrix.json"
REPORTS = ROOT / "torq-failures" / "equivalence"
"""Where the reports of false differences, and of historical relays, stay."""
LIMITS = ROOT / "torq-failures" / "limits"
"""Where the limits of relay A stay, which many comparisons have in common."""
GRACE_S = 90.0
"""Beyond its budget a comparison ends relays and settles its last difference."""
RIGHT, HISTORICAL, CHOICES, MUTANTS = PARTS = ("right", "historical", "choices", "mutants")
"""The parts of a campaign, in the order in which they are compared."""
SHORT_S, LONG_S, LIST_S, RIGHT_S = 120, 480, 300, 30
"""Seconds of a comparison: for a fault, for one that is hard to find, for a list, and between right relays."""
RUN_S, RUN_EXAMPLES = 300, 25
"""Seconds, and programs for each requirement, of a run on a relay that chose otherwise."""
VERDICTS = {0: "PASS", 1: "FAIL", 3: "UNKNOWN"}
VARIANTS = 1
"""How many variants of a fault by kind are compared beside it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two relays of a domain to compare, B held against A, each by the command that starts it.

    ``words`` are further options of the comparison; ``text`` says what B does otherwise.
    """

    part: str
    name: str
    domain: str
    a: str
    b: str
    text: str = ""
    words: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """What an outcome is known by, but for the seed."""
        return self.part, self.name, self.domain


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one comparison of a pair came to.

    ``found`` and ``flaky`` are the ids of differences, ``programs`` those that both relays played, ``seconds`` the
    whole command, start of the relays and confirming included; ``load`` is the machine's when it ended. ``code`` is
    the command's exit code; ``error`` says why there is none of its verdicts. ``judged`` is what ``run`` says of B.
    """

    part: str
    name: str
    domain: str
    seed: int
    budget: int
    code: int
    programs: int = 0
    seconds: float = 0.0
    load: float = 0.0
    found: tuple[str, ...] = ()
    flaky: tuple[str, ...] = ()
    judged: str = ""
    error: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What pair it is of."""
        return self.part, self.name, self.domain

    @property
    def differs(self) -> bool:
        """Whether the gate is closed: a difference, flaky ones too."""
        return bool(self.found or self.flaky)


class Outcomes(msgspec.Struct, frozen=True):
    """Everything the page is made from."""

    outcomes: tuple[Outcome, ...] = ()

    def of(self, part: str) -> list[Outcome]:
        """The outcomes of one part."""
        return [each for each in self.outcomes if each.part == part]


# --- the pairs ------------------------------------------------------------------------------------------------------


BUILDS = ("specimen", "reference", "foreign")
"""The relays that keep every requirement: in Python, the engine, and in C++ with two threads for each connection."""


def right_builds(domain: str) -> dict[str, str]:
    """What starts the right relay of each build, with the same settings. Raises CompilerError."""
    return dict(zip(BUILDS, (_specimen("correct", domain), _reference(domain), foreign.command()), strict=True))


def right_pairs() -> list[Pair]:
    """Any two builds in every domain, the one as A and the other way round."""
    return [
        Pair(RIGHT, f"{a} / {b}", domain, builds[a], builds[b])
        for domain in DOMAIN_NAMES
        for builds in (right_builds(domain),)
        for a, b in permutations(builds, 2)
    ]


def mutant_pairs(mutants: Iterable[Mutant]) -> list[Pair]:
    """Each fault against the same relay without it, in a domain where it shows, with the bounds of the self-test."""
    pairs = []
    for mutant in mutants:
        domain = "signal" if "signal" in mutant.domains else mutant.domains[0]
        right = _specimen("correct", domain, *SMALL_BOUNDS, *mutant.arguments)
        faulty = f"{right} --mutant {mutant.name}"
        pairs.append(Pair(MUTANTS, mutant.name, domain, right, faulty, mutant.text, ("--profile", "specimen")))
    return pairs


def compared_mutants() -> list[Mutant]:
    """The faults that are compared: all that this user can run, of each kind the first variants."""
    seen: dict[str, int] = {}
    chosen = []
    for mutant in listed_mutants():
        variant = ":" in mutant.name
        seen[mutant.family] = seen.get(mutant.family, 0) + variant
        if (not variant or seen[mutant.family] <= VARIANTS) and (not mutant.needs_root or os.geteuid() == 0):
            chosen.append(mutant)
    return chosen


VALID = " (valid traffic)"
"""Behind the name of a historical pair that is compared by valid traffic only: slow consumers get more time so."""


def historical_pairs() -> list[Pair]:
    """Each historical relay against the reference relay, and that against the one that it replaces."""
    pairs = []
    for name, domain in (
        ("legacy-market-data", "market_data"),
        ("first-generic", "signal"),
        ("legacy-sink", "signal"),
        ("timing-classifier", "market_data"),
    ):
        old, new = _specimen(name, domain), _reference(domain)
        for level, words in (("", ()), (VALID, ("--level", "well-formed"))):
            pairs.append(Pair(HISTORICAL, f"reference / {name}{level}", domain, new, old, words=words))
            pairs.append(Pair(HISTORICAL, f"{name} / reference{level}", domain, old, new, words=words))
    return pairs


CHOICES_OF_B: dict[str, tuple[str, str, str]] = {
    "no echo": ("gives senders none of their own frames", "", "--no-echo"),
    "zero checksum refused": ("refuses a checksum field of 0", "", "--zero-checksum refuse"),
    "garbage skipped": ("looks for the next frame behind garbage, and closes nobody", "", "--on-framing-error resync"),
    "magic of whole headers": ("looks at no magic before 32 bytes are there", "", "--magic-from 32"),
    "smaller frames": ("takes frames of up to 64 KiB", "", "--max-message-size 65536"),
    "shorter queue": ("holds 1000 frames for who is behind", "--queue-frames 10000", "--queue-frames 1000"),
    "disconnects": ("disconnects who is behind", "--queue-frames 10000", "--queue-frames 10000 --overflow disconnect"),
    "holds back": (
        "holds everybody for who is behind",
        "--queue-frames 999",
        "--queue-frames 999 --overflow backpressure",
    ),
    "ends begun frames": ("gives the rest of a frame a second", "", "--partial-frame-timeout 1"),
}
"""What the specification leaves open: what B does otherwise, and the options of A and of B."""


def choice_pairs() -> list[Pair]:
    """Each choice of B that is as right as that of A."""
    right = _specimen("correct", "signal")
    return [
        Pair(CHOICES, name, "signal", f"{right} {a}".rstrip(), f"{right} {b}", text)
        for name, (text, a, b) in CHOICES_OF_B.items()
    ]


def _specimen(name: str, domain: str, *words: str) -> str:
    return " ".join(["torq-specimen", name, "--domain", domain, "--socket", "{socket}", *words])


def _reference(domain: str) -> str:
    return f"{domain}_relay --partial-frame-timeout 0 --socket {{socket}}"


# --- the comparisons ------------------------------------------------------------------------------------------------


class Report(msgspec.Struct, frozen=True):
    """What is read of the JSON report of a comparison."""

    programs: int
    differences: tuple[Entry, ...]


def outcome_of(pair: Pair, seed: int, budget: int, code: int, report: Report) -> Outcome:
    """What a report says of a pair."""
    ids = {
        status: tuple(sorted(each.id for each in report.differences if each.status == status))
        for status in ("DIFFERENT", "FLAKY")
    }
    return Outcome(*pair.key, seed, budget, code, report.programs, found=ids["DIFFERENT"], flaky=ids["FLAKY"])


def compare(pair: Pair, seed: int, budget: int) -> Outcome:
    """Compare a pair: of one with a fault, or a choice, until the first difference."""
    started = time.monotonic()
    words = ["diff", "--domain", pair.domain, "--exec-a", pair.a, "--exec-b", pair.b, *pair.words]
    words += ["--seed", str(seed), "--time-budget", f"{budget}s"]
    words += ["--fail-fast", "--cache", str(LIMITS)] if pair.part in (CHOICES, MUTANTS) else []
    with tempfile.TemporaryDirectory(prefix="torq-equivalence-") as folder:
        file = Path(folder) / "diff.json"
        code, said = _suite([*words, "--json", str(file), "--failures", folder], budget)
        if code not in (0, 1, 3) or not file.exists():
            outcome = Outcome(*pair.key, seed, budget, code, error=said.strip()[-300:])
        else:
            data = file.read_bytes()
            outcome = outcome_of(pair, seed, budget, code, msgspec.json.decode(data, type=Report))
            if pair.part == HISTORICAL or (pair.part == RIGHT and outcome.differs):
                _keep_report(pair, seed, data, said)
    seconds, load = time.monotonic() - started, os.getloadavg()[0]
    judged = _judged(pair, seed) if pair.part == CHOICES else ""
    return msgspec.structs.replace(outcome, seconds=round(seconds, 1), load=round(load, 1), judged=judged)


def _judged(pair: Pair, seed: int) -> str:
    """What a run says of B, by the profile that says what it chose."""
    with tempfile.TemporaryDirectory(prefix="torq-equivalence-") as folder:
        profile = Path(folder) / "profile.toml"
        profile.write_text(tomli_w.dumps(_without_none(profile_of(tuple(pair.b.split())))), "utf-8")
        words = ["run", "--domain", pair.domain, "--exec", pair.b, "--profile", str(profile), "--workers", "1"]
        words += ["--seed", str(seed), "--max-examples", str(RUN_EXAMPLES), "--time-budget", f"{RUN_S}s"]
        words += ["--failures", folder]
        code, said = _suite(words, RUN_S)
    failed = dict.fromkeys(re.findall(r"^(?:FAIL|FLAKY) +(\S+)", said, re.MULTILINE))
    return f"{VERDICTS.get(code, 'no verdict')} {' '.join(failed)}".strip()


def _without_none(value: msgspec.Struct) -> dict[str, object]:
    """A struct as TOML can hold it."""
    fields = {name: getattr(value, name) for name in value.__struct_fields__}
    return {
        name: _without_none(each) if isinstance(each, msgspec.Struct) else each
        for name, each in fields.items()
        if each is not None
    }


def _suite(words: Sequence[str], budget: int) -> tuple[int, str]:
    """The exit code of a command of the suite, and what it says; -1 where it does not end."""
    command = [sys.executable, "-m", "torq_conformance", *words]
    environment = {**os.environ, "NO_COLOR": "1", "COLUMNS": "150"}
    with tempfile.TemporaryFile("w+") as output:
        try:
            done = subprocess.run(
                command, cwd=ROOT, env=environment, stdout=output, stderr=output, timeout=budget + GRACE_S, check=False
            )
            code = done.returncode
        except subprocess.TimeoutExpired:
            code = -1
        output.seek(0)
        return code, output.read()


def _keep_report(pair: Pair, seed: int, report: bytes, said: str) -> None:
    REPORTS.mkdir(parents=True, exist_ok=True)
    name = f"{pair.name.replace(' / ', '-')}-{pair.domain}-{seed}"
    (REPORTS / f"{name}.json").write_bytes(report)
    (REPORTS / f"{name}.txt").write_text(said, "utf-8")


# --- a campaign -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Task:
    """One comparison that is due."""

    pair: Pair
    seed: int
    budget: int


class Effort(NamedTuple):
    """The seed of a campaign, how many ``runs`` of right pairs, and the seconds of each, and of a list."""

    seed: int = 1
    runs: int = 200
    right_s: int = RIGHT_S
    list_s: int = LIST_S


def tasks(known: Outcomes, pairs: Iterable[Pair], effort: Effort, *, again: bool = False) -> list[Task]:
    """What is left to compare: runs of right pairs, one seed after the other, then the rest.

    What is known is left out, unless it is to be compared ``again``.
    """
    seed = effort.seed
    done = {(*each.key, each.seed) for each in known.outcomes if not again}
    listed = list(pairs)
    right = [each for each in listed if each.part == RIGHT]
    turns = range(effort.runs if right else 0)
    due = [Task(right[turn % len(right)], seed + turn // len(right), effort.right_s) for turn in turns]
    for part, budget in ((CHOICES, LONG_S), (MUTANTS, SHORT_S), (HISTORICAL, effort.list_s)):
        due += [Task(each, seed, budget) for each in listed if each.part == part]
    return [task for task in due if (*task.pair.key, task.seed) not in done]


def second_tasks(known: Outcomes, pairs: Iterable[Pair], seed: int, *, again: bool = False) -> list[Task]:
    """The faults and choices that a short comparison did not find get a long one; ``again`` if that did not either."""
    found = {each.key for each in known.outcomes if each.found}
    tried = {each.key for each in known.outcomes if each.budget >= LONG_S and not again}
    missed = {each.key for each in known.outcomes} - found - tried
    return [Task(each, seed, LONG_S) for each in pairs if each.part in (CHOICES, MUTANTS) and each.key in missed]


def compare_all(due: Sequence[Task], workers: int, until: float, told: Callable[[Outcome], None]) -> None:
    """Do what is due while there is time; each outcome is told as soon as it is known, by one at a time."""
    lock = threading.Lock()
    LIMITS.parent.mkdir(exist_ok=True)

    def one(task: Task) -> None:
        if time.monotonic() > until:
            return
        outcome = compare(task.pair, task.seed, task.budget)
        with lock:
            told(outcome)

    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(one, due))


# --- what is kept ---------------------------------------------------------------------------------------------------


def load(file: Path = OUTCOMES) -> Outcomes:
    """The outcomes so far; none before the first campaign."""
    return msgspec.json.decode(file.read_bytes(), type=Outcomes) if file.exists() else Outcomes()


def encoded(known: Outcomes) -> bytes:
    """The outcomes as JSON, a line for each: a change shows in its line."""
    return f'{{\n"outcomes": {lines(known.outcomes)}\n}}\n'.encode()


def merged(known: Outcomes, new: Outcome) -> Outcomes:
    """The outcomes with a new one in place of the old one of the same pair and seed."""
    by_key = {(PARTS.index(each.part), *each.key, each.seed): each for each in (*known.outcomes, new)}
    return Outcomes(tuple(by_key[key] for key in sorted(by_key)))


def keep(new: Outcome, file: Path = OUTCOMES) -> None:
    """Write an outcome down; others may write theirs meanwhile."""
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        scratch = file.with_suffix(".new")
        scratch.write_bytes(encoded(merged(load(file), new)))
        scratch.replace(file)
    finally:
        os.close(folder)
