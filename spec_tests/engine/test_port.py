"""The port in both forms, over real sockets: each call by itself, and the hub that reads and sends through it."""

from __future__ import annotations

import array
import errno
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from torq_engine.hub import Hub
from torq_engine.port import CompiledPort, Peer, Port, PythonPort, production_port
from torq_engine.settings import HubSettings
from torq_protocol.header import MessageHeader
from torq_protocol.policy import FramePolicy
from torq_protocol.scanner import FrameScanner

from .frames import MAGIC, frame, split
from .hub_forms import HUBS

PORTS: dict[str, type[PythonPort]] = {
    "python": PythonPort,
    **({"compiled": CompiledPort} if isinstance(production_port(), CompiledPort) else {}),
}


@pytest.fixture(params=PORTS)
def port(request: pytest.FixtureRequest) -> Port:
    return PORTS[request.param]()


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The relay's end, which never waits, and the client's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


Pair = tuple[socket.socket, socket.socket]


def test_accept_tells_who_connected_and_nobody_as_blocking(port: Port) -> None:
    with closing(socket.socket(socket.AF_UNIX)) as listener, closing(socket.socket(socket.AF_UNIX)) as client:
        listener.bind("")  # an abstract name of the kernel's choice
        listener.listen()
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            port.accept(listener, 0)
        client.connect(listener.getsockname())
        descriptor, peer = port.accept(listener, 20_000)
        with socket.socket(fileno=os.dup(descriptor)) as ours:
            assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == 2 * 20_000
        assert not os.get_blocking(descriptor)
        assert peer == Peer(os.getpid(), os.getuid(), os.getgid())
        port.close(descriptor)
        assert client.recv(1) == b""


def test_receive_reads_behind_an_offset_until_the_end_of_the_stream(port: Port, pair: Pair) -> None:
    ours, theirs = pair
    buffer = bytearray(b"12345678")
    with pytest.raises(BlockingIOError):
        port.receive(ours.fileno(), buffer, 0)
    theirs.sendall(b"abcdefgh")
    assert port.receive(ours.fileno(), buffer, 3) == 5
    assert buffer == b"123abcde"
    assert port.receive(ours.fileno(), buffer, 0) == 3
    for outside in (-1, 8, 9):
        with pytest.raises(ValueError, match="8 bytes"):
            port.receive(ours.fileno(), buffer, outside)
    theirs.close()
    assert port.receive(ours.fileno(), buffer, 0) == 0


def test_send_all_names_those_that_did_not_take_everything(port: Port) -> None:
    data = bytes(range(200)) * 5
    with ExitStack() as stack:
        pairs = [tuple(map(stack.enter_context, socket.socketpair())) for _ in range(4)]
        for ours, _ in pairs:
            ours.setblocking(False)
        descriptors = array.array("i", [ours.fileno() for ours, _ in pairs])
        assert port.send_all(descriptors, data, 10, 30, 1) is None
        assert [theirs.recv(100) for _, theirs in (pairs[0], pairs[2], pairs[3])] == [data[10:30]] * 3
        while port.send_all(descriptors[:1], data, 0, len(data), -1) is None:
            pass  # until the first is full
        pairs[3][1].close()
        assert port.send_all(descriptors, data, 0, len(data), -1) == [(0, 0), (3, -errno.EPIPE)]
        assert [theirs.recv(2_000) for _, theirs in pairs[1:3]] == [data] * 2
        for start, stop in ((-1, 2), (2, 1), (0, len(data) + 1)):
            with pytest.raises(ValueError, match="1000 bytes"):
                port.send_all(descriptors, data, start, stop, -1)


def test_send_takes_many_buffers_in_order_and_256_at_most(port: Port, pair: Pair) -> None:
    ours, theirs = pair
    parts = [bytes((number % 251,)) * 2 for number in range(300)]
    assert port.send(ours.fileno(), [bytearray(parts[0]), memoryview(parts[1]), *parts[2:]]) == 512
    assert theirs.recv(1_000) == b"".join(parts[:256])
    with suppress(BlockingIOError):
        while port.send(ours.fileno(), [bytes(60_000)]):
            pass
    with pytest.raises(BlockingIOError):
        port.send(ours.fileno(), parts)
    theirs.close()
    with pytest.raises(OSError, match="Broken pipe"):
        port.send(ours.fileno(), parts)


def test_iso_8_what_a_peer_has_not_read_falls_as_it_reads(port: Port, pair: Pair) -> None:
    ours, theirs = pair
    marks = [port.unread(ours.fileno())]
    for _ in range(3):
        port.send(ours.fileno(), [bytes(500)])
    marks.append(port.unread(ours.fileno()))
    for _ in range(3):
        theirs.recv(500)
        marks.append(port.unread(ours.fileno()))
    assert marks[0] == 0 < marks[1] > marks[2] > marks[3] > marks[4] == 0
    assert port.clock() <= port.clock()


def test_conn_6_a_peer_has_left_when_it_has_closed_whatever_there_is_to_read(port: Port, pair: Pair) -> None:
    ours, theirs = pair
    assert not port.has_left(ours.fileno())
    theirs.sendall(b"last words")
    port.send(ours.fileno(), [b"never read"])
    theirs.shutdown(socket.SHUT_WR)
    assert not port.has_left(ours.fileno())
    theirs.close()
    assert port.has_left(ours.fileno())
    assert port.receive(ours.fileno(), bytearray(100), 0) == len(b"last words")


@pytest.mark.parametrize(
    ("stream", "whole", "needed"),
    [
        (frame(b"abc"), 1, 0),
        (frame(b"abc") + frame() + frame(b"defgh")[:34], 2, 37),
        (frame()[:20], 0, 32),
        (frame(domain=2) + frame(), -1, 0),
        (MAGIC * 8, -1, 0),
    ],
)
def test_a_turn_sends_one_accepted_run_or_leaves_the_bytes_to_its_caller(
    stream: bytes, whole: int, needed: int, port: Port, pair: Pair
) -> None:
    ours, theirs = pair
    buffer, scanner = bytearray(1_000), FrameScanner(FramePolicy(1))
    receivers = array.array("i", [ours.fileno()])
    buffer[:10] = stream[:10]
    theirs.sendall(stream[10:])
    run = sum(map(len, (frame(b"abc"), frame())[: max(0, whole)]))
    turn = port.turn(ours.fileno(), buffer, 10, scanner, receivers, -1, 4)
    assert turn == (len(stream) - 10, whole, run, len(stream), needed, None, 0, 0)
    assert buffer[: len(stream)] == stream
    assert port.unread(ours.fileno()) == 0 or theirs.recv(1_000) == stream[:run]
    with pytest.raises(BlockingIOError):
        port.turn(ours.fileno(), buffer, 0, scanner, receivers, -1, 4)
    theirs.close()
    assert port.turn(ours.fileno(), buffer, 0, scanner, receivers, -1, 4)[0] == 0
    with pytest.raises(ValueError, match="1000 bytes"):
        port.turn(ours.fileno(), buffer, len(buffer), scanner, receivers, -1, 4)


SIZE = 500
MANY = [frame(bytes((number,)) * (SIZE - 32)) for number in range(40)]


@pytest.mark.parametrize(
    ("written", "most", "seen"),
    [
        (b"".join(MANY), 1, (8_192, 16, 8_000, 8_192, SIZE, None, 0, 0)),
        (b"".join(MANY), 2, (16_192, 16, 8_000, 8_192, SIZE, None, 16, 8_000)),
        (b"".join(MANY), 9, (20_000, 8, 4_000, 4_000, 0, None, 32, 16_000)),
        (b"".join(MANY[:16]), 9, (8_000, 0, 0, 0, 0, None, 16, 8_000)),
        (b"".join(MANY[:17])[:-1], 9, (8_499, 0, 0, 499, SIZE, None, 16, 8_000)),
        (b"".join(MANY[:8]) + MANY[8][:90], 9, (4_090, 8, 4_000, 4_090, SIZE, None, 0, 0)),
        (b"".join(MANY[:17]) + frame(domain=2), 9, (8_532, -1, 0, 532, 0, None, 16, 8_000)),
        (b"".join(MANY[:16]) + frame(bytes(5_000))[:200], 9, (8_192, 16, 8_000, 8_192, 5_032, None, 0, 0)),
    ],
    ids=["once", "twice", "to the last", "to an empty socket", "torn", "little at once", "refused", "a large frame"],
)
def test_a_turn_reads_again_while_reads_bring_much(
    written: bytes, most: int, seen: tuple[object, ...], port: Port, pair: Pair
) -> None:
    ours, theirs = pair
    out, read = socket.socketpair()
    with out, read:
        buffer, receivers = bytearray(8_192), array.array("i", [out.fileno()])
        theirs.sendall(written)
        turn = port.turn(ours.fileno(), buffer, 0, FrameScanner(FramePolicy(1)), receivers, -1, most)
        _, _, consumed, filled, _, _, _, before = turn
        assert turn == seen
        assert read.recv(1 << 16) == written[: before + consumed]
        assert buffer[:filled] == written[before : before + filled]


def test_a_turn_stops_at_a_receiver_that_does_not_take_everything(port: Port, pair: Pair) -> None:
    ours, theirs = pair
    out, read = socket.socketpair()
    with out:
        receivers = array.array("i", [out.fileno()])
        theirs.sendall(b"".join(MANY))
        read.close()
        turn = port.turn(ours.fileno(), bytearray(8_192), 0, FrameScanner(FramePolicy(1)), receivers, -1, 9)
    assert turn == (8_192, 16, 8_000, 8_192, SIZE, [(0, -errno.EPIPE)], 0, 0)


FRAMES = st.lists(
    st.builds(
        lambda size, domain, sequence: frame(bytes(size), domain=domain, sequence=sequence),
        st.integers(0, 300) | st.sampled_from((2_000, 5_000)),
        st.sampled_from((1, 1, 1, 2)),
        st.integers(0, 255),
    ),
    min_size=1,
    max_size=12,
)


@pytest.mark.parametrize("hub_form", HUBS)
@pytest.mark.parametrize("port_form", PORTS)
@given(
    frames=FRAMES,
    cuts=st.lists(st.integers(1, 20_000), max_size=6),
    read_bytes=st.sampled_from((1, 33, 64, 200, 6_000, 65_536)),
    echo=st.booleans(),
    watched=st.booleans(),
    odd_only=st.booleans(),
    begun=st.integers(0, 200),
)
@example(
    frames=[frame(bytes(300))], cuts=[40, 100, 200], read_bytes=200, echo=True, watched=False, odd_only=False, begun=50
)
@example(frames=[frame(domain=2), frame()], cuts=[], read_bytes=200, echo=True, watched=False, odd_only=False, begun=0)
@example(frames=[frame()], cuts=[], read_bytes=200, echo=True, watched=False, odd_only=True, begun=0)
@example(frames=[frame()], cuts=[], read_bytes=200, echo=True, watched=True, odd_only=False, begun=0)
def test_fwd_1_what_clients_write_in_any_cut_reaches_the_others_through_every_port(
    hub_form: str,
    port_form: str,
    frames: list[bytes],
    cuts: list[int],
    read_bytes: int,
    echo: bool,
    watched: bool,
    odd_only: bool,
    begun: int,
) -> None:
    def is_odd(header: MessageHeader) -> bool:
        return header.sequence % 2 == 1

    hub = HUBS[hub_form](
        PORTS[port_form](),
        FrameScanner(FramePolicy(1)),
        HubSettings(echo=echo, read_bytes=read_bytes),
        is_odd if odd_only else None,
    )
    seen: list[int] = []
    if watched:
        hub.tap = lambda _, __, scan: seen.append(scan.frames)
    with ExitStack() as stack:
        pairs = [tuple(map(stack.enter_context, socket.socketpair())) for _ in range(3)]
        for ours, _ in pairs:
            ours.setblocking(False)
        sender, *_ = [hub.join(ours.fileno()) for ours, _ in pairs]
        stream = b"".join(frames) + frame(bytes(200))[:begun]
        places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
        for start, stop in pairwise(places):
            pairs[0][1].sendall(stream[start:stop])
            _read_all(hub, sender)
        pairs[0][1].shutdown(socket.SHUT_WR)
        assert not hub.read(sender)
        accepted = [each for each in frames if each[4] == 1]
        wanted = [each for each in accepted if each[8] % 2 == 1 or not odd_only]
        for place, (_, theirs) in enumerate(pairs):
            theirs.setblocking(False)
            assert split(_taken(theirs)) == (wanted if echo or place else [])
        assert sum(seen) == (len(accepted) if watched else 0)
        assert hub.totals().received_frames == len(frames)
        assert hub.totals().received_bytes == len(stream)


def _read_all(hub: Hub, sender: object) -> None:
    with suppress(BlockingIOError):
        while hub.read(sender):  # type: ignore[arg-type]  # a connection of the hub's own form
            pass


def _taken(client: socket.socket) -> bytes:
    taken = bytearray()
    while True:
        try:
            taken += client.recv(1 << 16)
        except BlockingIOError:
            return bytes(taken)
