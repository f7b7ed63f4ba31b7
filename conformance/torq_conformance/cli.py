"""The command ``torq-conformance``: judge a relay, replay a counterexample, list the requirements.

Exit codes: 0 every MUST that was judged holds; 1 something fails or is flaky; 2 wrong usage, or the target cannot be
reached; 3 a MUST could not be judged.
"""

from __future__ import annotations

import math
import random
import re
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from .errors import ConformanceError, UsageError
from .profile import built_in_profiles, load_profile
from .record import Record, load, save
from .requirements import DOMAIN_NAMES, Requirement, requirements, sections, select
from .runner import MISS_RATE, Plan, Result, Verdict, judge_all, replay
from .scenarios import SCENARIOS, UNJUDGED
from .target import Address, SpawnedTarget, Target
from .terminal import TerminalObserver, show_counterexample, show_first_screen, show_last_screen

EXIT_PASS, EXIT_FAIL, EXIT_USAGE, EXIT_UNKNOWN = 0, 1, 2, 3


class DefaultCommandGroup(click.Group):
    """A group that takes its first command when the line names none: ``torq-conformance --target ...``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in (*self.commands, "--help", "--version", "-h"):
            args = ["run", *args]
        return super().parse_args(ctx, args)


class Duration(click.ParamType[float]):
    """Seconds, written ``90``, ``60s`` or ``5m``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)?", str(value).strip())
        if match is None or float(match[1]) <= 0:
            self.fail(f"{value!r} is no duration; write 90, 60s, 5m or 1h", param, ctx)
        return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2] or "s"]


def target_options(command: Any) -> Any:
    """The options that say which relay is meant."""
    for option in (
        click.option(
            "--domain",
            type=click.Choice(DOMAIN_NAMES),
            help="Domain of the relay.  [default: guessed from the socket's name]",
        ),
        click.option(
            "--exec",
            "command",
            metavar="'CMD {socket}'",
            help="Start a fresh relay with this command; {socket} becomes a private path, {port} a port.",
        ),
        click.option(
            "--target",
            "address",
            metavar="ADDRESS",
            help="A running relay: a socket path, unix:PATH or tcp:HOST:PORT.  "
            "[default: the built-in reference relay of --domain]",
        ),
    ):
        command = option(command)
    return command


@click.group(cls=DefaultCommandGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="torq", prog_name="torq-conformance")
def cli() -> None:
    """Judge any relay of the Torq platform by its requirements.

    Without a command, `run` is meant: torq-conformance --target /tmp/torq/signal.sock
    """


@cli.command()
@target_options
@click.option(
    "--profile",
    "profile_name",
    default="reference",
    show_default=True,
    metavar="NAME|FILE",
    help=f"What the relay promises: {', '.join(built_in_profiles())}, or a TOML file.",
)
@click.option(
    "--section",
    "include",
    multiple=True,
    metavar="IDS",
    help="Sections or requirement ids to judge, comma-separated, repeatable.  [default: all]",
)
@click.option(
    "--exclude", multiple=True, metavar="IDS", help="Sections or requirement ids to leave out.  [default: none]"
)
@click.option(
    "--max-examples",
    type=click.IntRange(1),
    default=100,
    show_default=True,
    metavar="N",
    help="Programs for each requirement.",
)
@click.option(
    "--time-budget", type=Duration(), default="5m", show_default=True, help="Time for the whole run, such as 60s or 5m."
)
@click.option(
    "--seed", type=click.IntRange(0), metavar="N", help="Seed of the programs.  [default: a random one, shown]"
)
@click.option(
    "--failures",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("torq-failures"),
    show_default=True,
    help="Folder for the counterexamples found.",
)
@click.option("--list", "list_only", is_flag=True, help="List what would be judged, and how, then stop.")
def run(
    address: str | None,
    command: str | None,
    domain: str | None,
    profile_name: str,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    max_examples: int,
    time_budget: float,
    seed: int | None,
    failures: Path,
    list_only: bool,
) -> None:
    """Judge a relay.

    \b
    torq-conformance --target /tmp/torq/signal.sock
    torq-conformance --exec 'my_relay --socket {socket}' --domain signal
    torq-conformance --domain execution        (the built-in reference relay)

    Exit codes: 0 every MUST that was judged holds, 1 something fails or is flaky, 2 wrong usage or no target,
    3 a MUST could not be judged.
    """
    started = time.monotonic()
    profile = load_profile(profile_name)
    chosen = select(_split(include), _split(exclude))
    if not include:
        chosen = [each for each in chosen if each.id in SCENARIOS or each.id in UNJUDGED]
    if list_only:
        _list(chosen)
        return
    domain = domain or _guess_domain(address or command)
    plan = Plan.build(
        domain=domain,
        profile=profile,
        requirements=[each for each in chosen if include or each.binds(domain)],
        max_examples=max_examples,
        seed=random.randrange(10**6) if seed is None else seed,
        time_budget=time_budget,
    )
    console = Console(highlight=False)
    with _target(address, command, domain) as target:
        show_first_screen(console, plan, target.description)
        with TerminalObserver(console, plan) as observer:
            results = judge_all(plan, target, observer)
        files = {
            result.requirement.id: save(
                result.counterexample, profile=profile, seed=plan.seed, target=target.description, folder=failures
            )
            for result in results
            if result.counterexample is not None
        }
    show_last_screen(console, results, files, _target_words(address, command, domain), started)
    sys.exit(exit_code(results))


@cli.command("replay")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@target_options
@click.option(
    "--runs",
    type=click.IntRange(1),
    metavar="N",
    help="How often to play it.  [default: as often as its recorded rate demands]",
)
def replay_command(file: Path, address: str | None, command: str | None, domain: str | None, runs: int | None) -> None:
    """Play a stored counterexample again and say whether it still fails.

    Exit codes: 1 REPRODUCED, 0 FIXED (it passed as often as its recorded rate demands), 3 NOT REPRODUCED (it passed,
    but too seldom to call it fixed), 2 wrong usage or no target.
    """
    record = load(file)
    needed = runs_that_prove_a_fix(record)
    console = Console(highlight=False)
    with _target(address, command, domain or record.program.domain) as target:
        count = runs or needed
        failed, shown = replay(record.program, record.requirement, record.rules, target, count)
    result = Result(requirements()[record.requirement], Verdict.FAIL if failed == count else Verdict.FLAKY)
    result.counterexample = shown
    if failed:
        show_counterexample(console, result, f"torq-conformance replay {file} ...")
        console.print(f"\nREPRODUCED: {failed} of {count} runs fail (recorded: {record.failures} of {record.runs})")
        sys.exit(EXIT_FAIL)
    if count < needed:
        console.print(f"NOT REPRODUCED: {count} runs pass; {needed} would prove {record.requirement} fixed")
        sys.exit(EXIT_UNKNOWN)
    console.print(
        f"FIXED: {record.requirement} holds in {count} of {count} runs (recorded: {record.failures} of {record.runs})"
    )


def runs_that_prove_a_fix(record: Record) -> int:
    """How many passes make it unlikely (below 1 in 1000) that a failure of the recorded rate is merely not showing."""
    rate = (record.failures + 1) / (record.runs + 2)
    return max(10, math.ceil(math.log(MISS_RATE) / math.log(1 - rate)))


def exit_code(results: list[Result]) -> int:
    """The exit code of a run with these verdicts."""
    if any(result.verdict in (Verdict.FAIL, Verdict.FLAKY) for result in results):
        return EXIT_FAIL
    if any(result.verdict is Verdict.UNKNOWN and result.requirement.level == "MUST" for result in results):
        return EXIT_UNKNOWN
    return EXIT_PASS


def _split(names: tuple[str, ...]) -> list[str]:
    return [name for part in names for name in part.split(",") if name.strip()]


def _list(chosen: list[Requirement]) -> None:
    for section, about in sections().items():
        members = [each for each in chosen if each.section == section]
        if members:
            click.echo(f"{section}: {about.title}")
        for each in members:
            click.echo(f"  {each.id:<8} {each.level:<6} {_how(each)}\n           {each.text}")


def _how(requirement: Requirement) -> str:
    if requirement.id in UNJUDGED:
        return f"not judged: {UNJUDGED[requirement.id]}"
    if requirement.id not in SCENARIOS:
        return "not judged by programs"
    return "programs of " + ", ".join(feature.__name__ for feature in SCENARIOS[requirement.id].features)


def _guess_domain(where: str | None) -> str:
    text = (where or "").lower()
    found = [name for name, words in _DOMAIN_WORDS.items() if any(word in text for word in words)]
    if len(found) != 1:
        raise UsageError("cannot tell the relay's domain from its name: add --domain market_data, signal or execution")
    return found[0]


_DOMAIN_WORDS = {
    "market_data": ("market_data", "market-data", "marketdata"),
    "signal": ("signal",),
    "execution": ("execution",),
}


def _target(address: str | None, command: str | None, domain: str) -> Target:
    if address and command:
        raise UsageError("give --target or --exec, not both")
    if address:
        return Target(Address.parse(address))
    return SpawnedTarget(command or f"{domain}_relay --socket {{socket}}")


def _target_words(address: str | None, command: str | None, domain: str) -> str:
    if address:
        return f"--target {shlex.quote(address)}"
    return f"--exec {shlex.quote(command)}" if command else f"--domain {domain}"


def main() -> None:
    """Entry point: no traceback reaches the user of a command."""
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        click.echo("interrupted", err=True)
        sys.exit(130)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_USAGE)
    except ConformanceError as error:
        click.echo(f"torq-conformance: {error}", err=True)
        sys.exit(EXIT_USAGE)


if __name__ == "__main__":
    main()
