"""The four historical relays behave as documented, over real sockets."""

import os
import signal

import pytest

from spec_tests.conformance.specimens.specimen_process import (
    EXECUTION,
    MARKET_DATA,
    SIGNAL,
    Specimen,
    frame,
    plain,
    tlv,
)

HISTORICAL = ("legacy-market-data", "legacy-sink", "first-generic", "timing-classifier")
RING_CHUNKS = 16_384
BROADCASTING = ("legacy-market-data", "first-generic")
PING = plain(900)
FENCE = plain(999)


@pytest.mark.parametrize("name", HISTORICAL)
def test_unlinks_whatever_stands_at_the_path_a_live_socket_too(name: str) -> None:
    with Specimen(name) as first, Specimen(name, path=str(first.address)) as second:
        assert first.running
        assert second.running
        assert os.stat(first.name).st_mode & 0o777 != 0o600  # no permissions are set


@pytest.mark.parametrize("name", HISTORICAL)
def test_creates_the_directory_of_its_socket(name: str) -> None:
    with Specimen("legacy-sink") as other, Specimen(name, path=f"{other.directory}/new/s.sock") as relay:
        relay.connect()


@pytest.mark.parametrize("name", HISTORICAL)
def test_sigterm_simply_ends_it_and_leaves_the_socket_file(name: str) -> None:
    with Specimen(name) as relay:
        assert relay.terminate() == -15
        assert os.path.exists(relay.name)


@pytest.mark.parametrize("name", BROADCASTING)
def test_broadcast_reaches_everyone_and_echoes(name: str) -> None:
    with Specimen(name) as relay:
        for client in relay.joined(3, PING):
            client.send(FENCE)
            client.receive_until(FENCE)


@pytest.mark.parametrize("name", BROADCASTING)
def test_broadcast_half_closed_client_goes_on_receiving(name: str) -> None:
    with Specimen(name) as relay:
        half, other = relay.joined(2, PING)
        half.finish_sending()
        for number in range(3):
            other.send(plain(number))
            assert other.receive(len(PING)) == half.receive(len(PING)) == plain(number)


@pytest.mark.parametrize("name", BROADCASTING)
def test_broadcast_lag_loses_the_oldest_whole_chunks(name: str) -> None:
    chunks, size = 17_000, len(plain(0))
    with Specimen(name) as relay:
        stalled, sender = relay.joined(2, PING)
        for number in range(chunks):
            sender.send(plain(number))
            assert sender.receive(size) == plain(number)
        data = stalled.receive_until(plain(chunks - 1))
    seen = [int.from_bytes(data[at + 8 : at + 16], "little") for at in range(0, len(data), size)]
    gap = next(index for index, number in enumerate(seen) if index != number)
    assert seen == [*range(gap), *range(chunks - RING_CHUNKS, chunks)]


@pytest.mark.parametrize("name", BROADCASTING)
def test_broadcast_survives_clients_that_vanish(name: str) -> None:
    with Specimen(name) as relay:
        one, two, three = relay.joined(3, PING)
        one.send(FENCE)
        one.close()
        two.send(plain(1)[:40])
        two.close()
        three.send(FENCE + FENCE)
        assert three.receive(3 * len(FENCE) + 40).count(FENCE) == 3


@pytest.mark.parametrize("name", BROADCASTING)
def test_broadcast_what_a_leaver_has_sent_reaches_the_others(name: str) -> None:
    with Specimen(name) as relay:
        leaver, stays = relay.joined(2, PING)
        relay.process.send_signal(signal.SIGSTOP)
        stays.send(plain(0))  # the relay fails to write it to the leaver
        leaver.send(b"".join(map(plain, range(1, 100))))
        leaver.close()
        relay.process.send_signal(signal.SIGCONT)
        seen = [stays.receive(len(PING)) for _ in range(100)]
    assert sorted(seen) == sorted(map(plain, range(100)))


def test_market_data_forwards_anything_in_order() -> None:
    big = plain(1, MARKET_DATA, 65_000) * 5
    things = (b"hello\n", plain(1)[:9], plain(1)[9:], frame(2, checksum=0), b"\0" * 100, big)
    with Specimen("legacy-market-data") as relay:
        sender, receiver = relay.joined(2, PING)
        for thing in things:
            sender.send(thing)
            assert receiver.receive(len(thing)) == thing
            assert sender.receive(len(thing)) == thing


def test_market_data_chunks_of_two_senders_interleave_in_the_middle_of_a_frame() -> None:
    with Specimen("legacy-market-data") as relay:
        one, two, receiver = relay.joined(3, PING)
        torn = plain(1)
        one.send(torn[:40])
        assert receiver.receive(40) == torn[:40]
        two.send(FENCE)
        assert receiver.receive(len(FENCE)) == FENCE
        one.send(torn[40:])
        assert receiver.receive(len(torn) - 40) == torn[40:]


@pytest.mark.parametrize(
    ("pieces", "seen"),
    [
        pytest.param([plain(1) + frame(2, domain=EXECUTION) + plain(3)], None, id="own-foreign-own all leak"),
        pytest.param([frame(1, domain=EXECUTION) + plain(2)], b"", id="foreign-own both lost"),
        pytest.param([plain(1)[:31], plain(1)[31:]], b"", id="split header lost"),
        pytest.param([plain(1)[:40], plain(1)[40:]], plain(1)[:40], id="split payload torn"),
        pytest.param([b"hello\n"], b"", id="short chunk dropped"),
        pytest.param([b"\0" * 64], b"", id="bad magic dropped"),
        pytest.param([frame(1, tlv(1, b"xx"), version=9, checksum=0)], None, id="nothing else looked at"),
        pytest.param([plain(1) + b"garbage"], None, id="garbage after a frame leaks"),
    ],
)
def test_first_generic_judges_each_chunk_by_its_first_32_bytes(pieces: list[bytes], seen: bytes | None) -> None:
    with Specimen("first-generic") as relay:
        sender, receiver, other = relay.joined(3, PING)
        for piece in pieces:
            sender.send_and_see_it_read(piece)
        other.send(FENCE)
        expected = (b"".join(pieces) if seen is None else seen) + FENCE
        assert receiver.receive_until(FENCE) == expected


def test_first_generic_loses_bytes_of_frames_above_one_read() -> None:
    big = plain(1, size=65_535)
    assert len(big) == 65_572
    with Specimen("first-generic") as relay:
        sender, receiver, other = relay.joined(3, PING)
        sender.send(big[:65_536])
        sender.send_and_see_it_read(big[65_536:])
        other.send(FENCE)
        data = receiver.receive_until(FENCE)
        assert len(data) < len(big) + len(FENCE)
        assert big.startswith(data[: -len(FENCE)])


@pytest.mark.parametrize("domain", [MARKET_DATA, SIGNAL, EXECUTION])
def test_first_generic_domain_by_flag_or_socket_name(domain: int) -> None:
    name = {MARKET_DATA: "market_data", SIGNAL: "signal", EXECUTION: "execution"}[domain]
    with Specimen("first-generic", "--domain", name) as relay:
        relay.joined(1, plain(1, domain))
        with Specimen("first-generic", path=f"{relay.directory}/x_{name}.sock") as named:
            named.joined(1, plain(1, domain))


def test_sink_forwards_nothing_and_closes_the_half_closed() -> None:
    with Specimen("legacy-sink") as relay:
        receiver, sender = relay.connect(), relay.connect()
        sender.send(plain(1) * 100)
        sender.finish_sending()
        assert sender.receive_all() == b""  # all of it was read before the relay closed
        receiver.finish_sending()
        assert receiver.receive_all() == b""


def test_sink_logs_the_first_five_messages_and_the_count() -> None:
    with Specimen("legacy-sink", "--verbose") as relay:
        sender = relay.connect()
        for number in range(7):
            sender.send_and_see_it_read(plain(number))
        sender.close()
        stdout = relay.process.stdout
        assert stdout is not None
        lines = [stdout.readline() for _ in range(6)]
        assert [line.split(":")[0] for line in lines[:5]] == [f"consumer 1 message {n}" for n in range(1, 6)]
        assert lines[5] == "consumer 1 ended after 7 messages\n"


def test_timing_classifier_never_hears_a_late_publisher_nor_answers_a_greeting_consumer() -> None:
    with Specimen("timing-classifier") as relay:
        publisher, late, consumer = relay.connect(), relay.connect(), relay.connect()
        publisher.send(PING)
        while not all(client.has_something() for client in (late, consumer)):
            publisher.send(PING)  # until both are consumers
        late.send(plain(1))
        unheard = late.unread()
        publisher.send(FENCE)
        assert plain(1) not in consumer.receive_until(FENCE)
        late.receive_until(FENCE)
        assert late.unread() == unheard > 0
        assert not publisher.has_something()


@pytest.mark.parametrize("name", BROADCASTING)
def test_broadcast_serves_tcp_too(name: str) -> None:
    with Specimen(name, "--tcp", "127.0.0.1:0") as relay:
        relay.joined(2, PING)


def test_historical_relays_hold_a_thousand_connections() -> None:
    with Specimen("legacy-market-data") as relay:
        clients = [relay.connect() for _ in range(1000)]
        clients[-1].send(PING)  # the last one is served after all the others
        for client in clients:
            assert client.receive(len(PING)) == PING
