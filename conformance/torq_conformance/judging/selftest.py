"""Judges the suite itself: the relay known to be right must pass, and the suite must find the fault of each mutant.

Facts:
- a mutant is killed when a requirement that it names fails. Other requirements may fail too: one fault breaks much;
- a requirement gets the programs and the share of the time that it would get in a run over all of them.
"""

from __future__ import annotations

import signal
import sys
import time
import traceback
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import active_children
from pathlib import Path
from types import FrameType

from .. import interruption
from ..errors import ConformanceError, UsageError
from ..model.requirements import Requirement, requirements
from ..play.target import SpawnedTarget
from .plan import Observer, Plan
from .runner import judge_all
from .selftest_cases import GOOD, Case, Effort, profile_of
from .selftest_outcomes import Outcome, Selftest
from .verdict import Result, Verdict

LEAST_SECONDS = 30.0
"""Seconds that a requirement of a case has at least: the longest checks and plays fit in, on a busy machine too."""


def judge_case(case: Case) -> Outcome:
    """Start the relay of a case and judge it: a mutant by the requirements that it names, a right relay by all."""
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
        successor = profile_of(case.started_with).successor
        with SpawnedTarget(" ".join((*words, *case.started_with)), successor=successor) as target:
            for name in names:
                results += judge_all(_plan(case, name), target, _Attentive())
                if case.mutant and _broken(results[-1]):
                    break
    except ConformanceError as problem:
        error = problem.what
    except Exception as problem:  # a fault in one case must not lose the outcomes of the others
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
        profile=profile_of(case.started_with),
        requirements=[requirements()[name]],
        max_examples=case.effort.max_examples,
        seed=case.effort.seed,
        time_budget=max(case.effort.time_budget / together, LEAST_SECONDS),
        first_failure_only=True,
    )


def _broken(result: Result) -> bool:
    return result.verdict in (Verdict.FAIL, Verdict.FLAKY)


def _shown(result: Result) -> str:
    return str(result.counterexample.findings[0]) if result.counterexample else ""


class _Attentive(Observer):
    """Raises, between two programs, an interruption that was lost during one."""

    def played(self, requirement: Requirement, count: int) -> None:
        interruption.check()


_ending: list[int] = []
"""The signals that have told this worker to end."""


def _stay_quiet() -> None:
    """In an idle worker: SIGTERM and SIGHUP end it without output, and the parent alone handles Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)


def _end(number: int, _: FrameType | None) -> None:
    _ending.append(number)
    sys.exit()


def _judge(case: Case) -> Outcome:
    """In a worker: judge a case. After SIGTERM the worker ends its relay, then itself."""
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
    """Judge every case, ``workers`` at a time; ``told`` gets each outcome when it is known."""
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
