"""The programs that every run begins with: they accuse no right relay, and find the wrong ones that chance misses."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.conformance.judged_relays import relay, specimen
from spec_tests.conformance.program_strategies import DOMAINS, rules_of, sent_frames, small_rules_of
from torq_conformance.generation import features as f
from torq_conformance.generation.features.queues import is_cheap_to_overflow, overflowing
from torq_conformance.generation.features.tables import PROGRAM_BYTES, SEQUENCES
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.judging.selftest_cases import SMALL_BOUNDS
from torq_conformance.model import wire
from torq_conformance.model.frames import Frame, Raw, Tlv
from torq_conformance.model.history import Stalled
from torq_conformance.model.legality import Fate, fates_of
from torq_conformance.model.program import Program
from torq_conformance.model.requirements import requirements
from torq_conformance.model.rules import Rules
from torq_conformance.model.steps import Connect, Idle, Write
from torq_conformance.oracles.isolation import overflowed
from torq_conformance.play.executor import Executor
from torq_conformance.play.target import SpawnedTarget
from torq_conformance.specimens import mutants
from torq_conformance.specimens.mutants.table import TABLE
from torq_protocol.constants import MAGIC_BYTES

mutants.load()
SLOW = ("CONN-3", "ISO-2", "ISO-3", "ISO-4")  # a silence of more than a second, and floods
TABLES = [name for name, scenario in SCENARIOS.items() if scenario.first and name not in SLOW]
RARE_STATES = ("rare_states", "combined_states", "long_acquaintance")
BY_SITUATIONS = ("leaver-ends-partials", "leaver-read-once", "left-unread-at-accept")
BY_A_TABLE = {
    row.name: row.catches[0]
    for row in TABLE.values()
    if row.part.__module__.rpartition(".")[2] in RARE_STATES
    and row.catches[0] in (*TABLES, "CONN-3", "ISO-3")
    and "signal" in row.domains
    and row.name not in BY_SITUATIONS
}
FILLING = ("FWD-7", "ISO-1", "ISO-5")  # queues, up to their bounds


def first(name: str, rules: Rules) -> tuple[Program, ...]:
    table = SCENARIOS[name].first
    assert table is not None
    return table(rules)


@pytest.fixture(scope="module")
def right_relays() -> Iterator[dict[str, SpawnedTarget]]:
    with ExitStack() as stack:
        yield {domain: stack.enter_context(relay(specimen("correct", domain, *SMALL_BOUNDS))) for domain in DOMAINS}


@pytest.mark.parametrize("domain", ["market_data", "execution"])  # what looks at least, and at most, into frames
@pytest.mark.parametrize("name", TABLES)
def test_no_table_accuses_a_right_relay(right_relays: dict[str, SpawnedTarget], name: str, domain: str) -> None:
    if requirements()[name].binds(domain) and (domain == "execution" or name not in FILLING):
        rules = small_rules_of(domain)
        executor = Executor(right_relays[domain], rules)
        for program in first(name, rules):
            history = executor.play(program)
            assert SCENARIOS[name].exercised(program, history, rules)
            assert SCENARIOS[name].judge(history, rules) == []


@pytest.mark.parametrize(("mutant", "name"), BY_A_TABLE.items())
def test_a_wrong_relay_that_chance_misses_is_found_by_a_table(mutant: str, name: str) -> None:
    rules = small_rules_of("signal")
    with relay(specimen("correct", "signal", "--mutant", mutant, *SMALL_BOUNDS)) as target:
        executor = Executor(target, rules)
        assert any(SCENARIOS[name].judge(executor.play(program), rules) for program in first(name, rules))


@pytest.mark.parametrize("name", [name for name in TABLES if name not in FILLING])
def test_a_table_overflows_no_queue(name: str) -> None:
    rules = small_rules_of("signal")
    for program in first(name, rules):
        sent = sent_frames(program)
        assert len(sent) <= rules.most_frames
        assert sum(frame.size for frame in sent) <= PROGRAM_BYTES


def test_dom_1_every_domain_is_in_its_table() -> None:
    assert {frame.domain for frame in sent_frames(*f.foreign_domain_values(rules_of("execution")))} == set(range(256))


def test_dom_4_every_type_is_in_its_table_in_both_forms() -> None:
    seen = {
        (tlv.type, tlv.extended) for frame in sent_frames(*f.tlv_type_values(rules_of("signal"))) for tlv in frame.tlvs
    }
    assert seen == {(number, extended) for number in range(256) for extended in (False, True)}


def test_fwd_3_every_value_of_the_flags_and_edges_of_sequences_are_in_its_table() -> None:
    table = sent_frames(*f.header_field_values(rules_of("signal")))
    assert {frame.flags for frame in table} == set(range(256))
    assert {frame.sequence for frame in table} == {None, *SEQUENCES}


def test_val_1_every_bit_of_a_checksum_is_wrong_in_its_table() -> None:
    programs = f.single_bit_checksum_errors(rules_of("signal"))
    assert {frame.bit for frame in sent_frames(*programs) if frame.checksum == "one-bit"} == set(range(32))


def test_val_4_every_version_source_and_size_about_a_fixed_one_is_in_its_table() -> None:
    rules = rules_of("execution")
    programs = f.strict_field_values(rules)
    assert {frame.version for frame in sent_frames(*programs)} == set(range(256))
    assert {frame.source for frame in sent_frames(*programs)} == {None, *range(256)}
    fates = [fate for program in programs for fate, _ in fates_of(program, rules).values()]
    assert set(fates) == {Fate.FORWARD, Fate.REFUSE}


def test_fwd_7_about_every_size_of_a_buffer_a_frame_is_in_its_table() -> None:
    sizes = {frame.size for frame in sent_frames(*f.frame_sizes(rules_of("signal")))}
    assert {34, 301, 4_095, 4_096, 4_097, 65_536, 65_568, 131_072, 1_048_575, 1_048_576} <= sizes
    assert max(sizes) == 1_048_576


def test_val_5_headers_of_other_domains_that_announce_too_much_are_in_its_table() -> None:
    rules = rules_of("signal")
    too_large = [
        frame for frame in sent_frames(*f.garbage_split_at_every_byte(rules)) if (frame.claim or 0) > 1_000_000
    ]
    assert {frame.domain for frame in too_large} == {0, 1, 2, 3, 255}


def test_val_5_what_is_a_frame_but_for_one_byte_of_its_magic_is_in_its_table() -> None:
    wrong_at = set[int]()
    for data in raw_bytes(*f.garbage_split_at_every_byte(rules_of("signal"))):
        places = [place for place in range(4) if data[place] != MAGIC_BYTES[place]]
        if len(places) == 1 and is_one_frame(MAGIC_BYTES + data[4:]) and has_its_checksum(data):
            wrong_at.update(places)
    assert wrong_at == {0, 1, 2, 3}


def raw_bytes(*programs: Program) -> list[bytes]:
    writes = [step for program in programs for step in program.steps if isinstance(step, Write)]
    return [bytes.fromhex(item.bytes) for step in writes for item in step.items if isinstance(item, Raw)]


def is_one_frame(data: bytes) -> bool:
    frames, used, _ = wire.decode(data, len(data))
    return len(frames) == 1 and used == len(data)


def has_its_checksum(data: bytes) -> bool:
    return wire.checksum(data) == int.from_bytes(data[28:32], "little")


def test_conn_3_each_silence_is_of_one_that_never_spoke_and_of_one_that_did() -> None:
    *silences, _ = f.idle_then_send(rules_of("signal"))
    for program in silences:
        kinds = [(type(step), getattr(step, "conn", None)) for step in program.steps]
        idle = kinds.index((Idle, None))
        assert {(Write, 0), (Write, 2)} <= set(kinds[:idle])
        assert (Write, 1) not in kinds[:idle]
        assert {(Write, 0), (Write, 1), (Write, 2)} <= set(kinds[idle:])


@settings(deadline=None)
@given(seconds=st.floats(1, 3600))
def test_conn_3_silences_grow_up_to_that_of_the_profile(seconds: float) -> None:
    rules = msgspec.structs.replace(rules_of("signal"), idle_seconds=seconds)
    programs = f.idle_then_send(rules)
    silences = [step.milliseconds for program in programs for step in program.steps if isinstance(step, Idle)]
    assert silences[0] <= 1_150
    assert silences[-1] == round(seconds * 1000)
    assert all(shorter < longer <= 4 * shorter for shorter, longer in pairwise(silences))


@pytest.mark.parametrize("policy", ["drop_oldest", "disconnect", "backpressure"])
def test_iso_3_a_queue_that_overflows_in_bytes_accuses_no_right_relay(policy: str) -> None:
    rules = msgspec.structs.replace(rules_of("signal"), overflow=policy, queue_bytes=2_000_000, idle_seconds=1.0)
    with relay(specimen("correct", "signal", "--overflow", policy, "--queue-bytes", "2000000")) as target:
        executor = Executor(target, rules)
        for name in ("ISO-2", "ISO-3"):
            (program,) = first(name, rules)
            history = executor.play(program)
            assert SCENARIOS[name].exercised(program, history, rules)
            assert SCENARIOS[name].judge(history, rules) == []


def test_iso_3_who_closes_a_consumer_that_does_not_read_for_long_is_found_by_its_table() -> None:
    rules = small_rules_of("signal")
    with relay(specimen("correct", "signal", "--mutant", "stalled-for-long-closed", *SMALL_BOUNDS)) as target:
        (program,) = first("ISO-3", rules)
        findings = SCENARIOS["ISO-3"].judge(Executor(target, rules).play(program), rules)
    assert [finding.kind for finding in findings] == ["closed"]


def test_iso_2_3_4_a_queue_that_is_too_large_to_fill_is_not_filled() -> None:
    rules = msgspec.structs.replace(rules_of("signal"), queue_bytes=1 << 40)  # all together: 1 GiB
    assert f.byte_bound_overflow(rules) == f.repeated_overflow(rules) == ()
    assert "the queue of a consumer holds 1 073 741 824 bytes" in SCENARIOS["ISO-2"].unfit_for(rules)
    assert {name for name, scenario in SCENARIOS.items() if scenario.unfit_for(rules)} == {"ISO-2", "ISO-3", "ISO-4"}
    assert not any(scenario.unfit_for(rules_of("signal")) for scenario in SCENARIOS.values())


@given(
    st.sampled_from((0, 16, 50, 10_000, 1_000_000)),
    st.sampled_from((50_000, 2_000_000, 1 << 26, 1 << 28)),
    st.sampled_from((1_024, 65_536, 1 << 20, 1 << 24)),
    st.sampled_from((40, 200, 1_400)),
)
def test_iso_2_what_is_said_to_overflow_a_queue_does_so_for_certain(
    frames: int, size: int, largest: int, value: int
) -> None:
    rules = msgspec.structs.replace(rules_of("signal"), queue_frames=frames, queue_bytes=size, max_message_size=largest)
    frame, count = overflowing(rules, Frame(rules.number, (Tlv(20, value),)))
    stall = Stalled(0, frames=count, bytes=count * frame.size)
    stall.forwarded_frames, stall.forwarded_bytes = stall.frames, stall.bytes
    assert overflowed(stall, rules)
    assert frame.size <= largest
    assert is_cheap_to_overflow(rules) or count * frame.size <= 2 * size + rules.socket_bytes


def test_fwd_2_equal_frames_accuse_no_relay_that_gives_senders_nothing_back() -> None:
    rules = msgspec.structs.replace(rules_of("signal"), echo=False)
    with relay(specimen("correct", "signal", "--no-echo")) as target:
        executor = Executor(target, rules)
        for program in f.identical_frames(rules):
            history = executor.play(program)
            assert SCENARIOS["FWD-1"].judge(history, rules) == []
            assert SCENARIOS["FWD-4"].judge(history, rules) == []


@pytest.mark.parametrize("limit", [4, 8, 13, 1_000])
def test_conn_5_large_frames_are_for_no_more_clients_than_may_connect(limit: int) -> None:
    rules = msgspec.structs.replace(rules_of("signal"), max_connections=limit)
    connected = [sum(isinstance(step, Connect) for step in program.steps) for program in f.frame_sizes(rules)]
    assert max(connected) == min(12, limit - 1)
