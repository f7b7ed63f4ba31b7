"""``torq-relay``: run any relay or all of them, check a file, and operate one that runs."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial

from torq_protocol.extras import CommandExtra

from ..logic import RelayLogic

with CommandExtra("relay"):
    import msgspec

    from ..daemon import run_relay
    from .arguments import Parser, add_version, number
    from .configuration import ConfigError
    from .control import TakeoverRequest
    from .control_client import ControlClient, ControlError
    from .inheritance import begin_afresh
    from .loading import Source, claims, collisions, relay_of, relays_of
    from .logs import LEVELS
    from .status import ORDERS, ConnectionStatus, RefusedClients, Status, in_order
    from .takeovers import TakeoverReport
    from .terminal import complain, told_in_one_line

_NAME = "torq-relay"
_CONTROL = f"{_NAME} ctl"
_RUN = "run"
_WRONG_CONFIGURATION = 2
_PASSED_ON = "--"
Act = Callable[[argparse.Namespace], int]


def torq_relay(logics: Mapping[str, RelayLogic], module: str, arguments: list[str] | None = None) -> int:
    """Run the command over given relays; returns its exit code. ``module`` is what ``python -m`` runs to be it."""
    words = sys.argv[1:] if arguments is None else arguments
    if arguments is None:
        begin_afresh(hears=words[:1] == [_RUN])
    with told_in_one_line(_NAME):
        parser = command_parser(logics, module)
        end = words.index(_PASSED_ON) if _PASSED_ON in words else len(words)
        options, flags = parser.parse_known_args(words[:end])
        options.flags = [*flags, *words[end + 1 :]]
        if options.flags and not options.takes_flags:
            parser.error(f"unrecognized arguments: {' '.join(options.flags)}")
        act: Act = options.act
        return act(options)


def command_parser(logics: Mapping[str, RelayLogic], module: str) -> Parser:
    """The parser of the command, from which its manual and its completion are made too."""
    parser = Parser(prog=_NAME, description="Run relays, and operate those that run.")
    add_version(parser)
    parser.set_defaults(takes_flags=False)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _add_run(commands, logics, module)
    check = commands.add_parser(
        "check-config",
        help="check a file",
        description="Say whether every relay can use FILE, all of them at once, and all that is wrong with it."
        " Exit codes: 0 it can be used, 1 the answer cannot be written, 2 it cannot be used.",
    )
    check.add_argument("file", metavar="FILE")
    check.set_defaults(act=partial(_check_config, logics))
    _add_control(commands)
    return parser


def _add_run(commands: argparse._SubParsersAction[Parser], logics: Mapping[str, RelayLogic], module: str) -> None:
    run = commands.add_parser(
        _RUN,
        help="run one relay, or all of them",
        usage=f"{_NAME} run [options] [the relay's flags]",
        description="Run one relay, with its own flags, or all of them.",
        epilog=f"The flags of a relay: {_NAME} run --relay signal -- --help. Exit codes: of one relay, its own; of all,"
        " 0 when all ended well, 1 when one was given up.",
    )
    config = os.environ.get("TORQ_CONFIG", "")
    run.add_argument("--config", metavar="FILE", default=config, help="settings, as TOML (or TORQ_CONFIG's)")
    run.add_argument("--relay", choices=list(logics), help="which relay; without it, as the file says")
    run.add_argument("--all", action="store_true", help="all relays, under one supervisor that restarts them")
    run.add_argument(
        "--pause",
        type=number(0, 30),
        default=0.5,
        metavar="SECONDS",
        help="--all: seconds before a restart (default: %(default)s)",
    )
    run.add_argument(
        "--failures",
        type=number(0, kind=int),
        default=5,
        metavar="N",
        help="--all: failures in a row after which a relay is given up (default: %(default)s)",
    )
    run.set_defaults(act=partial(_run, run, logics, module), takes_flags=True)


def _run(parser: Parser, logics: Mapping[str, RelayLogic], module: str, options: argparse.Namespace) -> int:
    if options.all:
        if options.flags:
            parser.error(f"{options.flags[0]}: --all takes settings from the file and the environment only")
        return _supervise(logics, module, options)
    if not options.relay and not options.config:
        parser.error(f"which relay? use --relay, one of {', '.join(logics)}, or --config FILE, or --all")
    try:
        logic = logics[options.relay or relay_of(options.config, logics)]
    except ConfigError as error:
        parser.error(str(error))
    return run_relay(logic, [*(["--config", options.config] if options.config else []), *options.flags])


def _supervise(logics: Mapping[str, RelayLogic], module: str, options: argparse.Namespace) -> int:
    import anyio

    from .supervisor import RestartPolicy, Supervisor

    for fault in _collisions(logics.values(), options.config, os.environ):  # each relay tells of the others by itself
        complain(f"{_NAME}: {fault}")
    file = ["--config", options.config] if options.config else []
    commands = {name: [sys.executable, "-m", module, "run", "--relay", name, *file] for name in logics}
    return anyio.run(Supervisor(commands, RestartPolicy(options.pause, options.failures)).run)


def _check_config(logics: Mapping[str, RelayLogic], options: argparse.Namespace) -> int:
    try:
        names = relays_of(options.file, logics)
    except ConfigError as error:
        return _told_faults([error])
    chosen = [logics[name] for name in names]
    faults = _faults(chosen, options.file) or _collisions(chosen, options.file, {})
    if faults:
        return _told_faults(faults)
    print(f"{options.file}: can be used by {', '.join(names)}")
    return 0


def _faults(logics: Iterable[RelayLogic], file: str) -> list[ConfigError]:
    """All that is wrong with a file for each of some relays."""
    return [fault for logic in logics for fault in Source(logic, file, {}, {}).examine()[1]]


def _collisions(logics: Iterable[RelayLogic], file: str, environment: Mapping[str, str]) -> list[ConfigError]:
    """What some relays that run at once would take from each other."""
    configs = {logic: Source(logic, file, environment, {}).examine()[0] for logic in logics}
    claimed = {logic.name: claims(config, logic, environment) for logic, config in configs.items()}
    return list(collisions(file or environment.get("TORQ_CONFIG", ""), claimed))


def _told_faults(faults: Iterable[ConfigError]) -> int:
    for line in dict.fromkeys(map(str, faults)):  # a key at the top is wrong for each relay
        complain(f"{_NAME}: {line}")
    return _WRONG_CONFIGURATION


def _add_control(commands: argparse._SubParsersAction[Parser]) -> None:
    control = commands.add_parser(
        "ctl",
        help="operate a running relay",
        description="Operate a running relay over its control socket.",
        epilog="Exit codes: 0 done; 1 the relay cannot be reached, or refuses; 2 wrong usage.",
    )
    control.add_argument("--socket", required=True, metavar="PATH", help="the relay's --control-socket")
    inner = control.add_subparsers(metavar="COMMAND", required=True)

    def add(name: str, act: Callable[[ControlClient, argparse.Namespace], None], text: str) -> Parser:
        parser = inner.add_parser(name, help=text, description=text)
        parser.set_defaults(act=partial(_control, act))
        return parser

    for name, act, text in (
        ("status", _status, "What the relay is doing."),
        ("connections", _connections, "Which clients are connected, and what passed."),
        ("refused", _refused, "Which clients were not let in, why and how often."),
    ):
        shown = add(name, act, text)
        shown.add_argument("--json", action="store_true", help="one JSON document instead of a table")
        if act is _connections:
            _add_sort(shown, "joined")
            shown.add_argument("--limit", type=number(1, kind=int), metavar="N", help="the first N only (default: all)")
    top = add("top", _top, "The relay and some of its connections, live.")
    _add_sort(top, "traffic")
    top.add_argument(
        "--interval", type=number(0.1, 30), default=1.0, metavar="SECONDS", help="between looks (default: %(default)s)"
    )
    top.add_argument(
        "--looks", type=number(0, kind=int), default=0, metavar="N", help="end after so many; 0: on Ctrl-C (default: 0)"
    )
    add("drain", _drain, "Admit no client, deliver what was received, and end; returns when that is done.")
    kill = add("kill", partial(_told, "kill"), "Close the connection ID.")
    kill.add_argument("argument", metavar="ID", help="its number, as connections lists it")
    level = add("log-level", partial(_told, "log-level"), "Log LEVEL and above, until a reload changes the level.")
    level.add_argument("argument", metavar="LEVEL", choices=list(LEVELS), help=f"one of {', '.join(LEVELS)}")
    takeover = add(
        "takeover",
        _take_over,
        "Start a successor that takes the relay's place under its clients, and say what came of it. If it cannot, the"
        " relay serves on, and the exit code is 1.",
    )
    takeover.add_argument(
        "--exec", default="", metavar="CMD", help="the successor's command line (default: the relay's own)"
    )
    takeover.add_argument(
        "--dry-run", action="store_true", help="start it, say what it would take or why not, and hand nothing over"
    )
    reload = add(
        "reload", partial(_told, "reload"), "Read the configuration again, as SIGHUP does, or say what is wrong."
    )
    reload.set_defaults(argument="")


def _add_sort(parser: Parser, default: str) -> None:
    parser.add_argument(
        "--sort",
        choices=list(ORDERS),
        default=default,
        help="what is greatest first: frames in and out, bytes in the queue, seconds that the oldest of it has waited"
        " (behind), frames dropped or refused, age; joined: as they came (default: %(default)s)",
    )


def _control(act: Callable[[ControlClient, argparse.Namespace], None], options: argparse.Namespace) -> int:
    with told_in_one_line(_CONTROL):
        client = ControlClient(options.socket)
        try:
            act(client, options)
        finally:
            client.close()
    return 0


def _told(command: str, client: ControlClient, options: argparse.Namespace) -> None:
    print(msgspec.json.decode(client.ask(command, options.argument), type=str))


def _drain(client: ControlClient, options: argparse.Namespace) -> None:
    ended = msgspec.json.decode(client.ask("drain"), type=Status)
    print(f"drained; {ended.delivered_frames:,} frames delivered in all")


def _take_over(client: ControlClient, options: argparse.Namespace) -> None:
    wanted = TakeoverRequest(os.fsencode(options.exec), options.dry_run)
    report = msgspec.json.decode(client.ask("takeover", msgspec.json.encode(wanted).decode()), type=TakeoverReport)
    held = f"{report.connections:,} connections, {report.held_bytes:,} bytes held, {report.descriptors:,} descriptors"
    if report.taken:
        print(f"process {report.pid} took over, {report.successor}: {held}; frozen for {report.frozen * 1000:.1f} ms")
    elif report.possible:
        print(f"a successor could take over, {report.successor}: {held}; nothing handed over")
    else:
        kept = "not possible" if options.dry_run else "failed"
        raise ControlError(f"takeover {kept}, process {report.pid} serves on with {held}: {report.reason}")


def _status(client: ControlClient, options: argparse.Namespace) -> None:
    answer = client.ask("status")
    if options.json:
        print(answer.decode())
        return
    from rich.console import Console

    from .tables import status_table

    Console().print(status_table(msgspec.json.decode(answer, type=Status)))


def _connections(client: ControlClient, options: argparse.Namespace) -> None:
    everyone = msgspec.json.decode(client.ask("connections"), type=list[ConnectionStatus])
    found = in_order(everyone, options.sort)[: options.limit]
    if options.json:
        print(msgspec.json.encode(found).decode())
        return
    from .tables import print_connections

    title = f"{len(found):,} of {len(everyone):,} connections by {options.sort}" if options.limit else ""
    print_connections(found, title)


def _refused(client: ControlClient, options: argparse.Namespace) -> None:
    answer = client.ask("refused")
    if options.json:
        print(answer.decode())
        return
    from .tables import print_refused

    print_refused(msgspec.json.decode(answer, type=RefusedClients))


def _top(client: ControlClient, options: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.live import Live

    from . import tables

    console = Console()
    before: list[ConnectionStatus] = []
    looked = 0
    try:
        with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
            while True:
                now = msgspec.json.decode(client.ask("connections"), type=list[ConnectionStatus])
                general = msgspec.json.decode(client.ask("status"), type=Status)
                rows = max(3, console.height - 21)
                live.update(tables.top(general, now, before, options.interval, rows, options.sort), refresh=True)
                before = now
                looked += 1
                if looked == options.looks:
                    break
                time.sleep(options.interval)
        if not console.is_terminal:
            console.print()
    except KeyboardInterrupt:
        return
