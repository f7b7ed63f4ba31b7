"""The measurements of the relays run as commands, on loads small enough for a test."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from torq_bench.cases import CASES, LIMIT, METRICS, OURS, Case, Measured, Setup, Subject, Target, subjects
from torq_bench.client_loops import client_loops
from torq_bench.compiler import COMPILERS, compiled
from torq_bench.fanout import fanout
from torq_bench.relay import QUICK, relay
from torq_bench.relay_report import relay_report
from torq_bench.relays import RelayError, spawned_relay
from torq_bench.results import Figure, read_results
from torq_bench.traffic import make_frame
from torq_protocol.constants import RelayDomain
from torq_protocol.policy import FramePolicy, ValidationLevel
from torq_protocol.scanner import FrameScanner

KEPT_FRAMES = 9000
"""Less than any queue's bound: a relay loses none of them, however busy the machine is."""
needs_compiler = pytest.mark.skipif(not any(map(shutil.which, COMPILERS)), reason="no C compiler on this machine")


def run(command: click.Command, *arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    return result.exit_code, result.output


@pytest.mark.parametrize("domain", ["market_data", "signal", "execution"])
def test_fanout_loses_nothing_and_says_so(domain: str) -> None:
    code, output = run(fanout, "--frames", KEPT_FRAMES, "--receivers", 3, "--domain", domain)
    assert (code, "nothing" in output, "kernel" in output) == (0, True, True)


def test_fanout_without_a_relay_exits_2() -> None:
    code, output = run(fanout, "--target", "/nonexistent/socket")
    assert code == 2
    assert "is a relay running there?" in output
    assert run(fanout, "--size", 33)[0] == 2


@pytest.mark.parametrize(
    ("case", "name"),
    [pytest.param(case, LIMIT, marks=needs_compiler) for case in CASES if LIMIT in CASES[case].subjects]
    + [("1x64", name) for name in CASES["1x64"].subjects if name != LIMIT]
    + [("latency-10", OURS), ("idle", OURS), ("memory-1000", OURS)],
)
def test_every_case_is_measured_and_loses_nothing(case: str, name: str) -> None:
    setup = Setup(client_loops(), KEPT_FRAMES / 5_000_000 if case == "1x64" else QUICK)
    seen = CASES[case].measure(subjects()[0][name], setup)
    assert (seen.lost, seen.fault) == (0, "")
    assert seen.values.keys() <= METRICS.keys()
    assert all(value >= 0 for value in seen.values.values())
    assert {metric for target, metric in CASES[case].targets if target == name} <= seen.values.keys()


def test_subjects_and_targets_of_the_cases_exist() -> None:
    known = subjects()[0].keys() | {LIMIT, "market_data, busy_poll"}
    for case in CASES.values():
        assert set(case.subjects) <= known
        assert {name for name, _ in case.targets} <= set(case.subjects)
        assert {metric for _, metric in case.targets} <= METRICS.keys()


def test_a_relay_that_does_not_start_is_an_error() -> None:
    with pytest.raises(RelayError, match="exit code 3"), spawned_relay(["sh", "-c", "exit 3"]):
        raise AssertionError


@pytest.mark.parametrize("size", [32, 34, 74, 289, 290, 294, 295, 65_572, 131_200, 1_048_576])
@pytest.mark.parametrize("domain", [RelayDomain.MARKET_DATA, RelayDomain.SIGNAL, RelayDomain.EXECUTION])
def test_frames_of_every_size_are_valid_at_the_highest_level(domain: RelayDomain, size: int) -> None:
    frame = make_frame(domain, size, sequence=9)
    scan = FrameScanner(FramePolicy.for_domain(domain, ValidationLevel.SECURITY)).scan(frame)
    assert (len(frame), scan.runs) == (size, [(0, size, 1)])


@dataclass
class Played:
    """A case that measures nothing: it takes the values that each subject is said to have, round by round."""

    values: dict[str, list[float]]
    lost: dict[str, int] = field(default_factory=dict)
    order: list[str] = field(default_factory=list)

    def measure(self, subject: Subject, _: Setup) -> Measured:
        self.order.append(subject.name)
        if subject.name not in self.values:
            raise RelayError(f"{subject.name} cannot be run")
        lost = self.lost.get(subject.name, 0)
        values = {"delivered": self.values[subject.name].pop(0)}
        return Measured(values, lost, f"{lost} frames lost" if lost else "")

    def run(self, monkeypatch: pytest.MonkeyPatch, folder: Path, target: Target, *flags: str) -> tuple[int, Figure]:
        """Exit code of the command, and the figure of our market data relay."""
        played = Case("played", self.measure, (LIMIT, OURS, "execution"), {(OURS, "delivered"): target})
        monkeypatch.setitem(CASES, "1x1", played)
        found = {name: Subject(name, ("{socket}",)) for name in played.subjects}
        monkeypatch.setattr("torq_bench.relay.subjects", lambda: (found, []))
        results = folder / "r.json"
        code, _ = run(relay, "--rounds", 3, "--cases", "1x1", "--results", results, *flags)
        figures = [figure for run in read_results(results).runs if run.subject == OURS for figure in run.figures]
        return code, figures[0]


def test_a_ratio_is_the_median_of_ratios_within_a_round(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    played = Played({LIMIT: [1.0, 10.0, 100.0], OURS: [2.0, 10.0, 50.0], "execution": [1.0] * 3})
    code, figure = played.run(monkeypatch, tmp_path, Target(0.9, 1.1), "--check")
    assert (code, figure.median, figure.samples) == (0, 10.0, [2.0, 10.0, 50.0])
    assert (figure.beside, figure.ratio, figure.met) == (LIMIT, 1.0, "must")
    assert played.order == [LIMIT, OURS, "execution", OURS, "execution", LIMIT, "execution", LIMIT, OURS]


@pytest.mark.parametrize(
    ("target", "lost", "met", "code"),
    [
        (Target(0.5, 1.0), 0, "aim", 0),
        (Target(0.5, 1.01), 0, "must", 0),
        (Target(1.01, 1.1), 0, "no", 1),
        (Target(2.0, 2.1, absolute=True), 0, "must", 0),
        (Target(2.1, 3.0, absolute=True), 0, "no", 1),
        (Target(0.1, 0.1), 1, "no", 1),
    ],
)
def test_a_target_is_reached_or_not_and_by_a_relay_that_loses_never(
    target: Target, lost: int, met: str, code: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    played = Played({LIMIT: [2.0] * 3, OURS: [2.0] * 3, "execution": [1.0] * 3}, {OURS: lost})
    found = played.run(monkeypatch, tmp_path, target, "--check")
    assert (found[0], found[1].met) == (code, met)


def test_loss_exits_1_and_a_subject_that_cannot_be_run_2(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    values = {LIMIT: [2.0] * 6, OURS: [1.0] * 6, "execution": [1.0] * 3}
    assert Played(values, {"execution": 7}).run(monkeypatch, tmp_path, Target(1.0, 1.0))[0] == 1
    del values["execution"]
    assert Played(values).run(monkeypatch, tmp_path, Target(1.0, 1.0))[0] == 2
    assert read_results(tmp_path / "r.json").runs[-1].error == "execution cannot be run"


@needs_compiler
def test_figures_become_a_page_with_c_and_the_loss_beside(tmp_path: Path) -> None:
    results, page = tmp_path / "r.json", tmp_path / "p.md"
    specimen = f"{sys.executable} -c 'from torq_conformance.specimens.cli import main; main()' correct"
    wrong = f"wrong={specimen} --socket {{socket}} --domain market_data --mutant drop-every-10th"
    chosen = [word for case in ("1x1", "idle", "stages") for word in ("--cases", case)]
    code, output = run(relay, "--quick", "--rounds", 1, *chosen, "--subject", wrong, "--results", results)
    assert code == 1, output
    written = read_results(results)
    assert set(written.added) == {"wrong"}
    by_name = {(run.case, run.subject): run for run in written.runs}
    title = CASES["1x1"].title
    assert by_name[title, LIMIT].lost == 0
    assert by_name[title, "wrong"].lost == 2 * 40_000 // 10
    assert by_name[title, "wrong"].figures[0].beside == LIMIT
    assert run(relay_report, "--results", results, "--page", page)[0] == 0
    text = page.read_text()
    assert f"## {title}\n\n| relay | delivered, M frames/s | processor, ns a frame in" in text
    assert "| **8,000** |" in text
    assert "of plain C" in text
    assert "A quick run" in text
    assert "scan: framing and validation" in text


def test_without_a_compiler_plain_c_and_its_ratios_are_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    compiled.cache_clear()
    monkeypatch.setenv("CC", "/nonexistent/cc")
    results, page = tmp_path / "r.json", tmp_path / "p.md"
    code, output = run(relay, "--quick", "--rounds", 1, "--cases", "latency-1", "--results", results)
    assert code == 0, output
    assert "plain C is left out: /nonexistent/cc: cannot be run" in output
    written = read_results(results)
    assert LIMIT not in {run.subject for run in written.runs}
    assert all(figure.ratio is None for run in written.runs for figure in run.figures)
    assert (written.machine.compiler, written.machine.client) == ("no C compiler", "Python")
    assert run(relay_report, "--results", results, "--page", page)[0] == 0
    assert "Note: plain C is left out" in page.read_text()
    assert "| unknown |" in page.read_text()


@pytest.mark.parametrize("value", ["relay", "mine=relay /tmp/socket", "={socket}"])
def test_a_subject_that_names_no_socket_is_a_usage_error(value: str) -> None:
    code, output = run(relay, "--subject", value)
    assert (code, "write NAME=COMMAND, with {socket} where the command takes its path" in output) == (2, True)


def test_a_subject_of_a_name_that_is_taken_is_a_usage_error() -> None:
    code, output = run(relay, "--subject", f"{OURS}=relay {{socket}}")
    assert (code, "there is a subject of that name" in output) == (2, True)


def test_report_without_figures_exits_2(tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_text('{"machine": 1}')
    for results in (tmp_path / "none.json", other):
        code, output = run(relay_report, "--results", results)
        assert (code, "`python -m torq_bench relay` writes such a file" in " ".join(output.split())) == (2, True)
