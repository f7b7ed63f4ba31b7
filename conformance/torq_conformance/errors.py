"""What ends a run before it has a verdict."""

from __future__ import annotations

from collections.abc import Sequence


class ConformanceError(Exception):
    """A run that cannot go on. The message says what, where, and what to do next."""

    @property
    def what(self) -> str:
        """The message without what a relay printed."""
        return super().__str__()


class UsageError(ConformanceError):
    """A wrong option, file or name: exit code 2."""


class CutShortError(ConformanceError):
    """A program was not played to its end, because the time for it was over."""


class TargetError(ConformanceError):
    """The target cannot be reached or started: exit code 2. ``output`` is what it printed last, line by line."""

    def __init__(self, what: str, output: Sequence[str] = ()) -> None:
        super().__init__(what)
        self.output = tuple(output)

    def __str__(self) -> str:
        return "\n  ".join((f"{self.what}\nits last output:", *self.output)) if self.output else self.what


class NotServingError(TargetError):
    """A relay that the suite has started, but that ended, or did not listen in time."""


class ImpededError(ConformanceError):
    """The suite itself lacks something (descriptors, memory, room): no verdict on the relay, exit code 3."""


class OutputError(ConformanceError):
    """What there is to say cannot be written: exit code 2, for what was not read is no verdict."""

    def __init__(self, what: str = "it was closed; write to a file, or let the reader take everything") -> None:
        super().__init__(f"standard output: {what}")
