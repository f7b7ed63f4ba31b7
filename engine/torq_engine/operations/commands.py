"""``torq-relay``: run any relay or all of them, check a file, and operate one that runs."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Mapping

import click
import msgspec

from torq_protocol.build_info import build_info

from ..daemon import run_relay
from ..logic import RelayLogic
from .configuration import ConfigError
from .control_client import ControlClient, ControlError
from .loading import load, relay_of
from .logs import LEVELS
from .status import ConnectionStatus, Status


class Seconds(click.FloatRange):
    """A range of seconds; refuses NaN, which no comparison finds."""

    def __init__(self, least: float, most: float) -> None:
        super().__init__(least, most)

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds = float(super().convert(value, param, ctx))  # type: ignore[arg-type]  # click's own stubs: texts come
        if math.isnan(seconds):
            self.fail("nan is no number of seconds.", param, ctx)
        return seconds


_CONFIG = click.option("--config", metavar="FILE", envvar="TORQ_CONFIG", default="", help="Settings, as TOML.")
_PAUSE = Seconds(0.0, 30.0)
_JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")


def relay_commands(logics: Mapping[str, RelayLogic], module: str) -> click.Group:
    """The commands over given relays; ``module`` is what ``python -m`` runs to be this command."""

    @click.group(help="Run relays, and operate those that run.")
    @click.version_option(str(build_info()), message="%(version)s")
    def group() -> None: ...

    @group.command(context_settings={"ignore_unknown_options": True})
    @_CONFIG
    @click.option("--relay", type=click.Choice(list(logics)), help="Which relay; without it, as the file says.")
    @click.option("--all", "everything", is_flag=True, help="All relays, under one supervisor that restarts them.")
    @click.option("--pause", type=_PAUSE, default=0.5, show_default=True, help="--all: seconds before a restart.")
    @click.option(
        "--failures", type=click.IntRange(0), default=5, show_default=True, help="--all: restarts before giving up."
    )
    @click.argument("flags", nargs=-1, type=click.UNPROCESSED)
    def run(
        config: str, relay: str | None, everything: bool, pause: float, failures: int, flags: tuple[str, ...]
    ) -> None:
        """Run one relay, FLAGS going to it, or all of them.

        One: it ends as the relay does. All: exit code 0 when all ended well, 1 when one was given up. The flags of a
        relay: torq-relay run --relay signal -- --help
        """
        if everything:
            if flags:
                raise click.UsageError(f"{flags[0]}: --all takes settings from the file and the environment only")
            sys.exit(_supervise(list(logics), module, config, (pause, failures)))
        try:
            logic = logics[relay or _relay_of(config, logics)]
        except ConfigError as error:
            raise click.UsageError(str(error)) from None
        sys.exit(run_relay(logic, [*(["--config", config] if config else []), *flags]))

    @group.command("check-config")
    @click.argument("file")
    def check_config(file: str) -> None:
        """Say whether every relay can use FILE; exit code 1 if one cannot."""
        try:
            names = [relay_of(file, logics)] if _names_a_relay(file) else list(logics)
            for name in names:
                load(logics[name], file, {}, {})
        except ConfigError as error:
            click.echo(f"torq-relay: {error}", err=True)
            sys.exit(1)
        click.echo(f"{file}: can be used by {', '.join(names)}")

    group.add_command(ctl)
    return group


def _names_a_relay(file: str) -> bool:
    import tomllib

    try:
        with open(file, "rb") as stream:
            return "relay" in tomllib.load(stream)
    except (OSError, ValueError, RecursionError):  # what is wrong is said by whoever loads it
        return False


def _relay_of(config: str, logics: Mapping[str, RelayLogic]) -> str:
    if not config:
        raise click.UsageError(f"which relay? use --relay, one of {', '.join(logics)}, or --config FILE, or --all")
    return relay_of(config, logics)


def _supervise(names: list[str], module: str, config: str, restarts: tuple[float, int]) -> int:
    import anyio

    from .supervisor import RestartPolicy, Supervisor

    file = ["--config", os.path.abspath(config)] if config else []
    commands = {name: [sys.executable, "-m", module, "run", "--relay", name, *file] for name in names}
    return anyio.run(Supervisor(commands, RestartPolicy(*restarts)).run)


@click.group()
@click.option("--socket", "path", required=True, metavar="PATH", help="The relay's --control-socket.")
@click.pass_context
def ctl(ctx: click.Context, path: str) -> None:
    """Operate a running relay over its control socket.

    Exit codes: 0 done; 1 the relay cannot be reached, or refuses; 2 wrong usage.
    """
    try:
        ctx.obj = ControlClient(path)
    except ControlError as error:
        click.echo(f"torq-relay ctl: {error}", err=True)
        sys.exit(1)
    ctx.call_on_close(ctx.obj.close)


def _ask(client: ControlClient, command: str, argument: str = "") -> bytes:
    try:
        return client.ask(command, argument)
    except ControlError as error:
        click.echo(f"torq-relay ctl: {error}", err=True)
        sys.exit(1)


@ctl.command()
@_JSON
@click.pass_obj
def status(client: ControlClient, as_json: bool) -> None:
    """What the relay is doing."""
    answer = _ask(client, "status")
    if as_json:
        click.echo(answer)
        return
    from rich.console import Console

    from .tables import status_table

    Console().print(status_table(msgspec.json.decode(answer, type=Status)))


@ctl.command()
@_JSON
@click.pass_obj
def connections(client: ControlClient, as_json: bool) -> None:
    """Who is connected, and what passed."""
    answer = _ask(client, "connections")
    if as_json:
        click.echo(answer)
        return
    from rich.console import Console

    from .tables import connections_table

    Console().print(connections_table(msgspec.json.decode(answer, type=list[ConnectionStatus])))


@ctl.command()
@click.option("--interval", type=Seconds(0.1, 30.0), default=1.0, show_default=True, help="Seconds between looks.")
@click.option("--looks", type=click.IntRange(0), default=0, help="End after so many; 0: on Ctrl-C.  [default: 0]")
@click.pass_obj
def top(client: ControlClient, interval: float, looks: int) -> None:
    """The relay and its busiest connections, live."""
    from rich.console import Console
    from rich.live import Live

    from . import tables

    console = Console()
    before: list[ConnectionStatus] = []
    looked = 0
    try:
        with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
            while True:
                now = msgspec.json.decode(_ask(client, "connections"), type=list[ConnectionStatus])
                general = msgspec.json.decode(_ask(client, "status"), type=Status)
                rows = max(3, console.height - 20)
                live.update(tables.top(general, now, before, interval, rows), refresh=True)
                before = now
                looked += 1
                if looked == looks:
                    break
                time.sleep(interval)
        if not console.is_terminal:
            console.print()
    except KeyboardInterrupt:
        return


@ctl.command()
@click.pass_obj
def drain(client: ControlClient) -> None:
    """Let no one in, deliver what was received, and end; returns when that is done."""
    ended = msgspec.json.decode(_ask(client, "drain"), type=Status)
    click.echo(f"drained; {ended.delivered_frames:,} frames delivered in all")


@ctl.command()
@click.argument("number", metavar="ID")
@click.pass_obj
def kill(client: ControlClient, number: str) -> None:
    """Close the connection ID."""
    click.echo(msgspec.json.decode(_ask(client, "kill", number), type=str))


@ctl.command("log-level")
@click.argument("level", type=click.Choice(list(LEVELS)))
@click.pass_obj
def log_level(client: ControlClient, level: str) -> None:
    """Log LEVEL and above, until a reload changes the level or the relay ends."""
    click.echo(msgspec.json.decode(_ask(client, "log-level", level), type=str))


@ctl.command("reload")
@click.pass_obj
def reload_configuration(client: ControlClient) -> None:
    """Read the configuration again, as SIGHUP does, and say what was wrong with it."""
    click.echo(msgspec.json.decode(_ask(client, "reload"), type=str))
