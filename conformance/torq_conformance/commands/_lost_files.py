"""What a command does about files that it could not write: it tells them, and its verdict stands."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import click

from .. import files
from ..errors import UsageError
from ..exits import Exit
from ..printable import visible


def verdict_despite(code: Exit, lost: Iterable[str]) -> Exit:
    """The exit code of a command which has lost files, each told in a line: only a PASS yields to that."""
    for each in lost:
        click.echo(f"torq-conformance: {visible(each)}", err=True)
        code = Exit.USAGE if code is Exit.PASS else code
    return code


def verdict_written(code: Exit, path: Path, content: bytes | str) -> Exit:
    """Write the file of a verdict: the exit code."""
    try:
        files.write(path, content)
    except UsageError as error:
        return verdict_despite(code, [str(error)])
    return code
