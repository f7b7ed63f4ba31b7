"""Differential mode on real relays: predicted differences are found and named, equivalent relays have none."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner

from spec_tests.conformance.judged_relays import relay, specimen
from torq_conformance.commands.diff import command
from torq_conformance.comparison.accepted import load_accepted, sort_out
from torq_conformance.comparison.arms import Arm
from torq_conformance.comparison.differential import Differential, Effort, TopicResult, Watcher, chance
from torq_conformance.comparison.lifecycle import life_cycle_differences, observe
from torq_conformance.comparison.topics import TOPICS, Level, topics_of
from torq_conformance.errors import UsageError
from torq_conformance.exits import Exit
from torq_conformance.model.program import Write
from torq_conformance.model.rules import Domain


def compared(a: str, b: str, domain: Domain, topics: Sequence[str], max_examples: int = 12) -> list[TopicResult]:
    with ExitStack() as stack:
        arms = [Arm(name, stack.enter_context(relay(each)), domain) for name, each in (("A", a), ("A'", a), ("B", b))]
        differential = Differential(arms[0], arms[1], arms[2], domain, Level.EXACT)
        chosen = [topic for topic in TOPICS if topic.name in topics]
        return differential.run(Effort(max_examples, 60.0, seed=1), Watcher(), chosen)


def ids(results: list[TopicResult]) -> set[str]:
    return {found.id for result in results for found in result.found}


def test_the_legacy_market_data_relay_differs_as_its_source_predicts() -> None:
    results = compared(
        "market_data_relay --socket {socket}",
        specimen("legacy-market-data", "market_data"),
        "market_data",
        ("interleaved writes", "foreign domains", "sizes above the limit", "garbage", "checksums"),
    )
    listed = {entry.id for entry in load_accepted("legacy-market-data")}
    assert ids(results) == {name for name in listed if name.startswith(("tears", "keeps", "forwards"))}
    for found in (each for result in results for each in result.found):
        assert found.in_b == found.runs
        assert found.in_copy == 0
        assert len(found.program.steps) <= 5


def test_a_difference_that_needs_thousands_of_frames_is_shown_with_two() -> None:
    results = compared(
        "signal_relay --socket {socket}", specimen("first-generic", "signal"), "signal", ("coalesced frames",), 40
    )
    assert ids(results) == {"tears:coalesced"}
    program = results[0].found[0].program
    assert [len(step.items) for step in program.steps if isinstance(step, Write)] == [2]


def test_an_equivalent_relay_has_no_difference() -> None:
    names = ("single frames", "writes at once", "cut frames", "malformed TLVs", "garbage", "hostile bytes")
    results = compared("signal_relay --socket {socket}", specimen("correct", "signal"), "signal", names, 8)
    assert ids(results) == set()
    assert all(result.programs >= 8 and not result.cut_short for result in results)


def test_a_relay_that_does_not_echo_is_told_from_one_that_loses() -> None:
    correct = specimen("correct", "signal")
    assert ids(compared(correct, f"{correct} --no-echo", "signal", ("single frames",), 5)) == {"echoes-not:plain"}


def test_starting_and_stopping_are_compared() -> None:
    legacy = observe(specimen("legacy-market-data", "market_data"), "market_data")
    correct = observe("torq-specimen correct --socket {socket} --domain {domain}", "market_data")
    found = {
        f"{difference.signature.effect}:{subject}"
        for subject, difference in life_cycle_differences(correct, correct, legacy)
    }
    assert found == {
        "stops-hard:exit status 0",
        "stops-hard:removal of its socket file",
        "takes-over:the socket path",
        "opens:its socket",
    }
    assert not life_cycle_differences(legacy, legacy, legacy)
    assert not life_cycle_differences(correct, legacy, legacy), "what the copy of A does too is noise"


def test_well_formed_compares_valid_traffic_only() -> None:
    names = {topic.name for topic in topics_of(Level.WELL_FORMED)}
    assert "cut frames" in names
    assert not names & {"garbage", "foreign domains", "checksums", "malformed TLVs", "hostile bytes"}
    assert names < {topic.name for topic in topics_of(Level.EXACT)}


def test_a_rate_counts_as_a_difference_only_beyond_chance() -> None:
    assert chance(20, 0, 20) < 1e-9
    assert chance(8, 0, 20) < 0.005
    assert chance(3, 0, 20) > 0.05
    assert chance(10, 10, 20) > 0.5


def test_accepted_differences_that_do_not_appear_are_stale() -> None:
    entries = load_accepted("legacy-market-data")
    outcome = sort_out(["tears:garbage", "loses:plain"], entries, Level.EXACT)
    assert list(outcome.accepted) == ["tears:garbage"]
    assert outcome.unaccepted == ["loses:plain"]
    assert "keeps:garbage" in {entry.id for entry in outcome.stale}
    at_well_formed = sort_out([], entries, Level.WELL_FORMED)
    assert {entry.id for entry in at_well_formed.stale} == {"tears:incomplete", "tears:interleaved"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[difference]]\nid = 'loses:plain'\nreason = ' '", "has no reason"),
        ("[[difference]]\nid = 'looses:plain'\nreason = 'x'", "is no difference"),
        ("[[difference]]\nid = 'loses:plain'\nreason = 'x'\nlevel = 'all'", "names level"),
        ("[[difference]]\nid = 'loses:plain'", "reason"),
        ("[[difference", "no file of accepted differences"),
    ],
)
def test_a_wrong_file_of_accepted_differences_is_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text(text)
    with pytest.raises(UsageError, match=message):
        load_accepted(str(path))


def test_the_command_writes_json_and_names_the_level(tmp_path: Path) -> None:
    out = tmp_path / "diff.json"
    correct = specimen("correct", "signal")
    words = ["--exec-a", correct, "--exec-b", correct, "--domain", "signal", "--level", "well-formed", "--seed", "1"]
    result = CliRunner().invoke(command, [*words, "--max-examples", "3", "--json", str(out)], standalone_mode=False)
    assert result.return_value == Exit.PASS, result.output
    assert "EQUIVALENT at level well-formed: 0 of" in result.output
    assert '"exit_code": 0' in out.read_text()
