"""What programs have used: counted, steered at what is thin, and named where it stays so."""

from collections import Counter

import pytest
from rich.console import Console

from spec_tests.conformance import shown_runs
from spec_tests.conformance.generation.test_machine import written_for
from torq_conformance.generation.cells import features_of, thin_cells
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.judging.verdict import Result, Verdict
from torq_conformance.model.frames import Frame, Tlv
from torq_conformance.model.program import Program
from torq_conformance.model.requirements import requirements
from torq_conformance.model.steps import Connect, HalfClose, Write
from torq_conformance.reports.html import page
from torq_conformance.reports.junit import junit
from torq_conformance.reports.markdown import markdown
from torq_conformance.reports.terminal import show_last_screen


def test_features_are_counted_for_the_evidence() -> None:
    frames = (Frame(2, (Tlv(30, 300),)), Frame(1), Frame(2, checksum="inverted"))
    program = Program("signal", (Connect(0), Write(0, frames, cuts=(4,)), Connect(1), HalfClose(1)))
    counts = {name: count for name, count in features_of(program).items() if count}
    assert counts == {
        "programs": 1,
        "steps": 4,
        "bytes": sum(frame.size for frame in frames),
        "frames": 3,
        "split writes": 1,
        "coalesced writes": 1,
        "joins mid-stream": 1,
        "half-closes": 1,
        "header-only frames": 2,
        "extended TLVs": 1,
        "foreign domains": 1,
        "wrong checksums": 1,
    }


@pytest.mark.parametrize("requirement", ["CONN-3", "FWD-1", "FWD-2", "FWD-7", "FRAME-2", "FRAME-3", "ORD-2", "VAL-1"])
def test_generation_is_steered_at_what_is_thin(requirement: str) -> None:
    evidence: Counter[str] = Counter()
    for program in written_for(requirement, "signal", 30):
        evidence.update(features_of(program))
    assert thin_cells(SCENARIOS[requirement].cells, evidence) == {}


def test_every_cell_is_one_that_the_evidence_counts() -> None:
    counted = features_of(Program("signal", (Connect(0),)))
    assert {cell for scenario in SCENARIOS.values() for cell in scenario.cells} <= set(counted)


def framed(**evidence: int) -> Result:
    result = Result(requirements()["FRAME-2"], Verdict.PASS, exercised=evidence.pop("exercised", 100))
    result.evidence.update({"programs": 100, "coalesced writes": 100, "small send buffers": 100, **evidence})
    return result


def test_thin_cells_are_named_on_the_last_screen() -> None:
    report = shown_runs.report(shown=[framed(freezes=3)])
    out = Console(record=True, width=200, file=None, quiet=False)
    with out.capture() as captured:
        show_last_screen(out, [], report, lambda _: ("again", ""))
    assert "thin: FRAME-2 (freezes: 3 in 100 programs)" in captured.get()
    assert "next: more --max-examples fills what is thin" in captured.get()


def test_thin_cells_are_named_in_every_report() -> None:
    report = shown_runs.report(shown=[framed(freezes=1, exercised=4)])
    cells = ["programs that exercise it: 4 in 100 programs", "freezes: 1 in 100 programs"]
    assert [cell.words for cell in report.by_id()["FRAME-2"].thin] == cells
    for cell in cells:
        assert f'<p class="thin">thin: {cell}</p>' in page(report)
        assert f'<property name="thin" value="{cell}" />' in junit(report).decode()
    assert (
        f"A THIN PASS rests on little: hardly any program was about these cases.\n\n- FRAME-2: {'; '.join(cells)}"
        in markdown(report)
    )
    assert f"thin: FRAME-2 ({', '.join(cells)})" in junit(report).decode()


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not Verdict.PASS])
def test_only_what_holds_is_called_thin(verdict: Verdict) -> None:
    result = framed(freezes=0)
    result.verdict = verdict
    assert shown_runs.report(shown=[result]).thin == []


def test_what_is_exercised_often_enough_is_not_thin() -> None:
    report = shown_runs.report(shown=[framed(freezes=10)])
    assert report.thin == []
    assert '<p class="thin">' not in page(report)
    assert "rests on little" not in markdown(report)
