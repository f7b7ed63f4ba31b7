"""A client's type checker passes right uses of connections, and sees wrong ones where they stand."""

from __future__ import annotations

from pathlib import Path

from spec_tests.protocol.test_types import check

RIGHT = """
import os
from pathlib import Path

import anyio

from torq_protocol import Message, MessageBuilder, OnFault, RecoveryRequest, RelayDomain, SequenceTracker, Trade
from torq_protocol import parse_message
from torq_protocol.client import (
    Address, Backoff, BlockingRelay, ClientSettings, ClientState, Connected, ConnectionLostError, Event, GapSeen, Lost,
    Publisher, Reconnected, Refused, Relay, TcpAddress, TornStreamError, connect, connect_blocking, parse_address, sync,
)


def noticed(event: Event) -> None:
    if isinstance(event, GapSeen):
        request: RecoveryRequest | None = event.request
        if request is not None:
            MessageBuilder(RelayDomain.SIGNAL, 20).add(request)
    elif isinstance(event, Lost):
        reason: OSError = event.error
        if isinstance(event.error, TornStreamError):
            place: int | None = event.error.fault.stream_offset
    elif isinstance(event, Reconnected):
        seconds: float = event.seconds
    elif isinstance(event, Refused):
        data: bytes = event.refusal.data
    else:
        where: Address = event.address


settings = ClientSettings(
    backoff=Backoff(longest_seconds=0.5),
    give_up_after_seconds=None,
    on_fault=OnFault.RAISE,
    check_directory=True,
    trusted_owners=frozenset({os.getuid()}),
)


async def asynchronous(frame: bytes) -> None:
    async with await connect("/tmp/x", domain=RelayDomain.SIGNAL, settings=settings, on_event=noticed) as relay:
        await relay.send(frame, parse_message(frame))
        message: Message = await relay.receive()
        async for another in relay:
            sequence: int = another.header.sequence
        await relay.end_sending()
        tracker: SequenceTracker | None = relay.sequences


async def shorter(trade: Trade) -> None:
    async with connect("/tmp/x", reconnect=False, domain=RelayDomain.MARKET_DATA) as relay:
        publisher: Publisher = relay.publisher(2)
        await publisher.send(trade)
        found: Trade | None = (await relay.receive()).get(Trade)
    with sync.connect("/tmp/x", consumer_id=7) as blocking:
        blocking.publisher(2, domain=RelayDomain.MARKET_DATA, clock=lambda: 1).send(trade, trade)


def blocking(frame: bytes) -> None:
    with connect_blocking(Path("/tmp/x"), settings=settings, on_event=noticed) as relay:
        relay.send(frame)
        message: Message = relay.receive(timeout_seconds=1.5)
        messages: list[Message] = list(relay)
        state: ClientState = relay.state
        relay.close()
    connect_blocking(RelayDomain.SIGNAL)
    connect_blocking(TcpAddress("localhost", 7411))
    connect_blocking(parse_address("tcp:localhost:7411"))


anyio.run(asynchronous, b"")
"""

WRONG = """
from torq_protocol import MessageBuilder, RelayDomain, Trade
from torq_protocol.client import Backoff, ClientSettings, Event, GapSeen, connect, connect_blocking


def asks(event: GapSeen) -> None: ...


async def asynchronous(trade: Trade) -> None:
    attempt = connect("/tmp/x")
    attempt.receive()  # E: attr-defined
    relay = await connect("/tmp/x")
    relay.send(b"")  # E: unused-coroutine
    await relay.send("text")  # E: arg-type
    await relay.send(trade)  # E: arg-type
    await relay.send(MessageBuilder(RelayDomain.SIGNAL, 20))  # E: arg-type
    await relay.send(b"", timeout=1)  # E: call-arg
    for message in relay:  # E: attr-defined
        pass
    number: int = await relay.receive()  # E: assignment
    relay.state = relay.state  # E: misc
    await connect("/tmp/x", domain="signal")  # E: arg-type
    await connect("/tmp/x", RelayDomain.SIGNAL)  # E: call-arg
    await connect(7411)  # E: arg-type
    await connect("/tmp/x", on_event=asks)  # E: arg-type


def blocking() -> None:
    with connect_blocking("/tmp/x", settings={"reconnect": False}) as relay:  # E: arg-type
        relay.receive("1")  # E: arg-type
        data: bytes = relay.receive()  # E: assignment
        relay.sequences.last(1)  # E: union-attr
    ClientSettings(reconect=False)  # E: call-arg
    ClientSettings(False)  # E: call-arg
    ClientSettings(trusted_owners={1})  # E: arg-type
    settings = ClientSettings()
    settings.reconnect = False  # E: misc
    Backoff(first_seconds="1")  # E: arg-type


def noticed(event: Event) -> None:
    event.gap  # E: union-attr
    event.sequence  # E: union-attr
"""


def test_right_uses_of_clients_have_no_type_errors(tmp_path: Path) -> None:
    assert check(tmp_path, RIGHT) == []


def test_wrong_uses_of_clients_have_type_errors_where_they_stand(tmp_path: Path) -> None:
    expected = {
        (number, line.partition("# E: ")[2])
        for number, line in enumerate(WRONG.splitlines(), start=1)
        if "# E: " in line
    }
    assert len(expected) == 24
    assert set(check(tmp_path, WRONG)) == expected
