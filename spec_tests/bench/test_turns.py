"""The measurement of live turns tells each phase, of turns that took place."""

from __future__ import annotations

import re

from click.testing import CliRunner

from torq_bench.turns import TURNS, turns
from torq_engine.server import Server


def test_iso_1_every_phase_has_turns_and_frames_of_the_pair() -> None:
    result = CliRunner().invoke(turns, ["--receivers", "40", "--crowd", "10", "--seconds", "0.2"])
    assert result.exit_code == 0, result.output
    rows = re.findall(r"^(\S.*?) {2,}([\d,]+) +([\d.]+) +([\d.]+) {2}([a-z ]+?) +([\d,]+) ", result.output, re.M)
    assert [row[0] for row in rows] == [
        "a pair alone",
        "40 clients join",
        "each takes something, and stalls",
        "a flood, queues shed",
        "10 stalled clients leave",
        "10 clients join",
        "a flood, and all others leave",
    ]
    assert all(int(row[1].replace(",", "")) > 0 for row in rows)
    assert {f"_{row[4].replace(' ', '_')}" for row in rows} <= set(TURNS)


def test_the_turns_that_are_timed_are_callbacks_of_the_server() -> None:
    assert all(callable(getattr(Server, name)) for name in TURNS)
