"""Both clients against real relays, killed and started again (LIFE-2)."""

from __future__ import annotations

import asyncio
import signal as signals
import threading
from contextlib import ExitStack
from pathlib import Path

from spec_tests.engine.daemons import daemon
from spec_tests.engine.relays import short_directory
from spec_tests.protocol.client.fake_relays import LIMIT, in_thread, signal
from torq_protocol import InstrumentId, MessageBuilder, RelayDomain, Trade, Venue, parse_message
from torq_protocol.client import (
    ClientSettings,
    Connected,
    Event,
    GapSeen,
    Lost,
    Reconnected,
    connect,
    connect_blocking,
)
from torq_protocol.enumerations import Side

TRACKING = ClientSettings(track_sequences=True, check_directory=True)
QUIET = ("--no-alias", "--log-level", "error")


def test_life_2_the_asynchronous_client_survives_a_killed_relay() -> None:
    events: list[Event] = []

    async def client(path: Path) -> None:
        lost = asyncio.Event()

        def note(event: Event) -> None:
            events.append(event)
            if isinstance(event, Lost):
                lost.set()

        relay = await connect(f"unix:{path}", domain=RelayDomain.SIGNAL, settings=TRACKING, on_event=note)
        async with asyncio.timeout(LIMIT), relay:
            await relay.send(signal(1))
            assert (await relay.receive()).header.sequence == 1
            waiting = asyncio.create_task(relay.receive())
            first.signal(signals.SIGKILL)
            first.ends()
            await lost.wait()
            with daemon("signal", *QUIET, path=path):
                await relay.send(signal(5))
                assert (await waiting).header.sequence == 5

    with short_directory() as directory, daemon("signal", *QUIET, path=directory / "s") as first:
        asyncio.run(client(directory / "s"))
    connected, gone, again, gap = events
    assert isinstance(connected, Connected)
    assert isinstance(gone, Lost)
    assert isinstance(again, Reconnected)
    assert again.seconds < 5
    assert isinstance(gap, GapSeen)
    assert list(gap.gap.missing) == [2, 3, 4]


def test_life_2_the_blocking_client_survives_a_killed_relay() -> None:
    lost = threading.Event()
    kinds: list[str] = []

    def note(event: Event) -> None:
        kinds.append(type(event).__name__)
        if isinstance(event, Lost):
            lost.set()

    with ExitStack() as stack:
        directory = stack.enter_context(short_directory())
        first = stack.enter_context(daemon("signal", *QUIET, path=directory / "s"))
        with connect_blocking(directory / "s", domain=RelayDomain.SIGNAL, on_event=note) as client:
            client.send(signal(1))
            assert client.receive(LIMIT).header.sequence == 1
            received: list[int] = []
            came = threading.Event()

            def receive() -> None:
                received.append(client.receive(LIMIT).header.sequence)
                came.set()

            with in_thread(receive):
                first.signal(signals.SIGKILL)
                first.ends()
                assert lost.wait(LIMIT)
                with daemon("signal", *QUIET, path=directory / "s"):
                    client.send(signal(2))
                    assert came.wait(LIMIT)
            assert received == [2]
    # a relay that is killed closes its clients before its listener: who is quick connects to it once more
    losses = kinds.count("Lost")
    assert kinds == ["Connected", *["Lost", "Reconnected"] * losses]


def test_a_trade_goes_from_an_asynchronous_producer_to_a_blocking_consumer() -> None:
    instrument = InstrumentId.coin(Venue.KRAKEN, "BTC")
    trade = Trade(instrument.asset_id, 1, 2, 3, instrument.venue, instrument.asset_type, Side.BUY)
    frame = MessageBuilder(RelayDomain.MARKET_DATA, 2).add(trade).build(sequence=1, timestamp=2)

    async def produce(path: Path) -> None:
        async with await connect(path, domain=RelayDomain.MARKET_DATA) as relay:
            await relay.send(parse_message(frame))

    with daemon("market_data", "--log-level", "error") as running:  # noqa: SIM117 - one line would be too long
        with connect_blocking(running.path, domain=RelayDomain.MARKET_DATA) as consumer:
            consumer.send(frame)
            assert consumer.receive(LIMIT).to_bytes() == frame, "joined: the relay echoes"
            asyncio.run(produce(running.path))
            assert consumer.receive(LIMIT).to_bytes() == frame
