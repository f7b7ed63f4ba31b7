"""A publisher keeps the sequence, clock and builder of a source; connecting needs no await in ``async with``."""

from __future__ import annotations

import asyncio
import gc
import itertools
from decimal import Decimal

import anyio
import pytest

from spec_tests.protocol.client.fake_relays import fake_relay, pair, read_all, signal
from torq_protocol import (
    FieldValueError,
    FrameDecoder,
    GasPrice,
    InstrumentId,
    ProtocolError,
    RawPayload,
    RelayDomain,
    Side,
    SourceType,
    Trade,
    Venue,
    parse_message,
)
from torq_protocol.client import ClientState, ConnectError, Relay, RelayConnection, connect, sync

TRADE = Trade.from_decimal(InstrumentId.coin(Venue.KRAKEN, "BTC"), Decimal(1), Decimal(2), Side.SELL, 3)
GAS = GasPrice.from_fees(1, 2, 3, 4)


def test_a_publisher_counts_up_and_tells_the_time() -> None:
    clock = itertools.count(1000, 10).__next__
    with fake_relay() as relay, pair(relay) as (client, connection):
        publisher = client.publisher(
            SourceType.KRAKEN_COLLECTOR, domain=RelayDomain.MARKET_DATA, sequence=7, clock=clock
        )
        publisher.send(TRADE)
        publisher.send(TRADE, GAS)
        publisher.send()
        client.close()
        messages = list(FrameDecoder().feed(read_all(connection)))
    assert [message.header.sequence for message in messages] == [7, 8, 9]
    assert [message.header.timestamp for message in messages] == [1000, 1010, 1020]
    assert {(message.header.domain, message.header.source) for message in messages} == {(1, 2)}
    assert [message.payloads() for message in messages] == [[TRADE], [TRADE, GAS], []]
    assert publisher.sequence == 10


def test_what_is_refused_uses_up_no_number() -> None:
    with fake_relay() as relay, pair(relay, domain=RelayDomain.SIGNAL) as (client, connection):
        publisher = client.publisher(SourceType.ARBITRAGE_STRATEGY)
        with pytest.raises(ProtocolError, match="outside the accepted types"):
            publisher.send(TRADE)
        with pytest.raises(TypeError, match="is no payload"):
            publisher.send(signal(1))  # type: ignore[arg-type]  # the point of the test
        publisher.send(RawPayload(20, bytes(16)))
        client.close()
        assert parse_message(read_all(connection)).header.sequence == 1


def test_a_publisher_says_at_once_what_is_wrong_with_it() -> None:
    with fake_relay() as relay, pair(relay) as (client, _):
        with pytest.raises(ValueError, match="of which domain"):
            client.publisher(20)
        with pytest.raises(FieldValueError, match="source 256"):
            client.publisher(256, domain=RelayDomain.SIGNAL)
        with pytest.raises(FieldValueError, match="sequence -1"):
            client.publisher(20, domain=RelayDomain.SIGNAL, sequence=-1)


async def test_the_asynchronous_publisher_does_the_same() -> None:
    with fake_relay() as relay:
        async with connect(relay.path, domain=RelayDomain.SIGNAL) as client:
            publisher = client.publisher(SourceType.ARBITRAGE_STRATEGY)
            with pytest.raises(ProtocolError, match="outside the accepted types"):
                await publisher.send(TRADE)
            await publisher.send(RawPayload(20, bytes(16)))
            await client.send_eof()
            message = parse_message(await asyncio.to_thread(read_all, relay.accept()))
        assert (message.header.sequence, publisher.sequence) == (1, 2)
        assert client.state is ClientState.CLOSED


async def test_connecting_can_be_awaited_or_entered() -> None:
    with fake_relay() as relay:
        async with await connect(relay.path) as one:
            assert isinstance(one, RelayConnection)
        async with connect(relay.path) as two:
            assert isinstance(two, Relay)
        three = await asyncio.create_task(connect(relay.path))
        four = await asyncio.wait_for(connect(relay.path), 10)
        for each in (three, four):
            await each.aclose()
        assert {each.state for each in (one, two, three, four)} == {ClientState.CLOSED}
    with pytest.raises(ConnectError):
        async with connect(relay.path):
            raise AssertionError("nobody is there")


@pytest.mark.parametrize("run", [lambda relay: anyio.run(connect, relay.path), lambda r: asyncio.run(connect(r.path))])
def test_connecting_runs_by_itself(run: object) -> None:
    assert callable(run)
    with fake_relay() as relay:
        client = run(relay)
        assert isinstance(client, RelayConnection)
        asyncio.run(client.aclose())


def test_a_connect_that_is_forgotten_is_warned_of() -> None:
    with pytest.warns(RuntimeWarning, match="never awaited"):
        gc.collect(connect("/nowhere") is None)
    attempt = connect("/nowhere")
    with pytest.raises(TypeError, match="await it"):
        attempt.send(b"message")
    attempt.close()


def test_the_blocking_client_has_the_names_of_the_asynchronous_one() -> None:
    with fake_relay() as relay, sync.connect(relay.path) as client:
        assert isinstance(client, sync.RelayConnection)
        with pytest.raises(TimeoutError):
            client.receive(timeout=0)
        with pytest.raises(TimeoutError):
            client.receive(timeout_seconds=0)
        client.send_eof()
        assert read_all(relay.accept()) == b""
