"""A server that holds its clients for who goes on: late is nobody for the time in which nobody served."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from torq_engine.accounting import CloseReason
from torq_engine.handover.state import ServerState, WaitingData
from torq_engine.observer import Observer
from torq_engine.server import Server
from torq_engine.settings import HubSettings, ListenSettings, Overflow

from .frames import frame
from .relays import MARKET_POLICY, Relay, happened, serving
from .test_slow_consumers import SMALL, TINY_BUFFER, make_reading

AWAY = 1000.0


def _earlier(state: ServerState) -> ServerState:
    """As if it were exported so long ago."""
    connections = [
        msgspec.structs.replace(each, partial_since=each.partial_since - AWAY, stalled_since=each.stalled_since - AWAY)
        for each in state.hub.connections
    ]
    return msgspec.structs.replace(state, hub=msgspec.structs.replace(state.hub, connections=connections))


@asynccontextmanager
async def restarted(relay: Relay) -> AsyncIterator[Server]:
    """The server that goes on with a relay's clients, after a long time."""
    before = relay.server
    await before.hold()
    state, parts, clients = before.export()
    data, descriptors = WaitingData(b"".join(parts)), [os.dup(number) for number in clients]
    after = Server(MARKET_POLICY, before.settings, ListenSettings(()), Observer())
    after.restore(_earlier(state), descriptors, data)
    before.keep_clients()
    after.resume([], away=AWAY)
    try:
        yield after
    finally:
        after.stop()


async def test_frame_5_a_frame_that_becomes_whole_while_nobody_serves_is_not_late() -> None:
    async with serving() as relay:
        sender, witness = await relay.join(), await relay.join()
        sent = frame(bytes(40), sequence=7)
        await sender.send(sent[:20])
        await happened(lambda: relay.server.hub.connections[1].partial is not None)
        async with restarted(relay):
            await sender.send(sent[20:])
            assert await witness.frames(1) == [sent]


async def test_iso_3_a_consumer_is_given_the_stall_timeout_by_those_who_serve_alone() -> None:
    hub = msgspec.structs.replace(SMALL, overflow=Overflow.BACKPRESSURE)
    async with serving(hub=hub, send_buffer_bytes=TINY_BUFFER, stall_timeout=60.0, drain_timeout=0.0) as relay:
        sender, slow, witness = await relay.join(), await relay.join(), await relay.join()
        await make_reading(relay, sender, slow, witness)
        sent = [frame(bytes(40), sequence=n) for n in range(4000)]
        sending = asyncio.create_task(sender.send(b"".join(sent)))
        await happened(lambda: bool(relay.server.hub.stalled))
        async with restarted(relay) as after:
            reading = asyncio.create_task(witness.frames(4000))
            for _ in range(100):  # turns in which a timer that is due would end it
                await asyncio.sleep(0)
            assert await slow.frames(4000) == sent
            assert await reading == sent
            await sending
            assert len(after.hub.connections) == 3


@pytest.mark.parametrize("clients", [1, 100])
async def test_clients_that_end_while_they_are_held_are_closed(clients: int) -> None:
    """More than a turn closes: what is left is closed when the state is exported, whoever watched it before."""
    async with serving(hub=HubSettings()) as relay:
        witness = await relay.join()
        others = [await relay.join() for _ in range(clients)]
        for each in others:
            each.sock.shutdown(1)  # watched for hang-ups from now on
        await happened(
            lambda: not any(c.input_open for number, c in relay.server.hub.connections.items() if number > 1)
        )
        await relay.server.hold()
        for connection in list(relay.server.hub.connections.values())[1:]:
            relay.server.hub.disconnect(connection, CloseReason.OPERATOR)
        _, _, kept = relay.server.export()
        assert len(kept) == 1
        for each in others:
            assert await each.end() == b""
        drained = asyncio.create_task(relay.server.drain())
        assert await witness.end() == b""
        await drained
