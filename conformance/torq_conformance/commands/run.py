"""Judge a relay: the command that is meant when none is named."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec

from ..checks import CHECKS
from ..errors import ConformanceError, ImpededError, UsageError
from ..exits import Exit
from ..grey_box.feedback import KINDS, Kind
from ..interruption import Terminated, check
from ..judging.marathon import Marathon, opened
from ..judging.parallel import judge_in_workers
from ..judging.plan import CONFIRM_SECONDS, SHRINK_SECONDS, Observer, Plan
from ..judging.runner import judge_all
from ..judging.scenarios import SCENARIOS
from ..judging.verdict import Counterexample, Meeting, Result, Verdict
from ..learning.learned_profile import probed_profile
from ..model.profile import built_in_profiles, load_profile
from ..model.requirements import Requirement, sections, select
from ..play.naming import check_line, guess_domain, target_and_domain, target_for, target_words
from ..replay.record import FailureKeeper
from ..reports.build import Setting
from ..reports.model import Report
from ..reports.terminal import TerminalObserver, console, say, show_first_screen, show_last_screen
from ..reports.writer import FORMATS, Destination, ReportWriter, now
from ._grey_box import check_told, kinds_of, opened_grey_box
from ._lost_files import verdict_despite
from ._options import (
    DURATION,
    WORKERS,
    Parsed,
    failures_option,
    report_option,
    require_parent,
    search_options,
    split_names,
    successor_option,
    target_options,
)
from ._run_extras import ExtraOptions, RunExtras


class Options(ExtraOptions, frozen=True, forbid_unknown_fields=True):
    """All options of a run as given."""

    address: str | None
    command_line: str | None
    successor: str | None
    domain: str | None
    profile: str
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    max_examples: int
    depth: int
    time_budget: float
    confirm_budget: float
    shrink_budget: float
    marathon: float | None
    state: Path
    seed: int
    failures: Path
    reports: tuple[Destination, ...]
    list_only: bool
    coverage: tuple[Kind, ...]
    coverage_of: tuple[Path, ...]


@click.command("run")
@target_options
@successor_option
@click.option(
    "--profile",
    default="",
    metavar="NAME|FILE",
    help=f"What the relay promises: {', '.join(built_in_profiles())}, a TOML file, or auto (probe it first).  "
    "[default: reference, torq for the built-in relays]",
)
@click.option(
    "--section",
    "include",
    multiple=True,
    metavar="IDS",
    help="Sections or requirement ids to judge, comma-separated, repeatable.  [default: all that bind the domain]",
)
@click.option(
    "--exclude", multiple=True, metavar="IDS", help="Sections or requirement ids to leave out.  [default: none]"
)
@search_options(
    examples=100,
    programs="Programs for each requirement.",
    budget="5m",
    time="Time for the whole run, such as 60s or 5m.",
)
@click.option(
    "--depth",
    type=click.IntRange(2, 3),
    default=2,
    show_default=True,
    metavar="2|3",
    help="Situations in which any two values come together, or any three: thousands, in two thirds of the time.",
)
@click.option(
    "--marathon",
    type=DURATION,
    metavar="DURATION",
    help="Go on for so long, such as 8h, in place of --time-budget: legs with --depth 3, each by other programs.",
)
@click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("torq-marathon.json"),
    show_default=True,
    metavar="FILE",
    help="Where a marathon keeps how far it has come: the same command goes on there.",
)
@click.option(
    "--confirm-budget",
    type=DURATION,
    default=f"{CONFIRM_SECONDS:g}s",
    show_default=True,
    help="Time for playing each failure again, to learn how often it shows.",
)
@click.option(
    "--shrink-budget",
    type=DURATION,
    default=f"{SHRINK_SECONDS:g}s",
    show_default=True,
    help="Time for making each failing program smaller.",
)
@failures_option("Folder for the counterexamples found; those of each target stand in a folder of their own.")
@report_option(FORMATS)
@click.option(
    "--expected",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="TOML list of known failures; a listed failure that does not show fails the run.  [default: none]",
)
@click.option("--update-expected", is_flag=True, help="Rewrite the file of --expected from this (whole) run.")
@click.option(
    "--workers",
    type=WORKERS,
    default="auto",
    show_default=True,
    metavar="N|auto",
    help="Processes that judge at once, each with a fresh relay; auto: cores + 2, at most 4; 1 with --target.",
)
@click.option("--shard", metavar="I/N", help="Run part I of N of the programs: for several CI jobs.  [default: all]")
@click.option(
    "--database",
    metavar="DIR|redis://...",
    help="Hypothesis database that keeps failing programs, shared by a fleet of runs.  [default: none]",
)
@click.option(
    "--coverage",
    type=Parsed("coverage", kinds_of),
    default=(),
    metavar="KIND",
    help="Grey box: play programs for what they reach in the relay's own code, and say what was never reached. KIND is "
    + "; ".join(f"{kind}: {words}" for kind, words in KINDS.items())
    + ".  [default: none]",
)
@click.option(
    "--coverage-of",
    type=click.Path(path_type=Path, exists=True),
    multiple=True,
    metavar="PATH",
    help="File or folder of the relay's source that counts, repeatable.  [default: all but libraries]",
)
@click.option("--fail-fast", is_flag=True, help="End with the first requirement that fails and is not expected to.")
@click.option("--list", "list_only", is_flag=True, help="List what would be judged, and how, then stop.")
def command(**given: object) -> int:
    """Judge a relay, and end with a verdict and its evidence for each requirement.

    \b
    torq-conformance --domain execution                       (the built-in reference relay)
    torq-conformance --target /tmp/torq/signal.sock           (a relay that runs already)
    torq-conformance --exec 'my_relay {socket}' --domain signal --report html:report.html
    torq-conformance --exec 'my_relay {socket}' --exec-successor 'my_relay --takeover {socket}' --domain signal
    torq-conformance --target tcp:127.0.0.1:7000 --domain signal --profile pass-through
    torq-conformance --section FRAME,DOM-1 --domain signal --list
    torq-conformance --exec 'my_relay {socket}' --domain signal --marathon 8h  (goes on where it was stopped)
    torq-conformance --exec 'python my_relay.py {socket}' --domain signal --coverage python

    \b
    Exit codes: 0 every MUST that was judged holds; 1 something fails or is flaky; 2 wrong usage, no target, or an
    error of the suite itself; 3 a MUST could not be judged, or nothing was; 130 interrupted (the reports say how far
    it got).

    \b
    Environment, which the relay that --exec starts is given as well:
      NO_COLOR=1         no colours on a terminal
      FORCE_COLOR=1      colours and progress in a pipe too, for CI logs that show them
      TERM, COLUMNS      what the terminal can show, and its width; a pipe gets plain lines of any length
      PATH               where the command of --exec is looked for
      TMPDIR             folder for sockets and output of relays (default /tmp); a socket's path has 107 bytes at most
      TORQ_TRACEBACK=1   show where an error of the suite itself was raised, to report it
      PYTHONPATH         gets a folder before it, for the relay alone, by --coverage python
      GCOV               the command that --coverage gcov asks (default gcov)
      CONFORMANCE_COVERAGE_MAP
                         the map of the relay of --target, for --coverage map
    """
    options = msgspec.convert(given, Options)
    selected = bool(options.include or options.exclude)
    extras = RunExtras(options, running=options.address is not None, selected=selected)
    if not options.profile:
        built_in = options.address is None and options.command_line is None
        options = msgspec.structs.replace(options, profile="torq" if built_in else "reference")
    profile = load_profile("reference" if options.profile == "auto" else options.profile)
    include = split_names(options.include)
    chosen = select(include, split_names(options.exclude))
    if not include:
        chosen = [each for each in chosen if each.level != "FIGURE"]
    if options.list_only:
        _list(chosen)
        return Exit.PASS
    domain = options.domain or guess_domain(options.address or options.command_line)
    if options.profile == "auto":
        profile = probed_profile(options.address, options.command_line, domain)
    if options.successor:
        if options.address is not None:
            raise UsageError("--exec-successor takes over from a relay that the suite has started: give --exec")
        profile = msgspec.structs.replace(profile, successor=options.successor)
    plan = Plan(
        domain=domain,
        profile=profile,
        requirements=[each for each in chosen if include or each.binds(domain)],
        max_examples=options.max_examples,
        seed=options.seed,
        time_budget=options.marathon or options.time_budget,
        confirm_seconds=options.confirm_budget,
        shrink_seconds=options.shrink_budget,
        depth=3 if options.marathon else options.depth,
    )
    with opened_grey_box(options.coverage, options.coverage_of, running=options.address is not None) as grey_box:
        return _Run(dataclasses.replace(extras.prepared(plan), grey_box=grey_box), options, extras).run()


class _Run(Observer):
    """One run: tells the display, the failures' folder and the reports how it goes, and ends them well."""

    def __init__(self, plan: Plan, options: Options, extras: RunExtras) -> None:
        self._marathon: Marathon | None = None
        if options.marathon:
            target = options.address or options.command_line or f"the reference relay of {plan.domain}"
            state = opened(options.state, plan, target)
            plan = dataclasses.replace(plan, seed=state.seed)
            options = msgspec.structs.replace(options, seed=state.seed)
            self._marathon = Marathon(plan, state, options.state, self)
        self._plan = plan
        self._extras = extras
        self._options = options
        relay = (options.address, options.command_line, plan.domain)
        self._target = target_for(*relay, plan.environment, successor=plan.profile.successor)
        self._keeper = FailureKeeper(plan, self._target.description, options.failures)
        succeeded = f" --exec-successor {shlex.quote(options.successor)}" if options.successor else ""
        self._where, self._where_exactly = target_words(*relay) + succeeded, target_and_domain(*relay) + succeeded
        self._console = console()
        self._observers: list[Observer] = []
        self._results: list[Result] = []
        self._lost: list[str] = []

    def run(self) -> int:
        require_parent(self._options.failures)
        reports = ReportWriter(self._plan, self._setting(), self._options.reports)
        self._observers += [self._keeper, *self._extras.observers(self._plan), reports]
        try:
            self._judge()
        except KeyboardInterrupt as stop:
            ended = stop.signal_name if isinstance(stop, Terminated) else ""
            code = Exit.TERMINATED if ended else Exit.INTERRUPTED
            reason = f"ended by {ended}" if ended else "interrupted by Ctrl-C"
            if self._marathon is not None:
                reason += "; the same command goes on behind the last whole leg of the marathon"
            self._end(reports.incomplete(reason, code))
            return verdict_despite(code, self._unwritten(reports))
        except Exception as error:
            suites_own = f"an error of the suite: {type(error).__name__}: {error}"
            reason = error.what if isinstance(error, ConformanceError) else suites_own
            code = Exit.USAGE
            if isinstance(error, ImpededError):  # what failed before has failed
                code = Exit.FAIL if exit_code(self._results) is Exit.FAIL else Exit.UNKNOWN
            self._end(reports.incomplete(reason, code))
            lost = self._unwritten(reports)
            if code is Exit.FAIL:
                return verdict_despite(code, [*lost, str(error)])
            verdict_despite(code, lost)
            raise
        code = exit_code(self._results)
        try:
            problems = self._extras.settle(self._results)
        except UsageError as error:
            problems = []
            self._lost.append(str(error))
        code = Exit.FAIL if problems else code
        self._end(reports.complete(code, problems))
        return verdict_despite(code, self._unwritten(reports))

    def _unwritten(self, reports: ReportWriter) -> list[str]:
        """Why files do not stand as they should, one line each."""
        return [*self._lost, *reports.unwritten, *filter(None, [self._keeper.unsaved])]

    def _judge(self) -> None:
        with ExitStack() as stack:
            stack.enter_context(self._target)
            if self._plan.grey_box is not None:
                check_told(self._plan.grey_box, self._target)
            show_first_screen(
                self._console,
                self._plan,
                self._target.description,
                [f"{each.path} ({each.format})" for each in self._options.reports],
            )
            if self._marathon is not None and self._marathon.begun:
                say(self._console, f"{'marathon':<16}goes on: {self._marathon.words}")
            self._observers.append(stack.enter_context(TerminalObserver(self._console, self._plan)))
            if self._marathon is not None:
                self._marathon.run(self._judge_plan)
            else:
                self._judge_plan(self._plan, self)

    def _judge_plan(self, plan: Plan, observer: Observer) -> list[Result]:
        if self._extras.workers > 1:
            command_line = self._options.command_line or f"{plan.domain}_relay --socket {{socket}}"
            return judge_in_workers(plan, command_line, self._extras.workers, observer)
        return judge_all(plan, self._target, observer)

    def _setting(self) -> Setting:
        return Setting(
            target=self._target.description,
            command=self._command(),
            started=now(),
            file_of=lambda requirement: str(self._keeper.path(requirement)),
            replay_of=lambda shown: self._again(shown)[1],
        )

    def _command(self) -> str:
        """The line that repeats this run."""
        options = self._options
        words = ["torq-conformance", self._where_exactly]
        words.append(f"--profile {shlex.quote(options.profile)}")
        words += [f"--section {shlex.quote(each)}" for each in options.include]
        words += [f"--exclude {shlex.quote(each)}" for each in options.exclude]
        words.append(f"--max-examples {options.max_examples} --time-budget {options.time_budget:g}s")
        words.append(f"--confirm-budget {options.confirm_budget:g}s --shrink-budget {options.shrink_budget:g}s")
        words += [f"--depth {options.depth}"] if options.depth != 2 else []
        if options.marathon:
            words.append(f"--marathon {options.marathon:g}s --state {shlex.quote(str(options.state))}")
        words += [f"--coverage {','.join(options.coverage)}"] if options.coverage else []
        words += [f"--coverage-of {shlex.quote(str(each))}" for each in options.coverage_of]
        words.append(f"--seed {options.seed}")
        words += self._extras.words()
        return " ".join(filter(None, words))

    def _again(self, shown: Counterexample) -> tuple[str, str]:
        """How to see a failure again: ``replay`` a program, or a fixed check ``again``; and the line to type."""
        if shown.program.in_words:
            profile = self._options.profile
            return "again", check_line(self._where_exactly, profile=profile, requirement=shown.requirement)
        return (
            "replay",
            f"torq-conformance replay {shlex.quote(str(self._keeper.path(shown.requirement)))} {self._where}",
        )

    def _end(self, report: Report) -> None:
        if self._results or report.state == "complete":
            show_last_screen(self._console, self._results, report, self._again)

    def met(self, count: int, of: int) -> None:
        check()
        for observer in self._observers:
            observer.met(count, of)

    def ended_leg(self, words: str, results: Sequence[Result], meeting: Meeting) -> None:
        for observer in self._observers:
            observer.ended_leg(words, results, meeting)

    def explored(self, count: int, kept: int) -> None:
        check()
        for observer in self._observers:
            observer.explored(count, kept)

    def has_explored(self, meeting: Meeting) -> None:
        for observer in self._observers:
            observer.has_explored(meeting)

    def has_met(self, meeting: Meeting) -> None:
        for observer in self._observers:
            observer.has_met(meeting)

    def started(self, requirement: Requirement) -> None:
        check()
        for observer in self._observers:
            observer.started(requirement)

    def played(self, requirement: Requirement, count: int) -> None:
        check()
        for observer in self._observers:
            observer.played(requirement, count)

    def failed(self, counterexample: Counterexample) -> None:
        check()
        for observer in self._observers:
            observer.failed(counterexample)

    def finished(self, result: Result) -> None:
        result = self._extras.judge(result)
        self._results.append(result)
        for observer in self._observers:
            observer.finished(result)


def exit_code(results: list[Result]) -> Exit:
    """The exit code of a run with these verdicts; a run that judged nothing has not passed."""
    verdicts = {result.verdict for result in results}
    if verdicts & {Verdict.FAIL, Verdict.FLAKY, Verdict.UNEXPECTED_PASS}:
        return Exit.FAIL
    if any(result.verdict is Verdict.UNKNOWN and result.requirement.level == "MUST" for result in results):
        return Exit.UNKNOWN
    return Exit.UNKNOWN if verdicts <= {Verdict.UNKNOWN, Verdict.UNSUPPORTED} else Exit.PASS


def _list(chosen: list[Requirement]) -> None:
    for section, about in sections().items():
        members = [each for each in chosen if each.section == section]
        if members:
            click.echo(f"{section}: {about.title}")
        for each in members:
            click.echo(f"  {each.id:<8} {each.level:<6} {_how(each)}\n           {each.text}")


def _how(requirement: Requirement) -> str:
    if requirement.id in CHECKS:
        return "a fixed check: " + CHECKS[requirement.id].__name__.replace("_", " ")
    if requirement.id not in SCENARIOS:
        return "not judged by the suite"
    return "programs of " + ", ".join(feature.__name__ for feature in SCENARIOS[requirement.id].features)
