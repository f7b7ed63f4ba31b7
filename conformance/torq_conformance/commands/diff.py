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
from ..comparison.accepted import AcceptedDifference, Sorted, built_in_lists, load_accepted, sort_out
from ..comparison.arms import Arm
from ..comparison.differential import Differential, Effort, FoundDifference, TopicResult
from ..comparison.equivalence import sentence
from ..comparison.lifecycle import life_cycle_differences, observe, slug
from ..comparison.topics import Level, topics_of
from ..counting import counted
from ..errors import UsageError
from ..exits import Exit
from ..judging.verdict import Counterexample
from ..model.profile import domain_named
from ..model.program import Program
from ..model.requirements import DOMAIN_NAMES
from ..play.naming import guess_domain, target_for
from ..reports.ascii import draw
from ..reports.narrate import narrate
from ..reports.terminal import console, facts, say
from ..reports.trace import diagram_of
from ._lost_files import verdict_written
from ._options import search_options

JSON_VERSION = 1


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of a comparison as given."""

    exec_a: str | None
    exec_b: str | None
    target_a: str | None
    target_b: str | None
    domain: str | None
    level: str
    accepted: str | None
    max_examples: int
    time_budget: float
    seed: int
    json: Path | None


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One difference in the JSON report."""

    id: str
    text: str
    in_a: str
    in_b: str
    status: str
    reason: str = ""
    program: Program | None = None
    differs_in_b: int = 0
    differs_in_copy_of_a: int = 0
    runs: int = 0


class Report(msgspec.Struct, frozen=True):
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
    format: str = "torq-conformance diff"
    version: int = JSON_VERSION


Entries = list[tuple[Entry, FoundDifference | None]]
"""Every difference with its programs; those in how the relays start and stop have none."""
STYLES = {"SAME": "green", "DIFFERENT": "bold red", "CUT SHORT": "yellow"}


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
    "--accepted",
    metavar="FILE|NAME",
    help="TOML file of accepted differences with reasons, or a built-in list "
    f"({', '.join(built_in_lists())}); a listed difference that does not show is stale.",
)
@search_options(examples=40, programs="Programs for each topic.", budget="5m", time="Time in all, such as 60s or 5m.")
@click.option("--json", type=click.Path(path_type=Path, dir_okay=False), help="Write the result to this file as JSON.")
def command(**given: object) -> int:
    """Compare relay B with relay A on the same programs, modulo what races may legally change.

    A second copy of A plays the programs too: B differs where it differs from A in ways that the copy does not. Relay A
    without an option is the reference relay of the domain.

    \b
    torq-conformance diff --domain market_data --exec-b 'my_relay --socket {socket}'
    torq-conformance diff --target-a /tmp/torq/signal.sock --exec-b 'my_signal_relay {socket}' --level well-formed

    \b
    Exit codes: 0 equivalent at the level, or different in accepted ways only; 1 other differences, or accepted ones
    that are stale; 2 wrong usage or no target; 3 the time budget ended before every topic was compared.
    """
    return _Diff(msgspec.convert(given, Options)).run()


class _Diff:
    """One comparison, shown as it goes."""

    def __init__(self, options: Options) -> None:
        if not (options.exec_b or options.target_b):
            raise UsageError("say which relay is B: --exec-b 'CMD {socket}' or --target-b ADDRESS")
        self._options = options
        names = " ".join(filter(None, (options.exec_a, options.target_a, options.exec_b, options.target_b)))
        self._domain = options.domain or guess_domain(names)
        self._level = Level(options.level)
        self._accepted: tuple[AcceptedDifference, ...] = load_accepted(options.accepted) if options.accepted else ()
        self._out: Console = console()
        self._started = time.monotonic()

    def run(self) -> int:
        options = self._options
        with ExitStack() as stack:
            a, copy = (
                stack.enter_context(target_for(options.target_a, options.exec_a, self._domain)) for _ in range(2)
            )
            b = stack.enter_context(target_for(options.target_b, options.exec_b, self._domain))
            self._a, self._b = a.description, b.description
            self._first_screen()
            domain = domain_named(self._domain)
            differential = Differential(Arm(a, domain), Arm(copy, domain), Arm(b, domain), domain, self._level)
            effort = Effort(options.max_examples, options.time_budget, options.seed)
            results = differential.run(effort, self._tell)
        entries: Entries = [(_entry_of(found), found) for result in results for found in result.found]
        entries += [(entry, None) for entry in self._life_cycle_entries()]
        return self._last_screen(results, entries)

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
                    f"{counted(len(topics), 'topic')}, at most {counted(self._options.max_examples, 'program')} each",
                ),
                ("effort", f"at most {self._options.time_budget:.0f} s in all, seed {self._options.seed}"),
                ("accepted", f"{_counted(len(self._accepted))} ({self._options.accepted or 'no file'})"),
            ],
        )
        self._out.print()

    def _tell(self, result: TopicResult) -> None:
        word = "CUT SHORT" if result.cut_short else "DIFFERENT" if result.found else "SAME"
        differences = ", ".join(each.id for each in result.found) or "no new difference"
        line = _row(word, result.topic.name, f"{counted(result.programs, 'program')}; {differences}")
        if result.noise:
            line.append(f"; relay A differs from its copy in {result.noise} of {result.calibrated}", style="yellow")
        say(self._out, line)

    def _life_cycle_entries(self) -> list[Entry]:
        """How the two start and stop, where both are started by a command with a socket path in it."""
        options = self._options
        default = f"{self._domain}_relay --socket {{socket}}"
        commands = [
            None if target else (command or default)
            for target, command in ((options.target_a, options.exec_a), (options.target_b, options.exec_b))
        ]
        if self._level is not Level.EXACT or not all(each and "{socket}" in each for each in commands):
            return []
        a, b = (str(each) for each in commands)
        entries = []
        for subject, difference in life_cycle_differences(*(observe(each, self._domain) for each in (a, a, b))):
            name = f"{difference.signature.effect}:{slug(subject)}"
            text = sentence(difference.signature.effect, subject)
            entries.append(Entry(name, text, difference.in_a, difference.in_b, ""))
        found = _counted(len(entries)) if entries else "no difference"
        say(self._out, _row("DIFFERENT" if entries else "SAME", "start and stop", found))
        return entries

    # --- the end ---------------------------------------------------------------------------------------------------

    def _last_screen(self, results: list[TopicResult], entries: Entries) -> int:
        outcome = sort_out([entry.id for entry, _ in entries], self._accepted, self._level)
        judged = []
        for entry, found in entries:
            accepted = outcome.accepted.get(entry.id)
            status = "ACCEPTED" if accepted else "DIFFERENT"
            entry = msgspec.structs.replace(entry, status=status, reason=accepted.reason if accepted else "")
            judged.append(entry)
            self._show(entry, found)
        self._out.print()
        for each in outcome.stale:
            said = f"{each.id} is accepted but does not appear"
            say(self._out, Text.assemble((f"{'STALE':<12}", "bold red"), said))
        cut_short = any(result.cut_short for result in results)
        code = Exit.FAIL if outcome.unaccepted or (outcome.stale and not cut_short) else Exit.PASS
        code = Exit.UNKNOWN if cut_short and code is Exit.PASS else code
        verdict = self._verdict(results, outcome, cut_short)
        say(self._out, verdict, "green" if code is Exit.PASS else "bold red")
        seconds = time.monotonic() - self._started
        noisy, checked = sum(each.noise for each in results), sum(each.calibrated for each in results)
        self._out.print(
            f"{seconds:.1f} s; relay A differed from its copy in {noisy} of {counted(checked, 'program')} checked"
        )
        return self._write_json(results, judged, outcome, verdict, code)

    def _verdict(self, results: list[TopicResult], outcome: Sorted, cut_short: bool) -> str:
        programs = sum(each.programs for each in results)
        played = counted(programs, "program")
        level = f"at level {self._level.value}"
        if outcome.unaccepted:
            return (
                f"DIFFERENT {level}: {_counted(len(outcome.unaccepted))} not accepted, {len(outcome.accepted)} accepted"
            )
        if cut_short:
            return f"UNKNOWN {level}: the time budget ended the comparison; give more --time-budget"
        if outcome.accepted:
            return f"EQUIVALENT {level} but for {_counted(len(outcome.accepted), 'accepted ')}, in {played}"
        bound = f"below {300 / programs:.2f} % with 95 % confidence" if programs else "nothing was compared"
        return f"EQUIVALENT {level}: 0 of {played} differ ({bound})"

    def _show(self, entry: Entry, found: FoundDifference | None) -> None:
        out = self._out
        out.print()
        style = "yellow" if entry.status == "ACCEPTED" else "bold red"
        say(out, Text.assemble((f"{entry.status} {entry.id}", style), f"  {entry.text}"))
        if entry.reason:
            say(out, f"     accepted because: {entry.reason}")
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

    def _write_json(
        self, results: list[TopicResult], entries: list[Entry], outcome: Sorted, verdict: str, code: Exit
    ) -> Exit:
        path = self._options.json
        if path is None:
            return code
        report = Report(
            a=self._a,
            b=self._b,
            domain=self._domain,
            level=self._level.value,
            seed=self._options.seed,
            verdict=verdict,
            exit_code=code,
            programs=sum(each.programs for each in results),
            noise=sum(each.noise for each in results),
            differences=entries,
            stale=[each.id for each in outcome.stale],
        )
        return verdict_written(code, path, files.json_text(report))


def _entry_of(found: FoundDifference) -> Entry:
    where = f"{found.difference.place}: " if found.difference.place else ""
    return Entry(
        id=found.id,
        text=found.text,
        in_a=f"{where}{found.difference.in_a}",
        in_b=f"{where}{found.difference.in_b}",
        status="",
        program=found.program,
        differs_in_b=found.in_b,
        differs_in_copy_of_a=found.in_copy,
        runs=found.runs,
    )


def _row(word: str, topic: str, said: str) -> Text:
    return Text.assemble((f"{word:<12}", STYLES[word]), (f"{topic:<28}", "bold"), said)


def _counted(number: int, kind: str = "") -> str:
    return counted(number, f"{kind}difference")


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
