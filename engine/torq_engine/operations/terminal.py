"""A command's standard output: what it cannot say there is one line on standard error and exit code 1."""

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
        with suppress(OSError):
            print(f"{name}: {error.filename or 'standard output'}: {error.strerror or error}", file=sys.stderr)
        with suppress(OSError):  # what is still buffered has nowhere to go when the interpreter ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)
