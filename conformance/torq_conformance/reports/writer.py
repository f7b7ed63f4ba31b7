"""Writes the reports of a run while it goes, so that Ctrl-C, a crash or a kill leaves whole files.

Facts: each file is written anew beside its place and moved over it, after every verdict; a file is never half a report.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from .. import files
from ..errors import UsageError
from ..judging.expected import Problem
from ..judging.plan import Observer, Plan
from ..judging.verdict import Counterexample, Meeting, Result
from ..model.requirements import Requirement
from .build import Ending, Entry, Setting, build
from .html import page
from .junit import junit
from .markdown import markdown
from .model import Report

FORMATS: dict[str, Callable[[Report], bytes | str]] = {
    "json": files.json_text,
    "junit": junit,
    "html": page,
    "markdown": markdown,
}
"""What a run can be reported as."""
Reported = TypeVar("Reported")


@dataclass(frozen=True, slots=True)
class Destination:
    """One ``--report``: a format and a file."""

    format: str
    path: Path

    @classmethod
    def parse(cls, text: str, formats: Collection[str] = FORMATS) -> Destination:
        """``FORMAT:FILE``, with one of some formats. Raises UsageError."""
        name, _, path = text.partition(":")
        if name not in formats or not path:
            raise UsageError(f"--report {text!r}: write FORMAT:FILE with one of the formats {', '.join(formats)}")
        return cls(name, Path(path))

    def write(self, content: bytes | str) -> None:
        """Replace the last report. Raises UsageError when the file cannot be written."""
        path = Path(os.path.realpath(self.path))
        if path.exists() and not path.is_file():  # such as a device, which the report would take the place of
            raise UsageError(f"cannot write the report {self.path}: it is no regular file; give the path of one")
        files.replace(path, content, what=f"the report {self.path}")


class Destinations(Generic[Reported]):
    """The files of one command's ``--report``, each written anew whenever there is more to say."""

    def __init__(
        self, destinations: Sequence[Destination], formats: Mapping[str, Callable[[Reported], bytes | str]]
    ) -> None:
        self._destinations = destinations
        self._formats = formats
        self._unwritten: dict[Path, UsageError] = {}

    def __bool__(self) -> bool:
        return bool(self._destinations)

    def begin(self, report: Reported) -> None:
        """Write the first reports. Raises UsageError where one cannot be written: that is told before a long run."""
        self.write(report)
        for error in self._unwritten.values():
            raise error

    def write(self, report: Reported) -> None:
        """Write every file anew; what goes wrong is told by :attr:`unwritten`, and verdicts go on without it."""
        for each in self._destinations:
            self._unwritten.pop(each.path, None)
            try:
                each.write(self._formats[each.format](report))
            except UsageError as error:
                self._unwritten[each.path] = error

    @property
    def unwritten(self) -> list[str]:
        """Why reports do not stand as they should, one line each."""
        return list(map(str, self._unwritten.values()))


class ReportWriter(Observer):
    """Rewrites every destination after each verdict of a run, and makes the last report even without destinations.

    Raises UsageError where it cannot write before the run; later failures are told by :attr:`unwritten`.
    """

    def __init__(self, plan: Plan, setting: Setting, destinations: Sequence[Destination]) -> None:
        self._plan = plan
        self._setting = setting
        self._files = Destinations(destinations, FORMATS)
        self._started = time.monotonic()
        self._meeting = Meeting()
        self._entries = {requirement.id: Entry(requirement) for requirement in plan.requirements}
        if self._files:
            self._files.begin(self._built(Ending(0.0, reason="the run has just begun")))

    def has_met(self, meeting: Meeting) -> None:
        self._meeting = meeting

    def has_explored(self, meeting: Meeting) -> None:
        self._meeting.join(meeting)

    def started(self, requirement: Requirement) -> None:
        self._entries[requirement.id].began = self._elapsed()

    def failed(self, counterexample: Counterexample) -> None:
        entry = self._entries.get(counterexample.requirement)
        if entry is not None:
            first = entry.suspect is None
            entry.suspect = counterexample
            if first:
                self._update(self._so_far())

    def finished(self, result: Result) -> None:
        self._enter(result)
        self._update(self._so_far())

    def ended_leg(self, words: str, results: Sequence[Result], meeting: Meeting) -> None:
        self._meeting = meeting
        for result in results:
            self._enter(result)
        self._update(Ending(self._elapsed(), reason=f"the marathon goes on: {words}"))

    def _enter(self, result: Result) -> None:
        entry = self._entries[result.requirement.id]
        entry.result, entry.judgement = result, None

    def complete(self, exit_code: int, problems: Sequence[Problem] = ()) -> Report:
        """End a whole run. ``problems`` are the deviations from the list of expected failures."""
        ending = Ending(self._elapsed(), complete=True, final=True, exit_code=exit_code, problems=tuple(problems))
        return self._write(ending)

    def incomplete(self, reason: str, exit_code: int) -> Report:
        """End a run before its time, for this reason."""
        return self._write(Ending(self._elapsed(), final=True, reason=reason, exit_code=exit_code))

    def _so_far(self) -> Ending:
        return Ending(self._elapsed(), reason="the run has not come to its end")

    def _elapsed(self) -> float:
        return time.monotonic() - self._started

    def _update(self, ending: Ending) -> None:
        if self._files:
            self._write(ending)

    def _write(self, ending: Ending) -> Report:
        report = self._built(ending)
        self._files.write(report)
        return report

    def _built(self, ending: Ending) -> Report:
        return build(self._plan, self._setting, self._entries.values(), ending, self._meeting)

    @property
    def unwritten(self) -> list[str]:
        """Why reports do not stand as they should, one line each."""
        return self._files.unwritten


def now() -> str:
    """The moment at which a run starts, in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
