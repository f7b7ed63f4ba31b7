"""The measurements of the relays run as commands, on loads small enough for a test."""

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from torq_bench.fanout import fanout
from torq_bench.relay import SUBJECTS, relay
from torq_bench.relay_report import relay_report
from torq_bench.relays import RelayError, spawned_relay
from torq_bench.traffic import Load, fan_out, make_frame
from torq_protocol.constants import RelayDomain
from torq_protocol.framing import FrameScanner
from torq_protocol.policy import FramePolicy, ValidationLevel


def run(command: click.Command, *arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    return result.exit_code, result.output


@pytest.mark.parametrize("domain", ["market_data", "signal", "execution"])
def test_fanout_loses_nothing_and_says_so(domain: str) -> None:
    code, output = run(fanout, "--frames", 20_000, "--receivers", 3, "--domain", domain)
    assert (code, "nothing" in output, "kernel" in output) == (0, True, True)


def test_fanout_without_a_relay_exits_2() -> None:
    code, output = run(fanout, "--target", "/nonexistent/socket")
    assert code == 2
    assert "is a relay running there?" in output
    assert run(fanout, "--size", 33)[0] == 2


@pytest.mark.parametrize("name", list(SUBJECTS))
def test_every_subject_delivers_all_frames(name: str) -> None:
    command, domain = SUBJECTS[name]
    with spawned_relay(command) as (path, process):
        result = fan_out(path, make_frame(domain, 74, 1), Load(10_000, 74, 64, 4), process)
    assert result.lost_bytes == 0
    assert result.processor_seconds > 0


def test_a_relay_that_does_not_start_is_an_error() -> None:
    with pytest.raises(RelayError, match="exit code 3"), spawned_relay(["sh", "-c", "exit 3"]):
        raise AssertionError


@pytest.mark.parametrize("size", [32, 34, 74, 289, 290, 294, 295, 65_572, 131_200, 1_048_576])
@pytest.mark.parametrize("domain", [RelayDomain.MARKET_DATA, RelayDomain.SIGNAL, RelayDomain.EXECUTION])
def test_frames_of_every_size_are_valid_at_the_highest_level(domain: RelayDomain, size: int) -> None:
    frame = make_frame(domain, size, sequence=9)
    scan = FrameScanner(FramePolicy.for_domain(domain, ValidationLevel.SECURITY)).scan(frame)
    assert (len(frame), scan.runs) == (size, [(0, size, 1)])


def test_figures_become_a_page(tmp_path: Path) -> None:
    results, page = tmp_path / "r.json", tmp_path / "p.md"
    options = ("--rounds", 1, "--deliveries", 10_000, "--samples", 100, "--crowd", 20)
    code, output = run(relay, *options, "--results", results)
    assert code == 0, output
    assert set(json.loads(results.read_text())) == {"machine", "throughput", "many", "latency", "crowd", "stages"}
    assert run(relay_report, "--results", results, "--page", page)[0] == 0
    text = page.read_text()
    assert "| 1 | floor |" in text
    assert "scan: framing and validation" in text


def test_report_without_figures_exits_2(tmp_path: Path) -> None:
    assert run(relay_report, "--results", tmp_path / "none.json")[0] == 2
