"""What the blocking client does when a connection ends, on purpose or not."""

from __future__ import annotations

import os
import socket

import pytest

from spec_tests.protocol.client.fake_relays import (
    fake_relay,
    in_thread,
    pair,
    read_all,
    signal,
)
from torq_protocol import RelayDomain
from torq_protocol.client import (
    ClientSettings,
    ClientState,
    Connected,
    ConnectError,
    Event,
    Lost,
    Reconnected,
    StreamEndedError,
    TornStreamError,
    connect_blocking,
)

ONCE = ClientSettings(reconnect=False)
SIGNAL = RelayDomain.SIGNAL


def test_a_new_connection_of_a_client_that_ended_its_sending_has_ended_it_too() -> None:
    with fake_relay() as relay, pair(relay) as (client, connection):
        client.end_sending()
        connection.close()

        def serve() -> None:
            second = relay.accept()
            assert read_all(second) == b""
            second.sendall(signal(5))

        with in_thread(serve):
            assert client.receive().header.sequence == 5


def test_a_relay_that_closes_between_messages_ends_the_loop() -> None:
    with fake_relay() as relay, pair(relay, settings=ONCE) as (client, connection):
        connection.sendall(signal(1))
        connection.shutdown(socket.SHUT_WR)
        assert [message.header.sequence for message in client] == [1]
        assert client.state is ClientState.DISCONNECTED
        with pytest.raises(StreamEndedError, match="offset 50"):
            client.receive()
        with pytest.raises(StreamEndedError):
            client.send(signal(2))


def test_a_torn_stream_is_replaced_and_told_when_reconnecting() -> None:
    events: list[Event] = []
    with fake_relay() as relay, pair(relay, on_event=events.append) as (client, connection):
        connection.sendall(signal(1) + signal(2)[:40])
        connection.close()

        def serve() -> None:
            relay.accept().sendall(signal(3))

        with in_thread(serve):
            assert [client.receive().header.sequence, client.receive().header.sequence] == [1, 3]
        connected, lost, again = events
        assert isinstance(connected, Connected)
        assert isinstance(lost, Lost)
        assert isinstance(lost.error, TornStreamError)
        assert (lost.error.offset, lost.error.fault.stream_offset) == (50, 90)
        assert isinstance(again, Reconnected)
        assert again.attempts == 1
        assert client.reconnects == 1


def test_a_relay_that_closes_at_once_each_time_is_tried_ever_more_slowly() -> None:
    seconds: list[float] = []
    with fake_relay() as relay:

        def serve() -> None:
            for _ in range(5):
                relay.accept().close()
            relay.accept().sendall(signal(1))

        def note(event: Event) -> None:
            if isinstance(event, Reconnected):
                seconds.append(event.seconds)

        with in_thread(serve), connect_blocking(relay.path, on_event=note) as client:
            assert client.receive().header.sequence == 1
        assert len(seconds) == 5
        assert all(later > 0.02 * 2**step * 0.5 for step, later in enumerate(seconds)), seconds


def test_giving_up_says_how_often_and_why() -> None:
    impatient = ClientSettings(give_up_after_seconds=0.1)
    with fake_relay() as relay, pair(relay, settings=impatient) as (client, connection):
        relay.listener.close()
        connection.close()
        os.unlink(relay.path)
        with pytest.raises(ConnectError, match="no such socket") as caught:
            client.receive()
        assert caught.value.attempts >= 1
        with pytest.raises(ConnectError):
            client.send(signal(1))


def test_receiving_in_short_steps_still_reconnects() -> None:
    with fake_relay() as relay, pair(relay) as (client, connection):
        connection.close()

        def serve() -> None:
            relay.accept().sendall(signal(1))

        with in_thread(serve):
            for _ in range(10_000):
                try:
                    assert client.receive(0.001).header.sequence == 1
                    break
                except TimeoutError:
                    continue
            else:
                raise AssertionError("never reconnected")


def test_messages_that_had_arrived_outlive_a_connection_that_a_sender_finds_broken() -> None:
    with fake_relay() as relay, pair(relay) as (client, connection):
        connection.sendall(signal(1))
        assert client.receive().header.sequence == 1
        connection.sendall(signal(2) + signal(3))
        connection.close()
        with in_thread(lambda: relay.accept().sendall(signal(4))):
            client.send(signal(9))
            assert [client.receive().header.sequence for _ in range(3)] == [2, 3, 4]
