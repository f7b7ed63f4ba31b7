"""The history that bytes make: the same however they are cut, and without any socket."""

import socket
from collections.abc import Iterator
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.model.frames import Frame, Tlv, encode_frame, fence_frame
from torq_conformance.model.history import Peer
from torq_conformance.model.rules import Rules
from torq_conformance.model.steps import Write
from torq_conformance.model.timing import DEFAULT
from torq_conformance.play.recorder import Recorder
from torq_conformance.play.state import WITNESS, Link, Patience, State

OWN = Frame(2, (Tlv(30, 8),))
SMALL_QUEUE = msgspec.structs.replace(rules_of("signal"), queue_frames=3)


class Room:
    """A sender, a receiver and the witness, with no relay between them."""

    def __init__(self, sock: socket.socket, rules: Rules) -> None:
        self.state = State(rules, DEFAULT, Patience())
        self.recorder = Recorder(self.state)
        self.links = {conn: Link(sock, Peer(conn, connected=0)) for conn in (WITNESS, 0, 1)}
        self.state.links |= self.links
        self.receiver = self.links[1]

    def fence(self, conn: int) -> bytes:
        self.state.fence += 1
        self.state.history.fences[self.state.fence] = conn
        return fence_frame(domain=2, tlv_type=30, conn=conn, sequence=self.state.fence, play=self.state.play)


@pytest.fixture(scope="module")
def sock() -> Iterator[socket.socket]:
    with socket.socket() as unused:
        yield unused


@given(
    kinds=st.lists(st.sampled_from(("frame", "fence", "foreign")), max_size=8),
    torn=st.sampled_from((b"", b"no frame at all")),
    cuts=st.sets(st.integers(0, 700)),
)
def test_bytes_make_the_same_history_however_they_are_cut(
    sock: socket.socket, kinds: list[str], torn: bytes, cuts: set[int]
) -> None:
    def seen(cut: bool) -> tuple[list[int | None], set[int], int, bytes, bool]:
        room = Room(sock, rules_of("signal"))
        frames = kinds.count("frame")
        _, ends, _ = room.recorder.begin_write(Write(0, (OWN,) * frames), 0, 0)
        own = iter(sent.data for _, sent in ends)
        foreign = encode_frame(OWN, conn=3, number=70, sequence=9_000)
        kind_of = {"frame": lambda: next(own), "fence": lambda: room.fence(0), "foreign": lambda: foreign}
        stream = b"".join(kind_of[kind]() for kind in kinds) + torn
        edges = [0, *sorted(place for place in cuts if cut and 0 < place < len(stream)), len(stream)]
        for start, stop in pairwise(edges):
            room.recorder.take(room.receiver, stream[start:stop])
        peer = room.receiver.peer
        assert sum(sent.number in room.receiver.got for sent in room.state.history.sent) == frames
        return (
            [received.number for received in peer.received],
            peer.fenced_by,
            room.receiver.latest_fence,
            bytes(room.receiver.buffer),
            peer.torn,
        )

    whole = seen(cut=False)
    assert seen(cut=True) == whole
    numbers = iter(range(len(kinds)))
    assert whole[0] == [next(numbers) if kind == "frame" else None for kind in kinds if kind != "fence"]
    assert whole[1] == ({0} if "fence" in kinds else set())
    assert whole[3:] == (torn, bool(torn))


def test_a_fence_from_before_proves_nothing(sock: socket.socket) -> None:
    room = Room(sock, rules_of("signal"))
    old = room.fence(0)
    room.recorder.void_fences([0])
    room.recorder.take(room.receiver, old)
    assert room.receiver.peer.joined is not None
    assert room.receiver.peer.fenced_by == set()
    room.recorder.take(room.receiver, room.fence(0))
    assert room.receiver.peer.fenced_by == {0}


@pytest.mark.parametrize(("sent", "overloaded"), [(3, False), (4, True)])
def test_iso_2_who_reads_may_lose_frames_only_while_more_is_under_way_than_its_queue_holds(
    sock: socket.socket, sent: int, overloaded: bool
) -> None:
    room = Room(sock, SMALL_QUEUE)
    data, ends, _ = room.recorder.begin_write(Write(0, (OWN,) * sent), 0, 0)
    room.recorder.expect(room.links[0], sent, len(data))
    stalls = room.receiver.peer.stalls
    assert [(stall.frames, stall.reading, stall.ended) for stall in stalls] == [(sent, True, 0)] * overloaded
    room.recorder.end_write(ends, len(data), taken=True)
    room.recorder.take(room.receiver, data)
    room.recorder.expect(room.links[0], 1, OWN.size)
    assert all(stall.ended for stall in stalls)
    assert len(stalls) == overloaded


def test_a_frame_counts_as_sent_only_as_far_as_its_bytes_went_out(sock: socket.socket) -> None:
    room = Room(sock, rules_of("signal"))
    data, ends, _ = room.recorder.begin_write(Write(0, (OWN, OWN)), 0, 5)
    room.recorder.end_write(ends, len(data) - 1, taken=True)
    assert [(sent.number, sent.whole, sent.certain) for _, sent in ends] == [(5, True, True), (6, False, False)]


def test_a_fence_of_the_play_before_proves_nothing_and_accuses_nobody(sock: socket.socket) -> None:
    room = Room(sock, rules_of("signal"))
    room.state.play = 4
    late = room.fence(0)
    room.state.play, room.state.fence = 5, 0
    room.state.tick = 10
    room.recorder.take(room.links[0], late)
    room.receiver.peer.connected = 20
    room.state.tick = 30
    room.recorder.take(room.receiver, room.fence(0))
    assert room.links[0].peer.fenced_by == set()
    assert (room.receiver.peer.fenced_by, room.receiver.peer.old_fences) == ({0}, [])
    room.recorder.take(room.receiver, late)
    assert room.receiver.peer.old_fences == [0], "another had got it before this one connected"
