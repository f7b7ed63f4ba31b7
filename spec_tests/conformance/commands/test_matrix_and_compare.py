"""Several reports side by side, and one after the other."""

from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_tests.conformance import shown_runs
from spec_tests.conformance.commands.running import run_command
from spec_tests.conformance.reports.test_formats import Page
from torq_conformance.judging.verdict import Result, Verdict
from torq_conformance.reports.comparison import interval
from torq_conformance.reports.matrix import matrix_html, names
from torq_conformance.reports.model import Report


def write(folder: Path, name: str, report: Report) -> str:
    path = folder / name
    path.write_bytes(msgspec.json.encode(report))
    return str(path)


def passing(identifier: str) -> Result:
    shown = next(result for result in shown_runs.results() if result.requirement.id == identifier)
    return Result(shown.requirement, Verdict.PASS, exercised=20, evidence=shown_runs.thorough(identifier, 20))


def some(*, ord_2: tuple[int, int] | None = None, without: str = "") -> list[Result]:
    """FWD-1 to VAL-6 all passing, but for the rate of ORD-2 and one that is left out."""
    results = [passing(result.requirement.id) for result in shown_runs.results() if result.requirement.id != without]
    for place, result in enumerate(results):
        if ord_2 is not None and result.requirement.id == "ORD-2":
            shown = shown_runs.two_orders()
            shown.failures, shown.runs = ord_2
            results[place] = Result(result.requirement, Verdict.FLAKY, counterexample=shown)
    return results


@pytest.mark.parametrize("suffix", ["html", "md"])
def test_the_matrix_has_a_row_for_each_requirement_and_a_column_for_each_relay(
    suffix: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [
        write(tmp_path, "a.json", shown_runs.report("torq-specimen first-generic --socket {socket}")),
        write(tmp_path, "b.json", shown_runs.report(shown_runs.HOSTILE, some())),
        write(tmp_path, "c.json", shown_runs.report(shown_runs.HOSTILE, some(without="DOM-5"))),
    ]
    out = tmp_path / f"m.{suffix}"
    assert run_command(capsys, "matrix", *files, "-o", str(out)).code == 0
    text = out.read_text("utf-8")
    for result in shown_runs.results():
        assert result.requirement.id in text
    assert "first-generic" in text
    if suffix == "html":
        Page(text)
        assert text.count('<th class="relay">') == 3
    else:
        (row,) = [line for line in text.splitlines() if line.startswith("| DOM-5 ")]
        assert row.split(" | ")[3:] == ["❔", "✅", " |"] or row.endswith("| ❔ | ✅ |  |")


def test_a_matrix_without_output_goes_to_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = run_command(capsys, "matrix", write(tmp_path, "a.json", shown_runs.report()))
    assert (shown.code, shown.out.startswith("# Requirements by relays")) == (0, True)
    assert run_command(capsys, "matrix", str(tmp_path / "a.json"), "-o", str(tmp_path / "m.txt")).code == 2


@pytest.mark.parametrize(
    ("old", "new", "code", "words"),
    [
        (some(), some(), 0, "nothing changed"),
        (some(), some(ord_2=(30, 60)), 1, "newly failing     ORD-2    MUST   PASS -> FLAKY 30 of 60 runs"),
        (some(ord_2=(30, 60)), some(), 0, "newly passing     ORD-2"),
        (some(ord_2=(58, 60)), some(ord_2=(10, 60)), 0, "rate changed      ORD-2"),
        (some(ord_2=(30, 60)), some(ord_2=(33, 60)), 0, "nothing changed"),
        (some(), some(without="DOM-5"), 3, "no longer judged  DOM-5"),
        (some(without="DOM-5"), some(), 0, "newly judged      DOM-5"),
        (some(), some(ord_2=(1, 20), without="DOM-5"), 1, "newly failing"),
        (
            some(),
            [passing("FWD-1")],
            3,
            "no longer judged  4        MUST   PASS -> not in the report: FWD-2, ORD-2, DOM-5, VAL-6",
        ),
    ],
)
def test_compare_names_what_changed_and_fails_on_what_newly_fails(
    old: list[Result],
    new: list[Result],
    code: int,
    words: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    files = [write(tmp_path, f"{place}.json", shown_runs.report(shown=each)) for place, each in enumerate((old, new))]
    shown = run_command(capsys, "compare", *files)
    assert words in shown.out
    assert shown.code == code


@given(runs=st.integers(1, 500), share=st.floats(0, 1))
def test_the_interval_of_a_rate_holds_the_rate(runs: int, share: float) -> None:
    count = round(runs * share)
    low, high = interval(count, runs)
    assert 0 <= low <= count / runs + 1e-12
    assert count / runs - 1e-12 <= high <= 1
    wider = interval(count, runs)[1] - interval(count, runs)[0]
    narrower = interval(count * 4, runs * 4)[1] - interval(count * 4, runs * 4)[0]
    assert narrower < wider


def test_relays_are_told_apart_by_what_differs_between_them() -> None:
    first, second = (
        shown_runs.report("torq-specimen correct --mutant drop-random --socket {socket}") for _ in range(2)
    )
    other = shown_runs.report("my_relay --socket {socket}")
    assert names([first, other]) == ["drop-random", "my_relay"]
    assert names([first, second, other]) == ["drop-random (1)", "drop-random (2)", "my_relay"]
    elsewhere = msgspec.structs.replace(second, domain="execution")
    assert names([first, elsewhere, other]) == ["drop-random signal", "drop-random execution", "my_relay"]


def test_many_relays_stand_side_by_side_as_signs() -> None:
    reports = [shown_runs.report(f"relay_{number} {{socket}}", some()) for number in range(8)]
    page = matrix_html(reports)
    assert 'class="matrix brief"' in page
    assert '<span class="verdict pass" aria-label="PASS">✓</span>' in page
    assert 'class="matrix brief"' not in matrix_html(reports[:3])
