"""The report of a comparison as data. Every other form is made from it.

Facts: readers of version 2 pass over what they do not know; so a field may be added, and none may go.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import msgspec

from ...counting import counted
from ...exits import Exit
from ...generation.situations.coverage import Coverage
from ...printable import encodable
from ...reports.build import machine
from ...reports.diagram import Diagram
from ...reports.judged_files import judged_files
from ...reports.model import State, Tool
from ...reports.narrate import narrate
from ...reports.thin import rules_out_little
from ..accepted import AcceptedDifference
from ..course import Course
from ..differential import SITUATIONS
from ..figures import Measured, label_of, part_of
from ..fixed import label
from ..found import FoundDifference
from ..outcome import Entry, Outcome, by_reason
from ..topics import Level
from .diagrams import parted

JSON_VERSION = 2
BEGUN = "the comparison has just begun"
UNENDED = "the comparison has not come to its end"


class Compared(msgspec.Struct, frozen=True, omit_defaults=True):
    """What one topic or fixed check showed: the ids of its differences, and why not all of it was compared, if so.

    ``calibrated`` is how many of its programs the copy of A played too, ``noise`` in how many of them A differed.
    ``thin`` says that so few programs showed no difference that they might well have missed one.
    """

    name: str
    kind: str
    programs: int = 0
    differences: tuple[str, ...] = ()
    gap: str = ""
    noise: int = 0
    calibrated: int = 0
    thin: bool = False


class Shown(msgspec.Struct, frozen=True, omit_defaults=True):
    """The evidence of one difference: its program step by step, what both relays did, and the lines that replay it.

    The diagrams are None for what no program shows, ``file`` is "" for a figure. ``left_by_a`` and ``left_by_b`` are
    what is left of a relay that died.
    """

    steps: tuple[str, ...] = ()
    a: Diagram | None = None
    b: Diagram | None = None
    left_by_a: tuple[str, ...] = ()
    left_by_b: tuple[str, ...] = ()
    file: str = ""
    replay: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A comparison, ended or not. ``exit_code`` is None while it goes on, ``stop_reason`` says why it is incomplete.

    ``relays`` are the words that name both relays to a command, ``files`` the digests of the files that stand in
    their commands. ``evidence`` is by the ids of differences, of accepted ones by what they are accepted as.
    """

    a: str
    b: str
    domain: str
    level: str
    seed: int
    verdict: str
    exit_code: int | None
    programs: int
    noise: int
    differences: list[Entry]
    stale: list[str]
    expired: list[str]
    not_compared: dict[str, str]
    coverage: Coverage | None
    figures: list[Measured]
    format: str = "torq-conformance diff"
    version: int = JSON_VERSION
    tool: Tool
    state: State
    stop_reason: str
    started: str
    seconds: float
    command: str
    relays: str
    files: dict[str, str]
    machine: str
    compared: list[Compared]
    evidence: dict[str, Shown]

    @property
    def word(self) -> str:
        """What the verdict begins with, such as EQUIVALENT."""
        return self.verdict.split()[0]

    @property
    def headline(self) -> str:
        """The verdict without what was not compared."""
        return self.verdict.partition("; not compared:")[0]

    @property
    def left_out(self) -> list[tuple[str, list[str]]]:
        """What was not compared, by the reason."""
        return list(by_reason(self.not_compared).items())

    def topics_of(self, identifier: str) -> str:
        """What showed a difference."""
        return ", ".join(each.name for each in self.compared if identifier in each.differences)


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of a comparison before it begins, and where the files of its differences stand.

    ``relays`` are the words that name both relays to a command.
    """

    a: str
    b: str
    domain: str
    level: Level
    seed: int
    accepted: Sequence[AcceptedDifference]
    command: str
    relays: str
    started: str
    file_of: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Ending:
    """How far a comparison has come: whole where nothing has ``stopped`` it; ``code`` is None while it goes on."""

    seconds: float
    stopped: str = ""
    code: Exit | None = None


def build(setting: Setting, course: Course, ending: Ending) -> Report:
    """The report on a comparison, at its end or in its middle."""
    result = course.outcome(setting.level, setting.accepted, ending.stopped)
    return Report(
        a=encodable(setting.a),
        b=encodable(setting.b),
        domain=setting.domain,
        level=setting.level.value,
        seed=setting.seed,
        verdict=verdict(result, course, ending),
        exit_code=ending.code,
        programs=result.programs,
        noise=course.noise,
        differences=list(result.entries),
        stale=[each.key for each in result.stale],
        expired=[each.key for each in result.expired],
        not_compared=dict(result.gaps),
        coverage=course.coverage,
        figures=list(course.figures),
        tool=Tool("torq-conformance", version("torq")),
        state="incomplete" if ending.stopped else "complete",
        stop_reason=ending.stopped,
        started=setting.started,
        seconds=round(ending.seconds, 3),
        command=encodable(setting.command),
        relays=encodable(setting.relays),
        files={
            encodable(word): digest
            for command in (setting.a, setting.b)
            for word, digest in judged_files(command).items()
        },
        machine=machine(),
        compared=list(_compared(course)),
        evidence={each.listed: _shown(each, course.shown_by_programs(each), setting) for each in result.entries},
    )


def verdict(result: Outcome, course: Course, ending: Ending) -> str:
    """The last sentence: that of the outcome, or how far a comparison has come that was stopped."""
    if not ending.stopped:
        return result.verdict
    counts = Counter(each.status for each in result.entries)
    said = [f"{counts[status]} {status}" for status in ("DIFFERENT", "FLAKY", "ACCEPTED") if counts[status]]
    so_far = f"{', '.join(said) or 'no difference'} so far, in {counted(result.programs, 'program')}"
    left = f"; {len(course.waiting)} of {counted(len(course.planned), 'topic or check', 'topics and checks')} were left"
    return f"INCOMPLETE ({ending.stopped}) at level {result.level.value}: {so_far}{left if course.waiting else ''}"


def _compared(course: Course) -> Iterator[Compared]:
    for each in course.topics:
        yield Compared(
            name=each.name,
            kind="situations" if each.name == SITUATIONS else "programs",
            programs=each.programs,
            differences=tuple(found.listed for found in each.found if not found.explained),
            gap=each.gap,
            noise=each.noise,
            calibrated=each.calibrated,
            thin=not each.found and not each.gap and rules_out_little(each.programs),
        )
    for check in course.checks:
        ids = tuple(found.id for found in check.found)
        yield Compared(label(check.requirement), "check", differences=ids, gap=check.skipped)
    for figure in course.figures:
        if figure.bound is not None:
            ids = (figure.id,) if figure.is_beyond else ()
            yield Compared(label_of(figure.name), "figure", differences=ids, gap=figure.undecided)


def _shown(entry: Entry, found: FoundDifference | None, setting: Setting) -> Shown:
    if part_of(entry.id):  # a figure has no file: it is measured again
        return Shown(replay=encodable(setting.command))
    file = encodable(setting.file_of(entry.listed))
    replay = f"torq-conformance replay {shlex.quote(file)} {encodable(setting.relays)}"
    if found is None:
        return Shown(file=file, replay=replay)
    a, b = parted(found)
    return Shown(
        steps=tuple(narrate(found.program, found.history_a)),
        a=a,
        b=b,
        left_by_a=tuple(found.history_a.remains),
        left_by_b=tuple(found.history_b.remains),
        file=file,
        replay=replay,
    )
