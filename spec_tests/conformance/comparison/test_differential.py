"""Differential mode on real relays: predicted differences are found and named, equivalent relays have none."""

import math
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from spec_tests.conformance.judged_relays import relay, specimen
from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.commands.diff import command
from torq_conformance.comparison.accepted import load_accepted, sort_out
from torq_conformance.comparison.arms import FILTERS, Arm, refused_by_both
from torq_conformance.comparison.chance import chance
from torq_conformance.comparison.differential import Differential, Effort
from torq_conformance.comparison.equivalence import Difference, Signature
from torq_conformance.comparison.fixed import FixedChecks
from torq_conformance.comparison.found import ENDED, OUT_OF_TIME, FoundDifference, TopicResult
from torq_conformance.comparison.settling import CONFIRM_RUNS, MAY_BE_SMALLER, RARE_RUNS
from torq_conformance.comparison.topics import HEADER_FIELDS, TOPICS, Level, topics_of
from torq_conformance.errors import CutShortError, UsageError
from torq_conformance.exits import Exit
from torq_conformance.generation.search import Clock, OutOfTime
from torq_conformance.judging.runner import LONG_CHECKS
from torq_conformance.model.frames import Frame
from torq_conformance.model.history import History, Peer, Received, Sent
from torq_conformance.model.legality import Fate, fate_of
from torq_conformance.model.profile import Profile, domain_named, load_profile
from torq_conformance.model.program import Program
from torq_conformance.model.requirements import DOMAIN_NAMES
from torq_conformance.model.rules import Domain
from torq_conformance.model.steps import Connect, HalfClose, Write
from torq_conformance.play.address import Address
from torq_conformance.play.executor import Executor
from torq_conformance.play.target import Target


def ignore(_: TopicResult) -> None:
    """Nobody needs to be told."""


def compared(a: str, b: str, domain: Domain, topics: Sequence[str], max_examples: int = 12) -> list[TopicResult]:
    with ExitStack() as stack:
        arms = [Arm(stack.enter_context(relay(each)), domain) for each in (a, a, b)]
        differential = Differential(arms[0], arms[1], arms[2], domain, Level.EXACT)
        chosen = [topic for topic in TOPICS if topic.name in topics]
        return differential.run(Effort(max_examples, 60.0, seed=1), ignore, chosen)


def ids(results: list[TopicResult]) -> set[str]:
    return {found.id for result in results for found in result.found if not found.explained}


def test_the_legacy_market_data_relay_differs_as_its_source_predicts() -> None:
    results = compared(
        "market_data_relay --socket {socket}",
        specimen("legacy-market-data", "market_data"),
        "market_data",
        ("FRAME-3", "DOM-1", "sizes above the limit", "bytes that begin no frame", "VAL-1"),
    )
    listed = {entry.id for entry in load_accepted("legacy-market-data")}
    by_these = {name for name in listed if name.startswith(("tears", "keeps", "forwards"))} - {"tears:late-reader"}
    assert ids(results) == by_these
    for found in (each for result in results for each in result.found):
        assert found.in_b == found.runs
        assert found.in_copy == 0
        assert len(found.program.steps) <= 5 or MAY_BE_SMALLER in found.needs, "or so it says"


def test_a_difference_that_needs_thousands_of_frames_is_shown_with_two() -> None:
    results = compared(
        "signal_relay --socket {socket}", specimen("first-generic", "signal"), "signal", ("FRAME-2",), 40
    )
    assert ids(results) <= {"tears:large-write", "tears:small-buffer"}
    program = next(found.program for found in results[0].found if found.cause == "large-write")
    assert [len(step.items) for step in program.steps if isinstance(step, Write)] == [2]


def test_an_equivalent_relay_has_no_difference() -> None:
    names = ("FWD-1", "ORD-1", "FRAME-1", "VAL-3", "bytes that begin no frame", "VAL-6")
    results = compared("signal_relay --socket {socket}", specimen("correct", "signal"), "signal", names, 8)
    assert ids(results) == set()
    assert all(result.programs >= 8 and not result.cut_short for result in results)


def test_a_relay_that_does_not_echo_is_told_from_one_that_loses() -> None:
    correct = specimen("correct", "signal")
    assert ids(compared(correct, f"{correct} --no-echo", "signal", ("FWD-1",), 5)) == {"echoes-not:plain"}


class SlowArm(Arm):
    """Takes half a minute for each play, of a clock that all arms share; one that ``dies`` does so every time."""

    time = 0.0
    plays = 0
    lock = threading.RLock()

    def __init__(self, *, dies: bool) -> None:
        self.target = Target(Address(path="/nowhere"))
        self.ended = ""
        self.rules = rules_of("signal")
        self.filters = set()
        self._dies = dies

    def play(self, program: Program, clock: Clock) -> History:
        with SlowArm.lock:
            SlowArm.time += 30.0
            SlowArm.plays += 1
        return History(crash="it died" if self._dies else "")

    def give_up(self) -> None:
        """No play of it takes long."""

    def refresh(self) -> None:
        """It is always fresh."""


def test_a_comparison_of_slow_relays_ends_in_time_with_the_difference() -> None:
    SlowArm.time = SlowArm.plays = 0
    arms = [SlowArm(dies=dies) for dies in (False, False, True)]
    differential = Differential(arms[0], arms[1], arms[2], "signal", Level.EXACT)
    results = differential.run(Effort(12, 120.0, seed=1), ignore, list(TOPICS), now=lambda: SlowArm.time)
    assert [found.signature.effect for result in results for found in result.found] == ["crashes"]
    assert all(result.gap for result in results)
    assert SlowArm.plays <= 3 + 2 + 4 + 3, "seen, repeated, one smaller program, stamped once"


@pytest.mark.parametrize("accepted", [False, True])
def test_a_comparison_can_end_at_its_first_difference_unless_that_is_accepted(accepted: bool) -> None:
    SlowArm.time = SlowArm.plays = 0
    a, copy, b = (SlowArm(dies=dies) for dies in (False, False, True))
    asked: list[str] = []

    def ends_at(listed: str) -> bool:
        asked.append(listed)
        return not accepted

    differential = Differential(a, copy, b, "signal", Level.EXACT, (), ends_at)
    results = differential.run(Effort(12, 120.0, seed=1), ignore, list(TOPICS), now=lambda: SlowArm.time)
    assert [found.id for result in results for found in result.found] == asked
    assert [each.partition(":")[0] for each in asked] == ["crashes"]
    assert differential.known.is_over() == (not accepted)
    assert {OUT_OF_TIME, ENDED} & {result.gap for result in results} == {OUT_OF_TIME if accepted else ENDED}


class Forgetful(SlowArm):
    """Forwards every frame to every client, but none at all in the plays of these numbers."""

    def __init__(self, *lossy: int) -> None:
        super().__init__(dies=False)
        self._lossy = lossy
        self._turn = 0

    def play(self, program: Program, clock: Clock) -> History:
        self._turn += 1
        with SlowArm.lock:
            SlowArm.plays += 1
        sent = [
            Sent(number, step, conn, frame, b"", Fate.FORWARD, None, 5, 6, whole=True, certain=True)
            for number, step, conn, frame in program.frames()
        ]
        came = [] if self._turn in self._lossy else [Received(each.number, b"", 7) for each in sent]
        conns = [step.conn for step in program.steps if isinstance(step, Connect)]
        return History(sent=sent, peers={conn: Peer(conn, 1, joined=2, received=list(came)) for conn in conns})


def test_a_loss_that_shows_only_once_is_flaky_and_costs_a_bounded_number_of_plays() -> None:
    SlowArm.time = SlowArm.plays = 0
    topic = next(topic for topic in TOPICS if topic.name == "FRAME-2")
    differential = Differential(Forgetful(), Forgetful(), Forgetful(3), "signal", Level.EXACT)
    [result] = differential.run(Effort(40, 60.0, seed=1), ignore, [topic], now=lambda: SlowArm.time)
    assert [(found.flaky, found.in_b, found.in_copy) for found in result.found] == [(True, 0, 0)]
    assert (result.noise, result.cut_short) == (0, "")
    assert SlowArm.plays <= 2 * result.programs + result.calibrated + 2 * CONFIRM_RUNS + 3 * RARE_RUNS


class Interrupted(Forgetful):
    """A relay on which the time is over after three plays of all; a ``deaf`` one serves its last client nothing."""

    def __init__(self, *, deaf: bool, lossy: bool) -> None:
        super().__init__(*((1,) if lossy else ()))
        self._deaf = deaf

    def play(self, program: Program, clock: Clock) -> History:
        with SlowArm.lock:
            if SlowArm.plays >= 3:
                raise OutOfTime
            history = super().play(program, clock)
        if self._deaf:
            last = max(history.peers)
            history.peers[last] = Peer(last, 1, joined=None)
        return history


@pytest.mark.parametrize(("deaf", "lossy"), [(True, False), (False, True)])
def test_what_a_busy_machine_can_feign_is_no_difference_if_it_was_seen_once(deaf: bool, lossy: bool) -> None:
    SlowArm.time = SlowArm.plays = 0
    topic = next(topic for topic in TOPICS if topic.name == "FRAME-2")
    a, copy, b = (Interrupted(deaf=deaf and faulty, lossy=lossy and faulty) for faulty in (False, False, True))
    differential = Differential(a, copy, b, "signal", Level.EXACT)
    [result] = differential.run(Effort(40, 60.0, seed=1), ignore, [topic], now=lambda: SlowArm.time)
    assert SlowArm.plays == 3, "of A, of its copy and of B"
    assert [(found.signature.effect, found.in_b, found.runs) for found in result.found] == [("loses", 1, 1)] * lossy
    assert result.noise == deaf


def test_a_loss_that_the_copy_of_a_shows_too_is_noise_and_explains_no_other() -> None:
    SlowArm.time = SlowArm.plays = 0
    topic = next(topic for topic in TOPICS if topic.name == "FRAME-2")
    differential = Differential(Forgetful(), Forgetful(*range(2, 400, 2)), Forgetful(3), "signal", Level.EXACT)
    [result] = differential.run(Effort(40, 60.0, seed=1), ignore, [topic], now=lambda: SlowArm.time)
    assert result.found == differential.known.found == []
    assert result.noise


def test_the_plays_of_a_comparison_are_told_when_to_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def play(executor: Executor, _: Program) -> History:
        assert executor.deadline < math.inf
        raise CutShortError("the time was over in a flood")

    with ExitStack() as stack:
        arms = [Arm(stack.enter_context(relay(specimen("correct", "signal"))), "signal") for _ in range(3)]
        monkeypatch.setattr(Executor, "play", play)
        differential = Differential(arms[0], arms[1], arms[2], "signal", Level.EXACT)
        results = differential.run(Effort(12, 60.0, seed=1), ignore, [TOPICS[0]])
    assert [(result.cut_short, result.found) for result in results] == [("the time was over", [])]


CHECKED = ("CONN-2", "SEC-1", "CONN-1")


def checked(a: str, b: str, *names: str, seconds: float = 60.0) -> set[str]:
    """What fixed checks find in a comparison of two relays of market data."""
    domain = domain_named("market_data")
    with relay(a) as first, relay(b) as second:
        profile = load_profile("reference")
        results = FixedChecks(first, second, domain, profile, time.monotonic() + seconds).run(names)
        return {found.id for result in results for found in result.found}


def test_starting_and_stopping_are_compared() -> None:
    legacy = specimen("legacy-market-data", "market_data")
    correct = specimen("correct", "market_data")
    found = checked(correct, legacy, *CHECKED)
    assert found == {"breaks:CONN-2-stolen", "breaks:SEC-1-open", "breaks:SEC-1-started"}
    assert checked(legacy, correct, "CONN-2") == {"honours:CONN-2-stolen"}
    assert not checked(legacy, legacy, *CHECKED), "what both break is no difference"


def test_frames_that_b_forwards_are_not_sent_to_be_refused_by_a_fixed_check() -> None:
    correct = specimen("correct", "signal")
    with relay(correct) as a, relay(f"{correct} --mutant any-domain-forwarded") as b:
        norm = Arm(a, "signal")
        profile = refused_by_both(norm.profile, "signal", norm, Arm(b, "signal", norm))
        (result,) = FixedChecks(a, b, "signal", profile, time.monotonic() + 60.0).run(["RES-1"])
    assert (result.found, result.skipped) == ([], ""), "that B forwards them is a difference of programs"


@given(of_a=st.sets(st.sampled_from(FILTERS)), of_b=st.sets(st.sampled_from(FILTERS)))
@pytest.mark.parametrize("domain", DOMAIN_NAMES)
def test_fixed_checks_promise_the_filters_that_both_relays_have(domain: str, of_a: set[str], of_b: set[str]) -> None:
    def arm(filters: set[str]) -> Any:
        return SimpleNamespace(filters=filters)

    seen = msgspec.structs.replace(Profile(name="relay A"), **{name: name in of_a for name in FILTERS})
    both = refused_by_both(seen, domain_named(domain), arm(of_a), arm(of_b))
    assert {name for name in FILTERS if getattr(both, name)} == of_a & of_b
    assert bool(both.not_promised) <= bool(of_a - of_b)
    assert ("DOM-1" in both.not_promised) == ("domain_filter" in of_a - of_b)


def test_a_check_for_which_no_time_is_left_is_a_gap() -> None:
    correct = specimen("correct", "market_data")
    with relay(correct) as first, relay(correct) as second:
        checks = FixedChecks(first, second, domain_named("market_data"), load_profile("reference"), time.monotonic())
        assert [result.skipped for result in checks.run(["CONN-2"])] == ["the time was over"]


def test_a_check_that_has_begun_is_cut_short_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(LONG_CHECKS, "RES-3", 0.0)  # seconds that it is said to take: it begins
    correct = specimen("correct", "market_data")
    with relay(correct) as first, relay(correct) as second:
        until = time.monotonic() + 0.5
        checks = FixedChecks(first, second, domain_named("market_data"), load_profile("reference"), until)
        assert [result.skipped for result in checks.run(["RES-3"])] == ["the time was over"]


def test_well_formed_compares_valid_traffic_only() -> None:
    names = {topic.name for topic in topics_of(Level.WELL_FORMED)}
    assert "FRAME-1" in names
    assert not names & {"bytes that begin no frame", "sizes above the limit", "DOM-1", "VAL-1", "VAL-3", "VAL-6"}
    assert names - {HEADER_FIELDS.name} < {topic.name for topic in topics_of(Level.EXACT)}
    rules = rules_of("signal")
    frames = [frame for each in HEADER_FIELDS.first(rules, Level.WELL_FORMED) for _, _, _, frame in each.frames()]
    assert {frame.flags for frame in frames} == set(range(256))
    assert {fate_of(frame, rules)[0] for frame in frames} == {Fate.FORWARD}


def test_a_rate_counts_as_a_difference_only_beyond_chance() -> None:
    assert chance(20, 0, 20) < 1e-9
    assert chance(8, 0, 20) < 0.005
    assert chance(3, 0, 20) > 0.05
    assert chance(10, 10, 20) > 0.5


def test_accepted_differences_that_do_not_appear_are_stale() -> None:
    entries = load_accepted("legacy-market-data")
    outcome = sort_out(["tears:garbage", "loses:plain"], entries, Level.EXACT)
    assert list(outcome.accepted) == ["tears:garbage"]
    assert "keeps:garbage" in {entry.id for entry in outcome.stale}
    at_well_formed = sort_out([], entries, Level.WELL_FORMED)
    assert {entry.id for entry in at_well_formed.stale} == {
        "tears:incomplete",
        "tears:interleaved",
        "tears:late-reader",
        "delivers:late-reader",
        "loses:late-reader",
    }


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
    words += ["--time-budget", "50s"]  # too short for figures, ample for the programs
    result = CliRunner().invoke(command, [*words, "--max-examples", "3", "--json", str(out)], standalone_mode=False)
    assert result.return_value == Exit.PASS, result.output
    assert "EQUIVALENT at level well-formed: 0 of" in result.output
    assert '"exit_code": 0' in out.read_text()


def test_the_command_ends_at_the_first_difference_of_a_check() -> None:
    correct = specimen("correct", "signal")
    words = ["--exec-a", correct, "--exec-b", f"{correct} --mutant live-socket-stolen", "--domain", "signal"]
    words += ["--seed", "1", "--max-examples", "1", "--fail-fast"]
    result = CliRunner().invoke(command, words, standalone_mode=False)
    assert result.return_value == Exit.FAIL, result.output
    assert "DIFFERENT breaks:CONN-2-stolen" in result.output
    assert f"all the rest ({ENDED})" in result.output


@pytest.mark.parametrize(
    ("command_line", "code"),
    [
        ("false {socket}", Exit.FAIL),
        ("torq-specimen correct --domain signal --socket {socket} --mutant crash-on-empty", Exit.FAIL),
    ],
)
def test_a_relay_b_that_ends_is_a_difference(command_line: str, code: Exit, tmp_path: Path) -> None:
    correct = specimen("correct", "signal")
    words = ["--exec-a", correct, "--exec-b", command_line, "--domain", "signal", "--level", "well-formed"]
    words += ["--failures", str(tmp_path), "--time-budget", "50s"]
    result = CliRunner().invoke(command, [*words, "--max-examples", "4", "--seed", "1"], standalone_mode=False)
    assert result.return_value == code, result.output
    assert "DIFFERENT crashes:" in result.output
    assert "DIFFERENT at level well-formed" in result.output


def test_situations_show_a_fault_and_the_values_that_it_needs() -> None:
    """A relay that closes who shuts down its sending side: the smallest program does that, and nothing else."""
    correct = specimen("correct", "signal")
    with ExitStack() as stack:
        commands = (correct, correct, f"{correct} --mutant half-close-closes")
        targets = [stack.enter_context(relay(each)) for each in commands]
        norm = Arm(targets[0], "signal")
        arms = [norm, *(Arm(each, "signal", norm) for each in targets[1:])]
        differential = Differential(arms[0], arms[1], arms[2], "signal", Level.EXACT)
        result = differential.meet(Effort(20, 30.0, seed=1), ignore)
        differential.settle(time.monotonic() + 30.0, ignore)
    shown = [each for each in result.found if not each.explained]
    assert [(found.id, found.in_copy) for found in shown] == [("closes:half-closed", 0)]
    assert any(isinstance(step, HalfClose) for step in shown[0].program.steps)
    if MAY_BE_SMALLER not in shown[0].needs:
        assert len(shown[0].program.steps) == 2
    assert result.coverage is not None
    assert result.coverage.pairs > 0


def test_a_running_relay_b_that_ends_is_a_difference_with_the_program_that_ended_it() -> None:
    """The suite cannot start it again: it plays nothing more, and says so."""
    with ExitStack() as stack:
        a, copy, started = (
            stack.enter_context(relay(specimen("correct", "signal", *more)))
            for more in ((), (), ("--mutant", "crash-on-empty"))
        )
        norm = Arm(a, "signal")
        b = Arm(Target(started.address), "signal", norm)
        differential = Differential(norm, Arm(copy, "signal", norm), b, "signal", Level.EXACT)
        topics = [topic for topic in TOPICS if topic.name in ("FWD-6", "FWD-8")]
        ended, after = differential.run(Effort(5, 30.0, seed=1), ignore, topics)
    assert [found.id for found in ended.found] == ["crashes:header-only"]
    assert (after.programs, after.found) == (0, [])
    assert ended.gap == after.gap == b.ended
    assert "cannot start it again" in b.ended


def test_one_fault_is_one_difference_unless_the_plainer_one_is_rarer() -> None:
    """A loss that was first seen beside a cut frame, and then with nothing particular."""
    program = Program("signal", (Connect(0), Write(0, (Frame(2),), cuts=(1,))))
    difference = Difference(Signature("loses"), "came once", "never came", 0)

    def found(cause: str, in_b: int) -> FoundDifference:
        return FoundDifference(difference.signature, cause, program, difference, History(), History(), in_b, 0, 10)

    for in_b, explained in ((10, True), (3, False)):
        arm = SlowArm(dies=False)
        differential = Differential(arm, arm, arm, "signal", Level.EXACT)
        first = found("cut", 10)
        differential.known.keep(first)
        differential.known.keep(found("plain", in_b))
        assert first.explained == explained
        rare = found("coalesced", 0)
        differential.known.keep_flaky(rare)
        assert rare.explained == (not explained), "it may be the one that shows now and then"
