"""Play the same programs on two relays and show in what they differ, with a minimal program for each difference."""

from __future__ import annotations

import time
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path

import click
import msgspec
from rich.console import Console
from rich.text import Text

from .. import files
from ..comparison.accepted import AcceptedDifference, built_in_lists, load_accepted
from ..comparison.arms import Arm, as_told
from ..comparison.differential import OUT_OF_TIME, SITUATIONS, Differential, Effort, FoundDifference, TopicResult
from ..comparison.equivalence import sentence
from ..comparison.fixed import CheckDifference, CheckResult, FixedChecks, checks_of, label
from ..comparison.outcome import Entry, Outcome, outcome
from ..comparison.topics import Level, topics_of
from ..counting import counted
from ..errors import NotServingError, UsageError
from ..exits import Exit
from ..generation.situations.coverage import Coverage
from ..judging.verdict import Counterexample
from ..model.profile import domain_named, load_profile
from ..model.requirements import DOMAIN_NAMES
from ..play.naming import guess_domain, target_for
from ..play.target import Target
from ..reports.ascii import draw
from ..reports.narrate import narrate
from ..reports.terminal import console, facts, say
from ..reports.trace import diagram_of
from ._lost_files import verdict_written
from ._options import search_options

JSON_VERSION = 2
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
    format: str = "torq-conformance diff"
    version: int = JSON_VERSION


STYLES = {"SAME": "green", "DIFFERENT": "bold red", "FLAKY": "red", "CUT SHORT": "yellow", "SKIPPED": "yellow"}


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
        self._told = load_profile(options.profile) if options.profile else None
        self._out: Console = console()
        self._started = time.monotonic()

    def run(self) -> int:
        options = self._options
        with ExitStack() as stack:
            a, copy = (
                stack.enter_context(target_for(options.target_a, options.exec_a, self._domain)) for _ in range(2)
            )
            self._a = a.description
            b = target_for(options.target_b, options.exec_b, self._domain)
            self._b = b.description
            self._first_screen()
            try:
                stack.enter_context(b)
            except NotServingError as error:
                return self._last_screen([], [], [_not_started(error)])
            return self._compared(a, copy, b)

    def _compared(self, a: Target, copy: Target, b: Target) -> int:
        options, domain = self._options, domain_named(self._domain)
        until = self._started + options.time_budget
        limits = a.revivable and options.time_budget >= LIMITS_FROM and self._level is Level.EXACT
        arm = Arm(a, domain, limits=limits)
        differential = Differential(arm, Arm(copy, domain, arm), Arm(b, domain, arm), domain, self._level)
        effort = Effort(options.max_examples, options.time_budget, options.seed)
        results = [differential.meet(effort, self._tell)]
        checking = self._level is Level.EXACT and a.revivable and b.revivable
        left = max(until - time.monotonic() - CHECKING * checking * options.time_budget, 0.0)
        results += differential.run(Effort(options.max_examples, left, options.seed), self._tell)
        checks: list[CheckResult] = []
        if checking:
            profile = as_told(arm.profile, self._told) if self._told else arm.profile
            for result in FixedChecks(a, b, domain, profile, until).run(checks_of(domain)):
                self._tell_check(result)
                checks.append(result)
        elif self._level is Level.EXACT:
            reason = "needs relays that the suite starts itself (--exec-a, --exec-b)"
            checks = [CheckResult(name, skipped=reason) for name in checks_of(domain)]
        differential.go_on(until, self._tell)
        return self._last_screen(results, checks, [])

    def _first_screen(self) -> None:
        topics = topics_of(self._level)
        inputs = "every input, malformed too" if self._level is Level.EXACT else "valid traffic only"
        facts(
            self._out,
            [
                ("relay A", self._a),
                ("relay B", self._b),
                ("domain", self._domain),
                ("level", f"{self._level.value}: {inputs}"),
                (
                    "comparing",
                    f"situations, {counted(len(topics), 'topic')}, at most "
                    f"{counted(self._options.max_examples, 'program')} each, and fixed checks",
                ),
                ("effort", f"at most {self._options.time_budget:.0f} s in all, seed {self._options.seed}"),
                ("accepted", f"{_counted(len(self._accepted))} ({self._options.accepted or 'no file'})"),
            ],
        )
        self._out.print()

    def _tell(self, result: TopicResult) -> None:
        found = [f"{each.id} (FLAKY)" if each.flaky else each.id for each in result.found]
        word = "CUT SHORT" if result.cut_short else "SAME"
        word = "SKIPPED" if result.skipped else word
        if found:
            word = "FLAKY" if all(each.flaky for each in result.found) else "DIFFERENT"
        differences = ", ".join(found) or "no new difference"
        line = _row(word, result.name, result.skipped or f"{counted(result.programs, 'program')}; {differences}")
        if result.noise:
            line.append(f"; relay A differs from its copy in {result.noise} of {result.calibrated}", style="yellow")
        if result.passed_over:
            line.append(f"; {result.passed_over} more like doubtful ones were not looked at", style="yellow")
        say(self._out, line)

    def _tell_check(self, result: CheckResult) -> None:
        found = [f"{each.id} (FLAKY)" if each.flaky else each.id for each in result.found]
        word = "DIFFERENT" if found else "SKIPPED" if result.skipped else "SAME"
        said = ", ".join(found) or result.skipped or "no difference"
        say(self._out, _row(word, label(result.requirement), said))

    # --- the end ---------------------------------------------------------------------------------------------------

    def _last_screen(self, results: list[TopicResult], checks: list[CheckResult], others: list[Entry]) -> int:
        shown = [each for result in results for each in result.found if not each.explained]
        found = {each.id: each for each in reversed(shown)}
        entries = [_entry_of(each) for each in shown]
        entries += [_entry_of_check(each) for check in checks for each in check.found] + others
        gaps = {each.name: each.gap for each in results if each.gap}
        gaps |= {label(each.requirement): each.skipped for each in checks if each.skipped}
        # of situations the last lines say how many pairs were met; that they were all met is never promised
        unfinished = frozenset(name for name, why in gaps.items() if why == OUT_OF_TIME and name != SITUATIONS)
        explained = frozenset(each.id for result in results for each in result.found if each.explained)
        programs = sum(each.programs for each in results)
        result = outcome(self._level, programs, entries, self._accepted, gaps, unfinished, explained)
        for entry in result.entries:
            self._show(entry, found.get(entry.id))
        self._out.print()
        for each in result.stale:
            said = f"{each.id} is accepted but does not appear"
            say(self._out, Text.assemble((f"{'STALE':<12}", "bold red"), said))
        say(self._out, result.verdict, "green" if result.code is Exit.PASS else "bold red")
        met = next((each.coverage for each in results if each.coverage), None)
        if met:
            say(self._out, f"compared in {met.words}")
        seconds = time.monotonic() - self._started
        noisy, checked = sum(each.noise for each in results), sum(each.calibrated for each in results)
        self._out.print(
            f"{seconds:.1f} s; relay A differed from its copy in {noisy} of {counted(checked, 'program')} checked"
        )
        return self._write_json(result, noisy, met)

    def _show(self, entry: Entry, found: FoundDifference | None) -> None:
        out = self._out
        out.print()
        style = "yellow" if entry.status == "ACCEPTED" else "bold red"
        say(out, Text.assemble((f"{entry.status} {entry.id}", style), f"  {entry.text}"))
        if entry.reason:
            say(out, f"     accepted because: {entry.reason}")
        if entry.needs:
            say(out, f"     it needs   {entry.needs}")
        if found is not None:
            for line in narrate(found.program, found.history_a):
                say(out, line)
        say(out, f"     relay A    {entry.in_a}\n     relay B    {entry.in_b}")
        if found is None:
            return
        say(
            out,
            f"     rate       relay B differs from relay A in {found.in_b} of {counted(found.runs, 'run')}, "
            f"the copy of relay A in {found.in_copy}",
        )
        torn = any(peer.torn for each in (found.history_a, found.history_b) for peer in each.peers.values())
        if entry.status != "ACCEPTED" and not torn:
            _show_side_by_side(out, found)

    def _write_json(self, result: Outcome, noise: int, met: Coverage | None) -> Exit:
        path = self._options.json
        if path is None:
            return result.code
        report = Report(
            a=self._a,
            b=self._b,
            domain=self._domain,
            level=self._level.value,
            seed=self._options.seed,
            verdict=result.verdict,
            exit_code=result.code,
            programs=result.programs,
            noise=noise,
            differences=list(result.entries),
            stale=[each.id for each in result.stale],
            not_compared=dict(result.gaps),
            coverage=met,
        )
        return verdict_written(result.code, path, files.json_text(report))


def _entry_of(found: FoundDifference) -> Entry:
    where = f"{found.difference.place}: " if found.difference.place else ""
    return Entry(
        id=found.id,
        text=found.text,
        in_a=f"{where}{found.difference.in_a}",
        in_b=f"{where}{found.difference.in_b}",
        status="FLAKY" if found.flaky else "DIFFERENT",
        needs=found.needs,
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


def _not_started(error: NotServingError) -> Entry:
    return Entry("crashes:plain", sentence("crashes", ""), "it starts", str(error), differs_in_b=1, runs=1)


def _row(word: str, topic: str, said: str) -> Text:
    return Text.assemble((f"{word:<12}", STYLES[word]), (f"{topic:<28}", "bold"), said)


def _counted(number: int) -> str:
    return counted(number, "difference")


def _show_side_by_side(out: Console, found: FoundDifference) -> None:
    """The sequence diagrams of A and B beside each other, under each other where the terminal is narrow."""
    left, right = (
        [str(line.text) for line in draw(diagram_of(Counterexample("", found.program, [], history)))]
        for history in (found.history_a, found.history_b)
    )
    width = max(map(len, left), default=0) + 4
    out.print()
    if width + max(map(len, right), default=0) + 5 <= max(out.width, 80):
        for a, b in zip_longest([" relay A", *left], [" relay B", *right], fillvalue=""):
            say(out, f"     {a:<{width}}{b}")
        return
    for title, lines in (("relay A", left), ("relay B", right)):
        for line in (title, *lines):
            say(out, f"     {line}")
