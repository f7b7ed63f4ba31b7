"""Play the same programs on two relays and show in what they differ, with a minimal program for each difference."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec
from rich.console import Console

from .. import files
from ..comparison.accepted import AcceptedDifference, built_in_lists, load_accepted
from ..comparison.arms import Arm, as_told
from ..comparison.course import Course
from ..comparison.differential import Differential, Effort, TopicResult
from ..comparison.evidence import screens
from ..comparison.figures import Figure, Measured, Samples, bounds_of, measured
from ..comparison.fixed import CheckResult, FixedChecks, checks_of
from ..comparison.measuring import Measuring
from ..comparison.outcome import Entry, Outcome
from ..comparison.topics import Level
from ..counting import counted
from ..errors import NotServingError, UsageError
from ..exits import Exit
from ..generation.situations.coverage import Coverage
from ..model.profile import domain_named, load_profile
from ..model.requirements import DOMAIN_NAMES
from ..play.naming import guess_domain, target_for
from ..play.target import Target
from ..reports.terminal import console
from ._lost_files import verdict_written
from ._options import search_options

JSON_VERSION = 2
MEASURING = 1 / 12
"""The share of the time in which figures are measured, where both relays are started here."""
MEASURING_BOUNDS = 1 / 4
"""The same where some have a bound."""
NOT_STARTED_HERE = "needs relays that the suite starts itself (--exec-a, --exec-b)"
CHECKING = 0.3
"""The share of the time that is kept for the fixed checks, where both relays are started here."""
LIMITS_FROM = 30.0
"""Seconds of a comparison from which on the limits of relay A are probed too: that takes some five."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a comparison as given."""

    exec_a: str | None
    exec_b: str | None
    target_a: str | None
    target_b: str | None
    domain: str | None
    level: str
    profile: str | None
    accepted: str | None
    max_examples: int
    time_budget: float
    seed: int
    bound: tuple[str, ...]
    json: Path | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON report of a comparison."""

    a: str
    b: str
    domain: str
    level: str
    seed: int
    verdict: str
    exit_code: int
    programs: int
    noise: int
    differences: list[Entry]
    stale: list[str]
    not_compared: dict[str, str]
    coverage: Coverage | None
    figures: list[Measured]
    format: str = "torq-conformance diff"
    version: int = JSON_VERSION


@click.command("diff")
@click.option("--exec-a", metavar="'CMD {socket}'", help="Start relay A with this command: the one B is held against.")
@click.option("--exec-b", metavar="'CMD {socket}'", help="Start relay B with this command.")
@click.option("--target-a", metavar="ADDRESS", help="Relay A runs already: a socket path, unix:PATH or tcp:HOST:PORT.")
@click.option("--target-b", metavar="ADDRESS", help="Relay B runs already.")
@click.option("--domain", type=click.Choice(DOMAIN_NAMES), help="Domain of both.  [default: guessed from their names]")
@click.option(
    "--level",
    type=click.Choice([level.value for level in Level]),
    default=Level.EXACT.value,
    show_default=True,
    help="exact: every input, malformed too; well-formed: valid traffic only.",
)
@click.option(
    "--profile",
    metavar="NAME|FILE",
    help="Profile that says how both relays are told settings and show counters and their log, for the fixed checks. "
    "What they promise is not read from it: what A does is the norm.",
)
@click.option(
    "--accepted",
    metavar="FILE|NAME",
    help="TOML file of accepted differences with reasons, or a built-in list "
    f"({', '.join(built_in_lists())}); a listed difference that does not show is stale.",
)
@click.option(
    "--bound",
    metavar="NAME=RATIO",
    multiple=True,
    help=f"Largest ratio of a figure of relay B to that of A, such as {Figure.DELIVERY}=1.1; above it, and above what "
    f"A and its copy differ by, B differs. Figures: {', '.join(Figure)}.",
)
@search_options(examples=40, programs="Programs for each topic.", budget="5m", time="Time in all, such as 60s or 5m.")
@click.option("--json", type=click.Path(path_type=Path, dir_okay=False), help="Write the result to this file as JSON.")
def command(**given: object) -> int:
    """Compare relay B with relay A on the same programs, modulo what races may legally change.

    What A does is the norm, right or wrong. A second copy of A plays the programs too: B differs where it differs from
    A in ways that the copy does not. A difference that does not repeat is FLAKY. Relay A without an option is the
    reference relay of the domain.

    \b
    torq-conformance diff --domain market_data --exec-b 'my_relay --socket {socket}'
    torq-conformance diff --target-a /tmp/torq/signal.sock --exec-b 'my_signal_relay {socket}' --level well-formed

    \b
    Exit codes: 0 equivalent at the level, or different in accepted ways only; 1 other differences, or accepted ones
    that are stale; 2 wrong usage or no relay A; 3 the time budget ended before everything was compared.
    """
    return _Diff(msgspec.convert(given, Options)).run()


class _Diff:
    """One comparison, shown as it goes."""

    def __init__(self, options: Options) -> None:
        if not (options.exec_b or options.target_b):
            raise UsageError("say which relay is B: --exec-b 'CMD {socket}' or --target-b ADDRESS")
        if options.json:
            files.require_folder(options.json)
        self._options = options
        names = " ".join(filter(None, (options.exec_a, options.target_a, options.exec_b, options.target_b)))
        self._domain = options.domain or guess_domain(names)
        self._level = Level(options.level)
        self._accepted: tuple[AcceptedDifference, ...] = load_accepted(options.accepted) if options.accepted else ()
        self._bounds = bounds_of(options.bound)
        self._told = load_profile(options.profile) if options.profile else None
        self._out: Console = console()
        self._started = time.monotonic()
        self._course = Course()

    def run(self) -> int:
        options = self._options
        with ExitStack() as stack:
            a, copy = (
                stack.enter_context(target_for(options.target_a, options.exec_a, self._domain)) for _ in range(2)
            )
            b = target_for(options.target_b, options.exec_b, self._domain)
            self._relays = a.description, b.description
            accepted = counted(len(self._accepted), "difference")
            effort = (
                ("effort", f"at most {options.time_budget:.0f} s in all, seed {options.seed}"),
                ("accepted", f"{accepted} ({options.accepted or 'no file'})"),
            )
            screens.first_screen(self._out, self._relays, self._domain, self._level, effort, options.max_examples)
            try:
                stack.enter_context(b)
            except NotServingError as error:
                self._course.failed_to_start(error)
            else:
                self._compare(a, copy, b)
            return self._end()

    def _compare(self, a: Target, copy: Target, b: Target) -> None:
        options, domain = self._options, domain_named(self._domain)
        until = self._started + options.time_budget
        limits = a.revivable and options.time_budget >= LIMITS_FROM and self._level is Level.EXACT
        arm = Arm(a, domain, limits=limits)
        differential = Differential(arm, Arm(copy, domain, arm), Arm(b, domain, arm), domain, self._level)
        self._course.topics = differential.results
        effort = Effort(options.max_examples, options.time_budget, options.seed)
        differential.meet(effort, self._tell)
        checking = self._level is Level.EXACT and a.revivable and b.revivable
        measuring = (MEASURING_BOUNDS if self._bounds else MEASURING) * (a.restartable and b.restartable)
        kept = (CHECKING * checking + measuring) * options.time_budget
        left = max(until - time.monotonic() - kept, 0.0)
        differential.run(Effort(options.max_examples, left, options.seed), self._tell)
        if checking:
            profile = as_told(arm.profile, self._told) if self._told else arm.profile
            checked_until = until - measuring * options.time_budget
            for result in FixedChecks(a, b, domain, profile, checked_until).run(checks_of(domain)):
                self._course.checks.append(result)
                screens.tell_check(self._out, result)
        elif self._level is Level.EXACT:
            self._course.checks += [CheckResult(name, skipped=NOT_STARTED_HERE) for name in checks_of(domain)]
        samples = Samples(invalid=dict.fromkeys(Figure, NOT_STARTED_HERE))
        if measuring:
            measured_until = min(until, time.monotonic() + measuring * options.time_budget)
            samples = Measuring(a, b, arm.profile, arm.rules).run(measured_until)
        self._course.figures = measured(samples, self._bounds, options.seed)
        screens.tell_figures(self._out, self._course.figures)
        differential.go_on(until, self._tell)

    def _tell(self, result: TopicResult) -> None:
        screens.tell(self._out, result)

    def _end(self) -> Exit:
        result = self._course.outcome(self._level, self._accepted)
        screens.last_screen(self._out, self._course, result, result.verdict, time.monotonic() - self._started)
        path = self._options.json
        if path is None:
            return result.code
        return verdict_written(result.code, path, files.json_text(self._report(result)))

    def _report(self, result: Outcome) -> Report:
        return Report(
            a=self._relays[0],
            b=self._relays[1],
            domain=self._domain,
            level=self._level.value,
            seed=self._options.seed,
            verdict=result.verdict,
            exit_code=result.code,
            programs=result.programs,
            noise=self._course.noise,
            differences=list(result.entries),
            stale=[each.id for each in result.stale],
            not_compared=dict(result.gaps),
            coverage=self._course.coverage,
            figures=list(self._course.figures),
        )
