"""What ``replay`` does with a stored difference: it plays it on two relays and says whether it still stands."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec

from .. import files
from ..comparison.equivalence import Signature
from ..comparison.evidence import screens
from ..comparison.evidence.diagrams import parted
from ..comparison.evidence.player import EXIT_CODES
from ..comparison.evidence.script import case_of, script_for
from ..comparison.fixed import FixedChecks
from ..comparison.found import FoundDifference
from ..comparison.replaying import Tally, replays_of
from ..errors import UsageError
from ..exits import Exit
from ..play.naming import target_for
from ..play.target import Target
from ..replay.difference import Checked, DifferenceRecord, Played, load_difference
from ..reports.narrate import narrate
from ..reports.terminal import console, facts, say

RELAYS = "--exec-a 'CMD {socket}' --exec-b 'CMD {socket}'"
MOST_SECONDS = 3600.0
"""Seconds that the runs of a check may take in all; only a hanging suite needs so long."""
STYLES = {Exit.FAIL: "bold red", Exit.PASS: "green", Exit.UNKNOWN: "yellow"}


class Relays(msgspec.Struct, frozen=True):
    """The options that name two relays, as given."""

    exec_a: str | None
    target_a: str | None
    exec_b: str | None
    target_b: str | None

    @property
    def named(self) -> bool:
        """Whether any is named."""
        return any((self.exec_a, self.target_a, self.exec_b, self.target_b))

    def require(self, letter: str, recorded: str) -> None:
        """Raises UsageError where a relay is missing."""
        if not (getattr(self, f"exec_{letter}") or getattr(self, f"target_{letter}")):
            raise UsageError(
                f"--exec-{letter} or --target-{letter} is missing: say which relay is {letter.upper()} "
                f"(recorded with: {recorded})"
            )


def replay_difference(file: Path, relays: Relays, runs: int | None, script: Path | None) -> Exit:
    """Play the difference in a file again, or write its script."""
    record = load_difference(file)
    if script is not None:
        return _write_script(record, file, script)
    relays.require("a", record.a)
    relays.require("b", record.b)
    a, copy = (target_for(relays.target_a, relays.exec_a, record.domain, of="-a") for _ in range(2))
    b = target_for(relays.target_b, relays.exec_b, record.domain, of="-b")
    rows = [("relay A", a.description), ("relay B", b.description), ("differs", f"{record.id}  {record.text}")]
    out = console()
    facts(out, rows)
    tally = Tally(record.runs_that_prove_it_gone, "relay A" if record.checked else "the copy of relay A")
    count = runs or record.runs_worth_playing
    if record.played is not None:
        _play(record, record.played, (a, copy, b), count, tally)
    elif record.checked is not None:
        _check(record, record.checked, (a, b), count, tally)
    standing = tally.standing
    recorded = f"recorded: {record.differs_in_b} of {record.runs}, on {tally.norm} {record.differs_in_copy_of_a}"
    say(out, f"\n{standing.word}: {record.id}: {tally.words} ({recorded})", STYLES[standing.exit_code])
    return standing.exit_code


def _play(
    record: DifferenceRecord, played: Played, targets: tuple[Target, Target, Target], count: int, tally: Tally
) -> None:
    """Play a program ``count`` times, and show the last run with the difference."""
    a, copy, b = targets
    signature = Signature(played.effect, played.frames)
    case = case_of(record, played)
    shown = None
    with ExitStack() as stack:
        for each in replays_of(case, a, copy, b, count, stack):
            tally.count(each)
            if each.difference is not None:
                shown = FoundDifference(signature, "", played.program, each.difference, each.a, each.b)
    if shown is not None:
        _show(shown)


def _show(shown: FoundDifference) -> None:
    out = console()
    out.print()
    for line in narrate(shown.program, shown.history_a):
        say(out, line)
    say(out, f"     relay A    {shown.difference.in_a}\n     relay B    {shown.difference.in_b}")
    screens.show_side_by_side(out, *parted(shown))


def _check(
    record: DifferenceRecord, checked: Checked, targets: tuple[Target, Target], count: int, tally: Tally
) -> None:
    """Play a fixed check ``count`` times on relays that it starts itself."""
    with ExitStack() as stack:
        a, b = map(stack.enter_context, targets)
        if not (a.revivable and b.revivable):
            raise UsageError(f"{record.id} is found by a fixed check, which starts relays: give --exec-a and --exec-b")
        checks = FixedChecks(a, b, record.domain, checked.profile, time.monotonic() + MOST_SECONDS)
        for _ in range(count):
            in_a, in_b = checks.once(checked.requirement)
            norm, other = (in_a, in_b) if checked.breaks else (in_b, in_a)
            tally.add(shown=checked.kind in other - norm, in_copy=checked.kind in norm)


def _write_script(record: DifferenceRecord, file: Path, script: Path) -> Exit:
    if record.played is None:
        raise UsageError(f"{file}: {record.id} is found by a fixed check, of which there is no script; replay it")
    files.write(script, script_for(record, record.played, file.name))
    click.echo(f"wrote {script}; run it with: python3 {script} {RELAYS}  (exit code: {EXIT_CODES})")
    return Exit.PASS
