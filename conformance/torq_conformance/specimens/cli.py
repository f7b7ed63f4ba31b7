"""The `torq-specimen` command: runs one specimen relay, or lists what there is.

Argparse and late imports, because a run starts hundreds of fresh relays: from start to listening must cost some
tens of milliseconds, and click alone costs thirty.
"""

import argparse
import functools
import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NoReturn

from torq_conformance.specimens.correct.settings import Settings

if TYPE_CHECKING:
    from torq_conformance.specimens.correct.relay import Relay

RESERVED_DESCRIPTORS = 32  # for what is not a connection
DOMAINS = {"market_data": 1, "signal": 2, "execution": 3}

HISTORICAL = {
    "legacy-market-data": "LM: broadcasts whatever one read returned, filters nothing, echoes",
    "legacy-sink": "LS: legacy signal and execution; reads everything, forwards nothing",
    "first-generic": "GC: broadcasts a chunk when its first 32 bytes look right for the domain",
    "timing-classifier": "TC: publisher or consumer for ever, by whether it spoke in its first 100 ms",
}
WIDE = functools.partial(argparse.HelpFormatter, width=110)  # asking the terminal's width costs 4 ms at every start
CORRECT = "a small relay that keeps every MUST of the requirements; with --mutant, one that breaks some"

AUDIT = "look at an audit log of 'correct': verify it (exit code 1: not whole), list its frames, or those refused"


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `torq-specimen`. Exits 0 after a listing, 1 when it cannot listen, 2 on wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.json and not options.list_mutants:
        parser.error("--json goes with --list-mutants")
    if options.list or options.list_mutants:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # a reader that has seen enough ends the listing, as of any tool
    if options.list_mutants:
        _print_mutants(options.json)
    elif options.list:
        _print_list()
    elif options.specimen is None:
        parser.error(f"name a specimen: {', '.join(HISTORICAL)} or correct. --list says what each one does")
    elif options.specimen == "audit":
        sys.exit(_look_at_audit(options.question, options.directory))
    else:
        _run(options)


def _look_at_audit(question: str, directory: str) -> int:
    from torq_conformance.specimens.correct.audit import frames, whole

    if question == "verify":
        return int(not whole(directory))
    for text in frames(directory, refused=question == "refused"):
        print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="torq-specimen",
        formatter_class=WIDE,
        description="Run one small relay with a known behaviour, for torq-conformance to judge.",
        epilog="Once it listens it prints 'listening on ADDRESS' and serves until it is killed.",
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version and exit")
    parser.add_argument("--list", action="store_true", help="list the specimens and exit")
    parser.add_argument("--list-mutants", action="store_true", help="list the mutants of 'correct' and exit")
    parser.add_argument("--json", action="store_true", help="with --list-mutants: as JSON")
    specimens = parser.add_subparsers(dest="specimen", metavar="NAME", title="specimens")
    for name, text in HISTORICAL.items():
        historical = specimens.add_parser(name, help=text, description=text, formatter_class=WIDE)
        _add_address(historical)
        historical.add_argument("--verbose", action="store_true", help="log to standard output as the original did")
    correct = specimens.add_parser("correct", help=CORRECT, description=CORRECT, formatter_class=WIDE)
    _add_address(correct)
    _add_settings(correct, Settings())
    audit = specimens.add_parser("audit", help=AUDIT, description=AUDIT, formatter_class=WIDE)
    audit.add_argument("question", choices=("verify", "list", "refused"))
    audit.add_argument("directory", metavar="DIR")
    return parser


def _add_address(parser: argparse.ArgumentParser) -> None:
    address = parser.add_mutually_exclusive_group(required=True)
    address.add_argument("--socket", metavar="PATH", help="Unix socket to listen on")
    address.add_argument("--tcp", metavar="HOST:PORT", type=_tcp_address, help="TCP address (port 0: any free)")
    parser.add_argument(
        "--domain",
        choices=DOMAINS,
        help="domain of the relay (default: the one the socket's file name contains, else signal)",
    )


def _add_settings(parser: argparse.ArgumentParser, default: Settings) -> None:
    """An option for each setting; its destination is the name of the setting."""

    def number(flag: str, field: str, text: str) -> None:
        value = getattr(default, field)
        parser.add_argument(
            flag,
            dest=field,
            type=_at_least_0(type(value)),
            default=value,
            metavar="N",
            help=f"{text} (default: {value})",
        )

    def choice(flag: str, field: str, choices: Sequence[str], text: str) -> None:
        value = getattr(default, field)
        parser.add_argument(flag, dest=field, choices=choices, default=value, help=f"{text} (default: {value})")

    parser.add_argument(
        "--mutant",
        action="append",
        default=[],
        metavar="NAME",
        help="seed one fault, such as --list-mutants shows; given again, one more",
    )
    parser.add_argument(
        "--echo", action=argparse.BooleanOptionalAction, default=default.echo, help="senders get their frames back"
    )
    overflow = ("drop_oldest", "disconnect", "backpressure")
    choice("--overflow", "overflow", overflow, "what happens to a consumer over its bound")
    choice("--on-framing-error", "on_framing_error", ("close", "resync"), "what follows bytes that are no frame")
    number("--magic-from", "magic_from", "bytes of a header that are there before its magic is looked at")
    number("--max-connections", "max_connections", "connections served at once, within the descriptor limit")
    number("--max-message-size", "max_message_size", "bytes of the largest frame, header included")
    parser.add_argument(
        "--zero-checksum",
        choices=("accept", "refuse"),
        default=default.zero_checksum,
        help="what happens to a checksum field of 0 (default: accept, for execution refuse)",
    )
    number("--queue-frames", "queue_frames", "frames held for a slow consumer, 0: no bound")
    number("--queue-bytes", "queue_bytes", "bytes held for a slow consumer")
    number("--total-queue-bytes", "total_queue_bytes", "bytes held for all of them together, shared ones once")
    number("--stall-timeout", "stall_s", "seconds backpressure may last before it disconnects")
    number("--partial-frame-timeout", "partial_frame_timeout_s", "seconds of an incomplete frame, 0: no end")
    number("--drain-timeout", "drain_timeout_s", "seconds SIGTERM gives slow consumers")
    for flag, who in (("--allow-uids", "users"), ("--allow-gids", "groups")):
        parser.add_argument(flag, default="", metavar="N,...", help=f"{who} that may connect (default: any)")
    parser.add_argument("--metrics", default="", metavar="PATH", help="socket that shows the counters (default: none)")
    parser.add_argument("--audit", default="", metavar="DIR", help="directory of an audit log (default: none)")
    parser.add_argument("--takeover", action="store_true", help="take over from the relay that serves at the address")
    number("--probability", "probability", "how often a random mutant acts, 0 to 1")
    number("--seed", "seed", "of the random mutants")


class _PrintVersion(argparse.Action):
    """--version, looking the version up only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"torq-specimen: torq {version('torq')}")
        parser.exit(0)


def _tcp_address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT with a port of 0 to 65535")
    return host.strip("[]") or "127.0.0.1", int(port)


def _at_least_0(kind: type[int] | type[float]) -> Callable[[str], float]:
    def number(text: str) -> float:
        value = kind(text)
        if value < 0:
            raise argparse.ArgumentTypeError(f"{text} is below 0")
        return value

    number.__name__ = "number"
    return number


def _domain(options: argparse.Namespace) -> str:
    if options.domain:
        return str(options.domain)
    name = os.path.basename(options.socket or "")
    return next((domain for domain in DOMAINS if domain in name), "signal")


def _run(options: argparse.Namespace) -> None:
    from torq_conformance.specimens.listening import raise_descriptor_limit

    limit = raise_descriptor_limit()
    try:
        sys.exit(_run_correct(options, limit) if options.specimen == "correct" else _run_historical(options))
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        _fail(f"cannot listen on {options.socket or options.tcp}: {error.strerror or error}")


def _run_historical(options: argparse.Namespace) -> int:
    from torq_conformance.specimens.listening import listen

    module = importlib.import_module("torq_conformance.specimens." + options.specimen.replace("-", "_"))
    listener, address = listen(options.socket, options.tcp)
    _say(f"listening on {address}")
    serve: Callable[..., None] = module.serve
    serve(listener, DOMAINS[_domain(options)], _say if options.verbose else _say_nothing)
    return 0


def _run_correct(options: argparse.Namespace, descriptors: int) -> int:
    from torq_conformance.specimens.correct.doorway import StartRefusedError
    from torq_conformance.specimens.correct.relay import Relay

    relay_class = _mutated_relay(options.mutant) if options.mutant else Relay
    try:
        relay = relay_class(_settings(options, descriptors), relay_class.doorway_part(options.socket, options.tcp))
    except StartRefusedError as refusal:
        _fail(str(refusal))
    _say(f"listening on {options.socket or '{}:{}'.format(*relay.listener.getsockname()[:2])}")
    return relay.serve()


def _mutated_relay(names: Sequence[str]) -> "type[Relay]":
    from torq_conformance.specimens import mutants
    from torq_conformance.specimens.mutants.table import relay_with

    try:
        rows = {name: mutants.find(name) for name in names}
        if unknown := [name for name, row in rows.items() if row is None]:
            _fail(f"there is no mutant {unknown[0]!r}: --list-mutants names them all", code=2)
        return relay_with(*(row.part for row in rows.values() if row is not None))
    except ValueError as error:
        _fail(f"--mutant {' --mutant '.join(names)}: {error}", code=2)


def _settings(options: argparse.Namespace, descriptors: int) -> Settings:
    options.domain = _domain(options)
    options.max_connections = min(options.max_connections, max(1, descriptors - RESERVED_DESCRIPTORS))
    return Settings(**{field: getattr(options, field) for field in Settings._fields})


def _print_list() -> None:
    for name, text in {**HISTORICAL, "correct": CORRECT}.items():
        print(f"{name:<18}  {text}")


def _print_mutants(as_json: bool) -> None:
    from torq_conformance.specimens import mutants
    from torq_conformance.specimens.mutants.table import ALL_DOMAINS, TABLE

    mutants.load()
    if as_json:
        import json

        fields = ("name", "catches", "domains", "arguments", "text", "needs_root", "family")
        print(json.dumps([{field: getattr(row, field) for field in fields} for row in TABLE.values()], indent=2))
        return
    for row in TABLE.values():
        only = "" if row.domains == ALL_DOMAINS else f" [{', '.join(row.domains)}]"
        needs = f" ({' '.join(row.arguments)})" if row.arguments else ""
        needs += " (only root can tell)" if row.needs_root else ""
        print(f"{row.name:<29}  {' '.join(row.catches):<20}  {row.text}{only}{needs}")


def _say(line: str) -> None:
    print(line, flush=True)


def _say_nothing(line: str) -> None:
    pass


def _fail(message: str, code: int = 1) -> NoReturn:
    print(f"torq-specimen: {message}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
