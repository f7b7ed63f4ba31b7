"""The engine's commands, run inside the test's process: their exit code and all that they say."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from typing import NamedTuple

from torq_domains import command


class Invoked(NamedTuple):
    """What came of a command; ``output`` is its standard output and standard error."""

    exit_code: int
    output: str


def invoke(main: Callable[[list[str]], None], words: Sequence[object]) -> Invoked:
    """Run a command that ends by SystemExit."""
    stderr = os.dup(2)
    with tempfile.TemporaryFile("w+", encoding="utf-8") as screen:
        os.dup2(screen.fileno(), 2)
        try:
            with redirect_stdout(screen):
                main([str(word) for word in words])
        except SystemExit as end:
            code = end.code
        finally:
            screen.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
        screen.seek(0)
        assert isinstance(code, int)
        return Invoked(code, screen.read())


def torq_relay(*words: object) -> Invoked:
    """``torq-relay`` with the relays of the platform."""
    return invoke(command.main, words)
