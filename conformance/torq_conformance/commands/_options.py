"""Options that several commands share: which relay is meant, and durations."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import TypeVar

import click

from ..model.requirements import DOMAIN_NAMES

Decorated = TypeVar("Decorated", bound=Callable[..., object])


class Duration(click.ParamType[float]):
    """Seconds, written ``90``, ``60s``, ``5m`` or ``1h``."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)?", str(value).strip())
        if match is None or float(match[1]) <= 0:
            self.fail(f"{value!r} is no duration; write 90, 60s, 5m or 1h", param, ctx)
        return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2] or "s"]


class Workers(click.ParamType[int]):
    """How many processes judge at once: a number from 1, or ``auto``, which is 0 here."""

    name = "workers"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).strip()
        if text == "auto":
            return 0
        if not text.isdigit() or int(text) < 1:
            self.fail(f"{text!r} is no number of workers; write auto, or a number from 1", param, ctx)
        return int(text)


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
            click.option("--time-budget", type=Duration(), default=budget, show_default=True, help=time),
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


def split_names(names: tuple[str, ...]) -> list[str]:
    """The names in comma-separated, repeatable options."""
    return [name.strip() for part in names for name in part.split(",") if name.strip()]
