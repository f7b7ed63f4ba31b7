"""Options that several commands share: which relay is meant, and durations."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import TypeVar

import click

from ..errors import UsageError
from ..model.requirements import DOMAIN_NAMES
from ..reports.writer import Destination

Decorated = TypeVar("Decorated", bound=Callable[..., object])
Value = TypeVar("Value")


class Parsed(click.ParamType[Value]):
    """The value of an option that a function reads from its text; the function raises UsageError for a wrong one."""

    def __init__(self, name: str, parse: Callable[[str], Value]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: str | Value, param: click.Parameter | None, ctx: click.Context | None) -> Value:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except UsageError as error:
            self.fail(str(error), param, ctx)


def _seconds(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)?", text.strip())
    if match is None or float(match[1]) <= 0:
        raise UsageError(f"{text!r} is no duration; write 90, 60s, 5m or 1h")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2] or "s"]


def _processes(text: str) -> int:
    if text.strip() == "auto":
        return 0
    if not text.strip().isdigit() or int(text) < 1:
        raise UsageError(f"{text.strip()!r} is no number of workers; write auto, or a number from 1")
    return int(text)


DURATION = Parsed("duration", _seconds)
"""Seconds, written ``90``, ``60s``, ``5m`` or ``1h``."""
WORKERS = Parsed("workers", _processes)
"""How many processes judge at once: a number from 1, or ``auto``, which is 0 here."""


def target_options(command: Decorated) -> Decorated:
    """The options ``--target``, ``--exec`` and ``--domain``, as parameters address, command_line and domain."""
    for option in (
        click.option(
            "--domain",
            type=click.Choice(DOMAIN_NAMES),
            help="Domain of the relay.  [default: guessed from the name of its socket or command]",
        ),
        click.option(
            "--exec",
            "command_line",
            metavar="'CMD {socket}'",
            help="Start a fresh relay with this command; {socket} becomes a private path, {port} a free TCP port, "
            "{domain} the domain's name.",
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


def successor_option(command: Decorated) -> Decorated:
    """The option ``--exec-successor``, as parameter successor."""
    return click.option(
        "--exec-successor",
        "successor",
        metavar="'CMD {socket}'",
        help="Start a relay with this command that takes over from the one that runs, under its clients; {command} "
        "stands for the command of that.  [default: what the profile says]",
    )(command)


def relay_options(command: Decorated) -> Decorated:
    """The options ``--exec-a --target-a --exec-b --target-b``, as parameters of these names."""
    for option in (
        click.option("--target-b", metavar="ADDRESS", help="Relay B runs already."),
        click.option("--exec-b", metavar="'CMD {socket}'", help="Start relay B with this command."),
        click.option(
            "--target-a",
            metavar="ADDRESS",
            help="Relay A runs already: a socket path, unix:PATH or tcp:HOST:PORT.",
        ),
        click.option(
            "--exec-a",
            metavar="'CMD {socket}'",
            help="Start relay A with this command: of two relays, the one that B is held against.",
        ),
    ):
        command = option(command)
    return command


def search_options(*, examples: int, programs: str, budget: str, time: str) -> Callable[[Decorated], Decorated]:
    """The options ``--max-examples``, ``--time-budget`` and ``--seed``, with what the first two are for."""

    def decorate(command: Decorated) -> Decorated:
        for option in (
            click.option(
                "--seed",
                type=click.IntRange(0),
                metavar="N",
                default=lambda: random.randrange(10**6),
                help="Seed of the programs.  [default: a random one, shown]",
            ),
            click.option("--time-budget", type=DURATION, default=budget, show_default=True, help=time),
            click.option(
                "--max-examples",
                type=click.IntRange(1),
                default=examples,
                show_default=True,
                metavar="N",
                help=programs,
            ),
        ):
            command = option(command)
        return command

    return decorate


def report_option(formats: Collection[str]) -> Callable[[Decorated], Decorated]:
    """The option ``--report FORMAT:FILE`` with some formats, as parameter reports."""
    return click.option(
        "--report",
        "reports",
        type=Parsed("report", partial(Destination.parse, formats=formats)),
        multiple=True,
        metavar="FORMAT:FILE",
        help=f"Write a report as the run goes; FORMAT is {', '.join(formats)}. Repeatable.  [default: none]",
    )


def failures_option(words: str) -> Callable[[Decorated], Decorated]:
    """The option ``--failures DIR`` with what stands there."""
    return click.option(
        "--failures",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("torq-failures"),
        show_default=True,
        help=words,
    )


def require_parent(folder: Path) -> None:
    """Tell before a long run that the folder of ``--failures`` has no place. Raises UsageError."""
    if not folder.parent.is_dir():
        raise UsageError(f"--failures {folder}: there is no folder to make it in; make that first")


def split_names(names: tuple[str, ...]) -> list[str]:
    """The names in comma-separated, repeatable options."""
    return [name.strip() for part in names for name in part.split(",") if name.strip()]
