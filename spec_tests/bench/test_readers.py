"""The bench command of readers reads every input, and fails where time grows faster than it."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from torq_bench import readers as module
from torq_bench.__main__ import main


def test_every_input_is_read_in_three_sizes() -> None:
    shown = CliRunner().invoke(main, ["readers", "--size", "1000", "--rounds", "1"])
    assert shown.exit_code == 0, shown.output
    assert [line[:28].strip() for line in shown.output.splitlines()[1:]] == [*module.INPUTS][: len(module.INPUTS)]


def test_a_quadratic_reader_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([1.0, 2.0, 4.1, 1.0, 4.0, 16.0])
    monkeypatch.setattr(module, "INPUTS", {"right": module.INPUTS["tables"], "wrong": module.INPUTS["tables"]})
    monkeypatch.setattr(module, "_seconds", lambda read, data: next(seconds))
    shown = CliRunner().invoke(main, ["readers", "--check", "--rounds", "1"])
    assert shown.exit_code == 1
    assert "size^2.00" in shown.output
    assert shown.output.splitlines()[-1] == "SLOW  wrong"
