"""Judges the suite itself: a relay known to be right must pass, and each of many seeded faults must be found.

Facts:
- the relays are specimens, run as processes by their command; nothing of theirs is imported;
- a mutant names the requirements that it breaks; it is killed when one of those that are MUST fails, and every other
  verdict is no business of this test: one fault breaks much;
- a requirement gets the programs and the share of the time that it would get in a run over all of them;
- the profile says what the mutant was started with (``--no-echo``, ``--overflow`` ...), so that only its fault shows.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import active_children
from pathlib import Path
from statistics import median_high
from types import FrameType

import msgspec

from .. import interruption
from ..errors import ConformanceError, UsageError
from ..model.profile import Profile, load_profile
from ..model.requirements import DOMAIN_NAMES, Requirement, requirements
from ..play.target import SpawnedTarget
from .plan import Observer, Plan
from .runner import judge_all
from .verdict import Result, Verdict

DEFAULT_EXAMPLES = 100
DEFAULT_BUDGET = 300.0
"""What a run gets that is told nothing: programs for each requirement, and seconds for all of them."""
SHARE_OF_THE_RIGHT = 10
"""How many times fewer programs the right relay gets: it is judged by every requirement, a mutant by its own."""
GOOD = "correct"
SETTINGS: dict[str, tuple[str, type[int] | type[float] | type[str]]] = {
    "--no-echo": ("echo", str),
    "--on-framing-error": ("on_framing_error", str),
    "--overflow": ("overflow", str),
    "--max-connections": ("max_connections", int),
    "--queue-frames": ("queue_frames", int),
    "--queue-bytes": ("queue_bytes", int),
    "--max-message-size": ("max_message_size", int),
    "--partial-frame-timeout": ("partial_frame_timeout", float),
    "--drain-timeout": ("drain_timeout", float),
}
"""What a specimen's option says about its profile."""
GOOD_ARGUMENTS: tuple[tuple[str, ...], ...] = (
    (),
    ("--no-echo",),
    ("--overflow", "disconnect"),
    ("--overflow", "backpressure"),
    ("--on-framing-error", "resync"),
    ("--max-connections", "8"),
    ("--queue-frames", "50", "--queue-bytes", "100000"),
    ("--queue-frames", "16", "--max-message-size", "4096"),
    ("--queue-frames", "50", "--queue-bytes", "100000", "--overflow", "disconnect"),
)
"""The settings under which the relay known to be right is judged."""


class Mutant(msgspec.Struct, frozen=True):
    """A seeded fault, as the specimens list it."""

    name: str
    catches: tuple[str, ...]
    domains: tuple[str, ...]
    arguments: tuple[str, ...]
    text: str
    needs_root: bool = False


class Effort(msgspec.Struct, frozen=True):
    """What each relay is judged with: the seed, the programs for a requirement, the seconds of a run over all."""

    seed: int
    max_examples: int = DEFAULT_EXAMPLES
    time_budget: float = DEFAULT_BUDGET


class Case(msgspec.Struct, frozen=True):
    """One relay to judge: a mutant, or the relay known to be right (``mutant`` None)."""

    domain: str
    arguments: tuple[str, ...]
    mutant: Mutant | None
    effort: Effort

    @property
    def name(self) -> str:
        """The mutant's name, or what the right relay was started with."""
        return self.mutant.name if self.mutant else " ".join((GOOD, *self.arguments))


class Outcome(msgspec.Struct, frozen=True):
    """What became of a case: the requirements that failed, and for a mutant the one that killed it ("" if none)."""

    name: str
    domain: str
    good: bool
    expected: tuple[str, ...]
    failed: dict[str, str]
    killed_by: str
    programs: int
    seconds: float
    error: str = ""
    seed: int = 0

    @property
    def as_it_should(self) -> bool:
        """Whether the suite judged rightly: no finding on the right relay, the named one on a mutant."""
        return not self.error and (not self.failed if self.good else bool(self.killed_by))


class Rate(msgspec.Struct, frozen=True):
    """All outcomes of one relay: a mutant, or the right relay under one setting."""

    name: str
    domain: str
    good: bool
    outcomes: tuple[Outcome, ...]

    @property
    def rightly(self) -> int:
        """How many times the suite judged rightly."""
        return sum(outcome.as_it_should for outcome in self.outcomes)

    @property
    def always(self) -> bool:
        """Whether it did so every time."""
        return self.rightly == len(self.outcomes)

    @property
    def killed_by(self) -> list[str]:
        """The requirements that found it, the most frequent first."""
        return [name for name, _ in Counter(each.killed_by for each in self.outcomes if each.killed_by).most_common()]

    @property
    def programs(self) -> int:
        """How many programs it took, the median of its runs."""
        return median_high(outcome.programs for outcome in self.outcomes)

    @property
    def seconds(self) -> float:
        """How long it took, the median of its runs."""
        return median_high(outcome.seconds for outcome in self.outcomes)

    @property
    def missed(self) -> list[Outcome]:
        """The outcomes that are not as they should be."""
        return [outcome for outcome in self.outcomes if not outcome.as_it_should]


class Selftest(msgspec.Struct, frozen=True):
    """All outcomes of a self-test, with what is needed to repeat it."""

    seed: int
    max_examples: int
    workers: int
    seconds: float
    outcomes: tuple[Outcome, ...]
    time_budget: float = DEFAULT_BUDGET

    @property
    def repeat(self) -> int:
        """How many times each relay was judged, at most."""
        return max((len(rate.outcomes) for rate in self.rates), default=0)

    @property
    def rates(self) -> list[Rate]:
        """The outcomes of each relay, in the order in which the relays were judged first."""
        found: dict[tuple[str, str, bool], list[Outcome]] = {}
        for outcome in self.outcomes:
            found.setdefault((outcome.name, outcome.domain, outcome.good), []).append(outcome)
        return [Rate(*which, tuple(outcomes)) for which, outcomes in found.items()]

    @property
    def mutants(self) -> list[Rate]:
        """The mutants, each with its kills."""
        return [rate for rate in self.rates if not rate.good]

    @property
    def right(self) -> list[Rate]:
        """The relays known to be right."""
        return [rate for rate in self.rates if rate.good]

    @property
    def killed(self) -> int:
        """How many mutants were found every time."""
        return sum(rate.always for rate in self.mutants)

    @property
    def survivors(self) -> list[Rate]:
        """Mutants that were not found every time."""
        return [rate for rate in self.mutants if not rate.always]

    @property
    def false_alarms(self) -> list[Outcome]:
        """Outcomes of right relays that were not judged to be right."""
        return [outcome for rate in self.right for outcome in rate.missed]

    @property
    def trusted(self) -> bool:
        """Whether a verdict of this suite on this machine can be trusted."""
        return all(outcome.as_it_should for outcome in self.outcomes)


def listed_mutants() -> list[Mutant]:
    """The mutants that the specimens offer. Raises ConformanceError when they cannot be listed."""
    command = (sys.executable, "-m", "torq_conformance.specimens", "--list-mutants", "--json")
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)  # noqa: S603 - our own command
        return msgspec.json.decode(done.stdout, type=list[Mutant])
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as error:
        raise ConformanceError(f"cannot list the mutants: {error}; try torq-specimen --list-mutants") from error


def chosen_mutants(names: Iterable[str], limit: int | None) -> list[Mutant]:
    """The mutants named (or all that show to this user), at most ``limit``. Raises UsageError for an unknown name."""
    known = {mutant.name: mutant for mutant in listed_mutants()}
    wanted = list(names)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise UsageError(f"no mutant is called {', '.join(unknown)}; torq-specimen --list-mutants names them all")
    shown = [name for name, mutant in known.items() if not mutant.needs_root or os.geteuid() == 0]
    return [known[name] for name in wanted or shown][:limit]


def right_cases(effort: Effort, *, domain: str | None = None) -> Iterator[Case]:
    """The right relay in every domain and setting."""
    domains = (domain,) if domain else DOMAIN_NAMES
    less = msgspec.structs.replace(effort, max_examples=max(1, effort.max_examples // SHARE_OF_THE_RIGHT))
    for arguments in GOOD_ARGUMENTS:
        for name in domains if not arguments else domains[:1]:
            yield Case(name, arguments, None, less)


def mutant_cases(mutants: Iterable[Mutant], effort: Effort, *, domain: str | None = None) -> Iterator[Case]:
    """Every mutant in a domain where it shows."""
    for mutant in mutants:
        where = mutant.domains if domain is None else tuple(name for name in mutant.domains if name == domain)
        if where:
            name = "signal" if "signal" in where else where[0]
            yield Case(name, mutant.arguments, mutant, effort)


def repeated(chosen: Iterable[Case], times: int) -> list[Case]:
    """Every case with so many seeds, from that of its effort on; all cases with one seed before those with the next."""
    once = list(chosen)
    return [
        msgspec.structs.replace(case, effort=msgspec.structs.replace(case.effort, seed=case.effort.seed + turn))
        for turn in range(times)
        for case in once
    ]


def profile_of(arguments: tuple[str, ...]) -> Profile:
    """The reference profile, changed by what a specimen was started with."""
    profile = load_profile("reference")
    words = iter(arguments)
    for word in words:
        if word in SETTINGS:
            name, convert = SETTINGS[word]
            value = False if word == "--no-echo" else convert(next(words))
            profile = msgspec.structs.replace(profile, **{name: value})
    return profile


def judge_case(case: Case) -> Outcome:
    """Start the relay of a case and judge it by the requirements that matter for it."""
    started = time.monotonic()
    known = requirements()
    expected = tuple(name for name in (case.mutant.catches if case.mutant else ()) if known[name].binds(case.domain))
    names = list(expected) if case.mutant else [name for name, each in known.items() if each.level != "FIGURE"]
    words = [sys.executable, "-m", "torq_conformance.specimens", GOOD, "--socket", "{socket}", "--domain", case.domain]
    if case.mutant:
        words += ["--mutant", case.mutant.name]
    results: list[Result] = []
    error = ""
    try:
        with SpawnedTarget(" ".join((*words, *case.arguments))) as target:
            for name in names:
                results += judge_all(_plan(case, name), target, _Attentive())
                if case.mutant and _broken(results[-1]):
                    break
    except ConformanceError as problem:
        error = problem.what
    except Exception as problem:  # what goes wrong in one case must not lose what the others have shown
        error = f"a fault of the suite itself: {_where(problem)}"
    failed = {result.requirement.id: _shown(result) for result in results if _broken(result)}
    return Outcome(
        name=case.name,
        domain=case.domain,
        good=case.mutant is None,
        expected=expected,
        failed=failed,
        killed_by=next((name for name in expected if name in failed), ""),
        programs=sum(result.evidence["programs"] for result in results),
        seconds=time.monotonic() - started,
        error=error,
        seed=case.effort.seed,
    )


def _where(problem: Exception) -> str:
    """What was raised, and the line that raised it."""
    *_, last = traceback.extract_tb(problem.__traceback__)
    raised = traceback.format_exception_only(problem)[-1].strip()
    return f"{raised} ({Path(last.filename).name}, line {last.lineno})"


def _plan(case: Case, name: str) -> Plan:
    together = sum(each.level != "FIGURE" and each.binds(case.domain) for each in requirements().values())
    return Plan(
        domain=case.domain,
        profile=profile_of(case.arguments),
        requirements=[requirements()[name]],
        max_examples=case.effort.max_examples,
        seed=case.effort.seed,
        time_budget=case.effort.time_budget / together,
        first_failure_only=True,
    )


def _broken(result: Result) -> bool:
    return result.verdict in (Verdict.FAIL, Verdict.FLAKY)


def _shown(result: Result) -> str:
    return str(result.counterexample.findings[0]) if result.counterexample else ""


class _Attentive(Observer):
    """Between two programs, notices an interruption that got lost in one."""

    def played(self, requirement: Requirement, count: int) -> None:
        interruption.check()


_ending: list[int] = []
"""The signals that have told this worker to end."""


def _stay_quiet() -> None:
    """In a worker that judges nothing: SIGTERM and SIGHUP end it without a word; Ctrl-C is for the parent to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)


def _end(number: int, _: FrameType | None) -> None:
    _ending.append(number)
    sys.exit()


def _judge(case: Case) -> Outcome:
    """In a worker: judge a case; SIGTERM ends the worker when the relay is gone."""
    if _ending:  # the pool had one more case in hand
        sys.exit()
    interruption.install()
    try:
        return judge_case(case)
    except KeyboardInterrupt:
        _ending.append(signal.SIGTERM)
        sys.exit()
    finally:
        _stay_quiet()


def run_selftest(chosen: list[Case], effort: Effort, *, workers: int, told: Callable[[Outcome], None]) -> Selftest:
    """Judge every case, ``workers`` at a time; ``told`` hears of each outcome as it comes."""
    if not chosen:
        raise UsageError("nothing to test: no mutant shows in that domain")
    started = time.monotonic()
    outcomes: dict[Case, Outcome] = {}
    with ProcessPoolExecutor(max_workers=workers, initializer=_stay_quiet) as pool:
        waiting = {pool.submit(_judge, case): case for case in chosen}
        try:
            for done in as_completed(waiting):
                outcomes[waiting[done]] = done.result()
                told(done.result())
        except KeyboardInterrupt:
            with interruption.deferred():
                pool.shutdown(wait=False, cancel_futures=True)
                for worker in active_children():
                    worker.terminate()
            raise
    return Selftest(
        seed=effort.seed,
        max_examples=effort.max_examples,
        time_budget=effort.time_budget,
        workers=workers,
        seconds=time.monotonic() - started,
        outcomes=tuple(outcomes[case] for case in chosen),
    )
