"""What ends a run before it has a verdict."""

from __future__ import annotations


class ConformanceError(Exception):
    """A run that cannot go on. The message says what, where, and what to do next."""


class UsageError(ConformanceError):
    """A wrong option, file or name: exit code 2."""


class CutShortError(ConformanceError):
    """A program was not played to its end, because the time for it was over."""


class TargetError(ConformanceError):
    """The target cannot be reached or started: exit code 2."""


class OutputError(ConformanceError):
    """What there is to say cannot be written: exit code 2, for what was not read is no verdict."""

    def __init__(self, what: str = "it was closed; write to a file, or let the reader take everything") -> None:
        super().__init__(f"standard output: {what}")
