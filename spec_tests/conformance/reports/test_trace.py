"""What a sequence diagram shows of a run, and how it is drawn as text, Mermaid and SVG."""

from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.conformance import shown_runs
from spec_tests.conformance.program_strategies import programs
from torq_conformance.judging.verdict import Counterexample
from torq_conformance.model.findings import Finding
from torq_conformance.model.frames import encode_frame
from torq_conformance.model.history import History, Peer, Received, Sent
from torq_conformance.model.legality import Fate
from torq_conformance.model.profile import load_profile, rules_for
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Close, Connect, Finish, Write
from torq_conformance.oracles.traffic import torn
from torq_conformance.reports.ascii import draw
from torq_conformance.reports.diagram import RELAY, Diagram
from torq_conformance.reports.mermaid import mermaid
from torq_conformance.reports.svg import svg
from torq_conformance.reports.trace import MAX_COLUMNS, MAX_EVENTS, diagram_of


def echoed(program: Program) -> History:
    """What a relay that forwards everything to everybody would show of a program."""
    history = History()
    now = 0
    for step in program.steps:
        now += 1
        if isinstance(step, Connect):
            history.peers[step.conn] = Peer(step.conn, connected=now, joined=now + 1)
            now += 1
    for number, position, conn, frame in program.frames():
        data = encode_frame(frame, conn=conn, number=number, sequence=number)
        history.sent.append(Sent(number, position, conn, frame, data, Fate.FORWARD, None, now, now + 1))
        now += 2
        for peer in history.peers.values():
            peer.received.append(Received(number, data, now))
            now += 1
    return history


def counterexample(program: Program) -> Counterexample:
    finding = Finding("lost", "frame A0 of step 2 at A", "it never came", frames=(0,), conns=(0,))
    return Counterexample("FWD-1", program, [finding], echoed(program), 1, 1)


@settings(max_examples=60, deadline=None)
@given(program=programs())
def test_every_program_can_be_drawn_in_every_form(program: Program) -> None:
    diagram = diagram_of(counterexample(program))
    assert len(diagram.columns) <= MAX_COLUMNS + 1
    assert diagram.columns.count(RELAY) == 1
    assert all(event.connection in ("", *diagram.columns) for event in diagram.events)
    assert len(diagram.events) <= 2 * MAX_EVENTS
    lines = [line.text for line in draw(diagram)]
    assert len(lines) == 1 + len(diagram.events)
    assert max(map(len, lines)) < 200
    assert all("\n" not in line for line in mermaid(diagram))
    assert ElementTree.fromstring(svg(diagram, "a <title>")).tag == "svg"


@settings(max_examples=60, deadline=None)
@given(program=programs())
def test_steps_stand_in_the_order_of_the_program(program: Program) -> None:
    steps = [event.step for event in diagram_of(counterexample(program)).events if event.step]
    finishes = {place + 1 for place, step in enumerate(program.steps) if isinstance(step, Finish)}
    ordered = [step for step in steps if step not in finishes]
    assert ordered == sorted(ordered)


def test_what_the_contradiction_is_about_is_marked_and_nothing_else() -> None:
    diagram = diagram_of(shown_runs.lost_frame())
    marked = [(event.kind, event.connection, event.label) for event in diagram.events if event.marked]
    assert marked == [("send", "A", "A0"), ("missing", "B", "A0 never came")]
    assert [event.label for event in diagram.events if not event.marked] == ["connects"] * 3 + ["A0", "A0"]


def test_iso_3_the_newest_frame_that_was_dropped_and_who_lacks_it_are_marked() -> None:
    events = diagram_of(shown_runs.newest_dropped()).events
    marked = [(event.kind, event.connection, event.label) for event in events if event.marked]
    assert marked == [("send", "A", "A0 ... A4 (5 frames)"), ("missing", "B", "A4 never came")]
    labels = [(event.connection, event.label) for event in events]
    assert labels.index(("B", "reads again, all being sent")) < labels.index(("B", "A0"))
    assert labels.index(("A", "A4")) < labels.index(("B", "reads again, all being sent"))


def test_who_is_resumed_by_a_step_does_not_read_again_twice() -> None:
    events = diagram_of(shown_runs.newest_dropped(resumes=True)).events
    assert [event.label for event in events if "reads again" in event.label] == ["reads again"]


def test_what_a_stalled_client_gets_stands_behind_its_reading_again() -> None:
    labels = [(event.connection, event.label) for event in diagram_of(shown_runs.newest_dropped(resumes=True)).events]
    in_order = [("B", "stops reading"), ("A", "A0 ... A4 (5 frames)"), ("B", "reads again"), ("B", "A0")]
    assert sorted(in_order, key=labels.index) == in_order


def test_many_frames_that_one_client_lacks_are_one_event() -> None:
    program = Program("signal", (Connect(0), Connect(1), Write(0, (shown_runs.frame(),) * 500)))
    shown = counterexample(program)
    shown.findings = [Finding("lost", f"frame A{n} at B", "it never came", (n,), (1,)) for n in range(3, 400)]
    missing = [(event.connection, event.label) for event in diagram_of(shown).events if event.kind == "missing"]
    assert missing == [("B", "A3 ... A399 (397 frames) never came")]


@settings(max_examples=60, deadline=None)
@given(
    program=programs(),
    kind=st.sampled_from(("lost", "kept", "delayed", "dropped", "stuck", "a kind of tomorrow")),
    conns=st.sampled_from(((), (0,))),
    seen=st.text(max_size=200),
)
def test_something_is_marked_whatever_the_contradiction_names(
    program: Program, kind: str, conns: tuple[int, ...], seen: str
) -> None:
    shown = Counterexample("ISO-1", program, [Finding(kind, "something", seen, conns=conns)], echoed(program), 1, 1)
    assert any(event.marked for event in diagram_of(shown).events)


def test_the_drawing_as_text_reads_from_top_to_bottom() -> None:
    assert [line.text for line in draw(diagram_of(shown_runs.lost_frame()))] == [
        "             A                      B                    relay                    C",
        "    1        o connects             |                      |                      |",
        "    2        |                      o connects             |                      |",
        "    3        |                      |                      |                      o connects",
        "*   4        |==================== A0 ====================>|                      |",
        "             |<------------------- A0 ---------------------|                      |",
        "             |                      |                      |--------- A0 -------->|",
        "*            |                      |x-  A0 never came  - -|                      |",
    ]


def test_a_receipt_stands_behind_the_step_that_caused_it() -> None:
    events = diagram_of(shown_runs.two_orders()).events
    sent = {event.label: place for place, event in enumerate(events) if event.kind == "send"}
    received = [(event.label, place) for place, event in enumerate(events) if event.kind == "receive"]
    assert len(received) == 6
    assert all(place > sent[label] for label, place in received)


def test_of_a_thousand_connections_those_of_the_contradiction_are_drawn() -> None:
    diagram = diagram_of(shown_runs.lost_frame(1000))
    assert diagram.hidden_connections == 1000 - MAX_COLUMNS
    assert {"A", "B"} < set(diagram.columns)
    assert any(event.kind == "missing" and event.connection == "B" for event in diagram.events)
    assert "994 more connections" in list(draw(diagram))[-1].text


def test_of_a_thousand_frames_the_marked_ones_stay_and_the_rest_is_counted() -> None:
    frame = shown_runs.frame()
    program = Program("signal", (Connect(0), *[Write(0, (frame,))] * 500))
    shown = counterexample(program)
    shown.findings = [Finding("duplicated", "frame A250 once at A", "it came 2 times", frames=(250,), conns=(0,))]
    diagram = diagram_of(shown)
    assert [event.label for event in diagram.events if event.marked] == ["A250", "A250"]
    counted = [event.label for event in diagram.events if "more events" in event.label]
    drawn = len(diagram.events) - len(counted)
    assert drawn + sum(int(label.split()[1]) for label in counted) == 1001


def test_a_torn_stream_stands_behind_the_write_that_tore_it() -> None:
    frame = shown_runs.frame()
    program = Program("signal", (Connect(0), Connect(1), Write(0, (frame,), stop=1), Close(0)))
    sender = Peer(0, connected=1, joined=2, left=True)
    receiver = Peer(1, connected=3, joined=4, torn=True, rest=b"\xef\xef\xbe", rest_at=6)
    data = encode_frame(frame, conn=0, number=0, sequence=0)
    sent = Sent(0, 2, 0, frame, data, Fate.FORWARD, None, begun=5, tick=6)
    history = History(sent=[sent], peers={0: sender, 1: receiver})
    rules = rules_for(load_profile("reference"), "signal")
    diagram = diagram_of(Counterexample("CONN-6", program, list(torn(history, rules)), history, 1, 1))
    marked = [(event.kind, event.connection, event.label) for event in diagram.events if event.marked]
    assert marked == [
        ("send", "A", f"A0: 1 of {len(data)} bytes"),
        ("receive", "B", "3 bytes, no whole frame"),
    ]
    labels = [event.label for event in diagram.events]
    assert labels.index("3 bytes, no whole frame") > labels.index(f"A0: 1 of {len(data)} bytes")


def test_a_long_run_of_receipts_is_one_event_for_each_receiver() -> None:
    frame = shown_runs.frame()
    program = Program("signal", (Connect(0), Connect(1), Write(0, (frame,) * 500)))
    shown = counterexample(program)
    shown.findings = [Finding("crashed", "the relay to go on serving", "it is gone")]
    received = [(event.connection, event.label) for event in diagram_of(shown).events if event.kind == "receive"]
    assert received == [("A", "A0 ... A499 (500 frames)"), ("B", "A0 ... A499 (500 frames)")]


def test_a_single_byte_is_not_called_bytes() -> None:
    frame = shown_runs.frame()
    program = Program("signal", (Connect(0), Write(0, (frame,), stop=frame.size - 1), Finish(0)))
    labels = [event.label for event in diagram_of(counterexample(program)).events]
    assert "the other 1 byte" in labels
    peers = {0: Peer(0, 1, rest=b"\xef"), 1: Peer(1, 2, rest=b"\x00", torn=True)}
    seen = [finding.seen for finding in torn(History(peers=peers), rules_for(load_profile("reference"), "signal"))]
    assert seen == [
        "the last 1 byte is an incomplete frame (ef)",
        "behind 0 whole frames came 1 byte that begins no frame (00)",
    ]


@pytest.mark.parametrize("label", ["semi;colon", "a#b", "<b>bold</b>", "two\nlines"])
def test_mermaid_takes_any_label(label: str) -> None:
    events = diagram_of(shown_runs.lost_frame()).events
    hostile = Diagram(("A", RELAY), (type(events[0])("note", label),))
    (line,) = [line for line in mermaid(hostile) if "Note" in line]
    text = line.partition(": ")[2]
    assert not set("<>\n") & set(text)
    assert text.count(";") == text.count("#")
