"""The asynchronous client: what waiting in tasks adds to what the blocking client's tests say of both."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.protocol.client.fake_relays import LIMIT, FakeRelay, cut, fake_relay, large_signal, read_all, signal
from torq_protocol import ErrorKind, OnFault, ProtocolError
from torq_protocol.client import (
    ClientSettings,
    ClientState,
    ClosedError,
    ConnectError,
    Event,
    Lost,
    OnEvent,
    Reconnected,
    Relay,
    SendTimeoutError,
    StreamEndedError,
    TornStreamError,
    UnsafeDirectoryError,
    connect,
)

ONCE = ClientSettings(reconnect=False)


@asynccontextmanager
async def pair(
    relay: FakeRelay, settings: ClientSettings | None = None, on_event: OnEvent | None = None
) -> AsyncIterator[tuple[Relay, socket.socket]]:
    """A client and the relay's end of its connection, which blocks: the test uses it in threads or where it cannot."""
    async with asyncio.timeout(LIMIT), await connect(relay.path, settings=settings, on_event=on_event) as client:
        with relay.accept() as connection:
            yield client, connection


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 400), max_size=6),
    cuts=st.lists(st.integers(1, 2000), max_size=40),
    torn=st.integers(0, 49),
)
def test_messages_arrive_whole_and_a_torn_end_is_an_error(sizes: list[int], cuts: list[int], torn: int) -> None:
    frames = [signal(number, size=size or 16) for number, size in enumerate(sizes)]
    stream = b"".join(frames)

    async def consume(relay: FakeRelay) -> None:
        async with pair(relay, ONCE) as (client, connection), asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.to_thread(serve, connection))
            for frame in frames:
                assert (await client.receive()).to_bytes() == frame
            with pytest.raises(TornStreamError if torn else StreamEndedError) as caught:
                await client.receive()
            assert caught.value.offset == len(stream)
            if isinstance(caught.value, TornStreamError):
                assert caught.value.fault.stream_offset == len(stream) + torn

    def serve(connection: socket.socket) -> None:
        for piece in cut(stream + signal(99)[:torn], cuts):
            connection.sendall(piece)
        connection.close()

    with fake_relay() as relay:
        anyio.run(consume, relay)


async def test_cancelled_before_the_first_byte_a_send_leaves_the_connection_alone() -> None:
    with fake_relay() as relay:
        async with pair(relay) as (client, connection):
            fill(client)
            with anyio.move_on_after(0.01) as scope:
                await client.send(signal(1))
            assert scope.cancelled_caught
            assert client.state is ClientState.CONNECTED
            filled = await asyncio.to_thread(connection.recv, 1 << 20)
            assert len(filled) % 50 == 0


def fill(client: Relay) -> None:
    """Fill the socket to the last byte it takes with whole messages, so that the next one cannot begin."""
    link = client._session.link
    assert link is not None
    while link.try_send(memoryview(signal(0))):
        pass


async def test_cancelled_in_the_middle_a_send_is_never_followed_by_another_message() -> None:
    events: list[Event] = []
    with fake_relay() as relay:
        async with pair(relay, on_event=events.append) as (client, connection):
            with anyio.move_on_after(0.01) as scope:
                await client.send(large_signal(1))
            assert scope.cancelled_caught
            assert client.state is ClientState.DISCONNECTED
            await client.send(signal(2))
            torn = await asyncio.to_thread(read_all, connection)
            assert large_signal(1).startswith(torn)
            assert 0 < len(torn) < len(large_signal(1))
            second = relay.accept()
            await client.aclose()
            assert await asyncio.to_thread(read_all, second) == signal(2)
    _, lost, again = events
    assert isinstance(lost, Lost)
    assert "broken off after" in str(lost.error)
    assert isinstance(again, Reconnected)


async def test_a_relay_that_takes_nothing_bounds_what_a_sender_waits_for() -> None:
    with fake_relay() as relay:
        async with pair(relay, replace(ONCE, send_timeout_seconds=0.05)) as (client, _):
            with pytest.raises(SendTimeoutError, match=r"none for 0\.05 s"):
                await client.send(large_signal(1))
            assert client.state is ClientState.DISCONNECTED


async def test_messages_of_many_tasks_never_mix() -> None:
    with fake_relay() as relay:
        async with pair(relay) as (client, connection), asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(asyncio.to_thread(read_all, connection))
            sizes = [10_000, 16, 60_000, 300]
            async with asyncio.TaskGroup() as senders:
                for number in range(40):
                    senders.create_task(client.send(signal(number, size=sizes[number % 4])))
            await client.aclose()
            stream = await reading
            found = [int.from_bytes(stream[at + 8 : at + 16], "little") for at in starts(stream)]
            assert sorted(found) == list(range(40))


def starts(stream: bytes) -> list[int]:
    """Where the messages of a stream begin, which must be whole."""
    places, at = [], 0
    while at < len(stream):
        assert stream[at : at + 4] == b"\xef\xbe\xad\xde"
        places.append(at)
        at += 32 + int.from_bytes(stream[at + 24 : at + 28], "little")
    assert at == len(stream)
    return places


async def test_cancelling_a_receive_loses_nothing() -> None:
    with fake_relay() as relay:
        async with pair(relay) as (client, connection):
            connection.sendall(signal(1)[:20])
            with anyio.move_on_after(0.01):
                await client.receive()
            connection.sendall(signal(1)[20:] + signal(2))
            assert [(await client.receive()).header.sequence for _ in range(2)] == [1, 2]


async def test_closing_ends_what_waits() -> None:
    with fake_relay() as relay:
        async with pair(relay) as (client, _), asyncio.TaskGroup() as tasks:
            looping = tasks.create_task(collect(client))
            sending = tasks.create_task(fails(client, ClosedError))
            await asyncio.sleep(0)
            await client.aclose()
            assert await looping == []
            await sending
            with pytest.raises(ClosedError):
                await client.receive()
            await client.aclose()


async def collect(client: Relay) -> list[int]:
    return [message.header.sequence async for message in client]


async def fails(client: Relay, error: type[Exception]) -> None:
    with pytest.raises(error):  # noqa: PT012 - which of the calls raises is up to the scheduler
        while True:
            await client.send(signal(1))


async def test_closing_ends_a_wait_for_the_relay() -> None:
    lost = asyncio.Event()
    with fake_relay() as relay:
        async with (
            pair(relay, on_event=lambda event: lost.set() if isinstance(event, Lost) else None) as (client, connection),
            asyncio.TaskGroup() as tasks,
        ):
            relay.listener.close()
            connection.close()
            looping = tasks.create_task(collect(client))
            await lost.wait()
            await client.aclose()
            assert await looping == []


async def test_a_second_receiver_is_refused() -> None:
    with fake_relay() as relay:
        async with pair(relay) as (client, _), asyncio.TaskGroup() as tasks:
            tasks.create_task(collect(client))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task"):
                await client.receive()
            await client.aclose()


async def test_a_task_that_only_sends_finds_the_relay_again() -> None:
    with fake_relay() as relay:
        async with pair(relay) as (client, connection):
            connection.close()
            await client.send(signal(1))
            second = relay.accept()
            await client.end_sending()
            assert await asyncio.to_thread(read_all, second) == signal(1)
            assert client.reconnects == 1
            assert (client.sent, client.received) == (1, 0)


async def test_a_wrong_message_can_be_raised_and_the_next_one_still_comes() -> None:
    wrong = bytearray(signal(2))
    wrong[40] ^= 1
    with fake_relay() as relay:
        async with pair(relay, replace(ONCE, on_fault=OnFault.RAISE)) as (client, connection):
            connection.sendall(wrong + signal(3))
            connection.close()
            with pytest.raises(ProtocolError) as caught:
                await client.receive()
            assert caught.value.kind is ErrorKind.BAD_CHECKSUM
            assert (await client.receive()).header.sequence == 3
            with pytest.raises(StreamEndedError):
                await client.receive()


async def test_giving_up_and_nobody_there_are_said() -> None:
    with fake_relay() as relay:
        async with pair(relay, ClientSettings(give_up_after_seconds=0.05)) as (client, connection):
            relay.listener.close()
            connection.close()
            with pytest.raises(ConnectError, match="given up after"):
                await client.receive()
        with pytest.raises(ConnectError, match="nobody listens"):
            await connect(relay.path)
        relay.path.parent.chmod(0o777)
        with pytest.raises(UnsafeDirectoryError):
            await connect(relay.path, settings=ClientSettings(check_directory=True))


async def test_the_client_works_over_tcp_and_waits_for_the_relay() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with await connect(f"tcp:localhost:{port}", settings=ClientSettings(wait_for_relay_seconds=1)) as client:
            connection, _ = listener.accept()
            with connection:
                await client.send(signal(1))
                assert await asyncio.to_thread(connection.recv, 100) == signal(1)
                connection.sendall(signal(2))
                assert (await client.receive()).header.sequence == 2
    with pytest.raises(ConnectError, match="cannot connect"):
        await connect(f"tcp:127.0.0.1:{port}", settings=ClientSettings(wait_for_relay_seconds=0.02))
