"""Play the same programs on two relays and show in what they differ, with a minimal program for each difference."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date
from pathlib import Path

import click
import msgspec
from rich.console import Console

from .. import files
from ..comparison.accepted import AcceptedDifference, built_in_lists, load_accepted, sort_out
from ..comparison.arms import Arm, as_told, refused_by_both
from ..comparison.course import Course
from ..comparison.differential import Differential, Effort
from ..comparison.evidence import screens
from ..comparison.evidence.formats import FORMATS
from ..comparison.evidence.keeper import DifferenceKeeper
from ..comparison.evidence.report import BEGUN, UNENDED, Ending, Report, Setting, build
from ..comparison.figures import Figure, Samples, bounds_of, measured
from ..comparison.fixed import CheckResult, FixedChecks, checks_of
from ..comparison.found import ENDED, TopicResult
from ..comparison.measuring import Measuring
from ..comparison.outcome import Outcome
from ..comparison.remembered import Remembered
from ..comparison.topics import Level
from ..comparison.updating import accepted_text
from ..counting import counted
from ..errors import ConformanceError, ImpededError, NotServingError, UsageError
from ..exits import Exit
from ..interruption import Terminated, check
from ..learning.learned_profile import probe_limits
from ..learning.probing import Probe
from ..model.profile import domain_named, load_profile
from ..model.requirements import DOMAIN_NAMES
from ..model.rules import Domain
from ..play.naming import guess_domain, target_for
from ..play.target import Target
from ..reports.terminal import console, say
from ..reports.writer import Destination, Destinations, now
from ._lost_files import verdict_despite
from ._options import failures_option, relay_options, report_option, require_parent, search_options

MEASURING = 1 / 12
"""The share of the time in which figures are measured, where both relays are started here."""
MEASURING_BOUNDS = 1 / 4
"""The same where some have a bound."""
NOT_STARTED_HERE = "needs relays that the suite starts itself (--exec-a, --exec-b)"
RELAYS = ("exec-a", "target-a", "exec-b", "target-b")
"""The options that name the relays."""
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
    update_accepted: bool
    fail_fast: bool
    max_examples: int
    time_budget: float
    seed: int
    bound: tuple[str, ...]
    cache: Path | None
    failures: Path
    reports: tuple[Destination, ...]
    json: Path | None


@click.command("diff")
@relay_options
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
@click.option("--update-accepted", is_flag=True, help="Rewrite the file of --accepted from this (whole) comparison.")
@click.option(
    "--bound",
    metavar="NAME=RATIO",
    multiple=True,
    help=f"Largest ratio of a figure of relay B to that of A, such as {Figure.DELIVERY}=1.1; above it, and above what "
    f"A and its copy differ by, B differs. Figures: {', '.join(Figure)}.",
)
@click.option("--fail-fast", is_flag=True, help="End with the first difference that repeats and is not accepted.")
@search_options(examples=40, programs="Programs for each topic.", budget="8m", time="Time in all, such as 60s or 5m.")
@click.option(
    "--cache",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Folder that keeps the limits of relay A, which take 5 s to learn, for the next comparison with the same "
    "files; not for --target-a.  [default: none]",
)
@failures_option(
    "Folder for the differences found, to be replayed; those of each relay B stand in a folder of their own."
)
@report_option(FORMATS)
@click.option("--json", type=click.Path(path_type=Path, dir_okay=False), help="Write the result to this file as JSON.")
def command(**given: object) -> int:
    """Compare relay B with relay A on the same programs, modulo what races may legally change.

    What A does is the norm, right or wrong. A second copy of A plays the programs too: B differs where it differs from
    A in ways that the copy does not. A difference that does not repeat is FLAKY. Relay A without an option is the
    reference relay of the domain.

    \b
    torq-conformance diff --domain market_data --exec-b 'my_relay --socket {socket}'
    torq-conformance diff --target-a /tmp/torq/signal.sock --exec-b 'my_signal_relay {socket}' --level well-formed
    torq-conformance diff --domain signal --exec-a 'old {socket}' --exec-b 'new {socket}' --report html:diff.html

    \b
    Exit codes: 0 equivalent at the level, or different in accepted ways only; 1 other differences, or accepted ones
    that are stale or have expired; 2 wrong usage, no relay A, or output that cannot be written; 3 the time budget ended
    before everything was compared, or a figure with a bound could not be measured; 130 and 143 interrupted by Ctrl-C or
    SIGTERM (the reports say how far it got).
    """
    return _Diff(msgspec.convert(given, Options)).run()


class _Diff:
    """One comparison, shown, reported and kept as it goes."""

    def __init__(self, options: Options) -> None:
        if not (options.exec_b or options.target_b):
            raise UsageError("--exec-b or --target-b is missing: say which relay is B")
        if options.json:
            files.require_folder(options.json)
        require_parent(options.failures)
        if options.cache:
            files.require_folder(options.cache)
        self._options = options
        names = " ".join(filter(None, (options.exec_a, options.target_a, options.exec_b, options.target_b)))
        self._domain = domain_named(options.domain or guess_domain(names))
        self._level = Level(options.level)
        self._accepted = _accepted(options, self._domain)
        self._bounds = bounds_of(options.bound)
        self._told = load_profile(options.profile) if options.profile else None
        self._relays = [
            *(target_for(options.target_a, options.exec_a, self._domain, of="-a") for _ in range(2)),
            target_for(options.target_b, options.exec_b, self._domain, of="-b"),
        ]
        a, _, b = (each.description for each in self._relays)
        self._keeper = DifferenceKeeper(options.failures, a, b, self._domain, options.seed)
        self._setting = Setting(
            a=a,
            b=b,
            domain=self._domain,
            level=self._level,
            seed=options.seed,
            accepted=self._accepted,
            command=f"torq-conformance diff {self._where()} {self._how()}",
            relays=self._where(),
            started=now(),
            file_of=lambda identifier: str(self._keeper.path(identifier)),
        )
        self._reports: Destinations[Report] = Destinations(options.reports, FORMATS)
        self._out: Console = console()
        self._started = time.monotonic()
        checks = checks_of(self._domain) if self._level is Level.EXACT else ()
        self._course = Course.of(self._level, checks, self._bounds)

    def _where(self) -> str:
        """The words that name both relays."""
        given = [(name, getattr(self._options, name.replace("-", "_"))) for name in RELAYS]
        words = [f"--{name} {shlex.quote(value)}" for name, value in given if value]
        if not (self._options.exec_a or self._options.target_a):
            words.insert(0, f"--exec-a {shlex.quote(self._relays[0].description)}")
        return " ".join(words)

    def _how(self) -> str:
        """The other words that repeat the comparison."""
        options = self._options
        words = [f"--domain {self._domain} --level {options.level}"]
        words += [f"--profile {shlex.quote(options.profile)}"] if options.profile else []
        words += [f"--accepted {shlex.quote(options.accepted)}"] if options.accepted else []
        words += ["--fail-fast"] if options.fail_fast else []
        words += [f"--bound {shlex.quote(each)}" for each in options.bound]
        words.append(f"--max-examples {options.max_examples} --time-budget {options.time_budget:g}s")
        return " ".join((*words, f"--seed {options.seed}"))

    def run(self) -> Exit:
        if self._reports:
            self._reports.begin(self._built(BEGUN))
        try:
            self._compare_all()
        except KeyboardInterrupt as stop:
            ended = stop.signal_name if isinstance(stop, Terminated) else ""
            code = Exit.TERMINATED if ended else Exit.INTERRUPTED
            return self._end(f"ended by {ended}" if ended else "interrupted by Ctrl-C", code)
        except Exception as error:
            suites_own = f"an error of the suite: {type(error).__name__}: {error}"
            reason = error.what if isinstance(error, ConformanceError) else suites_own
            code = Exit.USAGE
            if isinstance(error, ImpededError):  # what differed before does differ
                code = Exit.FAIL if self._outcome(reason).code is Exit.FAIL else Exit.UNKNOWN
            self._end(reason, code)
            if code is Exit.FAIL:
                return verdict_despite(code, [str(error)])
            raise
        return self._end()

    def _compare_all(self) -> None:
        a, copy, b = self._relays
        with ExitStack() as stack:
            stack.enter_context(a)
            stack.enter_context(copy)
            options = self._options
            accepted = counted(len(self._accepted), "difference")
            reports = ", ".join(f"{each.path} ({each.format})" for each in options.reports)
            effort = (
                ("effort", f"at most {options.time_budget:.0f} s in all, seed {options.seed}"),
                ("accepted", f"{accepted} ({options.accepted or 'no file'})"),
                *([("reports", reports)] if reports else []),
            )
            screens.first_screen(self._out, self._setting, effort, options.max_examples)
            try:
                stack.enter_context(b)
            except NotServingError as error:
                self._course.failed_to_start(error)
            else:
                self._compare(a, copy, b)

    def _compare(self, a: Target, copy: Target, b: Target) -> None:
        options, domain = self._options, self._domain
        until = self._started + options.time_budget
        arm = Arm(a, domain, limits=self._limits(a))
        arms = arm, Arm(copy, domain, arm), Arm(b, domain, arm)
        ends_at = self._ends_at if options.fail_fast else None
        differential = Differential(*arms, domain, self._level, self._accepted, ends_at)
        self._course.topics = differential.results
        self._keeper.rules = arm.rules, arms[-1].rules, differential.strictest
        effort = Effort(options.max_examples, options.time_budget, options.seed)
        differential.glance(effort, self._tell)
        differential.meet(effort, self._tell)
        checking = self._level is Level.EXACT and a.revivable and b.revivable
        measuring = (MEASURING_BOUNDS if self._bounds else MEASURING) * (a.restartable and b.restartable)
        kept = (CHECKING * checking + measuring) * options.time_budget
        left = max(until - time.monotonic() - kept, 0.0)
        differential.run(Effort(options.max_examples, left, options.seed), self._tell)
        if checking:
            self._check(a, b, differential, until - measuring * options.time_budget)
        if self._level is Level.EXACT:
            for name in checks_of(domain)[len(self._course.checks) :]:
                self._course.add_check(CheckResult(name, skipped=ENDED if checking else NOT_STARTED_HERE))
        samples = Samples(invalid=dict.fromkeys(Figure, ENDED if measuring else NOT_STARTED_HERE))
        if measuring and not differential.known.is_over():
            measured_until = min(until, time.monotonic() + measuring * options.time_budget)
            samples = Measuring(a, b, arm.profile, arm.rules).run(measured_until)
        self._course.add_figures(measured(samples, self._bounds, options.seed))
        screens.tell_figures(self._out, self._course.figures)
        self._keep()
        differential.go_on(until, self._tell)

    def _check(self, a: Target, b: Target, differential: Differential, until: float) -> None:
        """Play the fixed checks; one that ends the comparison ends the differential."""
        seen, known = differential.a.profile, differential.known
        profile = as_told(seen, self._told) if self._told else seen
        profile = self._keeper.profile = refused_by_both(profile, self._domain, differential.a, differential.b)
        running = FixedChecks(a, b, self._domain, profile, until).run(checks_of(self._domain))
        while not known.is_over() and (result := next(running, None)) is not None:
            self._tell_check(result)
            for each in result.found:
                if not each.flaky:
                    known.notice(each.id)

    def _ends_at(self, listed: str) -> bool:
        """Whether nothing more is compared once there is a difference that is listed so."""
        valid = [each for each in self._accepted if not each.has_expired(date.today())]
        return not sort_out([listed], valid, self._level).accepted

    def _limits(self, a: Target) -> Callable[[Probe], None] | None:
        """What learns the limits of relay A, where there is time for them: from the folder of ``--cache``, if given."""
        options = self._options
        if not (a.revivable and options.time_budget >= LIMITS_FROM and self._level is Level.EXACT):
            return None
        if options.cache is None:
            return probe_limits
        remembered = Remembered(options.cache, a.description)

        def learn(probe: Probe) -> None:
            remembered.learn(probe)
            if remembered.since:
                say(self._out, f"relay A: its limits as learnt on {remembered.since}\n")

        return learn

    def _tell(self, result: TopicResult) -> None:
        check()
        self._course.ended.add(result.name)
        if result.cut_short != ENDED or result.found:  # else they all end alike
            screens.tell(self._out, result)
        if result.found:
            self._keep()

    def _tell_check(self, result: CheckResult) -> None:
        check()
        self._course.add_check(result)
        screens.tell_check(self._out, result)
        if result.found:
            self._keep()

    def _keep(self) -> None:
        """Write what is known by now: nothing that ends the comparison takes it away again."""
        self._keeper.keep(self._course)
        if self._reports:
            self._reports.write(self._built(UNENDED))

    def _built(self, stopped: str, code: Exit | None = None) -> Report:
        return build(self._setting, self._course, Ending(time.monotonic() - self._started, stopped, code))

    def _outcome(self, stopped: str) -> Outcome:
        return self._course.outcome(self._level, self._accepted, stopped)

    def _end(self, stopped: str = "", code: Exit | None = None) -> Exit:
        """Tell and write what it came to; ``code`` is that of a comparison which was ``stopped``."""
        outcome = self._outcome(stopped)
        code = outcome.code if code is None else code
        report = self._built(stopped, code)
        self._keeper.keep(self._course)
        self._reports.write(report)
        if self._course.topics or not stopped:
            screens.last_screen(self._out, self._course, outcome, report)
        elif code in (Exit.INTERRUPTED, Exit.TERMINATED):
            say(self._out, report.verdict, "bold red")
        lost = [*self._reports.unwritten, *self._keeper.unsaved, *self._lost_json(report)]
        return verdict_despite(code, [*lost, *self._list_as_it_was(outcome, stopped)])

    def _list_as_it_was(self, result: Outcome, stopped: str) -> list[str]:
        """Rewrite the list of accepted differences if asked: why that failed, if it did."""
        path = self._options.accepted
        if stopped or not self._options.update_accepted or path is None:
            return []
        try:
            files.replace(Path(path), accepted_text(result, self._course.entries, self._accepted))
        except UsageError as error:
            return [str(error)]
        say(self._out, f"{path} lists what was found; say of each new entry why it is accepted")
        return []

    def _lost_json(self, report: Report) -> list[str]:
        """Write the file of ``--json``: why that failed, if it did."""
        try:
            if self._options.json:
                files.write(self._options.json, files.json_text(report))
        except UsageError as error:
            return [str(error)]
        return []


def _accepted(options: Options, domain: Domain) -> tuple[AcceptedDifference, ...]:
    """The list of accepted differences. Raises UsageError, for programs of another domain too."""
    name = options.accepted
    if options.update_accepted and (name is None or name in built_in_lists()):
        raise UsageError("--update-accepted rewrites the file of --accepted: name a file of yours")
    if options.update_accepted and options.fail_fast:
        raise UsageError("--update-accepted needs a whole comparison: leave out --fail-fast")
    if name is None or (options.update_accepted and not Path(name).exists()):
        return ()
    accepted = load_accepted(name)
    for each in accepted:
        if each.program is not None and each.program.domain != domain:
            raise UsageError(f"{name}: {each.key}: its program is for {each.program.domain}, not for {domain}")
    return accepted
