"""Each oracle finds its contradiction in a history that holds it, and nothing in the legal ones beside it."""

import pytest

from spec_tests.conformance.histories import Chronicle
from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.model.findings import Finding
from torq_conformance.model.frames import Frame, Tlv
from torq_conformance.model.wire import FENCE_MARK
from torq_conformance.oracles import traffic as o

ECHO = rules_of("signal")
EVERY_ORACLE = (
    o.lost,
    o.held_back,
    o.unserved,
    o.duplicated,
    o.altered,
    o.torn,
    o.mixed,
    o.leaked,
    o.echoed_wrongly,
    o.echo_lost,
    o.replayed,
    o.reordered_within_sender,
    o.reordered_between_receivers,
    o.causality_broken,
    o.closed_unexpectedly,
    o.framing_error_ignored,
    o.stuck,
    o.crashed,
)


def findings(chronicle: Chronicle, *oracles: o.Oracle) -> list[Finding]:
    return [finding for oracle in oracles for finding in oracle(chronicle.history, chronicle.rules)]


def kinds(chronicle: Chronicle, *oracles: o.Oracle) -> list[str]:
    return [finding.kind for finding in findings(chronicle, *oracles)]


def legal() -> Chronicle:
    """Three clients, each sends two frames, everybody gets all of them in one order."""
    chronicle = Chronicle(ECHO)
    for _ in range(2):
        for conn in range(3):
            chronicle.all_get(chronicle.sends(conn))
    return chronicle


@pytest.mark.parametrize("oracle", EVERY_ORACLE, ids=lambda oracle: oracle.__name__)
def test_a_legal_history_contradicts_nothing(oracle: o.Oracle) -> None:
    assert kinds(legal(), oracle) == []


def test_fwd_1_a_frame_that_one_receiver_lacks_is_lost() -> None:
    chronicle = legal()
    sent = chronicle.sends(0)
    chronicle.gets(0, sent)
    chronicle.gets(1, sent)
    (finding,) = findings(chronicle, o.lost)
    assert (finding.kind, "at C" in finding.expected) == ("lost", True)
    assert "A sent no frame after it" in finding.seen
    chronicle.peer(2).fenced_by.add(0)
    assert "a later fence of A arrived" in findings(chronicle, o.lost)[0].seen


@pytest.mark.parametrize("why", ["reset", "uncertain", "half-written", "joined later", "receiver left", "torn", "sink"])
def test_fwd_1_what_a_legal_history_may_lack_is_not_lost(why: str) -> None:
    chronicle = Chronicle(rules_of("signal", "sink")) if why == "sink" else Chronicle(ECHO)
    sent = chronicle.sends(0, whole=why != "half-written")
    if why == "reset":
        chronicle.peer(0).left = True
        sent.certain = False
    elif why == "uncertain":
        sent.certain = False
    elif why == "joined later":
        for conn in range(3):
            chronicle.peer(conn).joined = chronicle.tick()
    elif why == "receiver left":
        for conn in (1, 2):
            chronicle.peer(conn).left = True
        chronicle.gets(0, sent)
    elif why == "torn":
        for conn in range(3):
            chronicle.peer(conn).torn = True
    assert kinds(chronicle, o.lost) == []


def test_fwd_1_what_a_client_sent_before_it_left_politely_must_come() -> None:
    chronicle = legal()
    chronicle.sends(0)
    chronicle.peer(0).left = True
    assert kinds(chronicle, o.lost) == ["lost", "lost"]


def test_val_5_what_stands_before_a_framing_error_must_come_to_all_but_its_sender() -> None:
    chronicle = legal()
    chronicle.sends(0)
    chronicle.peer(0).closed = "end of stream"
    assert kinds(chronicle, o.lost) == []
    chronicle.history.broken.add(0)
    assert kinds(chronicle, o.lost) == ["lost", "lost"]
    chronicle.peer(0).closed = ""  # it is kept: its echo may have been discarded
    assert kinds(chronicle, o.lost) == ["lost", "lost"]


def test_conn_3_who_is_served_only_once_it_has_spoken_is_unserved() -> None:
    chronicle = legal()
    chronicle.peer(1).passed_over = True
    assert kinds(chronicle, o.unserved) == ["unserved"]


def test_fwd_1_a_frame_that_comes_only_when_something_follows_is_held_back() -> None:
    chronicle = legal()
    sent = chronicle.sends(0)
    chronicle.history.late[1, sent.number] = "another client"
    assert kinds(chronicle, o.held_back) == []
    chronicle.all_get(sent)
    (finding,) = findings(chronicle, o.held_back)
    assert (finding.kind, finding.conns) == ("held back", (1,))
    assert finding.seen == "it came only when a fence of another client followed"


def test_conn_7_what_a_client_sent_before_it_half_closed_must_come_to_all_and_to_itself() -> None:
    chronicle = legal()
    chronicle.sends(0)
    chronicle.peer(0).half_closed = True
    assert kinds(chronicle, o.lost) == ["lost"] * 3


def test_conn_3_a_connection_that_nothing_reaches_is_unserved() -> None:
    chronicle = legal()
    chronicle.join(3).joined = None
    assert kinds(chronicle, o.unserved) == ["unserved"]
    chronicle.peer(3).left = True
    assert kinds(chronicle, o.unserved) == []


def test_fwd_2_a_frame_that_comes_twice_is_duplicated() -> None:
    chronicle = legal()
    chronicle.gets(1, chronicle.history.sent[2])
    (finding,) = findings(chronicle, o.duplicated)
    assert "came 2 times" in finding.seen
    assert "at B" in finding.expected


def test_fwd_3_a_changed_byte_is_named_with_its_place() -> None:
    chronicle = legal()
    sent = chronicle.sends(0)
    chronicle.gets_bytes(1, sent.data[:7] + b"\x55" + sent.data[8:])
    (finding,) = findings(chronicle, o.altered)
    assert finding.kind == "altered"
    assert "byte 7 is 0x55, not 0x00" in finding.seen


def test_fwd_3_a_shorter_frame_and_one_that_nobody_sent_are_altered() -> None:
    chronicle = legal()
    sent = chronicle.sends(0)
    chronicle.gets_bytes(1, sent.data[:-1])
    chronicle.gets_bytes(2, sent.data[:8] + b"\xff" * 8 + sent.data[16:])
    short, strange = findings(chronicle, o.altered)
    assert short.seen == f"{len(sent.data) - 1} bytes came instead of {len(sent.data)}"
    assert strange.seen == f"{len(sent.data)} bytes came that nobody sent"


def test_frame_4_bytes_that_begin_no_frame_are_torn() -> None:
    chronicle = legal()
    chronicle.peer(1).torn = True
    chronicle.peer(1).rest = b"\x00" * 20 + FENCE_MARK
    (finding,) = findings(chronicle, o.torn)
    assert "a fence of the suite among them" in finding.seen


def test_frame_4_an_incomplete_frame_at_the_end_is_torn_only_where_the_connection_stands() -> None:
    chronicle = legal()
    chronicle.peer(1).rest = chronicle.history.sent[0].data[:36]
    (finding,) = findings(chronicle, o.torn)
    assert "its header announces 42 bytes" in finding.seen
    chronicle.peer(1).closed = "end of stream"
    assert kinds(chronicle, o.torn) == []


def test_frame_3_pieces_of_two_senders_in_one_frame_are_mixed() -> None:
    chronicle = legal()
    one, two = chronicle.sends(0), chronicle.sends(1)
    chronicle.gets_bytes(2, one.data[:32] + two.data[:32])
    (finding,) = findings(chronicle, o.mixed)
    assert "those of A and B mix" in finding.seen


def test_val_5_what_follows_a_frame_that_takes_in_the_rest_is_not_mixed_that_frame_has_leaked() -> None:
    chronicle = legal()
    claims = chronicle.sends(0, Frame(2, (Tlv(30, 8),), claim=2**30 + 8))
    other = chronicle.sends(1)
    chronicle.peer(2).rest = claims.data + other.data
    assert kinds(chronicle, o.mixed) == []
    (finding,) = findings(chronicle, o.leaked)
    assert finding.kind == "leaked"
    assert finding.facts["defect"] == "oversize"
    chronicle.peer(2).rest = other.data + claims.data
    assert kinds(chronicle, o.leaked) == []


@pytest.mark.parametrize(
    "frame",
    [
        Frame(1, (Tlv(30, 8),)),
        Frame(2, (Tlv(40, 8),)),
        Frame(2, (Tlv(30, 8),), checksum="inverted"),
        Frame(2, (Tlv(30, 8),), tail="1e"),
    ],
    ids=["DOM-1", "DOM-2", "VAL-1", "VAL-3"],
)
def test_what_must_be_refused_leaks_to_whoever_gets_it(frame: Frame) -> None:
    chronicle = legal()
    sent = chronicle.sends(0, frame)
    assert kinds(chronicle, o.leaked, o.lost) == []
    chronicle.gets(2, sent)
    (finding,) = findings(chronicle, o.leaked)
    assert str(sent.why) in finding.expected
    assert "came to C" in finding.seen


def test_frame_4_a_frame_never_sent_whole_leaks_to_whoever_gets_it() -> None:
    chronicle = legal()
    chronicle.gets(1, chronicle.sends(0, whole=False))
    assert kinds(chronicle, o.leaked) == ["leaked"]


def test_fwd_4_echo_is_missed_where_it_is_promised_and_refused_where_it_is_not() -> None:
    missing = Chronicle(ECHO)
    sent = missing.sends(0)
    missing.gets(1, sent)
    missing.gets(2, sent)
    assert kinds(missing, o.echo_lost, o.echoed_wrongly) == ["lost"]
    unwanted = Chronicle(rules_of("signal", "pass-through"))
    unwanted.all_get(unwanted.sends(0))
    assert kinds(unwanted, o.echo_lost, o.echoed_wrongly, o.lost) == ["echoed"]


def test_fwd_5_a_frame_seen_before_a_connection_existed_is_replayed_to_it() -> None:
    chronicle = legal()
    old = chronicle.history.sent[0]
    chronicle.join(3)
    assert kinds(chronicle, o.replayed) == []
    chronicle.gets(3, old)
    (finding,) = findings(chronicle, o.replayed)
    assert "before D connected" in finding.seen


def test_fwd_5_a_fence_of_the_past_is_a_replay_whoever_wrote_it() -> None:
    chronicle = legal()
    chronicle.join(3)
    chronicle.history.fences[7] = 0
    for sequence, whose in ((7, "a fence of A"), (8, "a fence of an earlier program")):
        chronicle.history.peers[3].old_fences = [sequence]
        (finding,) = findings(chronicle, o.replayed)
        assert finding.seen == f"{whose}, which others had got before D connected, came as well"


def test_fwd_5_a_stream_that_begins_within_a_frame_holds_the_past_one_torn_later_does_not() -> None:
    chronicle = Chronicle(ECHO)
    sent = chronicle.sends(0)
    late = chronicle.join(3)
    late.torn, late.rest = True, sent.data[40:]
    assert kinds(chronicle, o.joined_within_a_frame) == []
    late.joined = None
    assert kinds(chronicle, o.joined_within_a_frame) == ["torn"]
    chronicle.gets(3, sent)
    assert kinds(chronicle, o.joined_within_a_frame) == []


def test_fwd_5_a_frame_in_flight_may_reach_who_joins_meanwhile() -> None:
    chronicle = Chronicle(ECHO)
    sent = chronicle.sends(0)
    chronicle.join(3)
    chronicle.all_get(sent)
    assert kinds(chronicle, o.replayed, o.lost) == []


def test_ord_1_frames_of_one_sender_in_another_order() -> None:
    chronicle = Chronicle(ECHO)
    one, two = chronicle.sends(0), chronicle.sends(0)
    chronicle.gets(0, one, two)
    chronicle.gets(1, two, one)
    (finding,) = findings(chronicle, o.reordered_within_sender)
    assert "at B, because A sent them so" in finding.expected
    assert finding.seen == "A1 came first"


def test_ord_2_receivers_may_see_any_order_of_two_senders_but_the_same() -> None:
    chronicle = Chronicle(ECHO)
    one, two = chronicle.sends(0), chronicle.sends(1)
    chronicle.gets(0, two, one)
    chronicle.gets(1, two, one)
    assert kinds(chronicle, o.reordered_between_receivers, o.reordered_within_sender) == []
    chronicle.gets(2, one, two)
    found = findings(chronicle, o.reordered_between_receivers)
    assert {finding.kind for finding in found} == {"reordered"}
    assert "C saw A0 before B1, A saw B1 before A0" in found[0].seen


def test_ord_2_is_judged_among_the_frames_that_both_got() -> None:
    chronicle = Chronicle(ECHO)
    one, two, three = chronicle.sends(0), chronicle.sends(1), chronicle.sends(2)
    chronicle.gets(0, one, two, three)
    chronicle.gets(1, one, three)
    chronicle.gets(2, two, three)
    assert kinds(chronicle, o.reordered_between_receivers) == []


def test_ord_3_an_answer_that_comes_before_its_question() -> None:
    chronicle = Chronicle(ECHO)
    question = chronicle.sends(0)
    chronicle.gets(1, question)
    answer = chronicle.sends(1)
    chronicle.gets(2, answer, question)
    (finding,) = findings(chronicle, o.causality_broken)
    assert "at C, because B had got the one before it sent the other" in finding.expected


def test_ord_3_frames_that_know_nothing_of_each_other_may_come_in_any_order() -> None:
    chronicle = Chronicle(ECHO)
    one, two = chronicle.sends(0), chronicle.sends(1)
    chronicle.gets(1, one)
    chronicle.gets(2, two, one)
    assert kinds(chronicle, o.causality_broken) == []


def test_conn_6_a_connection_that_the_relay_closes_without_cause() -> None:
    chronicle = legal()
    chronicle.peer(1).closed = "end of stream"
    assert kinds(chronicle, o.closed_unexpectedly) == ["closed"]
    chronicle.peer(1).left = True
    assert kinds(chronicle, o.closed_unexpectedly) == []


def test_val_5_who_breaks_framing_must_be_closed_and_nobody_else() -> None:
    chronicle = legal()
    chronicle.history.broken.add(1)
    assert kinds(chronicle, o.framing_error_ignored, o.closed_unexpectedly) == ["kept"]
    chronicle.peer(1).closed = "end of stream"
    assert kinds(chronicle, o.framing_error_ignored, o.closed_unexpectedly) == []


def test_val_6_a_relay_that_stops_reading_or_dies() -> None:
    chronicle = legal()
    chronicle.history.stuck = "the relay took no byte of A for 3 s"
    chronicle.history.crash = "the relay exited with status 1"
    assert kinds(chronicle, o.stuck, o.crashed) == ["stuck", "crashed"]
    assert "status 1" in str(findings(chronicle, o.crashed)[0])
