"""A command's standard output and error: what it cannot say on output is one line on error and exit code 1.

Nobody has to hear that line: it is written at once, for what the interpreter still has to write to a closed pipe when
it ends would make its exit code 120.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper


@contextmanager
def told_in_one_line(name: str) -> Iterator[None]:
    """Ends the process with exit code 1 and a line when its output cannot be written: a full disk, a closed pipe."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may hold what the terminal cannot show
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except OSError as error:
        complain(f"{name}: {error.filename or 'standard output'}: {error.strerror or error}")
        with suppress(OSError):  # what is still buffered has nowhere to go when the interpreter ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)


def complain(line: str) -> None:
    """Write a line to standard error, if there is one and anybody takes it."""
    if sys.stderr is None:  # whatever is open under its number is something else
        return
    with suppress(OSError):
        os.write(2, f"{line}\n".encode("utf-8", "backslashreplace"))
