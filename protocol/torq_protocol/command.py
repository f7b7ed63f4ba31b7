"""The command ``torq``: what is installed, and which commands there are."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from .build_info import build_info
from .output import fully_written

COMMANDS: Final = {
    "market_data_relay, signal_relay, execution_relay": "run one relay",
    "torq-relay": "run all relays, check a configuration, operate a running relay",
    "torq-audit": "check and read audit logs",
    "torq-conformance": "judge any relay, compare two, replay a failure",
    "torq-specimen": "run a relay of old, or one with a known fault",
    "torq-inspect": "look at messages in files, captures and pipes",
}
"""Every other command of the distribution with what it is for."""


def main() -> int:
    """Entry point: ``torq --version`` says what is installed and how it runs, ``torq`` which commands there are."""
    return fully_written("torq", _list)


def _list() -> int:
    width = max(map(len, COMMANDS))
    listed = "\n".join(f"  {name:<{width}}  {purpose}" for name, purpose in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="torq",
        description="Torq: Protocol V2, the reference relays, and the suite that judges relays.",
        epilog=f"commands:\n{listed}\n\nEach of them has --help.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"torq: {build_info()}")
    parser.parse_args()
    parser.print_help(sys.stdout)
    return 0
