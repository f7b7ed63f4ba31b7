"""Mechanical mutants: each is a change, named once; the launcher runs relays right, and a deadly mutant dies."""

import ast
from collections import Counter

import pytest

from spec_tests.mutation.judging import DOMAINS, Effort, fault_of_unchanged, judge
from spec_tests.mutation.operators import mutants
from spec_tests.mutation.page import KINDS, PAGE, load, page, triage
from spec_tests.mutation.run import Interpreted
from spec_tests.mutation.subjects import SUBJECTS, UNCHANGED, mutants_in

BRIEF = Effort("brief", 20, 1, 1)
SAMPLE = """
def f(a, b):
    if not a and b < 3:
        g(a, b)
    for each in a:
        a += 1
        break
    return a + b
"""
CHANGES = {
    "compare": "b <= 3",
    "constant": "b < 4",
    "and_or": "not a or b < 3",
    "not_removed": "if a and b < 3",
    "not_added": "if not (not a and b < 3)",
    "arguments_swapped": "g(b, a)",
    "call_removed": "pass",
    "arithmetic": "return a - b",
    "break_continue": "continue",
    "early_return": "return\n    if",
    "return_none": "return None",
    "statement_removed": "pass\n        break",
}


@pytest.mark.parametrize(("operator", "change"), CHANGES.items())
def test_each_operator_changes_the_source(operator: str, change: str) -> None:
    assert any(change in each.source for each in mutants(SAMPLE, "sample") if each.operator == operator)


def test_names_are_unique_and_the_same_again() -> None:
    counts = Counter(name for subject in SUBJECTS for name in mutants_in(subject))
    assert len(counts) >= 1000
    assert set(counts.values()) == {1}
    first = SUBJECTS[1]
    assert [each.name for each in mutants(first.path.read_text("utf-8"), first.label)] == list(mutants_in(first))


@pytest.mark.parametrize(
    "subject", [each for each in SUBJECTS if each.label in ("specimen.framing", "protocol.framing")]
)
def test_each_mutant_differs_and_compiles(subject: object) -> None:
    [found] = [each for each in SUBJECTS if each is subject]
    unchanged = ast.unparse(ast.parse(found.path.read_text("utf-8")))
    for mutant in mutants_in(found).values():
        assert mutant.source != unchanged, mutant.name
        compile(mutant.source, mutant.name, "exec")


def test_what_is_written_in_c_is_not_loaded() -> None:
    with pytest.raises(ModuleNotFoundError):
        Interpreted(UNCHANGED, "").find_spec("torq_engine._sockets", None)


@pytest.mark.parametrize("relay", DOMAINS)
def test_a_relay_with_nothing_changed_is_not_killed(relay: str) -> None:
    assert fault_of_unchanged(relay, Effort("brief", 5, 1, 1), seed=1) == ""


def test_a_deadly_mutant_is_killed() -> None:
    name = next(
        name
        for subject in SUBJECTS
        for name in mutants_in(subject)
        if name.startswith("protocol.framing:FrameScanner.scan:") and "early_return" in name
    )
    assert judge(name, BRIEF, seed=1).killed_by not in ("", "start", "hang")


def test_the_page_is_what_its_outcomes_say() -> None:
    assert PAGE.read_text("utf-8") == page(load(), triage())
    assert {each.kind for each in triage().values()} <= set(KINDS)
