"""What the script of a difference runs: it plays the program on both relays until they differ, or often enough."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from ... import interruption
from ...errors import ConformanceError
from ...exits import Exit
from ...play.naming import target_for
from ..replaying import Case, Replayed, Tally, replays_of

EXIT_CODES = (
    "1 while the difference is there, 0 when it is not, 2 when the script could not tell (no relay, or an error)"
)


def main(case: Case, runs: int, arguments: Sequence[str] | None = None, *, proof: bool = True) -> int:
    """Play a program at most ``runs`` times on the two relays that the arguments name; returns the exit code.

    ``proof`` says that so many runs without the difference show that it is gone.

    1 if it is there, 0 if it is gone, 2 for wrong arguments, where a relay cannot be reached, and where nothing is
    known of it. The script makes 2 of every other exception too.
    """
    given = _parser(case).parse_args(arguments)
    interruption.install()
    tally = Tally(runs if proof else None)
    try:
        for number, each in enumerate(_played(case, given, runs), 1):
            tally.count(each)
            if each.difference is not None and not each.in_copy:
                print(f"DIFFERENT {case.id} (run {number} of {runs}):")
                print(f"  relay A: {each.difference.in_a}\n  relay B: {each.difference.in_b}")
                return Exit.FAIL
    except ConformanceError as error:
        print(f"cannot judge: {error}", file=sys.stderr)
        return Exit.USAGE
    except KeyboardInterrupt as stop:
        return Exit.TERMINATED if isinstance(stop, interruption.Terminated) else Exit.INTERRUPTED
    standing = tally.standing
    print(f"{standing.word} {case.id}: {tally.words}")
    return Exit.PASS if standing.exit_code is Exit.PASS else Exit.USAGE


def _played(case: Case, given: argparse.Namespace, runs: int) -> Iterator[Replayed]:
    domain = case.program.domain
    a, copy = (target_for(given.target_a, given.exec_a, domain, of="-a") for _ in range(2))
    b = target_for(given.target_b, given.exec_b, domain, of="-b")
    with ExitStack() as stack:
        yield from replays_of(case, a, copy, b, runs, stack)


def _parser(case: Case) -> argparse.ArgumentParser:
    about = f"Plays a program in which relay B differed from relay A ({case.id}), until it does so again."
    parser = argparse.ArgumentParser(description=about, epilog=f"exit code: {EXIT_CODES}")
    for letter in "ab":
        relay = parser.add_mutually_exclusive_group(required=True)
        relay.add_argument(
            f"--exec-{letter}",
            metavar="'CMD {socket}'",
            help=f"a command that starts relay {letter.upper()}, on a fresh socket ({{socket}}) or TCP port ({{port}})",
        )
        relay.add_argument(
            f"--target-{letter}",
            metavar="SOCKET",
            help=f"relay {letter.upper()} runs already: a socket path, or tcp:HOST:PORT",
        )
    return parser
