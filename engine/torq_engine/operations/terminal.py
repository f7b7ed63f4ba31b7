"""A command's standard output and error: an error is one line on standard error and an exit code, 1 most often.

The line may have no reader. The command writes it at once: what the interpreter still has to write to a closed pipe
when it ends would make its exit code 120.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper

from ..errors import RelayError
from ..printable import printable


@contextmanager
def told_in_one_line(name: str, code: int = 1) -> Iterator[None]:
    """Ends the process with a line and an exit code at a :class:`RelayError`, a full disk or a closed pipe."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path may hold what the terminal cannot show
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except RelayError as error:
        complain(f"{name}: {error}")
        sys.exit(code)
    except KeyboardInterrupt:
        complain(f"{name}: interrupted")
        sys.exit(code)
    except OSError as error:
        complain(f"{name}: {error.filename or 'standard output'}: {error.strerror or error}")
        with suppress(OSError):  # what is still buffered has nowhere to go when the interpreter ends
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(code)


def complain(line: str) -> None:
    """Write a line to standard error, where that is open and takes it."""
    if sys.stderr is None:  # another file is open under its number
        return
    with suppress(OSError):
        os.write(2, f"{printable(line)}\n".encode("utf-8", "backslashreplace"))
