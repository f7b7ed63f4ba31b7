"""Equivalence of two histories: what races may change is no difference, everything else is one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from torq_conformance.comparison.causes import causes_in, class_of
from torq_conformance.comparison.equivalence import Comparison, Signature, sentence
from torq_conformance.model.frames import Frame, Raw, Tlv, encode_frame
from torq_conformance.model.history import History, Peer, Received, Sent, Stalled
from torq_conformance.model.legality import Fate
from torq_conformance.model.profile import Profile, rules_for
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Connect, Finish, Write

STRICTEST = rules_for(
    Profile(name="test", type_filter=True, checksum=True, zero_checksum="refuse", check_tlvs=True, strict=True),
    "signal",
)
COMPARISON = Comparison(STRICTEST)
CONNECTIONS = 3
SENT = [(number, number % CONNECTIONS) for number in range(9)]


def history(orders: list[list[int]], frames: dict[int, Frame] | None = None) -> History:
    """A history in which connection ``i`` got the frames of ``orders[i]`` in that order."""
    shown = History()
    for number, conn in SENT:
        frame = (frames or {}).get(number, Frame(2))
        data = encode_frame(frame, conn=conn, number=number, sequence=number + 1)
        entry = Sent(number, 3, conn, frame, data, Fate.FORWARD, None, 5, 6, whole=True, certain=True)
        shown.sent.append(entry)
    for conn, order in enumerate(orders):
        received = [Received(number, shown.sent[number].data, 10 + place) for place, number in enumerate(order)]
        shown.peers[conn] = Peer(conn, 1, joined=2, received=received)
    return shown


def effects(a: History, b: History) -> set[Signature]:
    return {difference.signature for difference in COMPARISON.differences(a, b)}


@st.composite
def merged_orders(draw: st.DrawFn) -> list[int]:
    """The frames of all senders in any order that keeps each sender's own."""
    senders = draw(st.permutations([conn for _, conn in SENT]))
    left = {conn: [number for number, sender in SENT if sender == conn] for conn in range(CONNECTIONS)}
    return [left[conn].pop(0) for conn in senders]


@settings(max_examples=30, deadline=None)
@given(first=merged_orders(), second=merged_orders())
def test_the_order_between_senders_is_no_difference(first: list[int], second: list[int]) -> None:
    assert not effects(history([first] * CONNECTIONS), history([second] * CONNECTIONS))


@settings(max_examples=30, deadline=None)
@given(order=merged_orders(), number=st.sampled_from(range(9)), receiver=st.sampled_from(range(CONNECTIONS)))
def test_one_frame_less_or_more_at_one_receiver_is_a_difference(order: list[int], number: int, receiver: int) -> None:
    whole, less = [list(order) for _ in range(CONNECTIONS)], [list(order) for _ in range(CONNECTIONS)]
    less[receiver].remove(number)
    own = number % CONNECTIONS == receiver
    assert effects(history(whole), history(less)) == {Signature("echoes-not" if own else "loses")}
    assert effects(history(less), history(whole)) == {Signature("echoes" if own else "delivers")}
    twice = [*whole[:receiver], [*whole[receiver], number], *whole[receiver + 1 :]]
    assert effects(history(whole), history(twice)) == {Signature("duplicates")}


def test_a_frame_of_another_domain_that_comes_out_is_named_as_such() -> None:
    order = list(range(9))
    foreign = {4: Frame(1)}
    without = [number for number in order if number != 4]
    a, b = history([without] * CONNECTIONS, foreign), history([order] * CONNECTIONS, foreign)
    assert effects(a, b) == {Signature("forwards", "foreign-domain")}
    assert "frames of another domain that relay A refuses" in sentence("forwards", "foreign-domain")


@pytest.mark.parametrize(("torn", "effect"), [(False, "serves-not"), (True, "tears")])
def test_a_client_that_joins_within_a_frame_is_served_a_torn_stream(torn: bool, effect: str) -> None:
    """A relay that forwards reads gives who joins between two of them the end of a frame."""
    order = list(range(9))
    a, b = history([order] * 3), history([order] * 3)
    b.peers[2] = Peer(2, 1, joined=None, torn=torn)
    assert effects(a, b) == {Signature(effect)}


@pytest.mark.parametrize(("fate", "compared"), [(Fate.FORWARD, True), (Fate.BREAK, False)])
def test_of_a_sender_whose_garbage_is_stepped_over_valid_frames_are_compared(fate: Fate, compared: bool) -> None:
    """A frame that ends where nobody can tell may take others along, or not: that is no difference."""
    norm = rules_for(Profile(name="test", on_framing_error="resync"), "signal")
    order = list(range(9))
    a, b = history([order] * CONNECTIONS), history([[number for number in order if number != 4]] * CONNECTIONS)
    for shown in (a, b):
        shown.broken = {4 % CONNECTIONS}
        shown.sent[4].fate = fate
    found = {each.signature for each in Comparison(norm, norm).differences(a, b)}
    assert found == ({Signature("loses")} if compared else set())


def test_receivers_that_disagree_only_in_b_are_a_difference() -> None:
    order = [0, 1, 2, 3, 4, 5, 6, 7, 8]
    other = [1, 0, *order[2:]]
    assert effects(history([order] * 3), history([order, order, other])) == {Signature("disagrees")}
    assert effects(history([order, order, other]), history([order] * 3)) == {Signature("agrees")}


@pytest.mark.parametrize("field", ["left", "half_closed"])
@pytest.mark.parametrize("certain", [True, False])
def test_what_a_sender_that_has_gone_had_sent_may_be_missing_only_if_it_left_by_a_reset(
    field: str, certain: bool
) -> None:
    order = list(range(9))
    a, b = history([order] * 3), history([order] * 3)
    b.peers[1].received = [each for each in b.peers[1].received if each.number != 0]
    setattr(b.peers[0], field, True)
    b.sent[0].certain = certain
    assert effects(a, b) == ({Signature("loses")} if certain else set())


def test_a_torn_stream_hides_what_was_lost_behind_it() -> None:
    order = list(range(9))
    a, b = history([order] * 3), history([order, order, []])
    b.peers[2].torn = True
    assert effects(a, b) == {Signature("tears")}


def test_a_crash_is_the_only_difference_that_is_told() -> None:
    a, b = history([list(range(9))] * 3), history([[]] * 3)
    b.crash = "the relay was ended by signal SIGSEGV"
    assert effects(a, b) == {Signature("crashes")}


@pytest.mark.parametrize(
    ("steps", "first"),
    [
        ((Connect(0), Write(0, (Frame(2, (Tlv(30, 8),)),))), "plain"),
        ((Connect(0), Write(0, (Frame(2),), cuts=(1,))), "cut"),
        ((Connect(0), Write(0, (Frame(2),), stop=1)), "incomplete"),
        ((Connect(0), Connect(1), Write(0, (Frame(2),), stop=1), Write(1, (Frame(2),)), Finish(0)), "interleaved"),
        ((Connect(0), Write(0, (Raw("00" * 64),))), "garbage"),
        ((Connect(0), Write(0, (Raw("efbeadde"),))), "incomplete"),
        ((Connect(0), Write(0, (Frame(2, claim=2**30),))), "oversize"),
        ((Connect(0), Write(0, (Frame(2), Frame(1)))), "foreign-domain"),
        ((Connect(0), Write(0, (Frame(2, (Tlv(30, 65_530),)),))), "above-a-read"),
    ],
)
def test_the_most_particular_cause_of_a_program_is_named_first(steps: tuple, first: str) -> None:  # type: ignore[type-arg] # steps of every kind
    assert causes_in(Program("signal", steps), STRICTEST)[0] == first


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        (Frame(2), ""),
        (Frame(1), "foreign-domain"),
        (Frame(2, version=2), "version"),
        (Frame(2, source=255), "unknown-source"),
        (Frame(2, checksum="zero"), "wrong-checksum"),
        (Frame(2, tail="14"), "malformed-tlvs"),
        (Frame(2, (Tlv(40, 0),)), "foreign-type"),
        (Frame(2, claim=1), "wrong-claim"),
    ],
)
def test_every_fault_of_a_frame_has_a_name(frame: Frame, name: str) -> None:
    assert class_of(frame, STRICTEST) == name


def test_frames_that_are_lost_alike_are_one_difference() -> None:
    none: list[list[int]] = [[] for _ in range(CONNECTIONS)]
    everything = [[number for number, _ in SENT] for _ in range(CONNECTIONS)]
    [lost] = COMPARISON.differences(history(everything), history(none))
    assert lost.signature == Signature("loses")
    assert lost.frame == "A0"


def behind(came: list[int]) -> History:
    """A history in which receiver C did not read while the frames of the others were sent, and got some of them."""
    everything = [number for number, _ in SENT]
    shown = history([everything, everything, came])
    shown.peers[2].stalls.append(Stalled(begun=4, ended=8))
    return shown


OTHERS = [number for number, conn in SENT if conn != 2]


@settings(max_examples=30, deadline=None)
@given(came=st.lists(st.sampled_from(OTHERS), unique=True, max_size=len(OTHERS) - 1).map(sorted))
def test_what_only_one_relay_loses_behind_a_stall_is_a_difference(came: list[int]) -> None:
    own = [number for number, conn in SENT if conn == 2]
    everything = [number for number, _ in SENT]
    assert Signature("loses") in effects(behind(everything), behind(sorted([*came, *own])))
    assert Signature("delivers") in effects(behind(sorted([*came, *own])), behind(everything))


@pytest.mark.parametrize(
    ("in_a", "in_b", "found"),
    [
        ([3, 4, 6, 7, 8], [4, 5, 6, 7, 8], set()),
        ([3, 4, 6, 7, 8], [0, 1, 2, 3, 4], {Signature("drops-newest")}),
        ([0, 1, 2, 3, 4], [4, 5, 6, 7, 8], {Signature("keeps-newest")}),
        ([2, 3, 4, 5, 6, 7, 8], [7, 8], {Signature("queues-less")}),
        ([7, 8], [2, 3, 4, 5, 6, 7, 8], {Signature("queues-more")}),
    ],
)
def test_of_a_queue_that_overflows_on_both_relays_what_it_keeps_is_compared_as_a_set(
    in_a: list[int], in_b: list[int], found: set[Signature]
) -> None:
    assert effects(behind(in_a), behind(in_b)) == found


def test_frames_that_are_alike_byte_for_byte_belong_to_nobody() -> None:
    order = list(range(9))
    a, b = history([order] * 3), history([order, order, order[1:]])
    for each in (a, b):
        each.sent[1].data = each.sent[0].data
    assert not effects(a, b)


def test_what_a_client_that_does_not_read_has_left_unread_is_no_part_of_a_frame() -> None:
    order = list(range(9))
    a, b = history([order] * 3), history([order] * 3)
    b.peers[2].rest = b"\xef"
    assert effects(a, b) == {Signature("leaks-part")}
    a.peers[2].reads = b.peers[2].reads = False
    assert not effects(a, b)
