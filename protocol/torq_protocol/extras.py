"""Packages that only some users of the library need: extras of the distribution, named where one is missing."""

from __future__ import annotations

import os
import sys
from types import TracebackType

_WRONG_USAGE = 2


class MissingExtraError(ImportError):
    """A package of an extra is not installed; the message says what to install."""


class Extra:
    """Imports in its block need ``pip install 'torq[NAME]'``: where a package is missing, the error says so.

    :raises MissingExtraError: a module in the block cannot be imported
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not isinstance(error, ImportError) or isinstance(error, MissingExtraError):
            return
        package = (error.name or "").partition(".")[0]
        if package and not package.startswith("torq_"):
            raise MissingExtraError(
                f"{package} is not installed: pip install 'torq[{self.name}]'", name=package
            ) from error


class CommandExtra(Extra):
    """The same in the module of a command, which ends with that line and exit code 2."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            super().__exit__(kind, error, trace)
            if isinstance(error, MissingExtraError):
                raise error
        except MissingExtraError as missing:
            print(f"{os.path.basename(sys.argv[0])}: {missing}", file=sys.stderr)
            sys.exit(_WRONG_USAGE)
