"""Running a plan on several processes, each with a fresh relay of its own, and on several machines by shards.

Facts:
- first each worker lets its relay meet its part of the situations;
- then the unit of work is a requirement, split by seed where there are more workers than requirements;
- a worker never shares its relay: two programs on one relay would see each other's frames;
- the parent process tells the observer everything, so displays and reports know nothing of workers;
- a worker looks at a requirement for a short time; what that leaves open goes on behind all looks, failures first: so
  breadth comes before depth, and whoever lacks time gets what others have left over;
- a worker in the middle of a check is not heard: the parent ends the run when its time is over, whatever goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from types import FrameType

from .. import interruption
from ..errors import ConformanceError, ImpededError, UsageError
from ..exits import Exit
from ..generation.situations.dimensions import Situation
from ..model.history import History
from ..model.requirements import Requirement
from ..play import slate
from ..play.naming import target_for
from ..play.processes import family
from ..play.target import SpawnedTarget, Target
from .exploring import EXPLORED_FOR_EACH
from .meeting import due
from .plan import Observer, Plan
from .runner import (
    BREADTH,
    EXPLORING,
    LEAST_LOOK_SECONDS,
    LEAST_ROUND_SECONDS,
    Judge,
    cost_of_a_look,
    exploring_seconds,
    meeting_share,
)
from .scenarios import SCENARIOS
from .verdict import ENDED, Counterexample, Lack, Meeting, Result, Verdict

POLL_SECONDS = 0.5
LATE_SECONDS = 2.0
"""Seconds that a run may take beyond its time budget, in which plays and checks that have begun may end."""
AMPLE_SECONDS = 4.0
"""Time for a look, on average, from which on the order of the looks is free."""
END_SECONDS = 30.0
"""Seconds that a worker may take to end its relay and itself."""
PART_SEED = 1_000_003
"""The distance between the seeds of two parts of one requirement."""
GRAVITY = (Verdict.FAIL, Verdict.FLAKY, Verdict.PASS, Verdict.UNKNOWN, Verdict.UNSUPPORTED)


@dataclass(frozen=True, slots=True)
class Shard:
    """Part ``index`` of ``count`` of a run, from 1."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """``2/8``. Raises UsageError for anything else."""
        first, slash, second = text.partition("/")
        if not (slash and first.isdigit() and second.isdigit() and 1 <= int(first) <= int(second)):
            raise UsageError(f"--shard {text!r}: write which part of how many, such as 2/8")
        return cls(int(first), int(second))


def shard_of(plan: Plan, shard: Shard) -> Plan:
    """One shard of a plan: every requirement, its share of the programs, a seed that no other shard has."""
    return dataclasses.replace(
        plan,
        max_examples=math.ceil(plan.max_examples / shard.count),
        seed=plan.seed * shard.count + shard.index - 1,
    )


@dataclass(frozen=True, slots=True)
class _Task:
    """One requirement to look at, or, with the result ``before``, to go on with for ``share`` seconds."""

    index: int
    plan: Plan
    workers: int
    started: float
    end: float
    breadth: float
    before: Result | None = None
    share: float = 0.0

    @property
    def requirement(self) -> Requirement:
        return self.plan.requirements[0]

    def with_shown(self, shown: Mapping[str, Counterexample]) -> _Task:
        """The same with what situations have shown of its requirement: a history may hold hundreds of MiB."""
        name = self.requirement.id
        own = {name: shown[name]} if name in shown else {}
        return dataclasses.replace(self, plan=dataclasses.replace(self.plan, shown=own))

    def seconds(self, waiting: int) -> float:
        """The time for it, where so many others wait to be looked at."""
        if self.before is not None:
            return self.share
        left = self.started + self.plan.time_budget * self.breadth - time.monotonic()
        return max(left / max(1.0, (waiting + 1) / self.workers), LEAST_LOOK_SECONDS)


@dataclass(frozen=True, slots=True)
class _Part:
    """A part of the situations of a plan, those of some programs, for some seconds, until the moment ``end``."""

    index: int
    programs: Sequence[Sequence[Situation]]
    plan: Plan
    seconds: float
    end: float


@dataclass(frozen=True, slots=True)
class _Exploring:
    """A part of the programs that are played for what they reach, until the moment ``end``, ``most`` at most."""

    index: int
    plan: Plan
    most: int
    end: float


_Work = _Task | _Part | _Exploring


@dataclass(frozen=True, slots=True)
class _Event:
    """What a worker tells: a method of Observer with its arguments, the end of a task or a part, or an error."""

    kind: str
    task: int
    arguments: tuple[object, ...] = ()


def judge_in_workers(plan: Plan, command_line: str, workers: int, observer: Observer) -> list[Result]:
    """Judge a plan with fresh relays of one command in several processes.

    Raises ConformanceError when a worker cannot go on; the results so far have been told to the observer.
    """
    SpawnedTarget(command_line).stop()  # a wrong command is told here, once
    started = time.monotonic()
    tasks = _tasks(plan, workers, started)
    context = multiprocessing.get_context("spawn")
    todo: multiprocessing.Queue[_Work | None] = context.Queue()
    told: multiprocessing.Queue[_Event] = context.Queue()
    pool: list[BaseProcess] = []
    try:
        for _ in range(min(workers, len(tasks))):
            with interruption.deferred():
                process = context.Process(target=_work, args=(command_line, todo, told), daemon=True)
                try:
                    _start(process)
                except OSError as error:
                    if not pool:
                        raise ImpededError(f"cannot start a worker: {error.strerror or error}") from error
                    break  # fewer workers judge the same
                pool.append(process)
        shown = _shown_by_situations(plan, todo, told, pool, observer, started)
        tasks = [each.with_shown(shown) for each in tasks]
        exploring = _exploring(plan, len(pool), started)
        for task in _in_order(tasks):
            todo.put(task)
        for part in exploring:
            todo.put(part)
        return _Gathering(tasks, observer, todo, len(exploring)).gather(told, pool)
    finally:
        todo.cancel_join_thread()  # or this process would wait until a worker takes what is left
        _end(pool)


def _start(process: BaseProcess) -> None:
    """Start a worker with SIGINT blocked, until it is ready for it: Ctrl-C reaches every process of the terminal."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _shown_by_situations(
    plan: Plan,
    todo: multiprocessing.Queue[_Work | None],
    told: multiprocessing.Queue[_Event],
    pool: list[BaseProcess],
    observer: Observer,
    started: float,
) -> dict[str, Counterexample]:
    """What situations have shown of each requirement, each worker having let its relay meet a part of them."""
    programs = due(plan)
    if not programs:
        return {}
    parts, end = len(pool), started + plan.time_budget
    for index in range(parts):
        todo.put(_Part(index, programs[index::parts], plan, meeting_share(plan) * plan.time_budget, end))
    meeting, counts, ended = Meeting(), Counter[int](), 0
    while ended < parts and time.monotonic() < end + LATE_SECONDS:
        match _next_event(told, pool):
            case _Event("met", part, (int(count), _)):
                counts[part] = count
                observer.met(counts.total(), len(programs))
            case _Event("has met", _, (Meeting() as one,)):
                meeting.join(one)
                ended += 1
    observer.has_met(meeting)
    return meeting.shown


def _exploring(plan: Plan, parts: int, started: float) -> list[_Exploring]:
    """The parts of the programs that are played for what they reach, one for each worker, behind all looks.

    They leave time for confirming what fails, however late the looks have ended.
    """
    if not plan.explores:
        return []
    end = started + plan.time_budget * (1.0 - EXPLORING / 2)
    most = math.ceil(plan.max_examples * EXPLORED_FOR_EACH / parts)
    return [
        _Exploring(index, dataclasses.replace(plan, kept=plan.kept[index::parts]), most, end) for index in range(parts)
    ]


def _next_event(told: multiprocessing.Queue[_Event], pool: list[BaseProcess]) -> _Event | None:
    """The next thing that a worker tells, if it comes soon. Raises ConformanceError where a worker cannot go on."""
    dead = next((process for process in pool if process.exitcode not in (None, 0)), None)
    try:
        event = told.get(timeout=0 if dead else POLL_SECONDS)
    except queue.Empty:
        if dead is None:
            return None
        raise ConformanceError(
            f"a worker ended with status {dead.exitcode}; run again with --workers 1 to see why"
        ) from None
    match event.arguments:
        case (ConformanceError() as error,):
            raise error
    return event


def _tasks(plan: Plan, workers: int, started: float) -> list[_Task]:
    parts = max(1, workers // max(1, len(plan.requirements)))
    return [
        _Task(
            index * parts + part,
            dataclasses.replace(
                plan,
                requirements=(requirement,),
                max_examples=math.ceil(plan.max_examples / parts),
                seed=plan.seed + part * PART_SEED,
            ),
            workers,
            started,
            started + plan.time_budget,
            BREADTH if len(plan.requirements) > 1 or plan.explores else 1.0,
        )
        for index, requirement in enumerate(plan.requirements)
        for part in range(parts)
    ]


def _in_order(tasks: list[_Task]) -> list[_Task]:
    """The cheapest first, so that little time tries most. Where there is ample time, the longest first: the other
    workers are idle beside the last task.

    Programs take long that cost much, or that have few steps: each step is a heavy one.
    """
    if not tasks:
        return []
    plan = tasks[0].plan
    ample = plan.time_budget * BREADTH * tasks[0].workers / len(tasks) >= AMPLE_SECONDS

    def precedence(task: _Task) -> tuple[float, int]:
        scenario = SCENARIOS.get(task.requirement.id)
        return cost_of_a_look(task.requirement, plan.rules), -scenario.steps if scenario else 0

    return sorted(tasks, key=precedence, reverse=ample)


def _end(pool: list[BaseProcess]) -> None:
    """End the workers, which end their relays. A worker that does not end in time is killed with all its processes."""
    for process in pool:
        process.terminate()
    deadline = time.monotonic() + END_SECONDS
    for process in pool:
        process.join(max(0.0, deadline - time.monotonic()))
    for process in pool:
        if process.is_alive() and process.pid is not None:
            for pid in family(process.pid):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            process.join()


class _Gathering:
    """Puts the results of the parts together, tells the observer, and has the workers go on with what is open."""

    def __init__(
        self, tasks: list[_Task], observer: Observer, todo: multiprocessing.Queue[_Work | None], exploring: int
    ) -> None:
        self._tasks = {task.index: task for task in tasks}
        self._observer = observer
        self._todo = todo
        self._open: dict[str, int] = {}
        for task in tasks:
            self._open[task.requirement.id] = self._open.get(task.requirement.id, 0) + 1
        self._looked: dict[int, Result] = {}
        self._parts: dict[str, list[Result]] = {name: [] for name in self._open}
        self._played: dict[str, dict[int, int]] = {name: {} for name in self._open}
        self._results: dict[str, Result] = {}
        self._end = max((task.end for task in tasks), default=0.0)
        self._busy = len(tasks)
        self._waiting: list[_Task] = []
        self._exploring, self._explored = exploring, Meeting()
        self._counts: dict[int, tuple[int, int]] = {}
        self._held: list[tuple[_Task, Result]] = []

    def gather(self, told: multiprocessing.Queue[_Event], pool: list[BaseProcess]) -> list[Result]:
        while len(self._results) < len(self._open):
            if (event := _next_event(told, pool)) is not None:
                self._hear(event)
            if time.monotonic() > self._end + LATE_SECONDS:
                self._end_all("the time budget was used up", Lack.TIME)
        return list(self._results.values())

    def _hear(self, event: _Event) -> None:
        match event.kind, event.arguments:
            case "explored", (int(count), int(kept)):
                self._counts[event.task] = count, kept
                self._observer.explored(*map(sum, zip(*self._counts.values(), strict=True)))
                return
            case "has explored", (Meeting() as meeting,):
                self._has_explored(meeting)
                return
        task = self._tasks[event.task]
        requirement = task.requirement
        match event.kind, event.arguments:
            case "started", _:
                if not self._played[requirement.id]:
                    self._observer.started(requirement)
                self._played[requirement.id].setdefault(event.task, 0)
            case "played", (int(count),):
                self._played[requirement.id][event.task] = count
                self._observer.played(requirement, sum(self._played[requirement.id].values()))
            case "failed", (Counterexample() as counterexample,):
                self._observer.failed(counterexample)
            case "judged", (Result() as result,):
                self._judged(task, result)

    def _judged(self, task: _Task, result: Result) -> None:
        before = self._looked.get(task.index)
        shown = result.counterexample
        if before is not None and before.counterexample is not None and shown is not None and not shown.history.sent:
            shown.history = before.counterexample.history  # it never failed again
        self._looked[task.index] = result
        self._busy -= 1
        if self._exploring and result.counterexample is None:
            self._held.append((task, result))  # what programs reach may show it broken
        else:
            self._go_on_or_finish(task, result)
        while self._waiting and self._busy < task.workers:
            self._put_next()

    def _has_explored(self, meeting: Meeting) -> None:
        """A worker has played its part of the programs; when all have, what these show fails what nothing else did."""
        self._explored.join(meeting)
        self._exploring -= 1
        if self._exploring:
            return
        self._observer.has_explored(self._explored)
        for task, result in self._held:
            if task.index not in self._tasks:
                break  # one before it has ended the run
            shown = self._explored.shown.pop(task.requirement.id, None)
            if shown is not None:
                result.failed_by(shown)
                self._observer.failed(shown)
                if task.plan.first_failure_only:
                    result.seen_once()
            self._go_on_or_finish(task, result)
        self._held.clear()
        while self._waiting and self._busy < self._waiting[0].workers:
            self._put_next()

    def _go_on_or_finish(self, task: _Task, result: Result) -> None:
        if task.plan.ended_by(result):
            self._drop_looks()
        if result.open and self._end - time.monotonic() > LEAST_ROUND_SECONDS:
            self._waiting.append(dataclasses.replace(task, before=_without_history(result)))
        else:
            self._finish(task, result)
            if task.plan.ended_by(result):
                self._end_all(ENDED)

    def _drop_looks(self) -> None:
        """Let nothing be looked at any more: the failure that ends the run is to be settled at once."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._todo.get_nowait()
                self._busy -= 1

    def _put_next(self) -> None:
        """Have a worker go on with a failure that waits, or with whatever waits."""
        task = next((each for each in self._waiting if each.before and each.before.counterexample), self._waiting[0])
        turns = max(1.0, len(self._waiting) / task.workers)
        self._waiting.remove(task)
        self._busy += 1
        self._todo.put(dataclasses.replace(task, share=max((self._end - time.monotonic()) / turns, LEAST_LOOK_SECONDS)))

    def _finish(self, task: _Task, result: Result) -> None:
        name = task.requirement.id
        result.seen_once()
        self._parts[name].append(result)
        del self._tasks[task.index]
        if len(self._parts[name]) == self._open[name]:
            self._results[name] = merge(self._parts[name])
            self._observer.finished(self._results[name])

    def _end_all(self, why: str, lacks: Lack = Lack.NOTHING) -> None:
        """What the looks have shown is what is known."""
        for task in list(self._tasks.values()):
            unknown = Result(task.requirement, Verdict.UNKNOWN, why, lacks=lacks)
            self._finish(task, self._looked.get(task.index, unknown))


def _without_history(result: Result) -> Result:
    """A result as a worker goes on with it, which plays its program again: a history may hold hundreds of MiB."""
    if result.counterexample is None:
        return result
    return dataclasses.replace(result, counterexample=dataclasses.replace(result.counterexample, history=History()))


def merge(parts: list[Result]) -> Result:
    """One result of several runs of a requirement: the gravest verdict, all the evidence, the lightest program."""
    gravest = min(parts, key=lambda part: GRAVITY.index(part.verdict))
    shown = [part.counterexample for part in parts if part.counterexample is not None]
    best = min(shown, key=lambda each: (not each.deterministic, each.program.weight), default=None)
    return dataclasses.replace(
        gravest,
        exercised=sum(part.exercised for part in parts),
        evidence=sum((part.evidence for part in parts[1:]), parts[0].evidence.copy()),
        seconds=sum(part.seconds for part in parts),
        counterexample=best,
    )


class _Teller(Observer):
    """Tells the parent process what happens to a task; stops the work when the run is ended."""

    def __init__(self, tell: Callable[[_Event], None], task: int) -> None:
        self._tell, self._task = tell, task

    def met(self, count: int, of: int) -> None:
        interruption.check()
        self._tell(_Event("met", self._task, (count, of)))

    def explored(self, count: int, kept: int) -> None:
        interruption.check()
        self._tell(_Event("explored", self._task, (count, kept)))

    def started(self, requirement: Requirement) -> None:
        self._tell(_Event("started", self._task))

    def played(self, requirement: Requirement, count: int) -> None:
        interruption.check()
        self._tell(_Event("played", self._task, (count,)))

    def failed(self, counterexample: Counterexample) -> None:
        self._tell(_Event("failed", self._task, (counterexample,)))


def _work(command_line: str, todo: multiprocessing.Queue[_Work | None], told: multiprocessing.Queue[_Event]) -> None:
    """A worker process: judge one task after the other, each on a relay that no other worker has."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent ends the workers by it, whatever it has inherited
    interruption.install()
    signal.signal(signal.SIGINT, _leave_to_the_parent)
    slate.begin()
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    try:
        while (task := _next(todo)) is not None:
            teller = _Teller(told.put, task.index)
            if isinstance(task, _Part):
                told.put(_met(task, command_line, teller))
            elif isinstance(task, _Exploring):
                told.put(_explored(task, command_line, teller))
            else:
                told.put(_judged(task, command_line, todo, teller))
    except ConformanceError as error:
        told.put(_Event("error", -1, (error,)))
    except KeyboardInterrupt:
        told.cancel_join_thread()  # the parent reads no more
        sys.exit(Exit.TERMINATED)  # another process may have ended the worker: the parent must know
    finally:
        for number in (signal.SIGTERM, signal.SIGHUP):  # the work is over: a signal needs no traceback
            signal.signal(number, signal.SIG_DFL)


def _target_of(plan: Plan, command_line: str) -> Target:
    return target_for(None, command_line, plan.domain, plan.environment, successor=plan.profile.successor)


def _met(part: _Part, command_line: str, teller: _Teller) -> _Event:
    """What a part of the situations shows, on a relay of its own."""
    with _target_of(part.plan, command_line) as target:
        meeting = Judge(part.plan, target, teller, part.end).meet(part.seconds, part.programs)
    return _Event("has met", part.index, (meeting,))


def _explored(part: _Exploring, command_line: str, teller: _Teller) -> _Event:
    """What a part of the programs that are played for what they reach shows, on a relay of its own."""
    seconds = min(exploring_seconds(part.plan), part.end - time.monotonic())
    with _target_of(part.plan, command_line) as target:
        meeting = Judge(part.plan, target, teller, part.end).explore(seconds, part.most, part.index)
    return _Event("has explored", part.index, (meeting,))


def _judged(task: _Task, command_line: str, todo: multiprocessing.Queue[_Work | None], teller: _Teller) -> _Event:
    """What a look at a requirement shows, or going on with it, on a relay of its own."""
    requirement = task.requirement
    if task.before is None:
        teller.started(requirement)
    with _target_of(task.plan, command_line) as target:
        judge = Judge(task.plan, target, teller, task.end)
        seconds = task.seconds(todo.qsize())
        result = judge.look(requirement, seconds) if task.before is None else judge.go_on(task.before, seconds)
    return _Event("judged", task.index, (result,))


def _leave_to_the_parent(_: int, __: FrameType | None) -> None:
    """Ctrl-C: the parent ends the workers, and its own display first. A relay would inherit SIG_IGN, not this."""


def _end_with_the_parent() -> None:
    """End this worker, in the middle of a check too, when the parent is gone: one that is killed ends nobody."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)


def _next(todo: multiprocessing.Queue[_Work | None]) -> _Work | None:
    while True:
        try:
            return todo.get(timeout=POLL_SECONDS)
        except queue.Empty:
            interruption.check()
