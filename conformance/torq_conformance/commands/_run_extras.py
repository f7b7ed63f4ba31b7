"""What a run may have beside its plan: expected failures, workers, a shard, and a database of failing programs."""

from __future__ import annotations

import dataclasses
import os
import shlex
from pathlib import Path

import msgspec

from .. import files
from ..errors import UsageError
from ..judging.expected import Expectations, ExpectedFailure, Problem, expected_text, load_expected
from ..judging.parallel import Shard, shard_of
from ..judging.plan import Plan
from ..judging.remembered import Remembered, open_database
from ..judging.verdict import Result

AUTOMATIC = 0
MOST_WORKERS = 4
REQUIREMENTS_EACH = 4
"""Requirements that a worker must have before it is worth its start."""


def workers_for(requirements: int) -> int:
    """How many workers judge so many requirements soonest: at most two more than there are cores, and four.

    A worker often waits for its relay, most of all for a relay that is silent where it should answer.
    """
    return max(1, min(len(os.sched_getaffinity(0)) + 2, MOST_WORKERS, requirements // REQUIREMENTS_EACH))


class ExtraOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options ``--expected --update-expected --workers --shard --database --fail-fast`` of a run as given."""

    expected: Path | None
    update_expected: bool
    workers: int
    shard: str | None
    database: str | None
    fail_fast: bool


class RunExtras:
    """Those options ready to be used. ``workers`` is 0 until :meth:`prepared` has chosen how many fit the plan."""

    def __init__(self, options: ExtraOptions, *, running: bool, selected: bool) -> None:
        """Raises UsageError for what is wrong, or does not go together, on a relay that runs or with a selection."""
        self.workers = options.workers
        self._options = options
        self._running = running
        self._shard = Shard.parse(options.shard) if options.shard else None
        self._partial = selected or self._shard is not None or options.fail_fast
        self._judged: list[Result] = []
        self._entries: tuple[ExpectedFailure, ...] = ()
        if options.expected is None:
            if options.update_expected:
                raise UsageError("--update-expected rewrites the file of --expected: name it")
        elif options.expected.exists() or not options.update_expected:
            self._entries = load_expected(options.expected)
        self._expectations = Expectations(() if options.update_expected else self._entries)
        if running and options.workers > 1:
            raise UsageError("--workers needs --exec: each worker judges a fresh relay of its own")
        if options.update_expected and self._partial:
            expected_text((), (), partial=True)

    def prepared(self, plan: Plan) -> Plan:
        """The plan of this shard, with the programs that failed in other runs. Raises UsageError."""
        if self.workers == AUTOMATIC:
            self.workers = 1 if self._running else workers_for(len(plan.requirements))
        if self._shard is not None:
            plan = shard_of(plan, self._shard)
        if self._options.fail_fast:
            unexpected = {each.id for each in plan.requirements} - {each.id for each in self._entries}
            plan = dataclasses.replace(plan, ends_at=frozenset(unexpected))
        for memory in self.observers(plan):
            found = {each.id: memory.programs(each.id) for each in plan.requirements}
            plan = dataclasses.replace(plan, remembered=found)
        return plan

    def observers(self, plan: Plan) -> list[Remembered]:
        """Who else is to be told how the run goes."""
        database = self._options.database
        return [Remembered(open_database(database), plan.domain)] if database else []

    def judge(self, result: Result) -> Result:
        """The result with the verdict that the list of expected failures gives it."""
        self._judged.append(result)
        return self._expectations.judge(result)

    def settle(self, results: list[Result]) -> list[Problem]:
        """At the end of a whole run: rewrite the list if asked; the problems that fail the run."""
        if self._options.update_expected and self._options.expected is not None:
            files.write(self._options.expected, expected_text(self._judged, self._entries, partial=self._partial))
            return []
        judged = [result.requirement.id for result in results]
        return [*self._expectations.problems, *self._expectations.missing(judged, partial=self._partial)]

    def words(self) -> list[str]:
        """The options as words to append to a command."""
        options = self._options
        words = [f"--workers {self.workers}"] if self.workers > 1 else []
        words += [f"--shard {options.shard}"] if options.shard else []
        words += ["--fail-fast"] if options.fail_fast else []
        words += [f"--expected {shlex.quote(str(options.expected))}"] if options.expected else []
        return words + ([f"--database {shlex.quote(options.database)}"] if options.database else [])
