"""Expected failures: a list that cannot go stale."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torq_conformance.commands._run_extras import ExtraOptions, RunExtras
from torq_conformance.errors import UsageError
from torq_conformance.judging.expected import Expectations, ExpectedFailure, expected_text, load_expected
from torq_conformance.judging.verdict import Counterexample, Result, Verdict
from torq_conformance.model.findings import Finding, Kind
from torq_conformance.model.history import History
from torq_conformance.model.program import Program
from torq_conformance.model.requirements import requirements

LISTED = ExpectedFailure(id="FRAME-1", kind="lost", reason="known")


def result(verdict: Verdict, name: str = "FRAME-1", kind: str = "lost") -> Result:
    judged = Result(requirements()[name], verdict)
    if verdict in (Verdict.FAIL, Verdict.FLAKY):
        finding = Finding(kind, "frame A0 at B", "it never came")
        judged.counterexample = Counterexample(name, Program("signal", ()), [finding], History(), 5, 5)
    return judged


@pytest.mark.parametrize(
    ("entry", "seen", "verdict", "problem"),
    [
        (LISTED, result(Verdict.FAIL), Verdict.EXPECTED_FAIL, ""),
        (LISTED, result(Verdict.PASS), Verdict.UNEXPECTED_PASS, "passes although"),
        (LISTED, result(Verdict.FAIL, kind="torn"), Verdict.FAIL, "fails otherwise"),
        (LISTED, result(Verdict.FLAKY), Verdict.FLAKY, "known-flaky = true"),
        (LISTED, result(Verdict.UNKNOWN), Verdict.UNKNOWN, "not judged"),
        (LISTED, result(Verdict.UNSUPPORTED), Verdict.UNSUPPORTED, "not judged"),
        (ExpectedFailure("FRAME-1", "", "known", True), result(Verdict.FLAKY), Verdict.EXPECTED_FAIL, ""),
        (ExpectedFailure("FRAME-1", "", "known", True), result(Verdict.PASS), Verdict.PASS, ""),
        (ExpectedFailure("FRAME-2", "", "known"), result(Verdict.FAIL), Verdict.FAIL, ""),
    ],
)
def test_a_listed_requirement_is_judged_by_its_entry(
    entry: ExpectedFailure, seen: Result, verdict: Verdict, problem: str
) -> None:
    expectations = Expectations((entry,))
    assert expectations.judge(seen).verdict is verdict
    assert bool(expectations.problems) == bool(problem)
    assert problem in " ".join(map(str, expectations.problems))


def test_a_listed_requirement_outside_a_whole_run_is_a_problem() -> None:
    expectations = Expectations((LISTED,))
    (problem,) = expectations.missing(["ORD-1"], partial=False)
    assert str(problem) == "FRAME-1 is listed but was not part of the run; take it out of the list"
    assert not expectations.missing(["ORD-1"], partial=True)
    assert not expectations.missing(["FRAME-1"], partial=False)


def test_the_list_is_rewritten_from_a_run_and_keeps_its_reasons(tmp_path: Path) -> None:
    path = tmp_path / "expected.toml"
    results = [result(Verdict.FAIL), result(Verdict.FLAKY, "ORD-1"), result(Verdict.PASS, "DOM-1")]
    path.write_text(expected_text(results, (LISTED, ExpectedFailure("DOM-1", "", "was so")), partial=False))
    entries = {entry.id: entry for entry in load_expected(path)}
    assert set(entries) == {"FRAME-1", "ORD-1"}
    assert entries["FRAME-1"] == LISTED
    assert entries["ORD-1"].known_flaky
    assert entries["ORD-1"].kind == "lost"
    expectations = Expectations(entries.values())
    assert [expectations.judge(each).verdict for each in results[:2]] == [Verdict.EXPECTED_FAIL] * 2
    assert not expectations.problems


@settings(max_examples=200, deadline=None)
@given(
    reason=st.text().filter(str.strip),
    said=st.text(st.characters(exclude_categories=())),
    kind=st.sampled_from(["", *Kind]),
    known=st.booleans(),
)
def test_whatever_a_list_holds_is_read_back(reason: str, said: str, kind: str, known: bool) -> None:
    failed = result(Verdict.FAIL)
    assert failed.counterexample is not None
    failed.counterexample.findings = [Finding(kind or Kind.LOST, said, "it never came")]
    old = [ExpectedFailure("FRAME-1", kind, reason)] if known else []
    with TemporaryDirectory() as folder:
        path = Path(folder) / "expected.toml"
        path.write_text(expected_text([failed], old, partial=False), "utf-8")
        (entry,) = load_expected(path)
    assert [entry] == old if known else (entry.id, entry.kind) == ("FRAME-1", kind or "lost")
    assert Expectations((entry,)).judge(failed).verdict is Verdict.EXPECTED_FAIL


@pytest.mark.parametrize(
    ("message", "kind"), [("lost:", "lost"), ("held back: expected frame A0", "held back"), ("lost", "lost"), ("", "")]
)
def test_a_list_of_version_0_2_is_read(tmp_path: Path, message: str, kind: str) -> None:
    path = tmp_path / "expected.toml"
    path.write_text(f"[[expected]]\nid = 'FRAME-1'\nmessage = '{message}'\nreason = 'x'")
    assert load_expected(path) == (ExpectedFailure("FRAME-1", kind, "x"),)


@pytest.mark.parametrize(
    ("selected", "shard", "fail_fast"), [(True, None, False), (False, "1/2", False), (False, None, True)]
)
def test_a_partial_run_does_not_rewrite_the_list(
    tmp_path: Path, selected: bool, shard: str | None, fail_fast: bool
) -> None:
    options = ExtraOptions(
        tmp_path / "x.toml", update_expected=True, workers=1, shard=shard, database=None, fail_fast=fail_fast
    )
    with pytest.raises(UsageError, match="needs a whole run"):
        RunExtras(options, running=False, selected=selected)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[expected]]\nid = 'FRAME-99'\nreason = 'x'", "no requirement is called"),
        ("[[expected]]\nid = 'FRAME-1'\nreason = ''", "has no reason"),
        ("[[expected]]\nid = 'FRAME-1'\nreason = 'x'\n[[expected]]\nid = 'FRAME-1'\nreason = 'x'", "listed twice"),
        ("[[expected]]\nid = 'FRAME-1'\nreason = 'x'\nflaky = true", "flaky"),
        ("nonsense", "no file of expected failures"),
        (
            "[[expected]]\nid = 'FRAME-1'\nkind = 'lots'\nreason = 'x'",
            "'lots'; use one of lost, held back,",
        ),
        ("[[expected]]\nid = 'FRAME-1'\nmessage = 'it fails'\nreason = 'x'", "names no kind of failure: 'it fails'"),
    ],
)
def test_a_wrong_list_is_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "expected.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        load_expected(path)
