"""The program of a situation has what its values say: every one is looked for in the steps, by other means."""

from collections.abc import Callable

import pytest

from spec_tests.conformance.program_strategies import DOMAINS, rules_of
from torq_conformance.generation.situations.compose import HALF_CLOSED, RECEIVER, SENDER, program_of
from torq_conformance.generation.situations.covering import situations
from torq_conformance.generation.situations.dimensions import Dimension, Situation, dimensions
from torq_conformance.generation.situations.possible import (
    FRAMING_ERRORS,
    GONE,
    NOT_READING,
    OF_THE_FRAME,
    PLACED_DEFECTS,
    TLV_DEFECTS,
    UNREAD,
)
from torq_conformance.model.frames import Frame, Raw
from torq_conformance.model.legality import Defect, Fate, fate_of
from torq_conformance.model.program import Program
from torq_conformance.model.rules import Rules
from torq_conformance.model.steps import Buffer, Close, Connect, Finish, Flood, Freeze, HalfClose, Sip, Stall, Write
from torq_conformance.model.wire import decode
from torq_protocol.constants import HEADER_SIZE

SEED = 11
DEFECTS: dict[str, set[Defect]] = {
    "checksum bit": {Defect.WRONG_CHECKSUM},
    "checksum of other bytes": {Defect.WRONG_CHECKSUM},
    "payload bit": {Defect.WRONG_CHECKSUM},
    "other domain": {Defect.FOREIGN_DOMAIN},
    "no domain": {Defect.FOREIGN_DOMAIN},
    "other type": {Defect.FOREIGN_TYPE},
    "other type, extended": {Defect.FOREIGN_TYPE},
    "inner type 0 or 255": {Defect.BAD_INNER_TYPE, Defect.MALFORMED_TLVS},
    "value one short": {Defect.MALFORMED_TLVS},
    "extended value one short": {Defect.MALFORMED_TLVS},
    "TLV header cut": {Defect.MALFORMED_TLVS},
    "reserved byte": {Defect.MALFORMED_TLVS},
    "version": {Defect.VERSION},
    "source": {Defect.UNKNOWN_SOURCE},
    "size of a type": {Defect.WRONG_SIZE},
}
"""What the execution relay, which looks at everything, must find wrong."""


def single(domain: str) -> list[tuple[Situation, Program, Rules]]:
    rules = rules_of(domain)
    every = situations(rules, frozenset(), 2, SEED)
    return [(each, program_of([each], rules, SEED), rules) for each in every if not each["age"].dear]


def write_of(situation: Situation, program: Program) -> Write:
    """The write of the frame: of those of the sender the last before the others speak again, and the longest."""
    writes = [step for step in program.steps if isinstance(step, Write) and step.conn == SENDER]
    company = situation["company"].name
    last = situation["sender"].name not in GONE and situation["defect"].name not in FRAMING_ERRORS
    write = writes[-2] if last else writes[-1]
    assert len(write.items) == {
        "alone": 1, "behind one": 2, "before one": 2, "between two": 3, "twice": 2, "behind a batch": len(write.items),
        "behind a large one": 3, "before a large one": 4,
    }[company]  # fmt: skip
    return write


def item_of(situation: Situation, program: Program) -> tuple[Frame | Raw, int]:
    """The frame of the situation, and where it begins in its write."""
    place = {"behind one": 1, "between two": 1, "behind a batch": -1, "behind a large one": 1, "before a large one": 1}
    write = write_of(situation, program)
    index = place.get(situation["company"].name, 0)
    return write.items[index], sum(each.size for each in write.items[:index])  # -1: all but the last


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_frame_has_the_size_of_its_class(domain: str) -> None:
    for situation, program, _ in single(domain):
        item, _ = item_of(situation, program)
        base, edge = situation["size"].number, situation["edge"].name
        assert (
            item.size
            in {
                "exact": range(base, base + 1),
                "one below": range(base - 1, base),
                "one above": range(base + 1, base + 2),
                "between": range(base + 2, 2 * base - 1),
            }[edge]
        ), situation.words


def test_the_frame_is_wrong_in_the_way_of_its_defect_and_in_no_other() -> None:
    for situation, program, rules in single("execution"):
        item, _ = item_of(situation, program)
        name = situation["defect"].name
        if isinstance(item, Raw):
            assert name in ("text", "wrong magic")
            assert decode(bytes.fromhex(item.bytes), rules.max_message_size)[2], situation.words
            continue
        fate, reason = fate_of(item, rules)
        if name == "none":
            assert fate is Fate.FORWARD, (situation.words, str(reason))
        elif name in FRAMING_ERRORS:
            assert fate is Fate.BREAK, situation.words
        elif name == "checksum 0":
            assert (fate is Fate.REFUSE) == (rules.zero_checksum == "refuse"), situation.words
        else:
            assert reason is not None, situation.words
            assert reason.defect in DEFECTS[name], (situation.words, str(reason))


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_write_is_cut_as_its_value_says(domain: str) -> None:
    for situation, program, _ in single(domain):
        words, steps = situation.words, program.steps
        item, start = item_of(situation, program)
        write = write_of(situation, program)
        at = max(place for place, step in enumerate(steps) if step is write)
        before, behind = steps[:at], steps[at + 1 :]
        cut = situation["cut"]
        whole = sum(each.size for each in write.items)
        where = {"in the middle": item.size // 2, "before last byte": item.size - 1}.get(cut.name, cut.number)
        match cut.name:
            case "whole":
                assert write.pieces() == [(0, whole)], words
            case "small send buffer":
                assert any(isinstance(step, Buffer) and step.conn == SENDER for step in before), words
            case "in 7 bytes":
                assert write.pieces()[0] == (0, 7), words
            case "pause in header" | "pause in payload":
                assert write.stop is not None
                inside = range(HEADER_SIZE, item.size) if cut.name == "pause in payload" else [where]
                assert write.stop - start in inside, words
                assert Finish(SENDER) in behind, words
                meanwhile = behind[: behind.index(Finish(SENDER))]
                silent = situation["receiver"].name in (*HALF_CLOSED, "is within a frame")
                assert any(isinstance(step, Write) for step in meanwhile) or silent, words
                assert sum(isinstance(step, Finish) for step in meanwhile) == situation["senders"].number - 1, words
            case _:
                assert [start + where] == [stop for _, stop in write.pieces()[:-1]], words


@pytest.mark.parametrize("domain", DOMAINS)
def test_clients_are_in_the_states_of_their_values(domain: str) -> None:
    def has(test: Callable[[object], bool], program: Program) -> bool:
        return any(test(step) for step in program.steps)

    for situation, program, _ in single(domain):
        words, steps = situation.words, program.steps
        write = write_of(situation, program)
        at = max(place for place, step in enumerate(steps) if step is write)
        before, behind = steps[:at], steps[at + 1 :]
        times = situation["repeats"].number
        extra = times * (situation["leaver"].name != "nobody") + (situation["bystander"].name == "another stalls")
        extra += times * (situation["bystander"].name == "another joins")
        assert sum(isinstance(step, Connect) for step in steps) == situation["connections"].number + extra, words
        talkers = {step.conn for step in steps if isinstance(step, Write) and not step.settle} - {SENDER}
        talkers = {conn for conn in talkers if conn < situation["connections"].number}  # not who leaves
        assert len(talkers) + 1 == situation["senders"].number, words
        assert has(lambda step: isinstance(step, Freeze), program) == (situation["bystander"].name == "relay frozen")
        age = situation["age"].number
        carried = sum(step.count for step in before if isinstance(step, Flood) and step.frame.size < 100)
        carried += age == 1 and any(isinstance(step, Write) and step.conn == SENDER for step in before)
        assert carried == age, words
        leaver, conn = situation["leaver"].name, situation["connections"].number
        left = [step for step in steps if isinstance(step, Close) and step.conn >= conn]
        assert len(left) == len({step.conn for step in left}) == times * (leaver != "nobody"), words
        if left:
            *_, part = (step for step in steps if isinstance(step, Write) and step.conn == conn)
            assert left[0].reset == leaver.startswith("resets"), words
            assert (HalfClose(conn) in steps) == leaver.startswith("half-closes"), words
            inside = {"header": range(1, HEADER_SIZE), "payload": range(HEADER_SIZE, part.items[0].size)}
            expected = next((sizes for name, sizes in inside.items() if name in leaver), None)
            assert part.stop is None if expected is None else part.stop in expected, words
            visits = Connect(conn, reads=False) in steps
            assert not visits or steps.index(Freeze()) < steps.index(Connect(conn, reads=False)), words
        receiver = situation["receiver"].name
        assert (Connect(RECEIVER, reads=False) in before) == (receiver == "never reads"), words
        assert (Stall(RECEIVER) in before) == (receiver in NOT_READING), words
        sips = [step for step in steps if isinstance(step, Sip)]
        alike = 1 + situation["likewise"].number
        assert len(sips) == 2 * times * alike * (receiver == "reads in sips"), words
        quiet = range(1, situation["connections"].number - situation["senders"].number + 1)  # no talkers
        begun = situation["receiver"].number
        in_state = {
            "never reads": {step.conn for step in before if isinstance(step, Connect) and not step.reads} - {conn},
            "is within a frame": {step.conn for step in before if isinstance(step, Write) and step.stop == begun},
            "has half-closed": {step.conn for step in before if isinstance(step, HalfClose)},
        }.get(receiver, {step.conn for step in before if isinstance(step, Stall)})
        assert in_state & set(quiet) == set(range(1, 1 + alike * (receiver != "reads"))) & set(quiet), words
        assert alike == 1 or alike in quiet, words
        assert (HalfClose(RECEIVER) in before) == ("half-closed" in receiver), words
        sender = situation["sender"].name
        assert (Connect(SENDER, reads=False) in before) == (sender == "only sends"), words
        assert (Stall(SENDER) in before) == (sender == "does not read"), words
        ends = {"half-closes behind it": HalfClose(SENDER), "closes behind it": Close(SENDER)}
        ends["resets behind it"] = Close(SENDER, reset=True)
        assert [end in behind for end in ends.values()] == [name == sender for name in ends], words


BESIDE = {
    "senders": {"connections": "66"},
    "receiver": {"connections": "3"},
    "likewise": {"connections": "18", "receiver": "stalls"},
}
"""What else a value of a dimension needs."""


def of(**values: str) -> Situation:
    """The plainest situation but for these values."""
    return Situation(
        tuple(
            [value.name for value in each.values].index(values.get(each.name, each.values[0].name))
            for each in dimensions()
        )
    )


@pytest.mark.parametrize(
    "dimension", [each for each in dimensions() if each.name != "place"], ids=lambda each: each.name
)
def test_each_value_makes_a_program_of_its_own(dimension: Dimension) -> None:
    """A name that nobody knows would make the plainest program, and count as met."""
    rules, beside = rules_of("execution"), BESIDE.get(dimension.name, {})
    programs = [
        program_of([of(**beside, **{dimension.name: value.name})], rules, SEED).steps for value in dimension.values
    ]
    assert len(set(programs)) == len(dimension.values)


def test_a_defect_stands_in_its_place_among_the_tlvs() -> None:
    rules = rules_of("execution")
    for place, index in {"first of four": 0, "third of four": 2, "last of four": -1}.items():
        situation = of(place=place, defect="other type")
        item, _ = item_of(situation, program_of([situation], rules, SEED))
        assert isinstance(item, Frame)
        assert len(item.tlvs) >= 4
        assert [tlv.type in rules.types for tlv in item.tlvs].index(False) == index % len(item.tlvs)


def test_every_name_that_the_code_knows_stands_in_the_file() -> None:
    names = {each.name: {value.name for value in each.values} for each in dimensions()}
    assert names["defect"] >= {*FRAMING_ERRORS, *TLV_DEFECTS, *PLACED_DEFECTS}
    assert names["receiver"] >= {*NOT_READING, *HALF_CLOSED, *UNREAD}
    assert names["sender"] >= set(GONE)
    assert names.keys() >= set(OF_THE_FRAME)


def test_situations_of_a_great_age_share_one_stream_and_end_it_nowhere() -> None:
    rules = rules_of("signal")
    for age in (10_500, 70_000):
        old = [each for each in situations(rules, frozenset(), 2, SEED) if each["age"].number == age]
        lasting = [each for each in old if each["defect"].name not in FRAMING_ERRORS]
        assert len(lasting) > 10
        assert (len(lasting) == len(old)) == (age == 70_000)
        program = program_of(lasting, rules, SEED)
        assert sum(step.count for step in program.steps if isinstance(step, Flood)) == age
        assert not any(fate_of(frame, rules)[0] is Fate.BREAK for _, _, _, frame in program.frames())
        assert {"none", "checksum bit", "other type"} <= {each["defect"].name for each in lasting}
