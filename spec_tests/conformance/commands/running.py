"""Runs the command in this process, as its entry point would, and says what came of it."""

import signal
import sys
from dataclasses import dataclass

import pytest

from torq_conformance.cli import main


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


def run_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> Outcome:
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    words, hook = sys.argv, sys.unraisablehook
    sys.argv = ["torq-conformance", *arguments]
    try:
        with pytest.raises(SystemExit) as stop:
            main()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        sys.argv, sys.unraisablehook = words, hook
    shown = capsys.readouterr()
    assert "Traceback" not in shown.out + shown.err
    code = stop.value.code
    return Outcome(int(code) if code is not None else 0, shown.out, shown.err)
