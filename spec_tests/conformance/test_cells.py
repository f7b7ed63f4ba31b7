"""What programs have used: counted, steered at what is thin, and named where it stays so."""

from collections import Counter

import pytest
from rich.console import Console

from spec_tests.conformance.test_machine import written_for
from torq_conformance.cells import features_of, thin_cells
from torq_conformance.program import Connect, Frame, HalfClose, Program, Tlv, Write
from torq_conformance.requirements import requirements
from torq_conformance.scenarios import SCENARIOS
from torq_conformance.terminal import Outcome, show_last_screen
from torq_conformance.verdict import Result, Verdict


def test_features_are_counted_for_the_evidence() -> None:
    frames = (Frame(2, (Tlv(30, 300),)), Frame(1), Frame(2, checksum="inverted"))
    program = Program("signal", (Connect(0), Write(0, frames, cuts=(4,)), Connect(1), HalfClose(1)))
    counts = {name: count for name, count in features_of(program).items() if count}
    assert counts == {
        "programs": 1,
        "steps": 4,
        "bytes": sum(frame.size for frame in frames),
        "frames": 3,
        "cut writes": 1,
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


def test_thin_cells_are_named_on_the_last_screen() -> None:
    evidence = Counter({"programs": 100, "coalesced writes": 100, "freezes": 3})
    result = Result(requirements()["FRAME-2"], Verdict.PASS, exercised=100, evidence=evidence)
    out = Console(record=True, width=200, file=None, quiet=False)
    with out.capture() as captured:
        show_last_screen(out, Outcome([result], 1, 0.0, lambda _: []))
    assert "thin: FRAME-2 had 3 freezes in 100 programs" in captured.get()
