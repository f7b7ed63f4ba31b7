"""The state machine writes programs that the executor can play as they stand."""

import functools

import msgspec
import pytest

from spec_tests.conformance.program_strategies import DOMAINS, rules_of, small_rules_of
from torq_conformance.generation import machine
from torq_conformance.generation.search import Writer
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.model.frames import Frame, Raw
from torq_conformance.model.history import History, Sent
from torq_conformance.model.legality import Fate, fate_of
from torq_conformance.model.program import Program
from torq_conformance.model.requirements import requirements
from torq_conformance.model.rules import Rules
from torq_conformance.model.steps import Close, Connect, FailedTakeover, Finish, Flood, HalfClose, Resume, Stall, Write


@functools.cache
def written_for(requirement: str, domain: str, count: int = 10) -> tuple[Program, ...]:
    """Programs as a run of the suite would generate them, from a fixed seed."""
    return written_under(rules_of(domain), requirement, count)


def written_under(rules: Rules, requirement: str, count: int = 10) -> tuple[Program, ...]:
    """The same under other rules than the reference's."""
    written: list[Program] = []
    scenario = SCENARIOS[requirement]
    Writer("any", scenario.features, rules, scenario.steps, count, seed=7).until_shown(written.append)
    return tuple(written)


EVERYWHERE = ("FWD-1", "FRAME-1", "FRAME-3", "CONN-6", "CONN-7", "VAL-5", "DOM-1", "ORD-3")


@pytest.mark.parametrize("requirement", EVERYWHERE)
def test_a_program_uses_connections_only_between_their_opening_and_their_end(requirement: str) -> None:
    for program in written_for(requirement, "signal"):
        opened: set[int] = set()
        left: set[int] = set()
        muted: set[int] = set()
        for step in program.steps:
            conn = getattr(step, "conn", None)
            if isinstance(step, Connect):
                assert step.conn not in opened
                opened.add(step.conn)
            elif conn is not None:
                assert conn in opened
                assert conn not in left
            if isinstance(step, Write):
                assert step.conn not in muted
                muted |= {step.conn} if step.stop is not None else set()
            elif isinstance(step, Finish):
                muted.discard(step.conn)
            elif isinstance(step, HalfClose):
                muted.add(step.conn)
            elif isinstance(step, Close):
                left.add(step.conn)


@pytest.mark.parametrize("domain", DOMAINS)
@pytest.mark.parametrize("requirement", ["FWD-1", "FWD-2", "FWD-3", "FWD-7", "FWD-8", "FRAME-1", "FRAME-2", "ORD-2"])
def test_programs_about_forwarding_hold_only_frames_that_must_be_forwarded(requirement: str, domain: str) -> None:
    rules = rules_of(domain)
    for program in written_for(requirement, domain, 5):
        for _, _, _, frame in program.frames():
            assert fate_of(frame, rules)[0] is Fate.FORWARD


@pytest.mark.parametrize(
    ("requirement", "domain"),
    [
        ("DOM-1", "market_data"),
        ("DOM-2", "signal"),
        ("VAL-1", "signal"),
        ("VAL-3", "execution"),
        ("VAL-4", "execution"),
    ],
)
def test_programs_about_refusal_hold_frames_of_both_fates(requirement: str, domain: str) -> None:
    rules = rules_of(domain)
    frames = [frame for program in written_for(requirement, domain) for _, _, _, frame in program.frames()]
    assert {Fate.FORWARD, Fate.REFUSE} <= {fate_of(frame, rules)[0] for frame in frames}


@pytest.mark.parametrize("requirement", ["FWD-7", "FRAME-2", "DOM-1"])
def test_a_program_stays_below_what_any_queue_could_legally_drop(requirement: str) -> None:
    for program in written_for(requirement, "signal"):
        assert sum(step.size for step in program.steps if isinstance(step, Write)) <= machine.MAX_PROGRAM_BYTES


def shows(requirement: str, program: Program, domain: str) -> bool:
    """Whether a program holds what its requirement needs, as far as that can be seen before it is played."""
    history = History(sent=[_sent(entry, domain) for entry in program.frames()], broken=_broken(program, domain))
    history.successors_killed = sum(isinstance(step, FailedTakeover) for step in program.steps)
    needs = SCENARIOS[requirement].needs
    return needs is None or needs(program, history, rules_of(domain))


def _sent(entry: tuple[int, int, int, Frame], domain: str) -> Sent:
    number, step, conn, frame = entry
    return Sent(number, step, conn, frame, bytes(frame.size), *fate_of(frame, rules_of(domain)), begun=0)


def _broken(program: Program, domain: str) -> set[int]:
    rules = rules_of(domain)
    writes = [step for step in program.steps if isinstance(step, Write)]
    return {
        write.conn
        for write in writes
        for item in write.items
        if isinstance(item, Raw) or fate_of(item, rules)[0] is Fate.BREAK
    }


@pytest.mark.parametrize("domain", ["signal", "execution"])
@pytest.mark.parametrize("requirement", [name for name in SCENARIOS if not name.startswith("ISO")])
def test_every_program_exercises_its_requirement(requirement: str, domain: str) -> None:
    if requirements()[requirement].binds(domain):
        programs = written_for(requirement, domain)
        assert [program for program in programs if not shows(requirement, program, domain)] == []


@pytest.mark.parametrize("requirement", [name for name in SCENARIOS if name.startswith("ISO")])
def test_every_program_about_slow_consumers_overflows_a_queue(requirement: str) -> None:
    rules = small_rules_of("signal")
    for program in written_under(rules, requirement):
        silent, waiting = set[int](), dict[int, int]()
        for step in program.steps:
            if isinstance(step, Stall) or (isinstance(step, Connect) and not step.reads):
                silent.add(step.conn)
            elif isinstance(step, Resume):
                silent.discard(step.conn)
            elif isinstance(step, Flood):
                waiting.update({conn: waiting.get(conn, 0) + step.count for conn in silent})
        assert max(waiting.values()) > rules.most_frames


@pytest.mark.parametrize("requirement", ["ISO-2", "ISO-3", "ISO-4", "ISO-7"])
def test_a_queue_that_holds_much_is_overflowed_once_and_of_large_frames(requirement: str) -> None:
    rules = rules_of("signal")
    for program in written_under(rules, requirement, 5):
        floods = [(step.frame.size, step.count) for step in program.steps if isinstance(step, Flood)]
        beyond = [count for size, count in floods if size * count > rules.queue_bytes]
        assert len(beyond) == 1
        assert sum(size * count for size, count in floods) < 1.1 * rules.queue_bytes
        assert sum(count for _, count in floods) < 10_000


def test_iso_1_5_no_program_of_chance_overflows_a_queue_that_holds_much() -> None:
    rules = rules_of("signal")
    for program in (*written_under(rules, "ISO-1", 5), *written_under(rules, "ISO-5", 5)):
        assert sum(step.weight.bytes for step in program.steps) < rules.queue_bytes // 4


def test_every_program_sends_something() -> None:
    for requirement in EVERYWHERE:
        assert all(any(isinstance(s, Write) for s in program.steps) for program in written_for(requirement, "signal"))


def test_the_same_seed_writes_the_same_programs() -> None:
    first = written_for("FWD-1", "signal")
    written_for.cache_clear()
    assert written_for("FWD-1", "signal") == first
    assert len(set(first)) > 5


@pytest.mark.parametrize("size", [32, 34, 36, 37, 291, 292, 65_536, 65_540, 65_572, 65_573, 131_072, 1_048_576])
def test_a_sized_frame_has_exactly_that_size(size: int) -> None:
    frame = machine.sized_frame(2, 30, size)
    assert isinstance(frame, Frame)
    assert frame.size == size
    assert msgspec.json.decode(msgspec.json.encode(frame), type=Frame) == frame
