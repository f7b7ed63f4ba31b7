"""What a comparison has shown so far, be it at its end or in its middle: what screens and reports are made of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from ..errors import NotServingError
from ..generation.situations.coverage import Coverage
from .accepted import AcceptedDifference
from .differential import SITUATIONS
from .equivalence import sentence
from .figures import COSTS, Figure, Measured, label_of, part_of
from .fixed import CheckDifference, CheckResult, check_of, label
from .found import ENDED, OUT_OF_TIME, FoundDifference, TopicResult
from .outcome import Entry, Outcome, outcome
from .topics import Level, topics_of

NO_BOUND = "no --bound is given for it"
NO_CHECK = "this level or domain has no such check"
NO_RELAY = "relay B does not start"


@dataclass(slots=True)
class Course:
    """The topics, checks and figures of a comparison as far as it has come.

    ``others`` are differences that none of them has shown. ``planned`` are the names of all that is to be compared,
    ``ended`` of what was.
    """

    planned: Sequence[str] = ()
    topics: Sequence[TopicResult] = ()
    checks: list[CheckResult] = field(default_factory=list)
    figures: Sequence[Measured] = ()
    others: list[Entry] = field(default_factory=list)
    ended: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, level: Level, checks: Sequence[str], bounded: Iterable[Figure] = ()) -> Course:
        """The course of a comparison that is about to begin: with some fixed checks, and figures that have a bound."""
        topics = (topic.name for topic in topics_of(level))
        return cls((SITUATIONS, *topics, *map(label, checks), *map(label_of, bounded)))

    @property
    def waiting(self) -> list[str]:
        """What has not been compared to its end, in the order in which it comes."""
        return [name for name in self.planned if name not in self.ended]

    def failed_to_start(self, error: NotServingError) -> None:
        """Note that relay B does not start: there is nothing to compare then."""
        self.planned = ()
        self.others.append(
            Entry("crashes:plain", sentence("crashes", ""), "it starts", str(error), differs_in_b=1, runs=1)
        )

    def add_check(self, result: CheckResult) -> None:
        """Note what a fixed check has shown."""
        self.checks.append(result)
        self.ended.add(label(result.requirement))

    def add_figures(self, figures: Sequence[Measured]) -> None:
        """Note what was measured."""
        self.figures = figures
        self.ended.update(label_of(each.name) for each in figures)

    def outcome(self, level: Level, accepted: Sequence[AcceptedDifference], stopped: str = "") -> Outcome:
        """What it comes to; where it was ``stopped`` before its end, this is why what it has not ended is a gap."""
        late = stopped or OUT_OF_TIME
        gaps = {each.name: late if each.gap == OUT_OF_TIME else each.gap for each in self.topics if each.gap}
        gaps |= {label(each.requirement): each.skipped for each in self.checks if each.skipped}
        gaps |= {label_of(each.name): each.undecided for each in self.figures if each.bound and each.undecided}
        gaps |= self._unplanned([each for each in accepted if each.level in ("", level.value)])
        gaps |= dict.fromkeys(self.waiting, stopped)
        # of situations the last lines say how many pairs were met; that they were all met is never promised
        unfinished = {name for name, why in gaps.items() if why in (OUT_OF_TIME, ENDED, late) and name != SITUATIONS}
        unfinished |= {each.name for each in self.topics if each.put_off}
        unfinished |= {label_of(each.name) for each in self.figures if each.bound and each.undecided}
        return outcome(
            level,
            self.programs,
            self.entries,
            accepted,
            gaps,
            frozenset(unfinished.union(self.waiting)),
            frozenset(each.listed for result in self.topics for each in result.found if each.explained),
        )

    def _unplanned(self, accepted: Sequence[AcceptedDifference]) -> dict[str, str]:
        """The checks and figures of accepted differences that are no part of this comparison, and why."""
        why = {check_of(each.id): NO_CHECK for each in accepted} | {part_of(each.id): NO_BOUND for each in accepted}
        return {part: NO_RELAY if self.others else why[part] for part in why if part not in ("", *self.planned)}

    @property
    def entries(self) -> list[Entry]:
        """Every difference that no other explains."""
        of_checks = (each for check in self.checks for each in check.found)
        of_figures = (each for each in self.figures if each.is_beyond)
        return [
            *map(_entry_of, self._shown),
            *map(_entry_of_check, of_checks),
            *map(_entry_of_figure, of_figures),
            *self.others,
        ]

    def shown_by_programs(self, entry: Entry) -> FoundDifference | None:
        """The difference of a program that an entry is made of; None where something else shows it."""
        return next((each for each in self._shown if each.program is entry.program and each.id == entry.id), None)

    @property
    def by_checks(self) -> dict[str, CheckDifference]:
        """The differences that fixed checks have shown, by their ids."""
        return {each.id: each for check in self.checks for each in check.found}

    @property
    def _shown(self) -> list[FoundDifference]:
        return [each for result in self.topics for each in result.found if not each.explained]

    @property
    def programs(self) -> int:
        """Programs that A and B both played."""
        return sum(each.programs for each in self.topics)

    @property
    def noise(self) -> int:
        """Programs in which A differs from its copy."""
        return sum(each.noise for each in self.topics)

    @property
    def calibrated(self) -> int:
        """Programs that the copy of A has played too."""
        return sum(each.calibrated for each in self.topics)

    @property
    def coverage(self) -> Coverage | None:
        """What both relays have met; None where no situation was played."""
        return next((each.coverage for each in self.topics if each.coverage), None)


def _entry_of(found: FoundDifference) -> Entry:
    where = f"{found.difference.place}: " if found.difference.place else ""
    return Entry(
        id=found.id,
        text=found.text,
        in_a=f"{where}{found.difference.in_a}",
        in_b=f"{where}{found.difference.in_b}",
        status="FLAKY" if found.flaky else "DIFFERENT",
        needs=found.needs,
        when=found.when.as_toml(),
        accepted_as=found.under,
        program=found.program,
        differs_in_b=found.in_b,
        differs_in_copy_of_a=found.in_copy,
        runs=found.runs,
    )


def _entry_of_check(found: CheckDifference) -> Entry:
    return Entry(
        id=found.id,
        text=sentence(found.effect, f"{found.requirement} ({found.kind})"),
        in_a=found.in_a,
        in_b=found.in_b,
        status="FLAKY" if found.flaky else "DIFFERENT",
        differs_in_b=found.of_b or found.of_a,
        runs=found.runs,
    )


def _entry_of_figure(found: Measured) -> Entry:
    in_a, in_b = found.words
    return Entry(id=found.id, text=sentence(COSTS, found.text), in_a=in_a, in_b=in_b)
