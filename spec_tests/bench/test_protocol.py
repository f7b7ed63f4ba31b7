"""The protocol's bench command does every row in every way, and says what it did."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import torq_protocol
from torq_bench.__main__ import main
from torq_bench.protocol_work import protocol_work
from torq_bench.rounds import Run, interleaved_medians
from torq_protocol.build_info import build_info, interpreted_package


def bench(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["protocol", "--rounds", "1", "--sample-ms", "1", *arguments])


def test_every_way_of_every_row_counts_its_operations() -> None:
    for work in protocol_work(torq_protocol, interpreted_package()):
        for way, run in work.ways.items():
            assert run(2) == 2 * run(1) > 0, (work.name, way)


def test_medians_are_of_interleaved_rounds() -> None:
    order: list[str] = []

    def run_of(name: str) -> Run:
        def run(times: int) -> int:
            order.append(name)
            return times

        return run

    rounds_done: list[None] = []
    runs = {"a": run_of("a"), "b": run_of("b")}
    figures = interleaved_medians(runs, 3, 1e-9, lambda: rounds_done.append(None))
    assert order[-6:] == ["a", "b"] * 3
    assert [len(figure.samples) for figure in figures.values()] == [3, 3]
    assert len(rounds_done) == 3


def test_the_table_says_what_is_running_and_the_files_hold_the_figures(tmp_path: Path) -> None:
    result = bench("--only", "kernel", "--json", str(tmp_path / "f.json"), "--page", str(tmp_path / "p.md"))
    assert result.exit_code == 0, result.output
    assert f"installed    {build_info()}" in result.output
    assert "(interpreted)" in result.output
    assert result.output.count("kernel, security") == 2
    written = json.loads((tmp_path / "f.json").read_text())
    assert {row["way"] for row in written["figures"]} == {"interpreted", "installed"}
    assert all(row["operations_per_second"] > 0 for row in written["figures"])
    assert "| kernel, reliability |" in (tmp_path / "p.md").read_text()


def test_a_row_that_is_not_there_is_a_usage_error() -> None:
    result = bench("--only", "unheard of")
    assert result.exit_code == 2
    assert "no row's name contains 'unheard of'" in result.output


def test_a_missed_goal_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torq_bench.protocol_work._GOALS", {"capture to table": {"batch": 1e9}})
    result = bench("--only", "capture", "--check")
    assert result.exit_code == 1
    assert "MISSED  capture to table, batch:" in result.output
    assert bench("--only", "decoder", "--check").exit_code == 0
