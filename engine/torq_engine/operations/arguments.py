"""What the engine's commands have in common on their command lines.

Facts:
- argparse reads them, because a relay starts in 70 ms: click would add 40 to that, argparse adds 2;
- a usage error is one line, says what shows more, and has exit code 2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from torq_protocol.build_info import build_info

from .terminal import complain


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line; it takes no abbreviated flags."""

    def __init__(self, **options: object) -> None:
        super().__init__(allow_abbrev=False, **options)  # type: ignore[arg-type]  # argparse's own options, passed on

    def error(self, message: str) -> NoReturn:
        """End the process with exit code 2."""
        complain(f"{self.prog}: {message}; see {self.prog} --help")
        sys.exit(2)


class PrintVersion(argparse.Action):
    """Prints what is installed. It looks that up only when asked, as it takes longer than parsing."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        print(f"{parser.prog}: {build_info()}")
        parser.exit()


def add_version(parser: argparse.ArgumentParser) -> None:
    """Add ``--version``."""
    parser.add_argument(
        "--version", action=PrintVersion, nargs=0, help="show what is installed and how it runs, and exit"
    )


def number(least: float, most: float = float("inf"), kind: type[int] | type[float] = float) -> Callable[[str], float]:
    """The type of an argument that is a number within a range, both ends included."""

    def convert(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(least) - 1
        if not least <= value <= most:  # NaN is not
            wanted = f"{least:g} to {most:g}" if most < float("inf") else f"{least:g} or more"
            raise argparse.ArgumentTypeError(f"{text!r} is not allowed; use {wanted}")
        return value

    return convert
