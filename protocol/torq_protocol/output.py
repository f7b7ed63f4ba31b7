"""Standard output of commands: all of it is written, or the exit code says that it was not.

Facts:
- Python writes what is left in its buffer after a command has ended, when no exit code can tell of a full disk;
- a pipe that some other process has made non-blocking takes a part and refuses the rest, which Python's own streams
  lose; the mode belongs to all who share the pipe, so it is waited for and not changed;
- a process may be started without standard output or error: Python has None there then, and prints to nowhere.
"""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Callable
from typing import Final, TextIO

NOT_WRITTEN: Final = 2
"""The exit code of a command whose output nobody took, or not all of it."""


def fully_written(command: str, run: Callable[[], int]) -> int:
    """Run a command; its exit code, or 2 with one line of why its output could not be written.

    A reader that leaves (``| head``) gets 2 without a line.
    """
    if sys.stdout is None:
        _say(command, "standard output is closed; give it a place that takes the output")
        return NOT_WRITTEN
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _patient(sys.stdout), _patient(sys.stderr)
    try:
        try:
            return run()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        _write_no_more()  # nobody reads on; nothing is left to say
    except OSError as error:
        _write_no_more()
        _say(command, f"cannot write: {error.strerror}; give standard output a place that takes it")
    finally:
        sys.stdout, sys.stderr = before
    return NOT_WRITTEN


class PatientFile(io.RawIOBase):
    """A descriptor that takes all that is written to it, waited for where it would not block."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def write(self, data: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override]  # of all buffers, these come
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                poll = select.poll()
                poll.register(self._descriptor, select.POLLOUT)
                poll.poll()
        return len(data)


def _patient(stream: TextIO | None) -> TextIO:
    """The stream with a file that waits below it; one that is no file stays as it is."""
    if stream is None:
        return open(os.devnull, "w")
    if not isinstance(stream, io.TextIOWrapper) or stream not in (sys.__stdout__, sys.__stderr__):
        return stream
    stream.flush()
    patient = io.BufferedWriter(PatientFile(stream.fileno()))  # type: ignore[type-var]  # typeshed wants more than is used
    return io.TextIOWrapper(
        patient,
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def _write_no_more() -> None:
    """Let what is still in a buffer go nowhere when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _say(command: str, text: str) -> None:
    if sys.stderr is not None:
        print(f"{command}: {text}", file=sys.stderr)
