"""The page of compared pairs says what was seen, and a campaign goes on where it stopped."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from spec_tests import equivalence
from spec_tests.equivalence import (
    CHOICES,
    CHOICES_OF_B,
    HISTORICAL,
    LIST_S,
    LONG_S,
    MUTANTS,
    OUTCOMES,
    PARTS,
    RIGHT,
    RIGHT_S,
    ROOT,
    SHORT_S,
    Effort,
    Outcome,
    Outcomes,
    Pair,
    Report,
    Task,
    choice_pairs,
    compare,
    compare_all,
    compared_mutants,
    encoded,
    historical_pairs,
    keep,
    load,
    merged,
    mutant_pairs,
    outcome_of,
    second_tasks,
    tasks,
)
from spec_tests.equivalence_page import PAGE, chosen, page, text_of
from spec_tests.predictions import NAME as LEGACY
from spec_tests.predictions import PREDICTIONS, opposite, table
from torq_conformance.comparison.accepted import load_accepted
from torq_conformance.comparison.equivalence import EFFECTS
from torq_conformance.comparison.outcome import Entry
from torq_conformance.judging.selftest_cases import listed_mutants


def outcome(part: str, name: str = "one", **given: object) -> Outcome:
    said = {"seed": 1, "budget": SHORT_S, "code": 0, "programs": 7, "seconds": 4.2, "load": 3.0} | given
    return msgspec.convert({"part": part, "name": name, "domain": "signal"} | said, Outcome)


def pair(part: str, name: str = "one") -> Pair:
    return Pair(part, name, "signal", "a", "b")


def shown(*outcomes: Outcome) -> str:
    return text_of(Outcomes(outcomes))


def test_a_false_difference_between_right_relays_cannot_be_overlooked() -> None:
    ended = outcome(RIGHT, "x / y", code=3, programs=8)
    text = shown(outcome(RIGHT, "x / y"), msgspec.structs.replace(ended, seed=2))
    assert "**0 false differences in 2 runs**" in text
    assert f"| x / y | signal | {SHORT_S} | 2 | 1 | 1 | 0 | 0 | 15 | 1 to 2 |" in text
    for field in ("found", "flaky"):
        text = shown(outcome(RIGHT, "x / y", code=1, **{field: ["loses:plain"]}), ended)
        assert "**1 false difference in 2 runs**" in text
        assert "seed 1: loses:plain" in text


def test_a_fault_is_found_not_found_or_without_a_verdict() -> None:
    first, second, third = [each.name for each in compared_mutants()][:3]
    text = shown(
        outcome(MUTANTS, first, code=1, found=["loses:plain"], flaky=["tears:cut"]),
        outcome(MUTANTS, second, flaky=["loses:cut"]),
        outcome(MUTANTS, third, code=2, error="a | b"),
        outcome(MUTANTS, "a fault that there is no more"),
    )
    rows = {line.split(" | ")[0]: line for line in text.splitlines()}
    assert "| signal | loses:plain, tears:cut (flaky) | 4 | 7 |" in rows[f"| {first}"]
    assert "| **not found**, loses:cut (flaky) |" in rows[f"| {second}"]
    assert "| **no verdict**: a \\| b |" in rows[f"| {third}"]
    assert "a fault that there is no more" not in text


def test_of_several_comparisons_the_one_that_found_something_is_shown() -> None:
    name = compared_mutants()[0].name
    short = outcome(MUTANTS, name)
    long = msgspec.structs.replace(short, seed=2, budget=LONG_S, code=1, found=("loses:plain",))
    for outcomes in ((short, long), (long, short)):
        assert "**1 of 1 faults are found**" in shown(*outcomes)


def test_a_choice_shows_what_a_run_says_of_it() -> None:
    name = next(iter(CHOICES_OF_B))
    text = shown(outcome(CHOICES, name, code=1, found=["echoes-not:plain"], judged="PASS"))
    assert "**1 of 1 choices are found of which no requirement speaks**; `run` passes 1 of them" in text
    assert f"| {name} | {CHOICES_OF_B[name][0]} | echoes-not:plain | 4 | 7 | PASS |" in text


def test_differences_are_sorted_by_what_they_are() -> None:
    entries = tuple(
        Entry(name, "", "", "", status)
        for name, status in (("b", "DIFFERENT"), ("a", "DIFFERENT"), ("c", "FLAKY"), ("d", "ACCEPTED"))
    )
    made = outcome_of(pair(RIGHT), 5, 30, 1, Report(9, entries))
    assert (made.found, made.flaky, made.programs, made.seed, made.differs) == (("a", "b"), ("c",), 9, 5, True)


def test_a_campaign_goes_on_where_it_stopped() -> None:
    pairs = [pair(RIGHT, "x / y"), pair(RIGHT, "y / x"), pair(MUTANTS), pair(HISTORICAL)]
    effort = Effort(seed=1, runs=3)
    every = tasks(Outcomes(), pairs, effort)
    assert [(each.pair.name, each.seed, each.budget) for each in every] == [
        ("x / y", 1, RIGHT_S),
        ("y / x", 1, RIGHT_S),
        ("x / y", 2, RIGHT_S),
        ("one", 1, SHORT_S),
        ("one", 1, LIST_S),
    ]
    known = Outcomes((outcome(RIGHT, "x / y"), outcome(MUTANTS)))
    assert tasks(known, pairs, effort) == [every[1], every[2], every[4]]
    assert tasks(known, pairs, effort, again=True) == every
    assert [each.seed for each in tasks(known, pairs, Effort(seed=9, runs=1))] == [9, 9, 9]


def test_what_a_short_comparison_does_not_find_gets_a_long_one_once() -> None:
    pairs = [pair(MUTANTS, "alive"), pair(MUTANTS, "dead"), pair(HISTORICAL, "alive")]
    alive, dead = outcome(MUTANTS, "alive"), outcome(MUTANTS, "dead", found=["loses:plain"])
    known = Outcomes((alive, dead, outcome(HISTORICAL, "alive")))
    assert second_tasks(known, pairs, seed=1) == [Task(pairs[0], 1, LONG_S)]
    tried = merged(known, msgspec.structs.replace(alive, budget=LONG_S))
    assert second_tasks(tried, pairs, seed=1) == []
    assert second_tasks(tried, pairs, seed=2, again=True) == [Task(pairs[0], 2, LONG_S)]


def test_outcomes_are_told_as_they_come_and_none_behind_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Outcome] = []
    monkeypatch.setattr(equivalence, "compare", lambda each, seed, budget: outcome(each.part, each.name, seed=seed))
    due = [Task(pair(MUTANTS, name), 1, SHORT_S) for name in "abc"]
    compare_all(due, 2, float("inf"), told.append)
    assert sorted(each.name for each in told) == ["a", "b", "c"]
    compare_all(due, 2, 0.0, told.append)
    assert len(told) == 3


def test_campaigns_that_run_at_once_lose_no_outcome(tmp_path: Path) -> None:
    file = tmp_path / "outcomes.json"
    made = [outcome(MUTANTS, f"fault {number}") for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda each: keep(each, file), made))
    keep(msgspec.structs.replace(made[0], code=3), file)
    kept = load(file)
    assert {each.name for each in kept.outcomes} == {each.name for each in made}
    assert [each.code for each in kept.outcomes if each.name == "fault 0"] == [3]
    assert file.read_bytes() == encoded(kept)
    assert all(f'"name":"{each.name}"' in file.read_text() for each in made)
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


class Suite:
    """In place of the suite's commands: each says and reports the same."""

    def __init__(self, code: int, said: str = "", report: str = "") -> None:
        self.code, self.said, self.report = code, said, report
        self.commands: list[list[str]] = []

    def __call__(self, words: list[str], budget: int) -> tuple[int, str]:
        self.commands.append(words)
        if self.report and "--json" in words:
            Path(words[words.index("--json") + 1]).write_text(self.report)
        return self.code, self.said


REPORT = '{"programs": 3, "differences": [{"id": "loses:plain", "text": "", "in_a": "", "in_b": ""}]}'


@pytest.mark.parametrize("part", PARTS)
def test_a_comparison_ends_early_where_nothing_is_listed_and_keeps_the_report_of_a_false_difference(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite = Suite(1, "PASS at its best\nFAIL         FWD-1   lost\nFLAKY ISO-1 late\nFAIL FWD-1", REPORT)
    monkeypatch.setattr(equivalence, "_suite", suite)
    monkeypatch.setattr(equivalence, "REPORTS", tmp_path / "reports")
    made = compare(pair(part), 5, 30)
    assert (made.found, made.programs, made.code, made.seed, made.budget) == (("loses:plain",), 3, 1, 5, 30)
    assert ("--fail-fast" in suite.commands[0]) == (part in (CHOICES, MUTANTS))
    kept = sorted(path.name for path in tmp_path.glob("reports/*"))
    assert kept == ([] if part in (CHOICES, MUTANTS) else ["one-signal-5.json", "one-signal-5.txt"])
    assert [words[0] for words in suite.commands] == (["diff", "run"] if part == CHOICES else ["diff"])
    assert made.judged == ("FAIL FWD-1 ISO-1" if part == CHOICES else "")


def test_a_comparison_without_a_verdict_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equivalence, "_suite", Suite(2, "relay A does not start\n"))
    made = compare(pair(MUTANTS), 1, 30)
    assert (made.code, made.error, made.found) == (2, "relay A does not start", ())


def test_every_pair_has_a_right_relay_a_and_another_b() -> None:
    every = [*choice_pairs(), *historical_pairs(), *mutant_pairs(compared_mutants())]
    assert len({each.key for each in every}) == len(every)
    for each in every:
        assert each.a != each.b
        assert each.a.startswith("torq-specimen correct") or each.part == HISTORICAL
    assert {each.name for each in listed_mutants() if not each.family and not each.needs_root} <= {
        each.name for each in every
    }


def test_only_what_is_named_is_compared() -> None:
    assert {each.part for each in chosen([CHOICES, HISTORICAL], None, 1)} == {CHOICES, HISTORICAL}
    assert [each.name for each in chosen(["no echo"], None, 1)] == ["no echo"]
    assert len(chosen([MUTANTS], 5, 1)) == 5
    with pytest.raises(SystemExit, match="no pair is called nonsense"):
        chosen(["nonsense"], None, 1)


def test_what_the_source_predicts_is_what_the_built_in_list_accepts() -> None:
    predicted = [name for each in PREDICTIONS for name in each.ids]
    assert sorted(predicted) == sorted(entry.id for entry in load_accepted(LEGACY))
    for name in (*predicted, *(name for each in PREDICTIONS for name in each.excluded)):
        assert opposite(name).partition(":")[0] in EFFECTS
        assert opposite(opposite(name)) == name
    assert not set(predicted) & {name for each in PREDICTIONS for name in each.excluded}


def test_what_was_seen_stands_beside_what_was_predicted_whoever_is_a() -> None:
    garbage = next(each for each in PREDICTIONS if "tears:garbage" in each.ids)
    same = next(each for each in PREDICTIONS if "loses:left" in each.excluded)
    text = "\n".join(table({"tears:garbage", "keeps:garbage", "loses:left"}, {"mends:garbage", "alters:plain"}))
    assert f"| {garbage.words} | {', '.join(garbage.ids)} | seen | seen, but not keeps:garbage |" in text
    assert f"| {same.words} | no difference | **differs**: loses:left | none |" in text
    assert "| **not seen** | **not seen** |" in text
    assert "Not predicted: alters:plain, loses:left." in text


def test_the_page_that_is_checked_in_is_what_its_outcomes_say_and_has_no_false_difference() -> None:
    known = load()
    assert (ROOT / PAGE).read_text("utf-8") == page(ROOT)
    assert OUTCOMES.read_bytes() == encoded(known)
    assert {each.part for each in known.outcomes} <= set(PARTS)
    assert not [each for each in known.of(RIGHT) if each.differs]
