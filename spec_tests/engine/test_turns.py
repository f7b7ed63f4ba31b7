"""No turn does more than its share, whatever waits: counted in work done, as time tells of the machine too."""

import asyncio
import socket
from array import array
from collections.abc import Callable
from itertools import pairwise

import pytest

from torq_engine.accounting import CloseReason
from torq_engine.connection import Connection
from torq_engine.hub import Hub
from torq_engine.observer import Observer
from torq_engine.port import Peer, Turn
from torq_engine.settings import HubSettings, Overflow
from torq_protocol.policy import FramePolicy
from torq_protocol.scanner import FrameScanner

from .frames import frame
from .hub_forms import HUBS
from .outlets import BufferedOutlet, OutletPort
from .relays import happened, serving

RECEIVERS, READS = 300, 125
LARGE = frame(bytes(80_000))
"""It fills a segment of the log alone, so that each is a stretch of its own for each receiver."""
MOST_RELEASES = 16_384 + 2 * RECEIVERS


class Crowd:
    """A hub with receivers that take nothing, and much before each of them."""

    def __init__(self, form: type[Hub], *, reading: bool, overflow: Overflow) -> None:
        self.now = 0.0
        self.settings = {"echo": False, "overflow": overflow, "first_read_grace": 10.0, "queue_bytes": 1 << 30}
        port = OutletPort(lambda: self.now)
        self.hub = form(port, FrameScanner(FramePolicy(1)), self.chosen())
        self.sender = self.hub.join(port.open(BufferedOutlet(0)))
        outlets = [BufferedOutlet(10) for _ in range(RECEIVERS)]
        self.receivers: list[Connection] = [self.hub.join(port.open(outlet)) for outlet in outlets]
        for receiver in self.receivers:
            receiver.reading = reading
        for _ in range(READS):
            self.send()

    def chosen(self, **changed: object) -> HubSettings:
        return HubSettings(**{**self.settings, **changed})  # type: ignore[arg-type]  # checked by the struct

    def send(self) -> None:
        self.hub.receive(self.sender, LARGE)

    def stretches(self) -> int:
        return sum(len(receiver.backlog.queue) for receiver in self.receivers)


def smaller_total(crowd: Crowd) -> None:
    crowd.hub.configure(crowd.chosen(total_queue_bytes=1))


def smaller_queues(crowd: Crowd) -> None:
    crowd.hub.configure(crowd.chosen(queue_bytes=1))


def grace_over(crowd: Crowd) -> None:
    crowd.now = 11.0


@pytest.mark.parametrize(
    ("change", "reading", "overflow"),
    [
        (smaller_total, True, Overflow.DROP_OLDEST),
        (smaller_total, False, Overflow.DROP_OLDEST),
        (smaller_total, True, Overflow.DISCONNECT),
        (smaller_total, True, Overflow.BACKPRESSURE),
        (smaller_queues, True, Overflow.DISCONNECT),
        (grace_over, False, Overflow.DROP_OLDEST),
    ],
)
@pytest.mark.parametrize("form", HUBS.values(), ids=HUBS)
def test_iso_1_letting_go_of_what_waits_for_a_crowd_takes_many_short_turns(
    form: type[Hub], change: Callable[[Crowd], None], reading: bool, overflow: Overflow
) -> None:
    crowd = Crowd(form, reading=reading, overflow=overflow)
    held = crowd.stretches()
    assert held > 2 * MOST_RELEASES
    change(crowd)
    turns = 0
    while held > 2 * RECEIVERS:
        before = held
        if crowd.hub.overfull:
            crowd.hub.shed()
        else:
            crowd.send()
        held = crowd.stretches()
        turns += 1
        assert before - held <= MOST_RELEASES
        assert held < before
    assert turns >= 3
    assert crowd.hub.totals().balance() == 0


@pytest.mark.parametrize("form", HUBS.values(), ids=HUBS)
def test_res_4_much_that_waits_for_a_crowd_is_few_stretches(form: type[Hub]) -> None:
    crowd = Crowd(form, reading=True, overflow=Overflow.DROP_OLDEST)
    before = crowd.stretches()
    for _ in range(2000):
        crowd.hub.receive(crowd.sender, frame(bytes(7_968)) * 8)
    added = 2000 * 64_000
    assert crowd.receivers[0].backlog.bytes > added
    assert (crowd.stretches() - before) // RECEIVERS < added // (4 * 64_000)


class Closes(Observer):
    """Counts the connections that end in each turn of the loop."""

    def __init__(self) -> None:
        self.by_turn = [0]

    def closed(self, connection: Connection, peer: Peer) -> None:
        self.by_turn[-1] += 1

    def turn(self) -> None:
        self.by_turn.append(0)
        asyncio.get_running_loop().call_soon(self.turn)


async def test_iso_1_however_many_connections_end_at_once_a_turn_closes_some_and_goes_on() -> None:
    closes = Closes()
    async with serving(observer=closes) as relay:
        clients = [await relay.join() for _ in range(150)]
        for connection in list(relay.server.hub.connections.values())[:-1]:
            relay.server.hub.disconnect(connection, CloseReason.SLOW_CONSUMER)
        closes.turn()
        await clients[0].send(frame())  # of a connection that ended: nobody gets it
        await clients[-1].send(frame(sequence=7))
        assert await clients[-1].frames(1) == [frame(sequence=7)]
        await happened(lambda: sum(closes.by_turn) == 149)
        assert max(closes.by_turn) <= 32
        for client in clients[:-1]:
            await client.end()


async def test_iso_1_however_many_clients_hang_up_at_once_a_turn_reads_some_and_goes_on() -> None:
    async with serving() as relay:
        clients = [await relay.join() for _ in range(150)]
        hub = relay.server.hub
        for client in clients:
            client.sock.shutdown(socket.SHUT_WR)
        await happened(lambda: not any(connection.input_open for connection in hub.connections.values()))
        for client in clients:
            client.close()
        left = len(hub.connections)
        while hub.connections:
            relay.server._hung_up()
            left, before = len(hub.connections), left
            assert 0 < before - left <= 64
        assert hub.totals().closed[CloseReason.PEER_LEFT] == 150


async def test_iso_1_however_many_clients_were_held_up_a_turn_resumes_some_and_goes_on() -> None:
    async with serving() as relay:
        clients = [await relay.join() for _ in range(300)]
        server = relay.server
        for client in server._clients.values():
            server._stop_reading(client)
            server._paused[client.connection.id] = client
        left = [len(server._paused)]

        def turn() -> None:
            left.append(len(server._paused))
            asyncio.get_running_loop().call_soon(turn)

        server._resume_paused()
        turn()
        await clients[299].send(frame())
        assert await clients[0].frames(1) == [frame()]
        await happened(lambda: not server._paused)
        assert all(0 <= before - after <= 128 for before, after in pairwise(left))
        assert {client.watch.name for client in server._clients.values()} == {"LOOP"}


async def test_iso_1_a_turn_does_its_share_once_however_many_clients_it_reads() -> None:
    async with serving() as relay:
        clients = [await relay.join() for _ in range(400)]
        server = relay.server
        for place, served in enumerate(server._clients.values()):
            server._stop_reading(served)
            if place >= 64:
                server._paused[served.connection.id] = served
        for client in clients[:64]:
            client.close()
        paused = len(server._paused)
        server._hung_up()
        assert server.hub.totals().closed[CloseReason.PEER_LEFT] == 64
        assert paused - len(server._paused) <= 128


class CountingPort(OutletPort):
    """Counts how many reads each turn was allowed."""

    def __init__(self) -> None:
        super().__init__()
        self.most: list[int] = []

    def turn(
        self,
        descriptor: int,
        buffer: bytearray,
        filled: int,
        scanner: FrameScanner,
        receivers: "array[int]",
        skipped: int,
        most: int,
        /,
    ) -> Turn:
        self.most.append(most)
        return super().turn(descriptor, buffer, filled, scanner, receivers, skipped, most)


@pytest.mark.parametrize("form", HUBS.values(), ids=HUBS)
@pytest.mark.parametrize(("receivers", "reads"), [(10, 4), (1100, 1)])
def test_iso_1_a_turn_of_many_receivers_reads_once(form: type[Hub], receivers: int, reads: int) -> None:
    port = CountingPort()
    hub = form(port, FrameScanner(FramePolicy(1)), HubSettings(echo=False))
    joined = [hub.join(port.open(BufferedOutlet(1 << 30))) for _ in range(receivers)]
    for connection in joined:
        connection.reading = True
    hub.receive(joined[0], frame())
    with pytest.raises(BlockingIOError):
        hub.read(joined[0])
    assert port.most == [reads]
