"""The load run: a thousand clients are served, and a relay that loses, mixes or leaks is found (CONN-4, RES-2)."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from torq_bench.load import load, run_load
from torq_bench.relays import spawned_relay
from torq_protocol.constants import RelayDomain


def test_conn_4_a_thousand_clients_send_to_one_another_and_nothing_is_lost() -> None:
    result = CliRunner().invoke(load, ["--seconds", "0", "--clients", "1000"])
    assert result.exit_code == 0, result.output
    assert "lost        nothing; descriptors and threads as before" in result.output


@pytest.mark.parametrize(
    ("mutant", "fault"),
    [
        ("drop-every-100th", "missing"),
        ("duplicate-every-50th", "was due"),
        ("senders-reordered", "in another order"),
        ("corrupt-every-40th", "came torn or changed"),
        ("descriptor-leak", "descriptors"),
    ],
)
def test_a_relay_that_fails_under_load_is_found(mutant: str, fault: str) -> None:
    specimen = "from torq_conformance.specimens.cli import main; main()"
    domain = ["--domain", "market_data"]
    command = [sys.executable, "-c", specimen, "correct", "--socket", "{socket}", *domain, "--mutant", mutant]
    with spawned_relay(command) as (path, process):
        assert fault in run_load(path, process, RelayDomain.MARKET_DATA, 10, 0.0, patience=1).fault
