"""Play a stored counterexample again: is it fixed?"""

from __future__ import annotations

import shlex
from pathlib import Path

import click
import msgspec

from .. import files
from ..counting import counted, failing_runs
from ..errors import UsageError
from ..exits import Exit
from ..judging.runner import replay
from ..judging.verdict import Counterexample, Result, Verdict
from ..model.profile import built_in_profiles, load_profile
from ..model.requirements import requirements
from ..play.naming import check_line, target_and_domain, target_for
from ..play.target import OWN_COMMAND
from ..replay.difference import is_difference
from ..replay.player import EXIT_CODES
from ..replay.record import Record, load, runs_that_prove_a_fix, runs_worth_playing
from ..reports.terminal import console, show_counterexample
from ._differences import Relays, replay_difference
from ._options import relay_options, successor_option, target_options


@click.command("replay")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@target_options
@successor_option
@relay_options
@click.option(
    "--runs",
    type=click.IntRange(1),
    metavar="N",
    help="How often to play it.  [default: as often as its recorded rate demands]",
)
@click.option(
    "--script",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="OUT.py",
    help="Write the program as one Python file that needs nothing but Python, and play nothing.",
)
def command(
    file: Path,
    address: str | None,
    command_line: str | None,
    domain: str | None,
    successor: str | None,
    runs: int | None,
    script: Path | None,
    **given: str | None,
) -> int:
    """Play a stored counterexample again and say whether it still fails, or a stored difference of two relays.

    \b
    torq-conformance replay torq-failures/my_relay/FRAME-1-signal-reference.json --target /tmp/torq/signal.sock
    torq-conformance replay torq-failures/my_relay/FRAME-1-signal-reference.json --exec 'my_relay {socket}'
    torq-conformance replay torq-failures/my_relay/FRAME-1-signal-reference.json --script frame_1.py
    torq-conformance replay torq-failures/new/closes-half-closed-signal.json --exec-a 'old {socket}' \\
        --exec-b 'new {socket}'

    \b
    Exit codes: 1 REPRODUCED, of a difference DIFFERENT or FLAKY; 0 FIXED, GONE (it passed as often as its recorded rate
    demands); 3 NOT REPRODUCED, NOT SHOWN (it passed, but too seldom to say that, or it never failed again when it was
    recorded), NOISE (relay A differs from its own copy too), HIDDEN (another difference shows in its place); 2 wrong
    usage or no target.
    """
    relays = msgspec.convert(given, Relays)
    if is_difference(file):
        if address or command_line:
            raise UsageError(f"{file} is a difference of two relays: name them by --exec-a and --exec-b")
        return replay_difference(file, relays, runs, script)
    if relays.named:
        raise UsageError(f"{file} is a counterexample of one relay: name it by --exec or --target")
    record = load(file)
    if record.program.in_words:
        raise UsageError(_judged_by_a_check(record, file, command_line))
    if script is not None:
        return _write_script(record, file, script)
    if domain is not None and domain != record.program.domain:
        raise UsageError(f"{file} is a program for a {record.program.domain} relay, not for {domain}")
    if not (address or command_line or domain):
        raise UsageError(
            f"say which relay: --target ADDRESS, --exec 'CMD {{socket}}', or --domain {record.program.domain} for the "
            f"built-in reference relay (recorded with: {record.target})"
        )
    count = runs or runs_worth_playing(record)
    successor = successor or _recorded_successor(record, command_line)
    with target_for(address, command_line, record.program.domain, successor=successor) as target:
        failed, shown = replay(record.program, record.requirement, record.rules, target, count, started=record.started)
    return _say(record, shown, failed)


def _recorded_successor(record: Record, command_line: str | None) -> str:
    """The command that starts a successor of the relay named, as far as the record says: "" where it is of another."""
    recorded = record.profile.successor
    return recorded if OWN_COMMAND in recorded or command_line in (None, record.target) else ""


def _judged_by_a_check(record: Record, file: Path, command_line: str | None) -> str:
    """Why a fixed check cannot be replayed, and the line that does it again on the relay named, or the recorded one."""
    name = record.profile.name
    profile = load_profile(name) if name in built_in_profiles() else None
    successor = record.profile.successor
    if profile is None or profile.successor == successor:
        succeeded = ""
    else:
        profile = msgspec.structs.replace(profile, successor=successor)
        succeeded = f" --exec-successor {shlex.quote(successor)}"
    built_in = profile == record.profile
    line = check_line(
        target_and_domain(None, command_line or record.target, record.program.domain) + succeeded,
        profile=name if built_in else f"{name}.toml",
        requirement=record.requirement,
    )
    theirs = "" if built_in else f" (with the file of the profile {name!r} in place of {name}.toml)"
    return (
        f"{file} holds no program: {record.requirement} was found broken by a fixed check, which starts relays of its "
        f"own and stops them, so its steps can be read but not replayed; judge it again with: {line}{theirs}"
    )


def _say(record: Record, shown: Counterexample, failed: int) -> int:
    out = console()
    recorded = f"recorded: {record.failures} of {record.runs}" if record.runs else "recorded unconfirmed"
    count, needed = shown.runs, runs_that_prove_a_fix(record)
    passes = counted(count, "run passes", "runs pass")
    if failed:
        result = Result(requirements()[record.requirement], Verdict.FAIL if failed == count else Verdict.FLAKY)
        result.counterexample = shown
        show_counterexample(out, result, [("next", f"torq-conformance explain {record.requirement}")])
        out.print(f"\n[bold red]REPRODUCED[/]: {failing_runs(failed, count)} ({recorded})", soft_wrap=True)
        return Exit.FAIL
    if needed is None:
        out.print(
            f"[yellow]NOT REPRODUCED[/]: {passes}; the program never failed again after it was found ({recorded}), so "
            f"that says nothing of {record.requirement}: judge the relay afresh",
            soft_wrap=True,
        )
        return Exit.UNKNOWN
    if count < needed:
        out.print(
            f"[yellow]NOT REPRODUCED[/]: {passes}; {needed} passes would prove {record.requirement} fixed "
            f"({recorded}); leave out --runs to play it so often",
            soft_wrap=True,
        )
        return Exit.UNKNOWN
    out.print(
        f"[green]FIXED[/]: {record.requirement} holds in {count} of {counted(count, 'run')} ({recorded})",
        soft_wrap=True,
    )
    return Exit.PASS


def _write_script(record: Record, file: Path, script: Path) -> int:
    from ..replay.script import script_for

    files.write(script, script_for(record, file.name))
    click.echo(
        f"wrote {script}; run it with: python3 {script} SOCKET  (a socket path or tcp:HOST:PORT, or --exec "
        f"'CMD {{socket}}'; exit code: {EXIT_CODES})"
    )
    return Exit.PASS
