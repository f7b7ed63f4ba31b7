"""What a replay script runs: it plays the script's program until the fault shows, or often enough to rule it out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import interruption
from ..counting import counted
from ..errors import ConformanceError
from ..exits import Exit
from ..judging.replaying import Case, replays
from ..model.findings import Finding
from ..play.naming import target_for

EXIT_CODES = "1 while the fault is there, 0 when it is not, 2 when the script could not tell (no relay, or an error)"
SHOWN = 10
"""Findings that are printed."""


def main(case: Case, runs: int, arguments: Sequence[str] | None = None, *, proof: bool = True) -> int:
    """Play a program at most ``runs`` times, on the relay that the arguments name; returns the exit code.

    ``proof`` says that so many passes show that the fault is not there.

    1 if the fault is there, 0 if it is not, 2 for wrong arguments and where no relay can be reached. The script makes 2
    of every other exception too.
    """
    given = _parser(case).parse_args(arguments)
    interruption.install()
    try:
        with target_for(given.socket, given.command, case.rules.domain, successor=given.successor) as target:
            for number, (_, findings) in enumerate(replays(case, target, runs), 1):
                if findings:
                    _show(findings, f"FAILS {case.requirement} (run {number} of {runs}):")
                    return Exit.FAIL
    except ConformanceError as error:
        print(f"cannot judge: {error}", file=sys.stderr)
        return Exit.USAGE
    except KeyboardInterrupt as stop:
        return Exit.TERMINATED if isinstance(stop, interruption.Terminated) else Exit.INTERRUPTED
    if not proof:
        print(f"NOT REPRODUCED {case.requirement}: {counted(runs, 'run')}, no fault, and none when it was recorded")
        return Exit.USAGE
    print(f"HOLDS {case.requirement}: {counted(runs, 'run')}, no fault")
    return Exit.PASS


def _parser(case: Case) -> argparse.ArgumentParser:
    about = f"Plays a program that showed {case.requirement} broken, until it does so again."
    parser = argparse.ArgumentParser(description=about, epilog=f"exit code: {EXIT_CODES}")
    relay = parser.add_mutually_exclusive_group(required=True)
    relay.add_argument("socket", nargs="?", metavar="SOCKET", help="a relay that runs: a socket path, or tcp:HOST:PORT")
    relay.add_argument(
        "--exec",
        dest="command",
        metavar="'CMD {socket}'",
        help="a command that starts one, on a fresh socket ({socket}) or a free TCP port ({port})",
    )
    parser.add_argument(
        "--exec-successor",
        dest="successor",
        default="",
        metavar="'CMD {socket}'",
        help="a command that starts a relay which takes over from that, for a program that needs one",
    )
    return parser


def _show(findings: Sequence[Finding], title: str) -> None:
    print(title)
    for finding in findings[:SHOWN]:
        print(f"  {finding}")
    if len(findings) > SHOWN:
        print(f"  and {len(findings) - SHOWN} more")
