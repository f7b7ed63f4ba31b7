"""What a run may have beside its plan: expected failures, workers, a shard, and a database of failing programs."""

from __future__ import annotations

import dataclasses
import os
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from .. import files
from ..errors import UsageError
from ..judging.expected import Expectations, ExpectedFailure, Problem, expected_text, load_expected
from ..judging.parallel import Shard, shard_of
from ..judging.plan import Observer, Plan
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


@dataclass(slots=True)
class RunExtras:
    """The options ``--expected --update-expected --workers --shard --database`` of a run, ready to be used.

    ``workers`` is 0 until :meth:`prepared` has chosen how many fit the machine and the plan.
    """

    expected: Path | None
    update_expected: bool
    workers: int
    shard: Shard | None
    database: str | None
    entries: tuple[ExpectedFailure, ...] = ()
    selected: bool = False
    running: bool = False
    seed: int = 0
    _expectations: Expectations = field(default_factory=lambda: Expectations(()))
    _judged: list[Result] = field(default_factory=list)

    @classmethod
    def build(
        cls, *, expected: Path | None, update_expected: bool, workers: int, shard: str | None, database: str | None
    ) -> RunExtras:
        """The options checked each for itself. Raises UsageError."""
        if update_expected and expected is None:
            raise UsageError("--update-expected rewrites the file of --expected: name it")
        fresh = update_expected and expected is not None and not expected.exists()
        entries = load_expected(expected) if expected is not None and not fresh else ()
        part = Shard.parse(shard) if shard else None
        return cls(expected, update_expected, workers, part, database, entries)

    def check(self, *, running: bool, selected: bool) -> None:
        """Refuse what does not go together. Raises UsageError."""
        self.selected = selected
        self.running = running
        if running and self.workers > 1:
            raise UsageError("--workers needs --exec: each worker judges a fresh relay of its own")
        if self.update_expected and self.partial:
            expected_text((), (), partial=True)

    @property
    def partial(self) -> bool:
        """Whether the run leaves out requirements or programs on purpose."""
        return self.selected or self.shard is not None

    def prepared(self, plan: Plan) -> Plan:
        """The plan of this shard, with the programs that failed in other runs. Raises UsageError."""
        self.seed = plan.seed
        if self.workers == AUTOMATIC:
            self.workers = 1 if self.running else workers_for(len(plan.requirements))
        if not self.update_expected:
            self._expectations = Expectations(self.entries)
        if self.shard is not None:
            plan = shard_of(plan, self.shard)
        if self.database:
            memory = Remembered(open_database(self.database), plan.domain)
            found = {each.id: memory.programs(each.id) for each in plan.requirements}
            plan = dataclasses.replace(plan, remembered=found)
        return plan

    def observers(self, plan: Plan) -> list[Observer]:
        """Who else is to be told how the run goes."""
        return [Remembered(open_database(self.database), plan.domain)] if self.database else []

    def judge(self, result: Result) -> Result:
        """The result with the verdict that the list of expected failures gives it."""
        self._judged.append(result)
        return self._expectations.judge(result)

    def settle(self, results: list[Result]) -> list[Problem]:
        """At the end of a whole run: rewrite the list if asked; the problems that fail the run."""
        if self.update_expected and self.expected is not None:
            files.write(self.expected, expected_text(self._judged, self.entries, partial=self.partial))
            return []
        judged = [result.requirement.id for result in results]
        return [*self._expectations.problems, *self._expectations.missing(judged, partial=self.partial)]

    def words(self) -> list[str]:
        """The options as words to append to a command."""
        words = [f"--workers {self.workers}"] if self.workers > 1 else []
        words += [f"--shard {self.shard.index}/{self.shard.count}"] if self.shard else []
        words += [f"--expected {shlex.quote(str(self.expected))}"] if self.expected else []
        return words + ([f"--database {shlex.quote(self.database)}"] if self.database else [])
