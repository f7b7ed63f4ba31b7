"""Every wording gets the facts that it names, wherever an oracle uses it, and none is left unused."""

import ast
from pathlib import Path
from string import Formatter

import pytest

import torq_conformance
from torq_conformance.model.findings import Wording
from torq_conformance.oracles import wordings

WORDINGS = {name: each for name, each in vars(wordings).items() if isinstance(each, Wording)}
MADE = {"expected", "seen", "receivers", "more"}
"""Names in a template that no oracle gives: what a finding knows by itself, or whoever tells of several."""
SPREAD = {"_bound": {"bound"}}
"""What a call spreads into the facts."""
ABOUT = {"frame", "receiver"}
"""Facts that say what a finding is about, told or not."""


def uses() -> list[tuple[str, set[str]]]:
    """The name of each wording that the suite's source calls, with the names of the facts that it gets there."""
    found = []
    for path in Path(torq_conformance.__file__).parent.rglob("*.py"):
        text = path.read_text("utf-8")
        if "wordings" not in text:
            continue
        chosen: dict[str, set[str]] = {}
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.IfExp):
                chosen[ast.unparse(node.targets[0])] = names_in(node.value)
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call):
                called = names_in(node.func) | chosen.get(ast.unparse(node.func), set())
                facts = {each.arg for each in node.keywords if each.arg}
                for each in node.keywords:
                    if each.arg is None and isinstance(each.value, ast.Call):
                        facts |= SPREAD[ast.unparse(each.value.func)]
                found += [(name, facts) for name in called]
    return found


def names_in(node: ast.AST) -> set[str]:
    if isinstance(node, ast.IfExp):
        return names_in(node.body) | names_in(node.orelse)
    name = node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")
    return {name} & WORDINGS.keys()


def wanted(wording: Wording) -> set[str]:
    templates = (wording.expected, wording.seen, wording.sentence)
    return {name for each in templates for _, name, _, _ in Formatter().parse(each) if name} - MADE


@pytest.mark.parametrize("name", WORDINGS)
def test_a_wording_gets_the_facts_that_it_names(name: str) -> None:
    given = [facts for used, facts in uses() if used == name]
    assert given
    for facts in given:
        assert facts - ABOUT == wanted(WORDINGS[name]) - ABOUT
        assert wanted(WORDINGS[name]) <= facts
