"""Wrong use is told in the user's words, before a byte is sent, with what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from spec_tests.protocol.client.fake_relays import fake_relay, pair, read_all, signal
from torq_protocol import InstrumentId, MessageBuilder, RawPayload, RelayDomain, Side, Trade, Venue, parse_message
from torq_protocol.client import (
    AddressError,
    Backoff,
    ClientOptions,
    ClientSettings,
    ConnectError,
    connect,
    connect_blocking,
)

BTC = InstrumentId.coin(Venue.KRAKEN, "BTC")
TRADE = Trade.from_decimal(BTC, Decimal(1), Decimal(1), Side.BUY, 1)


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        (TRADE, "Trade is no message.*build a message"),
        (RawPayload(39, b"x"), "RawPayload is no message.*build a message"),
        (parse_message(signal(1)).tlvs[0], "Tlv is no message.*build a message"),
        (BTC, "InstrumentId is no message"),
        (MessageBuilder(2, 20), r"MessageBuilder is no message.*builder\.build\("),
        ([signal(1)], r"list is no message.*send\(\*messages\)"),
        ((signal(1),), r"tuple is no message.*send\(\*messages\)"),
        (iter([signal(1)]), r"send\(\*messages\)"),
        ("x", "str is no message.*its bytes"),
        (5, "int is no message"),
        (None, "NoneType is no message"),
        ({}, "dict is no message"),
        (Trade, "type is no message"),
    ],
)
def test_what_is_no_message_is_not_sent(given: Any, advice: str) -> None:
    with fake_relay() as relay, pair(relay) as (client, connection):
        with pytest.raises(TypeError, match=advice):
            client.send(signal(1), given)
        client.send(bytearray(signal(2)), memoryview(signal(3)))  # type: ignore[arg-type]  # taken all the same
        client.close()
        assert read_all(connection) == signal(2) + signal(3)


@pytest.mark.parametrize("given", [{}, b"bytes", "x", 5, None, Trade, [TRADE], signal(1), parse_message(signal(1))])
def test_what_is_no_payload_is_not_added(given: Any) -> None:
    with pytest.raises(TypeError, match=rf"{type(given).__name__} is no payload.*RawPayload"):
        MessageBuilder(2, 20).add(given)


@pytest.mark.parametrize(
    ("domain", "advice"),
    [
        ("signal", r"use RelayDomain\.SIGNAL"),
        ("Market Data", r"use RelayDomain\.MARKET_DATA"),
        ("x", "use a RelayDomain"),
        (2.0, "use a RelayDomain"),
    ],
)
def test_a_domain_is_no_text(domain: Any, advice: str) -> None:
    for call in (connect, connect_blocking):
        with pytest.raises(TypeError, match=advice):
            call("/nowhere", domain=domain)


@pytest.mark.parametrize(
    ("address", "advice"),
    [
        ("marketdata", r"Did you mean RelayDomain\.MARKET_DATA\?"),
        ("signals", r"Did you mean RelayDomain\.SIGNAL\?"),
        ("localhost:8080", "Did you mean 'tcp:localhost:8080'"),
        ("nothing_like_it", "is this its path\\?$"),
    ],
)
def test_a_word_that_is_no_path_is_guessed_at(
    address: str, advice: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConnectError, match=advice):
        connect_blocking(address)


def test_a_path_of_something_else_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConnectError, match="this is a directory; give the path of the socket in it"):
        connect_blocking(tmp_path)
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(ConnectError, match="this is a file and no socket"):
        connect_blocking(tmp_path / "file")


@pytest.mark.parametrize("address", [5, None, [], 1.5])
def test_what_is_no_address_is_told(address: Any) -> None:
    with pytest.raises(TypeError, match="is no address: use a path"):
        connect_blocking(address)
    with pytest.raises(AddressError, match="use tcp:host:port"):
        connect_blocking("tcp://localhost:80")


def wrong_values(annotation: str) -> list[object]:
    kind, optional, _ = annotation.partition(" | None")
    more: dict[str, list[object]] = {"bool": [1, 0], "int": [True, 1.5], "float": [True], "frozenset[int]": [{1}, 5]}
    return ["x", b"", [], object(), {}, *([] if optional else [None]), *more.get(kind, [1])]


@pytest.mark.parametrize("settings_class", [ClientSettings, Backoff])
def test_every_setting_refuses_values_of_another_type(settings_class: Callable[..., object]) -> None:
    for field in fields(settings_class):  # type: ignore[arg-type]  # a dataclass
        for value in wrong_values(str(field.type)):
            with pytest.raises(TypeError, match=rf"{field.name} .*: use "):
                settings_class(**{field.name: value})
        if "float" in str(field.type):
            with pytest.raises(ValueError, match=field.name):
                settings_class(**{field.name: float("nan")})


def test_settings_may_be_given_as_keywords_of_the_same_names_and_types() -> None:
    assert get_type_hints(ClientOptions) == get_type_hints(ClientSettings)
    with fake_relay() as relay:
        base = ClientSettings(consumer_id=7)
        with connect_blocking(relay.path, settings=base, reconnect=False) as client:
            assert client._session.settings == ClientSettings(consumer_id=7, reconnect=False)
    with pytest.raises(TypeError, match=r"no setting 'recconect'; did you mean 'reconnect'\?"):
        connect_blocking("/nowhere", recconect=False)  # type: ignore[call-arg]  # the point of the test
    with pytest.raises(TypeError, match=r"did you mean 'send_timeout_seconds'\?"):
        connect("/nowhere", send_timeout=1)  # type: ignore[call-arg]  # the point of the test
    with pytest.raises(TypeError, match=r"use ClientSettings\(\.\.\.\), or give its fields as keywords"):
        connect_blocking("/nowhere", settings={"reconnect": False})  # type: ignore[arg-type]  # the point of the test


@pytest.mark.parametrize("on_event", ["print", 5, []])
def test_what_cannot_be_told_events_is_refused(on_event: Any) -> None:
    with pytest.raises(TypeError, match="use a function"):
        connect_blocking("/nowhere", on_event=on_event)


def test_a_domain_may_be_its_number() -> None:
    with fake_relay() as relay, connect_blocking(relay.path, domain=2) as client:  # type: ignore[arg-type]  # taken
        assert client._session.domain is RelayDomain.SIGNAL
