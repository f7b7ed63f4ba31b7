"""The bench command of clients runs every loop, and holds it against the raw one of its round."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from torq_bench import client as module
from torq_bench.__main__ import main

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of the threads of whoever runs it


def test_every_loop_is_run() -> None:
    shown = CliRunner().invoke(main, ["client", "--count", "200", "--rounds", "1"])
    assert shown.exit_code == 0, shown.output
    lines = [line for line in shown.output.splitlines()[1:] if not line.startswith("MISSED")]
    assert [line[:28].strip() for line in lines] == [*module.LOOPS]


def test_a_slow_loop_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    loops = {"raw": (lambda count: 100.0, "raw", None), "slow": (lambda count: 49.0, "raw", 50.0)}
    monkeypatch.setattr(module, "LOOPS", loops)
    shown = CliRunner().invoke(main, ["client", "--check"])
    assert shown.exit_code == 1
    assert shown.output.splitlines()[-1] == "MISSED  slow"
