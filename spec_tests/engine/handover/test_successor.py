"""A successor of which the predecessor goes, is silent, refuses, or gives what does not fit: it takes nothing."""

import asyncio
import errno
import os
import resource
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from spec_tests.engine.hub_forms import HUBS
from spec_tests.engine.outlets import BufferedOutlet, OutletPort
from torq_engine.handover.blob import packed, sealed
from torq_engine.handover.channel import (
    WIRE,
    Ack,
    Batch,
    Channel,
    Early,
    Failed,
    Hello,
    Message,
    Offer,
    Prepared,
    Ready,
    Refuse,
    TakeoverError,
    Whole,
)
from torq_engine.handover.predecessor import Holdings, Outcome, Predecessor
from torq_engine.handover.state import (
    SCHEMA,
    CopyState,
    LogState,
    RelayState,
    SlowConsumerState,
    StateError,
    WaitingData,
)
from torq_engine.handover.successor import Successor, Taken, connect, inherited
from torq_engine.hub import Hub
from torq_engine.operations import succession
from torq_engine.operations.latencies import Latencies
from torq_engine.operations.slow_consumers import SlowConsumers
from torq_engine.port import Peer
from torq_engine.settings import HubSettings
from torq_protocol.policy import FramePolicy
from torq_protocol.scanner import FrameScanner

OFFER = Offer(1, 0, 0, 0)


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Channel]]:
    """The predecessor's end and the successor's."""
    ours, theirs = (Channel(sock) for sock in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    yield ours, theirs
    ours.close()
    theirs.close()


Pair = tuple[Channel, Channel]


def greeted(pair: Pair) -> Successor:
    ours, theirs = pair
    successor = Successor(theirs, "a build", {}, 100)
    message, _ = ours.receive()
    assert isinstance(message, Hello)
    return successor


def offer(channel: Channel) -> None:
    reading, writing = os.pipe()
    channel.send(OFFER, [reading])
    os.close(reading)
    os.close(writing)


def with_nonsense(channel: Channel, kind: Callable[[], Whole | Early]) -> None:
    """A memfd that holds no state."""
    memfd = os.memfd_create("nonsense")
    os.write(memfd, b"nonsense")
    channel.send(kind(), [memfd])
    os.close(memfd)


def last(channel: Channel) -> object:
    """The last message that came."""
    message: object = None
    while channel.waits(0.0):
        try:
            message, _ = channel.receive()
        except TakeoverError:
            break
    return message


def test_life_4_who_knocks_where_nobody_serves_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(TakeoverError, match="no relay to take over"):
        connect(tmp_path / "nobody")


def test_life_4_a_descriptor_that_is_no_channel_is_refused() -> None:
    reading, writing = os.pipe()
    try:
        with pytest.raises(TakeoverError, match="is no channel"):
            inherited(reading)
    finally:
        os.close(reading)
        os.close(writing)
    with pytest.raises(TakeoverError, match="is no channel"):
        inherited(reading)
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream,
        pytest.raises(TakeoverError, match="is no channel"),
    ):
        inherited(stream.fileno())


def test_life_4_the_relay_of_another_user_is_not_taken(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    with pytest.raises(TakeoverError, match="belongs to user"):
        Successor(pair[1], "a build", {}, 100)


def test_life_4_a_refusal_is_handed_on(pair: Pair) -> None:
    successor = greeted(pair)
    pair[0].send(Refuse("it drains"))
    with pytest.raises(TakeoverError, match="it drains"):
        successor.collect()


def test_life_4_a_predecessor_that_goes_or_is_silent_is_given_up(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    successor = greeted(pair)
    monkeypatch.setattr(Channel, "waits", lambda *_: False)
    with pytest.raises(TakeoverError, match="did not answer"):
        successor.collect()


def test_life_4_a_predecessor_that_is_gone_is_given_up(pair: Pair) -> None:
    successor = greeted(pair)
    pair[0].close()
    with pytest.raises(TakeoverError, match="gone"):
        successor.collect()


@pytest.mark.parametrize("message", [OFFER, Whole(), Early(), Prepared(), Hello(1, 1, 1, "", {}, 1)])
def test_life_4_what_comes_out_of_turn_or_without_its_descriptor_ends_it(pair: Pair, message: object) -> None:
    successor = greeted(pair)
    pair[0].send(message)  # type: ignore[arg-type] # each a message
    with pytest.raises(TakeoverError, match="came out of turn"):
        successor.collect()


@pytest.mark.parametrize("kind", [Whole, Early])
def test_life_4_a_state_that_is_none_is_refused_by_name(pair: Pair, kind: Callable[[], Whole | Early]) -> None:
    successor = greeted(pair)
    offer(pair[0])
    if kind is Whole:
        empty = sealed(packed(CopyState([]), []))
        pair[0].send(Early(), [empty])
        pair[0].send(Batch())
        os.close(empty)
    with_nonsense(pair[0], kind)
    with pytest.raises(TakeoverError):
        successor.collect()
    assert isinstance(last(pair[0]), Failed)


def test_what_came_without_its_descriptor_is_named() -> None:
    taken = Taken.__new__(Taken)
    object.__setattr__(taken, "descriptors", {"door.listener": 3})
    assert taken.of("door") == {"listener": 3}
    with pytest.raises(StateError, match="no descriptor of clients0"):
        taken.of("clients0")


class Owner:
    """A relay with nothing, which may be ``busy``."""

    def __init__(self, busy: str = "") -> None:
        self._busy = busy

    def places(self) -> dict[str, str]:
        return {"socket": "/here"}

    def unwilling(self) -> str:
        return self._busy

    def holdings(self) -> Holdings:
        return Holdings(0, 0, 0)

    def begin_copy(self) -> list[memoryview]:
        raise OSError("no room for a copy")

    def end_copy(self) -> None:
        """There is none."""

    def export(self, frozen_at: float) -> tuple[RelayState, list[memoryview], list[int]]:
        raise AssertionError(frozen_at)

    def leave(self) -> None:
        raise AssertionError


def outcome_of(*messages: Message, busy: str = "") -> Outcome:
    """What a relay says of a successor that sends it some messages, and is gone."""

    async def handed() -> Outcome:
        ours, theirs = (Channel(sock) for sock in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
        ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        predecessor = Predecessor(Owner(busy), ours, ended.set_result)
        predecessor._readable()  # a loop may tell of what is not there any more
        for message in messages:
            theirs.send(message)
        if not messages:
            theirs.close()
        outcome = await ended
        predecessor.abandon("it is over already")
        theirs.close()
        return outcome

    return asyncio.run(handed())


HELLO = Hello(1, WIRE, SCHEMA, "a build", {"socket": "/here"}, 100)


@pytest.mark.parametrize(
    ("messages", "busy", "reason"),
    [
        ([msgspec.structs.replace(HELLO, wire=WIRE + 1)], "", "the successor speaks version"),
        ([msgspec.structs.replace(HELLO, schema=0)], "", "reads states up to schema 0"),
        ([msgspec.structs.replace(HELLO, room=3)], "", "has room for 3 descriptors"),
        ([msgspec.structs.replace(HELLO, places={"socket": "/there"})], "", "socket is /here here and /there in"),
        ([HELLO], "it drains", "it drains"),
        ([Failed("a reason of its own")], "", "a reason of its own"),
        ([Prepared()], "", "the successor said Prepared out of turn"),
        ([Ack(3)], "", "the successor said Ack out of turn"),
        ([HELLO, Ready()], "", "no room for a copy"),
        ([], "", "gone"),
    ],
)
def test_life_4_a_relay_serves_on_and_says_why(messages: list[Message], busy: str, reason: str) -> None:
    outcome = outcome_of(*messages, busy=busy)
    assert not outcome.taken
    assert reason in outcome.reason


@pytest.mark.parametrize("form", HUBS)
@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"incomplete": [9]}, "there is no connection 9"),
        ({"stalled": [9]}, "there is no connection 9"),
        ({"lagging": [9]}, "there is no connection 9"),
        ({"losing": [9]}, "there is no connection 9"),
        ({"open_segment": 3}, "there is no segment 3"),
        ({}, "1 descriptors for 0 connections"),
    ],
)
def test_life_4_a_hub_refuses_a_state_whose_parts_do_not_fit(form: str, wrong: dict[str, object], reason: str) -> None:
    def new() -> Hub:
        return HUBS[form](OutletPort(lambda: 0.0), FrameScanner(FramePolicy(1)), HubSettings())

    state, _ = new().export()
    with pytest.raises(StateError, match=reason):
        new().restore(msgspec.structs.replace(state, **wrong), [] if wrong else [7], WaitingData())


@pytest.mark.parametrize("limit", [-1, 64])
def test_the_room_for_descriptors_is_what_the_limit_leaves(limit: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    used = len(os.listdir("/proc/self/fd"))
    assert succession._room() == (succession._MOST_DESCRIPTORS if limit < 0 else pytest.approx(limit - used, abs=2))


def test_without_proc_some_descriptors_are_taken_to_be_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    def unmounted(_: str) -> list[str]:
        raise FileNotFoundError

    monkeypatch.setattr(os, "listdir", unmounted)
    assert succession._room() == resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 64


def test_a_memfd_that_cannot_be_written_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(OSError, match="No space left"):
        sealed([b"bytes"])
    assert len(os.listdir("/proc/self/fd")) == len(before)


@pytest.mark.parametrize("form", HUBS)
def test_life_4_an_incomplete_frame_that_is_not_there_is_refused(form: str) -> None:
    def new() -> tuple[Hub, OutletPort]:
        port = OutletPort(lambda: 0.0)
        return HUBS[form](port, FrameScanner(FramePolicy(1)), HubSettings()), port

    hub, port = new()
    connection = hub.join(port.open(BufferedOutlet(64)))
    state, _ = hub.export()
    with pytest.raises(StateError, match="has no incomplete frame"):
        new()[0].restore(msgspec.structs.replace(state, incomplete=[connection.id]), [7], WaitingData())


def test_latencies_of_other_bounds_begin_anew() -> None:
    before, after = Latencies(), Latencies()
    before.counts[0] = 3
    after.restore(msgspec.structs.replace(before.export(), bounds=[1.0]))
    assert after.export() == Latencies().export()
    after.restore(before.export())
    assert after.export() == before.export()


def test_who_is_slow_is_known_if_still_connected() -> None:
    log = SimpleNamespace(later=None, repeat_interval=0.0)
    slow = SlowConsumers(log)  # type: ignore[arg-type] # it is asked for no more
    port = OutletPort(lambda: 0.0)
    hub = Hub(port, FrameScanner(FramePolicy(1)), HubSettings())
    connection = hub.join(port.open(BufferedOutlet(64)))
    rows = [SlowConsumerState(connection.id, 5, True), SlowConsumerState(99, 5, True)]
    slow.restore(LogState(slow_consumers=rows, never_read=2), {connection.id: (connection, Peer(1, 1, 1, ""))})
    assert slow.export() == (rows[:1], 2)
    nobody = SlowConsumers(log)  # type: ignore[arg-type] # as above
    nobody.restore(LogState(), {})
    assert nobody.export() == ([], 0)
