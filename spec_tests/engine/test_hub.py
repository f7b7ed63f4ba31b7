"""Single cases of the hub that its machine meets too seldom to rely on."""

import itertools
import pickle
import runpy
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torq_engine.accounting import CloseReason, DropReason
from torq_engine.backlog import SEGMENT_BYTES
from torq_engine.connection import Connection
from torq_engine.hub import Hub
from torq_engine.settings import HubSettings, OnFramingError, Overflow
from torq_protocol.constants import MAGIC_BYTES
from torq_protocol.errors import ErrorKind
from torq_protocol.policy import FramePolicy
from torq_protocol.scanner import FrameScanner

from .frames import frame
from .hub_forms import COMPILED_MODULES, HUBS
from .outlets import BufferedOutlet, OutletPort

OVERSIZE = frame()[:24] + b"\xff\xff\xff\x7f" + bytes(4)
"""A header that announces more than any frame may have."""
ROOM = 64
"""Two header-only frames fill an outlet."""


class Case:
    """A hub with clients whose outlets hold two frames."""

    form: type[Hub] = Hub

    def __init__(self, clients: int, **settings: object) -> None:
        self.now = 0.0
        chosen = HubSettings(**settings)  # type: ignore[arg-type]  # checked by the dataclass
        self.port = OutletPort(lambda: self.now)
        self.hub = self.form(self.port, FrameScanner(FramePolicy(1)), chosen)
        self.outlets = [BufferedOutlet(ROOM) for _ in range(clients)]
        self.clients = [self.hub.join(self.port.open(outlet)) for outlet in self.outlets]

    def send(self, sender: int, *sequences: int) -> None:
        self.hub.receive(self.clients[sender], b"".join(frame(sequence=n) for n in sequences))

    def read_all(self, client: int) -> None:
        self.outlets[client].read(ROOM)
        self.hub.drain(self.clients[client])

    def make_reading(self, client: int) -> None:
        """Fill a client's outlet and let it read: it was seen to read (ISO-7)."""
        while not self.clients[client].reading:
            self.send(0, 0, 0, 0)
            for number in range(len(self.clients)):
                self.read_all(number)
                self.read_all(number)

    def dropped(self, client: int) -> dict[str, int]:
        counts = self.clients[client].dropped_frames
        return {reason.label: n for reason, n in zip(DropReason, counts, strict=True) if n}


@pytest.fixture(params=HUBS, autouse=True)
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every case holds for the hub in both forms."""
    monkeypatch.setattr(Case, "form", HUBS[request.param])


def test_the_build_compiles_the_modules_that_exist_in_two_forms() -> None:
    root = Path(__file__).parents[2]
    with mock.patch("setuptools.setup"), mock.patch.dict("os.environ", TORQ_COMPILE="no"):
        groups = runpy.run_path(str(root / "setup.py"))["COMPILED_GROUPS"]
    assert groups["torq_engine.compiled"] == tuple(f"engine/torq_engine/{name}.py" for name in COMPILED_MODULES)


@pytest.mark.parametrize("settings", [{}, {"on_framing_error": OnFramingError.RESYNC}], ids=["close", "resync"])
def test_val_5_bytes_that_cannot_be_framed_end_the_connection_or_are_skipped(settings: dict[str, object]) -> None:
    case = Case(2, **settings)
    case.hub.receive(case.clients[0], frame(sequence=1) + b"garbage" + frame(sequence=2))
    if settings:
        assert case.clients[0].close_reason is None
        assert case.outlets[1].stream == frame(sequence=1) + frame(sequence=2)
        assert case.hub.totals().skipped_bytes == len(b"garbage")
    else:
        assert case.clients[0].close_reason is CloseReason.FRAMING_ERROR
        assert case.outlets[1].stream == frame(sequence=1)


@given(
    sizes=st.lists(st.integers(0, 40), max_size=4),
    bad=st.binary(min_size=4, max_size=40).filter(lambda data: data[:4] != MAGIC_BYTES) | st.just(OVERSIZE),
    cuts=st.lists(st.integers(1, 200)),
)
def test_val_5_a_framing_error_says_where_in_all_that_was_sent_it_is_and_what_stands_there(
    sizes: list[int], bad: bytes, cuts: list[int]
) -> None:
    case = Case(1, on_framing_error=OnFramingError.RESYNC)
    good = b"".join(frame(bytes(size)) for size in sizes)
    data = good + bad + frame() + b"more garbage"
    for start, stop in itertools.pairwise(sorted({0, *(cut for cut in cuts if cut < len(data)), len(data)})):
        case.hub.receive(case.clients[0], data[start:stop])
    error = case.clients[0].framing_error
    assert error is not None
    assert error.offset == len(good)
    assert error.kind == (ErrorKind.OVERSIZE if bad == OVERSIZE else ErrorKind.BAD_MAGIC)
    assert (bad + frame()).startswith(error.found)
    assert 1 <= len(error.found) <= 8


def test_iso_6_how_long_the_oldest_frame_waits_is_known_within_a_tenth_of_a_second() -> None:
    case = Case(3, echo=False)
    assert case.clients[1].backlog.oldest() == float("inf")
    case.make_reading(1)
    for sequence in range(30):
        case.now = 100 + sequence * 0.25
        case.send(0, sequence)
    first = 100 + 2 * 0.25  # two frames fill the outlet
    assert case.clients[1].backlog.oldest() == first
    for taken in range(1, 15):
        case.read_all(1)
        assert case.clients[1].backlog.oldest() == (first + taken * 0.5 if taken < 14 else float("inf"))
    case.now = 200
    case.outlets[1].read(1)  # the first of the next is sent in part
    case.send(0, 31, 32)
    case.now = 300
    case.send(0, 33)
    case.outlets[1].read(31)
    case.hub.drain(case.clients[1])
    assert case.clients[1].backlog.oldest() == 200


def test_iso_8_a_socket_that_does_not_tell_what_is_unread_proves_no_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: OutletPort, descriptor: int, /) -> int:
        raise OSError(f"nothing is known of {descriptor}")

    monkeypatch.setattr(OutletPort, "unread", broken)
    case = Case(2, echo=False)
    case.send(0, 1, 2, 3)
    was_reading = case.clients[1].reading
    assert case.clients[1].backlog.frames == 1
    case.read_all(1)
    assert (was_reading, case.clients[1].reading) == (False, True)  # its full socket took bytes again
    assert case.outlets[1].stream == b"".join(frame(sequence=n) for n in (1, 2, 3))


def test_iso_3_backpressure_own_echo_is_dropped_alone_and_frames_of_others_kept() -> None:
    case = Case(2, queue_frames=4, overflow=Overflow.BACKPRESSURE)
    case.make_reading(1)
    case.read_all(1)
    case.send(0, 1, 2, 3, 4)
    case.send(1, 5, 6, 7)
    assert case.dropped(1) == {"own-echo": 3}
    assert case.clients[1].backlog.frames == 2
    assert case.hub.totals().balance() == 0
    assert case.clients[1].id not in case.hub.stalled


def test_iso_3_backpressure_stalls_once_and_ends_when_half_of_the_queue_is_gone() -> None:
    case = Case(2, queue_frames=4, overflow=Overflow.BACKPRESSURE)
    case.make_reading(1)
    case.read_all(1)
    case.now = 7.0
    case.send(0, 1, 2, 3, 4, 5, 6, 7)
    assert case.clients[1].backlog.frames == 5
    case.now = 8.0
    case.send(0, 8)
    assert case.hub.stalled_since_before(7.0) == [case.clients[1]]
    case.read_all(1)
    assert case.clients[1].id in case.hub.stalled
    case.read_all(1)
    assert case.hub.stalled == {}


def test_iso_2_all_queues_together_are_bounded_and_who_lags_most_loses() -> None:
    bound = 3 * SEGMENT_BYTES
    case = Case(3, echo=False, total_queue_bytes=bound)
    case.outlets[2].room = 1 << 20
    for sequence in range(100):
        case.hub.receive(case.clients[0], frame(bytes(8000), sequence=sequence))
        case.outlets[2].read(1 << 20)
    backlog = case.clients[1].backlog
    assert case.hub.totals().held_bytes <= bound
    assert bound - 2 * SEGMENT_BYTES < backlog.bytes <= bound
    assert case.dropped(1) == {"total-full": 100 - backlog.frames}
    assert case.dropped(2) == {}
    assert case.hub.totals().balance() == 0


def test_iso_2_total_bound_smaller_than_one_read_leaves_nothing_held() -> None:
    case = Case(2, echo=False, total_queue_bytes=1)
    case.send(0, 1, 2, 3)
    assert case.hub.totals().held_bytes == 0
    assert case.dropped(1) == {"total-full": 1}


def test_iso_2_total_bound_disconnects_readers_where_nothing_may_be_dropped() -> None:
    case = Case(2, echo=False, total_queue_bytes=3 * 32, overflow=Overflow.DISCONNECT)
    case.make_reading(1)
    case.read_all(1)
    for sequence in range(8):
        case.send(0, sequence)
    assert case.clients[1].close_reason is CloseReason.SLOW_CONSUMER


def test_iso_3_sender_ended_by_its_own_echo_keeps_the_accounting() -> None:
    case = Case(1, queue_frames=1, overflow=Overflow.DISCONNECT)
    case.make_reading(0)
    case.send(0, 1, 2, 3, 4, 5)
    assert case.clients[0].close_reason is CloseReason.SLOW_CONSUMER
    assert case.clients[0].partial is None
    assert case.hub.totals().balance() == 0


def test_iso_1_drain_with_a_still_full_outlet_leaves_the_queue_as_it_was() -> None:
    case = Case(2, echo=False)
    case.send(0, 1, 2, 3)
    assert not case.hub.drain(case.clients[1])
    assert case.clients[1].backlog.frames == 1
    assert not case.clients[1].reading


def test_conn_6_a_send_that_a_signal_interrupts_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(2)
    case.send(0, 0, 1, 2)
    case.outlets[1].read(ROOM)
    with monkeypatch.context() as patch:
        patch.setattr(case.outlets[1], "send", mock.Mock(side_effect=InterruptedError))
        assert not case.hub.drain(case.clients[1])
    assert case.hub.drain(case.clients[1])
    assert bytes(case.outlets[1].stream) == b"".join(frame(sequence=n) for n in range(3))


def test_conn_6_outlet_that_breaks_while_draining_drops_the_queue_and_keeps_the_input() -> None:
    case = Case(2, echo=False)
    case.send(0, 1, 2, 3)
    case.outlets[1].broken = True
    assert case.hub.drain(case.clients[1])
    assert case.dropped(1) == {"closed": 1}
    case.send(1, 9)
    assert bytes(case.outlets[0].stream) == frame(sequence=9)
    case.hub.end_input(case.clients[1])
    assert case.hub.closing == [case.clients[1]]


def test_frame_1_large_frame_in_single_bytes_is_joined_once() -> None:
    case = Case(2, echo=False)
    case.outlets[1].room = 1 << 20
    whole = frame(bytes(20_000))
    for at in range(len(whole)):
        case.hub.receive(case.clients[0], whole[at : at + 1])
    assert bytes(case.outlets[1].stream) == whole
    assert case.clients[0].partial is None


def test_val_6_resync_over_hostile_magics_reads_each_byte_once() -> None:
    """A read full of false starts costs as many scans as there are starts, not their square in copied bytes."""
    case = Case(2, echo=False, on_framing_error=OnFramingError.RESYNC)
    case.outlets[1].room = 1 << 20
    false_start = frame()[:24] + b"\xff\xff\xff\x7f" + bytes(4)
    case.hub.receive(case.clients[0], false_start * 2000 + frame(sequence=5))
    assert bytes(case.outlets[1].stream) == frame(sequence=5)
    assert case.hub.totals().skipped_bytes == 2000 * 32


def test_frame_5_incomplete_frames_are_known_by_when_they_began() -> None:
    case = Case(2, echo=False)
    case.now = 5.0
    case.hub.receive(case.clients[0], frame()[:10])
    case.now = 6.0
    case.hub.receive(case.clients[0], frame()[10:20])
    assert case.hub.partial_since_before(5.0) == []
    assert case.hub.partial_since_before(5.1) == [case.clients[0]]
    case.hub.receive(case.clients[0], frame()[20:])
    assert case.hub.partial_since_before(9.0) == []


@pytest.mark.parametrize("echo", [True, False])
def test_sec_3_receivers_of_a_frame_are_those_that_it_is_offered_to(echo: bool) -> None:
    case = Case(3, echo=echo)
    case.hub.end_output(case.clients[2])
    for sender, expected in enumerate((2, 2, 2) if echo else (1, 1, 2)):
        before = case.hub.totals().offered_frames
        assert case.hub.receiver_count(case.clients[sender]) == expected
        case.send(sender, 1)
        assert case.hub.totals().offered_frames - before == expected


def test_dom_1_foreign_frames_between_ours_cost_no_second_send() -> None:
    case = Case(2, echo=False)
    case.outlets[1].room = 1 << 20
    ours = [frame(sequence=number) for number in range(3)]
    case.hub.receive(case.clients[0], ours[0] + frame(domain=2) + ours[1] + frame(domain=3) * 2 + ours[2])
    assert case.outlets[1].sends == [3 * 32]
    assert bytes(case.outlets[1].stream) == b"".join(ours)


def test_conn_6_a_receiver_that_is_gone_loses_the_frames_and_nobody_else_does() -> None:
    case = Case(3, echo=False)
    case.outlets[1].broken = True
    case.send(0, 1, 2)
    assert case.dropped(1) == {"closed": 2}
    assert not case.clients[1].output_open
    assert bytes(case.outlets[2].stream) == frame(sequence=1) + frame(sequence=2)
    assert case.hub.totals().balance() == 0


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_val_5_resync_keeps_the_beginning_of_a_magic_at_the_end_of_a_read(kept: int) -> None:
    case = Case(2, echo=False, on_framing_error=OnFramingError.RESYNC)
    whole = frame(sequence=9)
    case.hub.receive(case.clients[0], b"garbage that is no frame, " + whole[:kept])
    assert bytes(case.clients[0].partial or b"") == whole[:kept]
    case.hub.receive(case.clients[0], whole[kept:])
    assert bytes(case.outlets[1].stream) == whole


def test_iso_4_a_torn_frame_leaves_in_pieces_before_anything_else() -> None:
    case = Case(2, echo=False)
    case.outlets[1].room = 40
    case.send(0, 1, 2, 3)
    for _ in range(20):
        case.outlets[1].read(3)
        case.hub.drain(case.clients[1])
    case.outlets[1].read(40)
    case.hub.drain(case.clients[1])
    assert bytes(case.outlets[1].stream) == b"".join(frame(sequence=number) for number in (1, 2, 3))


def test_conn_5_connections_that_were_not_let_in_are_counted_by_reason() -> None:
    case = Case(1)
    case.hub.refuse(CloseReason.MAX_CONNECTIONS)
    assert case.hub.totals().closed[CloseReason.MAX_CONNECTIONS] == 1
    assert case.hub.totals().joined == 1


def test_sec_3_the_tap_sees_every_scan_before_its_frames_are_forwarded() -> None:
    case = Case(2, echo=False)
    seen: list[tuple[int, int, int]] = []
    case.hub.tap = lambda sender, data, scan: seen.append(
        (sender.id, sum(frames for _, _, frames in scan.runs), len(case.outlets[1].stream))
    )
    case.send(0, 1, 2)
    case.send(1, 3)
    assert seen == [(1, 2, 0), (2, 1, 64)]


@pytest.mark.parametrize("cut", [0, 10, 40])
def test_life_3_what_the_hub_knows_of_a_connection_is_plain_data(cut: int) -> None:
    """A takeover needs the incomplete frame, the torn one, the queue and the counters as bytes and numbers."""
    case = Case(2, echo=False)
    case.outlets[1].room = 50
    case.hub.receive(
        case.clients[0], frame(sequence=1) + frame(sequence=2) + frame(sequence=3) + frame(bytes(50))[:cut]
    )
    state = plain(case.clients[0]), plain(case.clients[1])
    assert pickle.loads(pickle.dumps(state)) == state
    assert state[0]["partial"] == frame(bytes(50))[:cut]
    assert state[1]["remainder"] == frame(sequence=2)[18:]
    assert state[1]["queue"] == [frame(sequence=3)]


def plain(connection: Connection) -> dict[str, object]:
    backlog = connection.backlog
    queue = [bytes(each.segment.data[each.start : each.stop]) for each in backlog.queue]
    rest = backlog.remainder
    return {
        "partial": bytes(connection.partial or b""),
        "needed": connection.needed,
        "remainder": bytes(rest.segment.data[rest.start : rest.stop]) if rest is not None else b"",
        "queue": queue,
        "counters": (connection.received_frames, connection.delivered_frames, tuple(connection.dropped_frames)),
        "state": (connection.input_open, connection.output_open, connection.reading),
    }


def test_a_connection_that_is_ended_twice_is_counted_once() -> None:
    case = Case(2)
    case.send(0, 1, 2, 3)
    for _ in range(2):
        case.hub.disconnect(case.clients[1], CloseReason.OPERATOR)
    assert case.clients[1].id not in case.hub.connections
    assert case.hub.totals().balance() == 0


def test_dom_1_what_the_logic_does_not_forward_is_cut_out_of_a_run_of_frames() -> None:
    outlets = [BufferedOutlet(1_024), BufferedOutlet(1_024)]
    port = OutletPort()
    hub = Case.form(port, FrameScanner(FramePolicy(1)), HubSettings(), lambda header: header.sequence % 3 != 0)
    sender, receiver = (hub.join(port.open(outlet)) for outlet in outlets)
    hub.receive(sender, b"".join(frame(sequence=n) for n in (3, 1, 2, 6, 4, 9)))
    hub.receive(sender, frame(sequence=12))
    assert outlets[1].stream == b"".join(frame(sequence=n) for n in (1, 2, 4))
    assert (sender.received_frames, sender.refused_frames, receiver.delivered_frames) == (7, 4, 3)


def test_iso_1_a_receiver_that_lags_is_waited_for_while_it_takes_something() -> None:
    case = Case(2, echo=False, queue_bytes=1000)
    case.make_reading(1)
    case.send(0, *range(30))
    client = case.clients[1]
    assert case.hub.lagging == {client.id: client}
    for _ in range(10):
        case.hub.begin_waiting()
        case.outlets[1].read(1)
        case.hub.drain(client)
        assert 0.5 < case.hub.end_waiting() <= 1.0
    assert client.id in case.hub.lagging
    for _ in range(4):
        case.hub.begin_waiting()
        case.hub.end_waiting()
    assert case.hub.lagging == {}
    case.send(0, 31)
    assert case.hub.lagging == {}
    while not client.keeps_up:  # it takes a good deal again
        case.read_all(1)
    case.send(0, *range(30))
    assert case.hub.lagging == {client.id: client}


def beginnings(case: "Case", clients: range, size: int) -> None:
    """Each of some clients sends so much of a frame of 10,000 bytes."""
    for number in clients:
        case.hub.receive(case.clients[number], frame(bytes(10_000 - 32))[:size])


def test_frame_5_incomplete_frames_are_bounded_with_the_queues_and_the_oldest_large_ones_end() -> None:
    case = Case(40, total_queue_bytes=60_000)
    beginnings(case, range(20), 10)
    beginnings(case, range(20, 40), 6_000)
    totals = case.hub.totals()
    assert 60_000 - 6_000 < totals.incomplete_bytes <= 60_000
    assert totals.closed[CloseReason.TOTAL_FULL] == 11
    assert [c.close_reason for c in case.clients[20:31]] == [CloseReason.TOTAL_FULL] * 11
    case.hub.receive(case.clients[39], frame(bytes(10_000 - 32))[6_000:])
    assert case.hub.totals().received_frames == 1
    for client in case.clients:
        case.hub.disconnect(client, CloseReason.OPERATOR)
    assert case.hub.totals().incomplete_bytes == 0


def test_frame_5_one_frame_may_always_come_to_its_end() -> None:
    case = Case(2, total_queue_bytes=1)
    beginnings(case, range(1), 9_999)
    assert case.hub.totals().incomplete_bytes == 9_999
    case.hub.receive(case.clients[0], bytes(1))
    assert (case.hub.totals().received_frames, case.hub.totals().incomplete_bytes) == (1, 0)


def test_iso_2_incomplete_frames_take_no_room_of_slow_readers_nor_they_theirs() -> None:
    case = Case(42, echo=False, total_queue_bytes=100_000)
    case.send(0, *range(1000))
    waiting = case.clients[1].backlog.bytes
    assert waiting > 30_000
    beginnings(case, range(2, 42), 9_000)
    assert (case.clients[1].backlog.bytes, case.dropped(1)) == (waiting, {})
    kept = case.hub.totals().incomplete_bytes
    assert kept <= 100_000 - waiting
    for _ in range(20):
        case.hub.receive(case.clients[0], b"".join([frame(sequence=n) for n in range(1000)]))
    assert case.hub.totals().incomplete_bytes == kept
    assert case.hub.totals().held_bytes + kept <= 100_000
    assert case.hub.totals().balance() == 0
