"""Slow consumers over real sockets: ISO, under every overflow policy."""

import asyncio
import socket

import msgspec
import pytest
from msgspec.structs import replace

from torq_engine.accounting import CloseReason, DropReason
from torq_engine.settings import HubSettings, Overflow

from .frames import frame, split
from .relays import Client, Relay, happened, serving

SMALL = HubSettings(queue_frames=50, echo=False)
TINY_BUFFER = 4608
"""Bytes of SO_SNDBUF, the least the kernel grants: a few frames fill it, and most sends are partial."""


def numbers(frames: list[bytes]) -> list[int]:
    return [int.from_bytes(f[8:16], "little") for f in frames]


async def pump(sender: Client, witness: Client, first: int, count: int, size: int = 40) -> None:
    """Send numbered frames, a hundred at a time, each hundred seen by a witness that reads."""
    for start in range(first, first + count, 100):
        batch = [frame(bytes(size), sequence=n) for n in range(start, min(start + 100, first + count))]
        sending = asyncio.create_task(sender.send(b"".join(batch)))
        assert await witness.frames(len(batch)) == batch
        await sending


async def make_reading(relay: Relay, sender: Client, reader: Client, witness: Client) -> None:
    """Let a client be seen to read: more than its buffer holds goes through it (ISO-7)."""
    connection = relay.server.hub.connections[2]
    sequence = 1 << 40
    while not connection.reading:
        sequence += 1
        await sender.send(frame(bytes(1000), sequence=sequence))
        await reader.frames(1)
        await witness.frames(1)


async def test_iso_1_consumer_that_does_not_read_delays_and_drops_nothing_of_the_others() -> None:
    async with serving(hub=SMALL, send_buffer_bytes=TINY_BUFFER) as relay:
        sender, _stuck, witness = await relay.join(), await relay.join(), await relay.join()
        await pump(sender, witness, 0, 5000)


async def test_iso_2_memory_held_for_a_stuck_consumer_is_bounded_in_frames_and_bytes() -> None:
    hub = replace(SMALL, queue_frames=1000, queue_bytes=5000)
    async with serving(hub=hub, send_buffer_bytes=TINY_BUFFER) as relay:
        sender, _stuck, witness = await relay.join(), await relay.join(), await relay.join()
        await pump(sender, witness, 0, 3000)
        backlog = relay.server.hub.connections[2].backlog
        assert 0 < backlog.bytes <= 5000 + 72
        assert relay.server.hub.totals().held_bytes <= 2 * 65_536


async def test_iso_3_4_5_drop_oldest_keeps_whole_newest_frames_in_order() -> None:
    async with serving(hub=SMALL, send_buffer_bytes=TINY_BUFFER) as relay:
        sender, stuck, witness = await relay.join(), await relay.join(), await relay.join()
        await pump(sender, witness, 0, 2000)
        connection = relay.server.hub.connections[2]
        dropped = sum(connection.dropped_frames)
        assert dropped > 0
        fence = relay.fence()
        await sender.send(fence)
        seen = numbers(await stuck.until(fence))
        assert len(seen) == 2001 - sum(connection.dropped_frames)
        assert seen == sorted(set(seen))
        assert seen[-50:-1] == list(range(1951, 2000))


async def test_iso_3_disconnect_ends_a_consumer_that_was_seen_to_read_and_then_stopped() -> None:
    hub = replace(SMALL, overflow=Overflow.DISCONNECT)
    async with serving(hub=hub, send_buffer_bytes=TINY_BUFFER) as relay:
        sender, stuck, witness = await relay.join(), await relay.join(), await relay.join()
        await make_reading(relay, sender, stuck, witness)
        connection = relay.server.hub.connections[2]
        await pump(sender, witness, 0, 1000)
        assert connection.close_reason is CloseReason.SLOW_CONSUMER
        seen = numbers(await frames_until_closed(stuck))
        assert seen == list(range(len(seen)))


async def frames_until_closed(client: Client) -> list[bytes]:
    """The whole frames that come before the relay closes; a last one may be torn by the close."""
    data = await client.end()
    whole = []
    while len(data) >= 72:
        whole.append(data[:72])
        data = data[72:]
    return whole


async def test_iso_3_backpressure_stalls_senders_until_the_consumer_reads_and_loses_nothing() -> None:
    hub = replace(SMALL, overflow=Overflow.BACKPRESSURE)
    async with serving(hub=hub, send_buffer_bytes=TINY_BUFFER, stall_timeout=60.0) as relay:
        sender, slow, witness = await relay.join(), await relay.join(), await relay.join()
        await make_reading(relay, sender, slow, witness)
        sent = [frame(bytes(40), sequence=n) for n in range(4000)]
        sending = asyncio.create_task(sender.send(b"".join(sent)))
        await happened(lambda: bool(relay.server.hub.stalled))
        reading = asyncio.create_task(witness.frames(4000))
        assert await slow.frames(4000) == sent
        assert await reading == sent
        await sending
        assert sum(relay.server.hub.totals().dropped_frames) == 0


async def test_iso_3_backpressure_ends_a_consumer_that_outlasts_the_stall() -> None:
    hub = replace(SMALL, overflow=Overflow.BACKPRESSURE)
    async with serving(hub=hub, send_buffer_bytes=TINY_BUFFER, stall_timeout=0.02) as relay:
        sender, stuck, witness = await relay.join(), await relay.join(), await relay.join()
        await make_reading(relay, sender, stuck, witness)
        connection = relay.server.hub.connections[2]
        await pump(sender, witness, 0, 3000)
        assert connection.close_reason is CloseReason.SLOW_CONSUMER


async def test_iso_3_backpressure_does_not_deadlock_a_client_that_sends_before_it_reads() -> None:
    hub = HubSettings(queue_frames=50, echo=True, overflow=Overflow.BACKPRESSURE)
    async with serving(hub=hub, send_buffer_bytes=TINY_BUFFER, stall_timeout=60.0) as relay:
        both = await relay.join()
        connection = relay.server.hub.connections[1]
        sequence = 1 << 40
        while not connection.reading:
            sequence += 1
            await both.send(frame(bytes(1000), sequence=sequence))
            await both.frames(1)
        await both.send(b"".join(frame(bytes(40), sequence=n) for n in range(20_000)))
        await happened(lambda: connection.received_frames >= 20_000)
        assert connection.dropped_frames[DropReason.OWN_ECHO] > 0
        assert connection.close_reason is None


@pytest.mark.parametrize("overflow", list(Overflow))
async def test_iso_7_client_that_only_ever_sends_is_never_disconnected_and_stalls_nobody(overflow: Overflow) -> None:
    hub = HubSettings(queue_frames=50, overflow=overflow)
    async with serving(hub=hub, send_buffer_bytes=TINY_BUFFER, stall_timeout=0.01) as relay:
        publisher, witness = await relay.join(), await relay.join()
        await pump(publisher, witness, 0, 5000)
        connection = relay.server.hub.connections[1]
        assert connection.close_reason is None
        assert connection.dropped_frames[DropReason.NEVER_READ] > 0
        assert relay.server.hub.connections[2].delivered_frames == 5000


@pytest.mark.parametrize("overflow", list(Overflow))
async def test_iso_6_accounting_balances_under_every_policy(overflow: Overflow) -> None:
    hub = HubSettings(queue_frames=20, queue_bytes=3000, total_queue_bytes=100_000, overflow=overflow)
    async with serving(hub=hub, send_buffer_bytes=TINY_BUFFER, stall_timeout=0.01) as relay:
        clients = [await relay.join() for _ in range(6)]
        await pump(clients[0], clients[1], 0, 1000)
        clients[2].close()
        await pump(clients[3], clients[1], 1000, 500)
        totals = relay.server.hub.totals()
        assert totals.balance() == 0
        assert totals.received_frames == 1500
        assert sum(totals.dropped_frames) > 0


async def test_iso_4_large_frames_in_a_tiny_buffer_are_never_torn_by_drops() -> None:
    async with serving(hub=replace(SMALL, queue_frames=3), send_buffer_bytes=TINY_BUFFER) as relay:
        sender, stuck, witness = await relay.join(), await relay.join(), await relay.join()
        for number in range(40):
            await pump(sender, witness, number, 1, size=30_000)
        fence = relay.fence()
        await sender.send(fence)
        seen = await stuck.until(fence)
        assert all(f == frame(bytes(30_000), sequence=n) for f, n in zip(seen[:-1], numbers(seen[:-1]), strict=True))
        assert numbers(seen) == sorted(set(numbers(seen)))


async def test_iso_1_flooding_sender_does_not_starve_another() -> None:
    """Fairness: a turn takes at most ``read_bytes`` of one connection."""
    async with serving(hub=HubSettings(echo=False), read_bytes=1024) as relay:
        flooder, other, witness = await relay.join(), await relay.join(), await relay.join()
        flooder.sock.send(frame(source=1) * 2000)
        fence = relay.fence()
        other.sock.send(fence)
        assert len(await witness.until(fence)) <= 2 * 1024 / 32 + 1


async def test_iso_3_backpressure_frames_of_a_client_that_left_while_paused_still_arrive() -> None:
    hub = replace(SMALL, overflow=Overflow.BACKPRESSURE)
    async with serving(hub=hub, send_buffer_bytes=TINY_BUFFER, stall_timeout=60.0, read_bytes=1000) as relay:
        sender, slow, witness = await relay.join(), await relay.join(), await relay.join()
        await make_reading(relay, sender, slow, witness)
        leaver = await relay.join()
        sent = [frame(bytes(40), sequence=n) for n in range(500)]
        sending = asyncio.create_task(sender.send(b"".join(sent)))
        reading = asyncio.create_task(witness.frames(600))
        await happened(lambda: bool(relay.server.hub.stalled))
        left = [frame(bytes(40), source=9, sequence=n) for n in range(100)]
        leaver.sock.send(b"".join(left))
        await happened(lambda: 4 in relay.server._paused)
        leaver.close()
        seen = await slow.frames(600)
        assert [f for f in seen if f[6] == 9] == left
        assert [f for f in seen if f[6] == 1] == sent
        assert await reading == seen
        await sending
        await relay.connected(3)


async def test_iso_3_senders_go_on_when_new_settings_end_backpressure() -> None:
    hub = replace(SMALL, overflow=Overflow.BACKPRESSURE)
    async with serving(hub=hub, send_buffer_bytes=TINY_BUFFER, stall_timeout=60.0) as relay:
        sender, slow, witness = await relay.join(), await relay.join(), await relay.join()
        await make_reading(relay, sender, slow, witness)
        before = relay.server.hub.totals().received_frames
        sending = asyncio.create_task(sender.send(b"".join(frame(bytes(40), sequence=n) for n in range(20_000))))
        await happened(lambda: bool(relay.server.hub.stalled and relay.server._paused))
        settings = msgspec.structs.replace(relay.server.settings, overflow=Overflow.DROP_OLDEST)
        relay.server.configure(settings, relay.server.listen)
        await sending
        await happened(lambda: relay.server.hub.totals().received_frames == before + 20_000)
        assert relay.server.hub.totals().dropped_frames[DropReason.QUEUE_FULL] > 0
        await relay.connected(3)


@pytest.mark.parametrize("overflow", list(Overflow))
async def test_iso_2_3_a_consumer_that_has_read_one_frame_and_pauses_loses_nothing(overflow: Overflow) -> None:
    async with serving(hub=HubSettings(echo=False, overflow=overflow)) as relay:
        sender, paused, witness = await relay.join(), await relay.join(), await relay.join()
        await pump(sender, witness, 0, 10_000)
        assert numbers(await paused.frames(10_000)) == list(range(10_000))
        assert sum(relay.server.hub.totals().dropped_frames) == 0


@pytest.mark.parametrize("overflow", list(Overflow))
async def test_iso_7_a_client_that_begins_to_read_within_its_grace_loses_nothing(overflow: Overflow) -> None:
    hub = HubSettings(echo=False, overflow=overflow, first_read_grace=1e6)
    async with serving(hub=hub, send_buffer_bytes=TINY_BUFFER) as relay:
        sender, late, witness = await relay.connect(), await relay.connect(), await relay.connect()
        await relay.connected(3)
        await pump(sender, witness, 0, 3000)
        assert numbers(await late.frames(3000)) == list(range(3000))
        assert sum(relay.server.hub.totals().dropped_frames) == 0


async def test_iso_7_nothing_is_kept_for_a_client_that_only_sends_once_its_grace_is_over() -> None:
    hub = HubSettings(first_read_grace=0.0)
    async with serving(hub=hub, send_buffer_bytes=TINY_BUFFER) as relay:
        publisher, witness = await relay.connect(), await relay.connect()
        await relay.connected(2)
        connection = relay.server.hub.connections[1]
        await pump(publisher, witness, 0, 3000)
        assert connection.only_sends
        assert connection.backlog.bytes < 72
        assert connection.dropped_frames[DropReason.NEVER_READ] > 0
        fence = relay.fence()
        reading = asyncio.create_task(publisher.until(fence))  # it reads after all: it is a consumer from now on
        await happened(lambda: connection.reading)
        await witness.send(fence)
        assert (await reading)[-1] == fence
        assert not connection.only_sends


async def test_iso_1_a_receiver_that_kept_up_until_now_is_let_catch_up() -> None:
    async with serving(hub=HubSettings(echo=False, queue_bytes=1 << 20)) as relay:
        sender, slow, witness = await relay.join(), await relay.join(), await relay.join()
        await make_reading(relay, sender, slow, witness)
        senders = [sender, await relay.join()]
        sent = [[frame(bytes(60_000), source=source, sequence=n) for n in range(200)] for source in (1, 2)]
        sending = [asyncio.create_task(one.send(b"".join(own))) for one, own in zip(senders, sent, strict=True)]
        reading = [asyncio.create_task(one.frames(200)) for one in senders]  # each gets what the other sends
        reading.append(asyncio.create_task(witness.frames(400)))
        await happened(lambda: bool(relay.server.hub.lagging))
        seen = await slow.frames(400)
        assert [[f for f in seen if f[6] == source] for source in (1, 2)] == sent
        assert await reading[2] == seen
        await asyncio.gather(*sending, *reading)
        assert sum(relay.server.hub.totals().dropped_frames) == 0


async def test_iso_1_a_receiver_that_takes_nothing_is_soon_waited_for_no_more() -> None:
    async with serving(hub=HubSettings(echo=False)) as relay:
        sender, stuck, witness = await relay.join(), await relay.join(), await relay.join()
        await make_reading(relay, sender, stuck, witness)
        connection = relay.server.hub.connections[2]
        sent = 0
        while connection.keeps_up:
            await pump(sender, witness, sent, 100, size=60_000)
            sent += 100
        assert relay.server.hub.lagging == {}
        await pump(sender, witness, sent, 100, size=60_000)
        assert numbers(await stuck.frames(sent + 100)) == list(range(sent + 100))


async def test_busy_poll_looks_for_more_for_a_while_and_then_sleeps() -> None:
    async with serving(busy_poll=0.01) as relay:
        client = await relay.join()
        await client.send(frame())
        assert await client.frames(1) == [frame()]
        await happened(lambda: not relay.server._polling)


@pytest.mark.parametrize("ended", ["stays", "half-closes", "leaves"])
async def test_life_1_what_paused_clients_sent_is_delivered_when_the_relay_drains(ended: str) -> None:
    """Draining reads clients that backpressure has paused, and ends in time whatever they have done meanwhile."""
    hub = replace(SMALL, overflow=Overflow.BACKPRESSURE)
    async with serving(hub=hub, send_buffer_bytes=TINY_BUFFER, stall_timeout=60.0, drain_timeout=30.0) as relay:
        sender, slow, witness = await relay.join(), await relay.join(), await relay.join()
        await make_reading(relay, sender, slow, witness)
        other = await relay.join()
        sending = asyncio.create_task(sender.send(frame(bytes(40)) * 500))
        reading = asyncio.create_task(witness.end())
        await happened(lambda: bool(relay.server.hub.stalled))
        other.sock.send(frame(bytes(40), source=9))
        await happened(lambda: 4 in relay.server._paused)
        if ended == "half-closes":
            other.sock.shutdown(socket.SHUT_WR)
        elif ended == "leaves":
            other.close()
        draining = asyncio.create_task(relay.server.drain())
        got = split(await slow.end())
        await draining
        await sending
        assert [each[6] for each in got] == [1] * 500 + [9]
        assert split(await reading) == got
        assert not relay.server.hub.connections
