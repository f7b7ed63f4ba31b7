"""Accepted differences: what an entry accepts, what it does not, and what is wrong with a file of them."""

import itertools
import random
import threading
from collections.abc import Callable, Collection
from datetime import date, timedelta
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from click.testing import CliRunner
from hypothesis import example, given, settings
from hypothesis import strategies as st

from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.commands.diff import command
from torq_conformance.comparison.accepted import AcceptedDifference, load_accepted
from torq_conformance.comparison.arms import Arm
from torq_conformance.comparison.causes import CAUSES
from torq_conformance.comparison.circumstances import (
    NAMES,
    OF_A_FRAME,
    OF_A_PROGRAM,
    Circumstances,
    Fact,
    When,
    when_of,
)
from torq_conformance.comparison.differential import Differential, Effort
from torq_conformance.comparison.equivalence import EFFECTS, Difference, Signature
from torq_conformance.comparison.found import TopicResult
from torq_conformance.comparison.narrowing import as_narrow, varied
from torq_conformance.comparison.outcome import Entry, Outcome, outcome
from torq_conformance.comparison.topics import TOPICS, Level
from torq_conformance.comparison.updating import accepted_text
from torq_conformance.errors import UsageError
from torq_conformance.exits import Exit
from torq_conformance.generation.search import Clock
from torq_conformance.model.frames import Checksum, Frame, Tlv
from torq_conformance.model.history import History, Peer, Received, Sent
from torq_conformance.model.legality import Fate
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Act, Connect, Write
from torq_conformance.play.address import Address
from torq_conformance.play.target import Target

WRONG: tuple[str, ...] = tuple(each for each in get_args(Checksum) if each not in ("good", "made-zero"))
TODAY = date(2027, 1, 1)
PLAY_SECONDS = 0.01
"""Of a play: two at the same time take twice as long."""


class Imagined(Arm):
    """A relay of the execution domain that delivers to everybody what it ``takes``, and has a clock of its own."""

    clock = 0.0
    lock = threading.Lock()

    def __init__(self, takes: Callable[[Frame], bool]) -> None:
        self.target = Target(Address(path="/nowhere"))
        self.ended = ""
        self.rules = rules_of("execution")
        self.filters = {"checksum"}
        self._takes = takes

    def play(self, program: Program, clock: Clock) -> History:
        with Imagined.lock:
            Imagined.clock += PLAY_SECONDS
            clock.check()
        sent = [
            Sent(number, step, conn, frame, b"%d" % number, Fate.FORWARD, None, 5, 6, whole=True, certain=True)
            for number, step, conn, frame in program.frames()
        ]
        came = [Received(each.number, each.data, 7) for each in sent if self._takes(each.frame)]
        conns = [step.conn for step in program.steps if isinstance(step, Connect)]
        return History(sent=sent, peers={conn: Peer(conn, 1, joined=2, received=list(came)) for conn in conns})

    def give_up(self) -> None:
        """No play of it takes long."""

    def refresh(self) -> None:
        """It is always fresh."""


def ignore(_: TopicResult) -> None:
    """Nobody needs to be told."""


def right(frame: Frame) -> bool:
    return frame.checksum in ("good", "made-zero")


def taking(*kinds: str) -> Callable[[Frame], bool]:
    """What takes frames with a right checksum, and with a wrong one of these kinds."""
    return lambda frame: right(frame) or frame.checksum in kinds


def compared(
    takes: Callable[[Frame], bool],
    accepted: Collection[AcceptedDifference],
    *topics: str,
    norm: Callable[[Frame], bool] = right,
) -> tuple[Outcome, list[Entry]]:
    """What a comparison comes to of a relay that verifies checksums, and of one that ``takes`` something else."""
    arms = [Imagined(norm), Imagined(norm), Imagined(takes)]
    differential = Differential(arms[0], arms[1], arms[2], "execution", Level.EXACT, list(accepted))
    chosen = [topic for topic in TOPICS if topic.name in topics]
    results = differential.run(Effort(20, 100.0, seed=1), ignore, chosen, now=lambda: Imagined.clock)
    found = [each for result in results for each in result.found if not each.explained]
    entries = [
        Entry(
            each.id, each.text, "", "", when=each.when.as_toml(), accepted_as=each.under, differs_in_b=each.in_b,
            runs=each.runs,
        )
        for each in found
    ]  # fmt: skip
    programs = sum(result.programs for result in results)
    return outcome(Level.EXACT, programs, entries, list(accepted), {}, frozenset(), today=TODAY), entries


def checksums(*kinds: str) -> AcceptedDifference:
    return AcceptedDifference("forwards:wrong-checksum", "known", when=When((("checksum", kinds),)))


CHANCE = random.Random(1)
SOME = [frozenset(CHANCE.sample(WRONG, number)) for number in (0, 1, 2, len(WRONG))]


@pytest.mark.parametrize(("takes", "listed"), [pair for pair in itertools.product(SOME, SOME) if pair[1]])
def test_an_entry_accepts_what_it_names_and_nothing_else_of_its_id(
    takes: frozenset[str], listed: frozenset[str]
) -> None:
    entry = checksums(*sorted(listed))
    result, _ = compared(taking(*takes), [entry], "VAL-1")
    statuses = {each.accepted_as: each.status for each in result.entries}
    assert ("" in statuses) == bool(takes - listed), "what the entry does not name is a difference of its own"
    assert (entry.key in statuses) == bool(takes & listed)
    assert statuses.get(entry.key, "ACCEPTED") == "ACCEPTED"
    assert bool(result.stale) == (not takes & listed)
    assert result.code is (Exit.FAIL if takes - listed or not takes & listed else Exit.PASS)


@pytest.mark.parametrize("takes", [each for each in SOME if each])
def test_the_list_that_a_comparison_writes_accepts_what_it_found_and_no_more(
    takes: frozenset[str], tmp_path: Path
) -> None:
    path = tmp_path / "accepted.toml"
    result, found = compared(taking(*takes), [], "VAL-1")
    path.write_text(accepted_text(result, found, []))
    entries = load_accepted(str(path))
    kinds = {kind for entry in entries for kind in entry.when.values("checksum") or WRONG}
    assert kinds == takes
    again, found = compared(taking(*takes), entries, "VAL-1")
    assert again.code is Exit.PASS, again.verdict
    assert accepted_text(again, found, entries) == path.read_text(), "written again, it is the same"
    everything, _ = compared(lambda _: True, entries, "VAL-1")
    assert everything.code is (Exit.PASS if takes == set(WRONG) else Exit.FAIL)


FAULTS: dict[str, Callable[[Frame], bool]] = {
    "loses:timestamp": lambda frame: (frame.timestamp or 0) >= 2**63,
    "loses:sequence": lambda frame: frame.sequence == 2**32 - 1,
    "loses:flags": lambda frame: frame.flags == 128,
    "loses:size": lambda frame: 1_000 <= frame.size < 5_000,
}
"""Faults of a relay that depend on one field of a valid frame, each with the id that names it."""


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_of_one_field_is_named_by_that_field_and_the_values_that_it_needs(name: str) -> None:
    fault, field = FAULTS[name], name.partition(":")[2]
    result, found = compared(lambda frame: right(frame) and not fault(frame), [], "FWD-3", "FWD-8")
    assert [each.id for each in result.entries] == [name]
    for each in found:
        assert set(each.when) == {field}
    wide, _ = compared(lambda frame: right(frame) and frame.flags == 0, [_accepting(found[0])], "FWD-3")
    assert wide.code is Exit.FAIL, "it accepts no other loss"


def test_a_relay_that_takes_frames_of_every_version_is_said_to_forward_them() -> None:
    def strict(frame: Frame) -> bool:
        return right(frame) and frame.version == 1

    result, _ = compared(right, [], "VAL-4", norm=strict)
    assert [each.id for each in result.entries] == ["forwards:version"]


@pytest.mark.parametrize("names", [("loses:timestamp", "loses:size"), ("loses:flags", "loses:sequence")])
def test_of_two_faults_at_once_both_are_told_and_accepting_one_leaves_the_other(names: tuple[str, str]) -> None:
    def takes(frame: Frame) -> bool:
        return right(frame) and not any(FAULTS[name](frame) for name in names)

    result, found = compared(takes, [], "FWD-3", "FWD-8")
    assert {each.id for each in result.entries} == set(names)
    for each in found:
        left, _ = compared(takes, [_accepting(each)], "FWD-3", "FWD-8")
        assert {other.id for other in left.entries if other.status == "DIFFERENT"} == set(names) - {each.id}


def _accepting(found: Entry) -> AcceptedDifference:
    return AcceptedDifference(found.id, "known", when=when_of(found.when))


def test_what_is_accepted_as_rare_hides_no_loss_that_shows_each_time() -> None:
    count = itertools.count(1)

    def takes(frame: Frame) -> bool:
        return right(frame) and next(count) % 97 != 0 and frame.flags == 0

    result, found = compared(takes, [AcceptedDifference("loses:plain", "known")], "FWD-1", "FWD-3", "FWD-8")
    assert "loses:flags" in {each.id for each in result.entries if each.status == "DIFFERENT"}, found
    assert result.code is Exit.FAIL


@pytest.mark.parametrize("seconds", [5.0])
def test_a_relay_that_loses_a_fifth_of_all_frames_costs_no_more_than_the_budget(seconds: float) -> None:
    count, began = itertools.count(), Imagined.clock
    arms = [Imagined(right), Imagined(right), Imagined(lambda frame: right(frame) and next(count) % 5 != 0)]
    differential = Differential(arms[0], arms[1], arms[2], "execution", Level.EXACT)
    tried: list[str] = []

    def tell(result: TopicResult) -> None:
        if result.found:
            assert {topic.name for topic in TOPICS} <= set(tried), "breadth comes before depth"
        tried.append(result.name)

    results = differential.run(Effort(40, seconds, seed=1), tell, list(TOPICS), now=lambda: Imagined.clock)
    assert Imagined.clock - began <= seconds * 1.1
    assert all(result.programs or result.skipped for result in results)
    assert "loses" in {found.signature.effect for result in results for found in result.found}


def test_a_program_accepts_what_shows_under_all_that_it_has(tmp_path: Path) -> None:
    program = Program("execution", (Connect(0), Connect(1), Write(0, (Frame(3, checksum="zero"),))))
    (tmp_path / "zero.json").write_bytes(msgspec.json.encode(program))
    path = tmp_path / "accepted.toml"
    path.write_text("[[difference]]\nid = 'forwards:wrong-checksum'\nreason = 'known'\nprogram = 'zero.json'")
    entries = load_accepted(str(path))
    for takes, code in (("zero", Exit.PASS), ("one-bit", Exit.FAIL)):
        result, _ = compared(taking(takes), entries, "FWD-6")
        assert (takes, result.code) == (takes, code), result.verdict
    only, _ = compared(taking("zero"), entries, "FWD-6")
    assert [each.accepted_as for each in only.entries] == [entries[0].key], "its program was played"


def test_what_cannot_be_played_is_no_program_of_an_entry(tmp_path: Path) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text("[[difference]]\nid = 'loses:cut'\nreason = 'known'\nprogram = 'program.json'")
    for steps, message in (((Act("told"),), "account of a fixed check"), ((Write(0, ()),), "which no step opens")):
        (tmp_path / "program.json").write_bytes(msgspec.json.encode(Program("execution", steps)))
        with pytest.raises(UsageError, match=message):
            load_accepted(str(path))


# --- how often, and until when ----------------------------------------------------------------------------------------


def judged(entry: AcceptedDifference, shown: int, runs: int) -> Outcome:
    seen = Entry(entry.id, "", "", "", differs_in_b=shown, runs=runs)
    return outcome(Level.EXACT, 100, [seen], [entry], {}, frozenset(), today=TODAY)


@given(least=st.integers(1, 5), most=st.integers(5, 200), runs=st.integers(10, 60))
def test_what_is_accepted_as_rare_is_not_accepted_when_it_shows_always(least: int, most: int, runs: int) -> None:
    entry = AcceptedDifference("loses:plain", "known", rate=f"{least} in {most}")
    assert judged(entry, round(runs * least / most), runs).code is Exit.PASS
    if least / most <= 0.5:
        always = judged(entry, runs, runs)
        assert always.code is Exit.FAIL
        assert f"accepted in at most {entry.rate}, but it shows in {runs} of {runs} runs" in always.entries[0].reason
        assert not always.stale


@given(days=st.integers(-400, 400), shows=st.booleans(), unfinished=st.booleans())
def test_an_entry_fails_the_gate_from_the_day_after_its_last(days: int, shows: bool, unfinished: bool) -> None:
    entry = AcceptedDifference("loses:plain", "known", expires=TODAY + timedelta(days))
    seen = [Entry(entry.id, "", "", "", differs_in_b=10, runs=10)] if shows else []
    left = frozenset({"FWD-1"}) if unfinished else frozenset()
    result = outcome(Level.EXACT, 100, seen, [entry], dict.fromkeys(left, "the time was over"), left, today=TODAY)
    words = [word for word, _ in result.complaints]
    assert words == (["EXPIRED"] if days < 0 else ["STALE"] if not shows and not unfinished else [])
    assert (result.code is Exit.FAIL) == bool(words)
    if days < 0:
        assert ("1 difference EXPIRED" in result.verdict) == (result.code is Exit.FAIL)
        assert f"loses:plain was accepted until {entry.expires} (known)" in result.complaints[0][1]


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id = 'loses:cut'\nreason = 'x'\nexpires = '2027-03-01'", "write a date without quotes"),
        ("id = 'loses:cut'\nreason = 'x'\nexpires = 2027-03-01T12:00:00", "write a date without quotes"),
        ("id = 'loses:cut'\nreason = 'x'\nexpires = 2027-02-30", "accepted.toml is no file of accepted differences"),
        ("id = 'loses:cut'\nreason = 'x'\nrate = '1 %'", 'such as rate = "1 in 100"'),
        ("id = 'loses:cut'\nreason = 'x'\nrate = '2 in 1'", "rate is '2 in 1'"),
        ("id = 'loses:cut'\nreason = 'x'\nrate = 0.01", "rate is 0.01"),
        ("id = 'costs:memory'\nreason = 'x'\nrate = '1 in 100'", "what a figure costs has no rate"),
        ("id = 'costs:cut'\nreason = 'x'", "'costs:cut' is no difference"),
        ("id = 'loses:memory'\nreason = 'x'", "'loses:memory' is no difference"),
        ("id = 'breaks:cut'\nreason = 'x'", "'breaks:cut' is no difference"),
        ("id = 'loses:cut'\nreason = 'x'\nwhen = { colour = 1 }", "`when` knows no 'colour'; use checksum"),
        ("id = 'loses:cut'\nreason = 'x'\nwhen = { checksum = 'nought' }", "value 'nought'; use one of good, zero"),
        ("id = 'loses:cut'\nreason = 'x'\nwhen = { size = 'large' }", "a span such as"),
        ("id = 'loses:cut'\nreason = 'x'\nwhen = { size = [] }", "gives size no value"),
        ("id = 'loses:cut'\nreason = 'x'\nwhen = {}", "no table of circumstances"),
        ("id = 'loses:cut'\nreason = 'x'\nwhen = 'cut'", "no table of circumstances"),
        (
            "id = 'breaks:LIFE-1-status'\nreason = 'x'\nwhen = { size = 1 }",
            "what no program shows has no circumstances",
        ),
        ("id = 'loses:cut'\nreason = 'x'\nprogram = 'none.json'", "its program cannot be read"),
        ("id = 'loses:cut'\nreason = 'x'\nprogram = 'accepted.toml'", "holds no program"),
        ("id = 'loses:cut'\nreason = 'x'\nwhen = { size = 1 }\nprogram = 'accepted.toml'", "leave one of them out"),
        ("id = 'loses:cut'\nreason = 'x'\nwhy = 'x'", "no entry has a field 'why'; use id, reason"),
        ("id = 'loses:cut'\nreason = 3", "reason is 3; write it as text in quotes"),
        ("id = 'loses:cut'\nreason = 'x'\n[[difference]]\nid = 'loses:cut'\nreason = 'y'", "2 .*listed twice"),
    ],
)
def test_a_wrong_entry_is_told_with_its_file_and_what_to_write(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "accepted.toml"
    path.write_text(f"[[difference]]\n{text}\n")
    with pytest.raises(UsageError, match=message) as error:
        load_accepted(str(path))
    assert str(error.value).startswith(str(path))


NUMBER = st.integers(0, 2**64 - 1)
FACT = st.one_of(
    NUMBER,
    st.tuples(NUMBER, NUMBER).map(lambda pair: f"{min(pair)}..{max(pair)}"),
    NUMBER.map(lambda number: f"{number}.."),
    NUMBER.map(lambda number: f"..{number}"),
)
CONDITION = st.one_of(
    st.tuples(st.sampled_from(("checksum",)), st.lists(st.sampled_from(WRONG), min_size=1, unique=True)),
    st.tuples(st.sampled_from(("with",)), st.lists(st.sampled_from(tuple(CAUSES)), min_size=1, unique=True)),
    st.tuples(
        st.sampled_from([each for each in NAMES if each not in ("checksum", "with")]), st.lists(FACT, min_size=1)
    ),
)
ENTRY = st.builds(
    AcceptedDifference,
    id=st.builds(
        "{}:{}".format, st.sampled_from([e for e in EFFECTS if e not in ("breaks", "honours", "costs")]), st.just("cut")
    ),
    reason=st.text(min_size=1).filter(str.strip),
    level=st.sampled_from(("", "exact", "well-formed")),
    when=st.lists(CONDITION, unique_by=lambda each: each[0]).map(dict).map(when_of),
    rate=st.sampled_from(("", "1 in 100")),
    expires=st.none() | st.dates(),
)


@settings(max_examples=60, deadline=None)
@given(entries=st.lists(ENTRY, max_size=4, unique_by=lambda each: each.id))
def test_what_is_written_is_read_as_the_same(
    entries: list[AcceptedDifference], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("accepted") / "accepted.toml"
    path.write_text(accepted_text(Outcome(Level.EXACT, 1, []), [], entries), "utf-8")
    read = load_accepted(str(path))
    assert [(each.id, each.reason, each.level, each.rate, each.expires) for each in read] == [
        (each.id, each.reason, each.level, each.rate, each.expires) for each in entries
    ]
    assert [str(each.when) for each in read] == [str(each.when) for each in entries]


def test_an_unfinished_comparison_rewrites_no_list() -> None:
    unfinished = Outcome(Level.EXACT, 1, [], {"FWD-1": "the time was over"}, frozenset({"FWD-1"}))
    for result in (unfinished, Outcome(Level.EXACT, 0, [])):
        with pytest.raises(UsageError, match="needs a whole comparison"):
            accepted_text(result, [], [])


@given(size=st.integers(0, 200), low=st.integers(0, 250), high=st.integers(0, 250))
def test_a_span_holds_for_the_numbers_in_it(size: int, low: int, high: int) -> None:
    program = Program("signal", (Connect(0), Write(0, (Frame(2, (Tlv(30, size),)),))))
    at, difference = (
        Circumstances(program, rules_of("signal")),
        Difference(Signature("loses"), "", "", 0, "A0", number=0),
    )
    number = 34 + size
    for name, given_as in (("size", number), ("write", number), ("frames", 1), ("clients", 1)):
        assert when_of({name: f"{low}..{high}"}).holds(at, difference) == (low <= given_as <= high)
        assert when_of({name: f"{low}.."}).holds(at, difference) == (low <= given_as)
        assert when_of({name: [f"..{high}", 10**6]}).holds(at, difference) == (given_as <= high)
    assert {*OF_A_FRAME, *OF_A_PROGRAM, "with"} == set(NAMES)


@given(shown=st.dictionaries(st.integers(0, 50), st.booleans(), min_size=1).map(lambda d: dict(sorted(d.items()))))
def test_as_narrow_as_controls_show_holds_for_each_value_that_showed_and_for_no_other_that_was_tried(
    shown: dict[Fact, bool],
) -> None:
    facts = as_narrow(shown, list(shown))
    beyond = as_narrow(shown, [-1, *shown, 99])
    assert all(fact[0] != "." != fact[-1] for fact in map(str, beyond)), "open only where there is nothing beyond"
    if not any(shown.values()):
        assert facts == ()
        return
    for number, shows in shown.items():
        program = Program("signal", (Connect(0), *[Write(0, (Frame(2),))] * int(number)))
        at, difference = Circumstances(program, rules_of("signal")), Difference(Signature("tears"), "", "", 0)
        when = When((("frames", facts),)) if facts else When()
        assert when.holds(at, difference) == shows


@given(
    values=st.lists(st.integers(0, 65_535), max_size=3),
    size=st.sampled_from((33, 34, 64, 300, 4_097, 65_537, 131_072, 524_289, 2**20)),
)
@example(values=[65_514, 65_515, 65_515], size=131_072)
def test_a_control_has_the_size_that_it_is_made_for(values: list[int], size: int) -> None:
    frame = Frame(2, tuple(Tlv(30, value) for value in values))
    changed = varied(Program("signal", (Write(0, (frame,)),)), frame, "size", size, rules_of("signal"))
    if changed is not None:
        assert [each.size for _, _, _, each in changed.frames()] == [size]
    if size >= 300 and size not in range(frame.size - 4, frame.size + 65_536):
        assert changed is not None


@pytest.mark.parametrize("named", [[], ["--accepted", "legacy-market-data"]])
def test_a_list_is_rewritten_only_where_a_file_of_the_user_is_named(named: list[str]) -> None:
    words = ["--domain", "signal", "--exec-b", "false {socket}", "--update-accepted", *named]
    result = CliRunner().invoke(command, words, standalone_mode=False)
    assert isinstance(result.exception, UsageError)
    assert "name a file of yours" in str(result.exception)


def test_the_file_that_diff_keeps_of_a_difference_accepts_it(tmp_path: Path) -> None:
    program = Program("signal", (Connect(0), Write(0, (Frame(2, flags=9),))))
    (tmp_path / "kept.json").write_bytes(msgspec.json.encode({"id": "loses:flags", "played": {"program": program}}))
    path = tmp_path / "accepted.toml"
    path.write_text("[[difference]]\nid = 'loses:flags'\nreason = 'known'\nprogram = 'kept.json'")
    [entry] = load_accepted(str(path))
    assert entry.program == program
    assert entry.key == "loses:flags (program kept.json)"
    when = Circumstances(program, rules_of("signal")).all_of_it
    assert when.values("flags") == (9,)
    assert "flags" in when.values("with")
