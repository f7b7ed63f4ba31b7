"""The command of a relay: flags, loop, signals, exit codes.

Facts:
- the socket listens before the loop is imported: a spawner can connect within tens of milliseconds;
- exit codes: 0 stopped by one signal after draining (LIFE-1), 1 cannot listen, 2 wrong usage, 128 + the signal's
  number when a second signal ended it at once.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from torq_protocol.build_info import build_info

from .endpoint import Endpoint, EndpointError, claim
from .logic import RelayLogic, header_filter
from .settings import HubSettings, ListenSettings, ServerSettings

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable


def run_relay(logic: RelayLogic, arguments: list[str] | None = None) -> int:
    """Run the relay of a domain until a signal ends it; returns the exit code."""
    options = _parser(logic).parse_args(arguments)
    logging.basicConfig(
        stream=sys.stderr, level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    settings = ServerSettings(_listen_settings(logic, options), HubSettings(echo=options.echo))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end_while_starting)
    with ExitStack() as held:
        endpoints: list[Endpoint] = []
        try:
            for path in settings.listen.paths:
                endpoints.append(claim(path, settings.listen))
                held.callback(endpoints[-1].release)
        except EndpointError as error:
            print(f"{logic.name}_relay: {error}", file=sys.stderr)
            return 1
        return _run_loop(logic, settings, endpoints, options.loop)


def _end_while_starting(number: int, frame: FrameType | None) -> None:
    """Before the loop runs there is nothing to drain."""
    raise SystemExit(0)


def _parser(logic: RelayLogic) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{logic.name}_relay",
        description=f"Relay of the {logic.name} domain: every valid frame goes to every connection.",
        epilog="Exit codes: 0 ended by one signal, after delivering what it had; 1 cannot listen; 2 wrong usage;"
        " 128 + its number: a second signal.",
    )
    alias = " and ".join(logic.alias_paths)
    parser.add_argument("--version", action="version", version=f"{parser.prog}: {build_info()}")
    parser.add_argument("--socket", type=Path, metavar="PATH", help=f"listen here (default: {logic.socket_path})")
    parser.add_argument(
        "--alias",
        type=Path,
        metavar="PATH",
        action="append",
        help="listen here too; may be repeated (default: "
        + (f"{alias}, unless --socket is given)" if alias else "none)"),
    )
    parser.add_argument("--no-alias", action="store_true", help="listen at --socket alone")
    parser.add_argument(
        "--echo",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether senders get their own frames back (default: they do)",
    )
    parser.add_argument(
        "--shared-directory",
        action="store_true",
        help="accept a socket directory that another user owns or may write to (default: refuse)",
    )
    levels = ["debug", "info", "warning", "error", "critical"]
    parser.add_argument("--log-level", choices=levels, default="info", help="the least that is logged (default: info)")
    parser.add_argument(
        "--loop",
        choices=["auto", "uvloop", "asyncio"],
        default="auto",
        help="the event loop (default: auto, uvloop where it is installed)",
    )
    return parser


def _listen_settings(logic: RelayLogic, options: argparse.Namespace) -> ListenSettings:
    paths: list[Path] = [options.socket or Path(logic.socket_path)]
    if not options.no_alias:
        paths += options.alias or ([] if options.socket else [Path(alias) for alias in logic.alias_paths])
    return ListenSettings(
        tuple(paths),
        own_directory=not options.shared_directory,
        allow_uids=frozenset({os.geteuid()}) if logic.own_user_only else None,
    )


def _run_loop(logic: RelayLogic, settings: ServerSettings, endpoints: list[Endpoint], loop: str) -> int:
    import asyncio

    factory, name = _loop_factory(loop)
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_serve(logic, settings, endpoints, name))


def _loop_factory(wanted: str) -> tuple[Callable[[], asyncio.AbstractEventLoop] | None, str]:
    if wanted != "asyncio":
        try:
            import uvloop
        except ImportError:
            if wanted == "uvloop":
                raise SystemExit("--loop uvloop: it is not installed; pip install uvloop, or use --loop auto") from None
        else:
            return uvloop.new_event_loop, "uvloop"
    return None, "asyncio"


async def _serve(logic: RelayLogic, settings: ServerSettings, endpoints: list[Endpoint], loop_name: str) -> int:
    import asyncio

    from .observer import LogObserver
    from .server import Server

    observer = LogObserver(logic.name, f"{build_info()}, {loop_name}")
    should_forward = logic.should_forward if header_filter(logic) else None
    server = Server(logic.policy(logic.level), settings, observer, should_forward)
    signals: list[int] = []
    first = asyncio.Event()

    def signalled(number: int) -> None:
        signals.append(number)
        if len(signals) == 1:
            first.set()
            return
        server.stop()
        os._exit(128 + number)

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled, number)
    server.start(endpoints)
    gc.freeze()  # what was imported lives for ever: collections need not look at it
    await first.wait()
    await server.drain()
    return 0
