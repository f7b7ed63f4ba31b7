"""The blocking client against relays that do just what a test says."""

from __future__ import annotations

import threading
from dataclasses import replace
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spec_tests.protocol.client.fake_relays import (
    LIMIT,
    cut,
    fake_relay,
    in_thread,
    large_signal,
    pair,
    read_all,
    signal,
)
from torq_protocol import (
    BadChecksumError,
    ErrorKind,
    OnFault,
    ProtocolError,
    RelayDomain,
    encode_message,
    parse_message,
)
from torq_protocol.client import (
    BlockingRelay,
    ClientSettings,
    ClientState,
    ClosedError,
    ConnectionLostError,
    Event,
    GapSeen,
    Refused,
    SendTimeoutError,
    TornStreamError,
)

ONCE = ClientSettings(reconnect=False)
SIGNAL = RelayDomain.SIGNAL


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 400), max_size=6),
    cuts=st.lists(st.integers(1, 2000), max_size=40),
)
def test_messages_arrive_whole_however_the_relay_cuts_its_writes(sizes: list[int], cuts: list[int]) -> None:
    frames = [signal(number, size=size or 16) for number, size in enumerate(sizes)]
    with fake_relay() as relay, pair(relay, settings=ONCE) as (client, connection):

        def serve() -> None:
            for piece in cut(b"".join(frames), cuts):
                connection.sendall(piece)
            connection.close()

        with in_thread(serve):
            assert [message.to_bytes() for message in client] == frames


@settings(max_examples=25, deadline=None)
@given(count=st.integers(0, 3), inside=st.integers(1, 49))
def test_a_torn_stream_is_an_error_with_its_exact_offset(count: int, inside: int) -> None:
    whole = b"".join(signal(number) for number in range(count))
    with fake_relay() as relay, pair(relay, settings=ONCE) as (client, connection):
        connection.sendall(whole + signal(9)[:inside])
        connection.close()
        with pytest.raises(TornStreamError) as caught:
            for _ in client:
                pass
        assert client.received == count
        assert caught.value.offset == len(whole)
        assert caught.value.fault.stream_offset == len(whole) + inside
        kind = ErrorKind.TRUNCATED_HEADER if inside < 32 else ErrorKind.TRUNCATED_PAYLOAD
        assert caught.value.fault.kind is kind
        assert str(len(whole) + inside) in str(caught.value)


def test_bytes_that_start_no_message_are_an_error_with_their_offset() -> None:
    with fake_relay() as relay, pair(relay, settings=ONCE) as (client, connection):
        connection.sendall(signal(1) + b"garbage")
        assert client.receive().header.sequence == 1
        with pytest.raises(TornStreamError) as caught:
            client.receive()
        assert (caught.value.offset, caught.value.fault.stream_offset) == (50, 50)
        assert caught.value.fault.kind is ErrorKind.BAD_MAGIC
        assert read_all(connection) == b"", "the client has closed the connection"


def test_with_resync_a_client_finds_the_next_message_and_tells_what_it_passed() -> None:
    events: list[Event] = []
    resync = replace(ONCE, on_fault=OnFault.RESYNC)
    with fake_relay() as relay, pair(relay, settings=resync, on_event=events.append) as (client, connection):
        connection.sendall(b"garbage" + signal(1) + signal(2)[:20])
        connection.close()
        assert client.receive().header.sequence == 1
        with pytest.raises(TornStreamError, match="torn at offset 77, in the message that begins at 57"):
            client.receive()
        assert [event.refusal.start for event in events if isinstance(event, Refused)] == [0]


def test_an_oversize_announcement_is_refused_before_its_bytes_come() -> None:
    with fake_relay() as relay, pair(relay, settings=replace(ONCE, max_message_size=100)) as (client, connection):
        connection.sendall(signal(1, size=200)[:32])
        with pytest.raises(TornStreamError, match="limit is 100"):
            client.receive()


def test_a_wrong_message_is_told_and_left_out_by_default() -> None:
    wrong = bytearray(signal(2))
    wrong[40] ^= 1
    events: list[Event] = []
    with fake_relay() as relay, pair(relay, settings=ONCE, on_event=events.append) as (client, connection):
        connection.sendall(signal(1) + wrong + signal(3))
        connection.close()
        assert [message.header.sequence for message in client] == [1, 3]
        [refused] = [event for event in events if isinstance(event, Refused)]
        assert refused.refusal.error.kind is ErrorKind.BAD_CHECKSUM
        assert refused.refusal.start == 50


def test_a_wrong_message_can_be_raised_and_the_next_one_still_comes() -> None:
    wrong = bytearray(signal(2))
    wrong[40] ^= 1
    raising = replace(ONCE, on_fault=OnFault.RAISE)
    with fake_relay() as relay, pair(relay, settings=raising) as (client, connection):
        connection.sendall(signal(1) + wrong + signal(3))
        assert client.receive().header.sequence == 1
        with pytest.raises(ProtocolError) as caught:
            client.receive()
        assert caught.value.stream_offset == 50 + 28
        assert client.receive().header.sequence == 3


def test_messages_of_another_domain_are_refused() -> None:
    events: list[Event] = []
    arguments = {"settings": ONCE, "domain": RelayDomain.EXECUTION, "on_event": events.append}
    with fake_relay() as relay, pair(relay, **arguments) as (client, connection):  # type: ignore[arg-type]  # mixed values
        connection.sendall(signal(1))
        connection.close()
        assert list(client) == []
    assert [event.refusal.error.kind for event in events if isinstance(event, Refused)] == [ErrorKind.BAD_DOMAIN]


def test_val_2_checksums_of_market_data_are_not_verified_unless_wanted() -> None:
    frame = bytearray(signal(1))
    frame[4], frame[28:32] = 1, b"\x01" * 4
    for verify, expected in ((None, 1), (True, 0)):
        wanted = replace(ONCE, verify_checksum=verify)
        with (
            fake_relay() as relay,
            pair(relay, settings=wanted, domain=RelayDomain.MARKET_DATA) as (client, connection),
        ):
            connection.sendall(frame)
            connection.close()
            assert len(list(client)) == expected


@pytest.mark.parametrize("domain", [None, *RelayDomain])
def test_d9_a_checksum_that_was_not_computed_is_received_unless_refused(domain: RelayDomain | None) -> None:
    frame = bytearray(signal(1))
    frame[4], frame[28:32] = domain or 2, bytes(4)
    for accept, expected in ((True, [False]), (False, [])):
        wanted = replace(ONCE, verify_checksum=True, accept_zero_checksum=accept)
        with fake_relay() as relay, pair(relay, settings=wanted, domain=domain) as (client, connection):
            connection.sendall(frame)
            connection.close()
            assert [message.header.has_checksum for message in client] == expected


@pytest.mark.parametrize(
    ("domain", "refused"), [(None, False), (RelayDomain.SIGNAL, False), (RelayDomain.EXECUTION, True)]
)
def test_val_1_what_was_not_computed_is_sent_where_the_relay_of_the_domain_accepts_it(
    domain: RelayDomain | None, refused: bool
) -> None:
    frame = encode_message(domain or 2, 20, [], sequence=1, timestamp=1, checksum=0)
    with fake_relay() as relay, pair(relay, domain=domain) as (client, _):
        if refused:
            with pytest.raises(BadChecksumError):
                client.send(frame)
        else:
            client.send(frame)


def test_wrong_messages_are_refused_before_a_byte_is_sent() -> None:
    wrong_type = bytearray(signal(1))
    wrong_type[32] = 1
    with fake_relay() as relay, pair(relay, domain=SIGNAL) as (client, connection):
        for frame in (
            signal(1)[:-1],
            signal(1) + b"x",
            b"",
            signal(1)[:28] + b"oops" + signal(1)[32:],
            bytes(wrong_type),
        ):
            with pytest.raises(ProtocolError):
                client.send(signal(1), frame)
        client.send(parse_message(signal(7)), signal(8))
        client.close()
        assert read_all(connection) == signal(7) + signal(8)


def test_conn_7_after_ending_its_sending_a_client_goes_on_receiving() -> None:
    with fake_relay() as relay, pair(relay) as (client, connection):
        client.send(signal(1))
        client.end_sending()
        assert read_all(connection) == signal(1), "the relay sees the end"
        connection.sendall(signal(2))
        assert client.receive().header.sequence == 2
        with pytest.raises(ClosedError, match="sending was ended"):
            client.send(signal(3))


def test_gaps_are_told_before_the_message_that_shows_them_with_what_to_ask_for() -> None:
    events: list[Event] = []
    tracking = replace(ONCE, track_sequences=True, consumer_id=7)
    with fake_relay() as relay, pair(relay, settings=tracking, on_event=events.append) as (client, connection):
        connection.sendall(signal(1) + signal(1, source=21) + signal(5) + signal(20_000))
        assert [client.receive().header.sequence for _ in range(3)] == [1, 1, 5]
        [gap] = [event for event in events if isinstance(event, GapSeen)]
        assert list(gap.gap.missing) == [2, 3, 4]
        assert gap.request is not None
        assert (gap.request.last_sequence, gap.request.consumer_id) == (1, 7)
        client.receive()
        assert isinstance(events[-1], GapSeen)
        assert events[-1].request is None, "too many to ask for"
        assert client.sequences is not None
        assert client.sequences.last(20) == 20_000


def test_a_relay_that_takes_nothing_bounds_what_a_sender_waits_for() -> None:
    bounded = ClientSettings(send_timeout_seconds=0.05)
    with fake_relay() as relay, pair(relay, settings=bounded) as (client, connection):
        with pytest.raises(SendTimeoutError, match=r"and none for 0\.05 s"):
            client.send(large_signal(1))
        assert client.state is ClientState.DISCONNECTED
        assert client.sent == 0
        torn = read_all(connection)
        assert 0 < len(torn) < len(large_signal(1))
        with in_thread(lambda: check(read_all(relay.accept()) == signal(2))):
            client.send(signal(2))
            client.close()


def test_a_message_that_does_not_begin_in_time_leaves_the_connection_alone() -> None:
    bounded = ClientSettings(send_timeout_seconds=0.05)
    with fake_relay() as relay, pair(relay, settings=bounded) as (client, connection):
        with pytest.raises(SendTimeoutError):
            send_for_ever(client)
        fitting = client.sent
        assert client.state is ClientState.CONNECTED
        taken = connection.recv(1 << 20)
        client.send(signal(fitting))
        client.close()
        assert len(taken + read_all(connection)) == 50 * (fitting + 1)


def send_for_ever(client: BlockingRelay) -> None:
    for number in count():
        client.send(signal(number))


def check(holds: bool) -> None:
    assert holds


def test_threads_may_send_while_one_receives_and_another_closes() -> None:
    each, senders = 200, 3
    with fake_relay() as relay, pair(relay) as (client, connection):

        def echo() -> None:
            while data := connection.recv(1000):
                connection.sendall(data)

        seen: list[tuple[int, int]] = []
        all_seen = threading.Event()

        def receive() -> None:
            for message in client:
                seen.append((message.header.source, message.header.sequence))
                if len(seen) == each * senders:
                    all_seen.set()

        def send(source: int) -> None:
            for number in range(each):
                client.send(signal(number, source=source))

        with in_thread(echo), in_thread(receive):
            with in_thread(lambda: send(20)), in_thread(lambda: send(21)), in_thread(lambda: send(22)):
                pass
            assert all_seen.wait(LIMIT)
            client.close()
        assert len(seen) == each * senders
        for source in (20, 21, 22):
            assert [number for of, number in seen if of == source] == list(range(each))


def test_a_second_receiver_is_refused() -> None:
    with fake_relay() as relay, pair(relay) as (client, _):
        waiting = threading.Event()

        def receive() -> None:
            waiting.set()
            assert list(client) == []

        with in_thread(receive):
            waiting.wait(LIMIT)
            while not client._receiving._held:
                pass
            with pytest.raises(RuntimeError, match="another thread"):
                client.receive()
            client.close()


def test_a_connection_reset_is_told_with_what_had_arrived() -> None:
    with fake_relay() as relay, pair(relay, settings=ONCE) as (client, connection):
        connection.sendall(signal(1))
        client.send(signal(2))
        connection.close()  # with unread bytes: a reset
        assert client.receive().header.sequence == 1
        with pytest.raises(ConnectionLostError, match="cannot receive: Connection reset") as caught:
            client.receive()
        assert caught.value.offset == 50


def test_a_closed_client_says_so() -> None:
    with fake_relay() as relay, pair(relay) as (client, _):
        client.close()
        client.close()
        assert client.state is ClientState.CLOSED
        for call in (client.receive, lambda: client.send(signal(1))):
            with pytest.raises(ClosedError, match="connect again"):
                call()
        assert list(client) == []
