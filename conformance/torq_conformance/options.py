"""Options that several commands share: which relay is meant, and durations."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from typing import TypeVar

import click

from .address import Address
from .errors import UsageError
from .requirements import DOMAIN_NAMES
from .target import SpawnedTarget, Target

Decorated = TypeVar("Decorated", bound=Callable[..., object])

_DOMAIN_WORDS = {
    "market_data": ("market_data", "market-data", "marketdata"),
    "signal": ("signal",),
    "execution": ("execution",),
}


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


def guess_domain(where: str | None) -> str:
    """The domain that the name of a socket or command speaks of. Raises UsageError when it names none, or several."""
    text = (where or "").lower()
    found = [name for name, words in _DOMAIN_WORDS.items() if any(word in text for word in words)]
    if len(found) != 1:
        raise UsageError(
            "cannot tell the relay's domain from its name; "
            "add --domain market_data, --domain signal or --domain execution"
        )
    return found[0]


def target_for(address: str | None, command_line: str | None, domain: str) -> Target:
    """The target that the options mean; the built-in reference relay of the domain when they name none."""
    if address and command_line:
        raise UsageError("give --target (a relay that runs) or --exec (a command that starts one), not both")
    if address:
        return Target(Address.parse(address))
    return SpawnedTarget(command_line or f"{domain}_relay --socket {{socket}}", domain)


def target_words(address: str | None, command_line: str | None, domain: str) -> str:
    """The same options as words to paste behind another command."""
    if address:
        return f"--target {shlex.quote(address)}"
    return f"--exec {shlex.quote(command_line)}" if command_line else f"--domain {domain}"


def with_domain(where: str, domain: str) -> str:
    """The words that name a target and its domain; ``where`` is what :func:`target_words` gives."""
    return where if where.startswith("--domain") else f"{where} --domain {domain}"


def check_line(where: str, *, domain: str, profile: str, requirement: str) -> str:
    """The line that judges a requirement again by its fixed check; ``where`` is what :func:`target_words` gives."""
    words = ["torq-conformance", with_domain(where, domain)]
    words += [] if profile == "reference" else [f"--profile {shlex.quote(profile)}"]
    return " ".join((*words, f"--section {requirement}"))


def split_names(names: tuple[str, ...]) -> list[str]:
    """The names in comma-separated, repeatable options."""
    return [name.strip() for part in names for name in part.split(",") if name.strip()]
