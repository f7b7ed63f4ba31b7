"""Workers, shards and the shared database: the same verdicts, however a run is divided."""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest

from spec_tests.conformance.judged_relays import plan_for, relay, specimen
from torq_conformance.commands._options import WORKERS
from torq_conformance.commands._run_extras import workers_for
from torq_conformance.errors import ConformanceError, UsageError
from torq_conformance.judging.parallel import Shard, judge_in_workers, merge, shard_of
from torq_conformance.judging.plan import Observer
from torq_conformance.judging.remembered import Remembered, open_database
from torq_conformance.judging.runner import judge_all
from torq_conformance.judging.verdict import ENDED, Lack, Result, Verdict
from torq_conformance.model.frames import Frame
from torq_conformance.model.program import Program
from torq_conformance.model.requirements import Requirement, requirements
from torq_conformance.model.steps import Connect, Write


class Heard(Observer):
    def __init__(self) -> None:
        self.finished_ids: list[str] = []
        self.started_ids: list[str] = []

    def started(self, requirement: Requirement) -> None:
        self.started_ids.append(requirement.id)

    def finished(self, result: Result) -> None:
        self.finished_ids.append(result.requirement.id)


def test_workers_give_the_verdicts_of_one_process_and_tell_them_once() -> None:
    heard = Heard()
    plan = plan_for("FRAME-1", "ORD-1", max_examples=6)
    results = judge_in_workers(plan, specimen("first-generic", "signal"), 2, heard)
    assert {each.requirement.id: each.verdict for each in results} == {
        "FRAME-1": Verdict.FAIL,
        "ORD-1": Verdict.PASS,
    }
    assert sorted(heard.started_ids) == sorted(heard.finished_ids) == ["FRAME-1", "ORD-1"]


def test_one_requirement_is_split_over_the_workers_by_seed() -> None:
    plan = plan_for("FWD-6", max_examples=6)
    (result,) = judge_in_workers(plan, specimen("correct", "signal"), 2, Heard())
    assert result.verdict is Verdict.PASS
    assert result.exercised >= 6


def test_a_worker_that_cannot_start_its_relay_ends_the_run_with_the_reason() -> None:
    with pytest.raises(ConformanceError, match="no-such-relay"):
        judge_in_workers(plan_for("FWD-6", max_examples=1), "no-such-relay {socket}", 2, Heard())


DONE = """
import multiprocessing, os, signal
from torq_conformance.judging.parallel import _work

if __name__ == "__main__":
    todo, told = multiprocessing.Queue(), multiprocessing.Queue()
    todo.put(None)
    _work("never started", todo, told)
    os.kill(os.getpid(), signal.SIGTERM)
    signal.pause()
"""


def test_a_worker_that_has_no_work_left_is_ended_without_a_traceback() -> None:
    done = subprocess.run([sys.executable, "-c", DONE], capture_output=True, text=True, check=False, timeout=30)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGTERM, "", "")


INTERRUPTED = """
import dataclasses, msgspec
from spec_tests.conformance.judged_relays import plan_for, specimen
from torq_conformance.judging.meeting import LEAST_EFFORT
from torq_conformance.judging.parallel import judge_in_workers
from torq_conformance.judging.plan import Observer

class Interrupts(Observer):
    def started(self, requirement):
        raise KeyboardInterrupt

if __name__ == "__main__":
    plan = plan_for("FWD-1", "FWD-2", "FWD-3", "FWD-4", max_examples=LEAST_EFFORT - 1)
    long = msgspec.structs.replace(plan.profile, description="more than a pipe holds" * 10_000)
    try:
        judge_in_workers(dataclasses.replace(plan, profile=long), specimen("correct", "signal"), 2, Interrupts())
    except KeyboardInterrupt:
        print("interrupted")
"""


def test_a_run_that_is_interrupted_does_not_wait_for_what_no_worker_has_begun(tmp_path: Path) -> None:
    script = tmp_path / "interrupted.py"
    script.write_text(INTERRUPTED, "utf-8")
    words, path = [sys.executable, str(script)], os.pathsep.join(sys.path)
    done = subprocess.run(
        words, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")


def test_the_gravest_verdict_of_the_parts_counts_and_the_evidence_is_summed() -> None:
    demand = requirements()["ORD-1"]
    parts = [Result(demand, verdict, exercised=3) for verdict in (Verdict.PASS, Verdict.FLAKY, Verdict.UNKNOWN)]
    merged = merge(parts)
    assert merged.verdict is Verdict.FLAKY
    assert merged.exercised == 9


def test_shards_share_the_programs_and_no_two_have_the_same_seed() -> None:
    plan = dataclasses.replace(plan_for("ORD-1"), max_examples=100, seed=7)
    shards = [shard_of(plan, Shard(index, 8)) for index in range(1, 9)]
    assert {each.max_examples for each in shards} == {13}
    seeds = {each.seed for each in shards} | {shard_of(dataclasses.replace(plan, seed=8), Shard(1, 8)).seed}
    assert len(seeds) == 9


@pytest.mark.parametrize("text", ["", "1", "0/2", "3/2", "a/b", "1/2/3"])
def test_a_wrong_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="such as 2/8"):
        Shard.parse(text)


def test_a_program_that_failed_in_one_run_is_the_first_of_the_next(tmp_path: Path) -> None:
    memory = Remembered(open_database(str(tmp_path / "database")), "signal")
    plan = plan_for("FRAME-1", max_examples=5)
    with relay(specimen("first-generic", "signal")) as target:
        (first,) = judge_all(plan, target, memory)
        (program,) = memory.programs("FRAME-1")
        assert first.counterexample is not None
        assert program == first.counterexample.program
        again = dataclasses.replace(plan, seed=99, remembered={"FRAME-1": (program,)})
        (second,) = judge_all(again, target, memory)
    assert second.verdict is Verdict.FAIL
    assert second.evidence["programs"] == 1


def test_a_requirement_that_holds_forgets_its_programs(tmp_path: Path) -> None:
    memory = Remembered(open_database(str(tmp_path)), "signal")
    plan = plan_for("FWD-6", max_examples=2)
    with relay(specimen("correct", "signal")) as target:
        (result,) = judge_all(plan, target, Observer())
        assert result.verdict is Verdict.PASS
    shown = Program("signal", (Connect(0), Write(0, (Frame(2),))))
    with relay(specimen("first-generic", "signal")) as target:
        (failed,) = judge_all(plan_for("FRAME-1", max_examples=2), target, Observer())
    assert failed.counterexample is not None
    memory.failed(dataclasses.replace(failed.counterexample, requirement="FWD-6", program=shown))
    assert memory.programs("FWD-6") == (shown,)
    memory.finished(result)
    assert memory.programs("FWD-6") == ()


def test_a_database_that_is_not_there_is_a_wrong_option() -> None:
    with pytest.raises(UsageError, match="cannot reach the database"):
        open_database("redis://127.0.0.1:1/0")


@pytest.mark.parametrize(
    ("cores", "requirements", "expected"),
    [(16, 0, 1), (16, 1, 1), (16, 7, 1), (16, 8, 2), (16, 48, 4), (2, 48, 4), (1, 48, 3), (1, 7, 1)],
)
def test_workers_are_chosen_by_cores_and_work(
    cores: int, requirements: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(cores)))
    assert workers_for(requirements) == expected


@pytest.mark.parametrize(
    ("budget", "order"), [(600.0, ["LIFE-2", "CONN-1", "FWD-1"]), (12.0, ["FWD-1", "CONN-1", "LIFE-2"])]
)
def test_the_longest_are_judged_first_where_there_is_ample_time_else_the_cheapest(
    budget: float, order: list[str]
) -> None:
    heard = Heard()
    plan = plan_for("FWD-1", "CONN-1", "LIFE-2", max_examples=1, time_budget=budget)
    judge_in_workers(plan, specimen("correct", "signal"), 1, heard)
    assert heard.started_ids == order


FAILED_BY_THE_FIRST_ENGINE = (
    "FRAME-1",
    "FRAME-2",
    "FRAME-4",
    "FWD-7",
    "DOM-1",
    "DOM-2",
    "DOM-4",
    "VAL-1",
    "VAL-3",
    "VAL-5",
)


@pytest.mark.parametrize("workers", [1, 2])
def test_failures_of_some_requirements_leave_the_others_no_less_time(workers: int) -> None:
    held = ("ORD-1", "ORD-2", "FWD-2", "FWD-6")
    plan = plan_for(*FAILED_BY_THE_FIRST_ENGINE, *held, max_examples=100_000, time_budget=20.0, shrink_seconds=60.0)
    started, heard = time.monotonic(), Heard()
    if workers > 1:
        results = judge_in_workers(plan, specimen("first-generic", "signal"), workers, heard)
    else:
        with relay(specimen("first-generic", "signal")) as target:
            results = judge_all(plan, target, heard)
    verdicts = {result.requirement.id: result.verdict for result in results}
    assert verdicts == dict.fromkeys(FAILED_BY_THE_FIRST_ENGINE, Verdict.FAIL) | dict.fromkeys(held, Verdict.PASS)
    assert time.monotonic() - started < 20.0 + 10.0, "the budget, and what ends within it on a busy machine"
    assert len(heard.started_ids) == len(set(heard.started_ids)) == len(plan.requirements)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_run_ends_with_the_first_failure_that_it_is_told_to_end_with(workers: int) -> None:
    heard, command = Heard(), specimen("first-generic", "signal")
    plan = dataclasses.replace(
        plan_for("FRAME-2", "FWD-6", "FRAME-1", "ORD-1", "FWD-2", "FWD-3", "ORD-2", max_examples=150),
        ends_at=frozenset({"FRAME-2"}),
        time_budget=600.0,
    )
    if workers > 1:
        results = judge_in_workers(plan, command, workers, heard)
    else:
        with relay(command) as target:
            results = judge_all(plan, target, heard)
    seen = {result.requirement.id: result for result in results}
    assert seen["FRAME-2"].verdict is Verdict.FAIL
    assert seen["FRAME-2"].counterexample is not None
    assert seen["FRAME-2"].counterexample.runs > 1, "it is confirmed as every other"
    open_ones = [result for result in results if result.verdict is Verdict.UNKNOWN]
    assert {result.reason for result in open_ones} <= {ENDED}
    assert open_ones or workers > 1, "another worker may have judged all others by then"
    assert sorted(heard.finished_ids) == sorted(seen), "each is told once"


def test_what_is_left_of_a_budget_goes_to_whom_it_was_too_short() -> None:
    plan = plan_for("FWD-6", "ORD-1", max_examples=200)
    with relay(specimen("correct", "signal")) as target:
        results = judge_all(dataclasses.replace(plan, time_budget=30.0), target, Observer())
    assert [result.lacks for result in results] == [Lack.NOTHING] * 2
    assert all(result.tried >= 200 for result in results)


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5", ""])
def test_a_wrong_number_of_workers_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write auto, or a number from 1"):
        WORKERS.convert(text, None, None)
    assert (WORKERS.convert("auto", None, None), WORKERS.convert("3", None, None)) == (0, 3)
