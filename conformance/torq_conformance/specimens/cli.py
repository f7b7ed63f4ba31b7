"""The `torq-specimen` command: runs one specimen relay, or lists what there is.

Argparse and late imports, because every program of a run may start a fresh relay: from start to listening must
cost some tens of milliseconds, and click alone costs thirty.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable, Sequence

DOMAINS = {"market_data": 1, "signal": 2, "execution": 3}

HISTORICAL = {
    "legacy-market-data": "LM: broadcasts whatever one read returned, filters nothing, echoes",
    "legacy-sink": "LS: legacy signal and execution; reads everything, forwards nothing",
    "first-generic": "GC: broadcasts a chunk when its first 32 bytes look right for the domain",
    "timing-classifier": "TC: publisher or consumer for ever, by whether it spoke in its first 100 ms",
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of `torq-specimen`. Exits 0 after a listing, 1 when it cannot listen, 2 on wrong usage."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.list:
        _print_list()
        return
    if options.specimen is None:
        parser.error(f"name a specimen: {', '.join(HISTORICAL)}. --list says what each one does")
    try:
        _run_historical(options)
    except KeyboardInterrupt:
        sys.exit(130)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="torq-specimen",
        description="Run one small relay with a known behaviour, for torq-conformance to judge.",
        epilog="Once it listens it prints 'listening on ADDRESS' and serves until it is killed.",
    )
    parser.add_argument("--version", action=_PrintVersion, nargs=0, help="print the version and exit")
    parser.add_argument("--list", action="store_true", help="list the specimens and exit")
    specimens = parser.add_subparsers(dest="specimen", metavar="NAME", title="specimens")
    for name, text in HISTORICAL.items():
        _add_address(specimens.add_parser(name, help=text, description=text))
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
    parser.add_argument("--verbose", action="store_true", help="log to standard output as the original did")


class _PrintVersion(argparse.Action):
    """--version, looking the version up only when asked."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib.metadata import version

        print(f"torq-specimen {version('torq')}")
        parser.exit(0)


def _tcp_address(text: str) -> tuple[str, int]:
    host, separator, port = text.rpartition(":")
    if not separator or not port.isdecimal() or int(port) > 65_535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT with a port of 0 to 65535")
    return host.strip("[]") or "127.0.0.1", int(port)


def _domain(options: argparse.Namespace) -> int:
    if options.domain:
        return DOMAINS[options.domain]
    name = os.path.basename(options.socket or "")
    return next((number for domain, number in DOMAINS.items() if domain in name), DOMAINS["signal"])


def _run_historical(options: argparse.Namespace) -> None:
    from torq_conformance.specimens import listening

    module = importlib.import_module("torq_conformance.specimens." + options.specimen.replace("-", "_"))
    listening.raise_descriptor_limit()
    try:
        listener, address = listening.listen(options.socket, options.tcp)
    except OSError as error:
        _fail(f"cannot listen on {options.socket or options.tcp}: {error.strerror or error}")
    _say(f"listening on {address}")
    serve: Callable[..., None] = module.serve
    serve(listener, _domain(options), _say if options.verbose else _say_nothing)


def _print_list() -> None:
    width = max(map(len, HISTORICAL))
    for name, text in HISTORICAL.items():
        print(f"{name:<{width}}  {text}")


def _say(line: str) -> None:
    print(line, flush=True)


def _say_nothing(line: str) -> None:
    pass


def _fail(message: str) -> None:
    print(f"torq-specimen: {message}", file=sys.stderr)
    sys.exit(1)


if __name__ == "__main__":
    main()
