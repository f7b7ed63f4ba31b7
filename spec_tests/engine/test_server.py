"""The server over real sockets: CONN, FWD, FRAME, ORD, DOM, VAL."""

import asyncio
import os
import socket
import stat
import struct
from functools import partial
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from torq_engine.accounting import CloseReason
from torq_engine.connection import Connection
from torq_engine.observer import Observer
from torq_engine.port import Peer
from torq_engine.settings import HubSettings, OnFramingError
from torq_protocol.policy import FramePolicy

from .frames import MAGIC, frame, split, tlv
from .relays import happened, serving


async def test_conn_3_silent_client_that_then_sends_is_served() -> None:
    async with serving() as relay:
        silent, other = await relay.join(), await relay.join()
        for sequence in range(50):
            await other.send(frame(sequence=sequence))
        assert len(await silent.frames(50)) == 50
        late = relay.fence()
        await silent.send(late)
        assert (await other.until(late))[-1] == late


async def test_conn_4_thousand_connections_each_receive() -> None:
    async with serving() as relay:
        clients = [await relay.connect() for _ in range(1000)]
        await relay.connected(1000)
        sent = frame(b"x" * 42)
        await clients[0].send(sent)
        assert [(await client.frames(1))[0] for client in clients] == [sent] * 1000


async def test_conn_5_past_max_connections_the_next_is_refused_and_the_others_served() -> None:
    async with serving(max_connections=2) as relay:
        first, second = await relay.join(), await relay.join()
        refused = await relay.connect()
        assert await refused.end() == b""
        assert relay.server.hub.totals().closed[CloseReason.MAX_CONNECTIONS] == 1
        await first.send(frame())
        assert await second.frames(1) == [frame()]
        second.close()
        await relay.connected(1)
        third = await relay.join()
        await first.send(frame(sequence=1))
        assert await third.frames(1) == [frame(sequence=1)]


async def test_conn_6_client_that_leaves_at_any_byte_of_a_frame_disturbs_nobody() -> None:
    async with serving() as relay:
        witness = await relay.join()
        whole = frame(b"x" * 8)
        for stop in range(1, len(whole)):
            leaver = await relay.join()
            await leaver.send(whole[:stop])
            leaver.close()
            await relay.connected(1)
        fence = relay.fence()
        await witness.send(fence)
        assert await witness.frames(1) == [fence]


async def test_conn_6_frames_of_a_client_that_leaves_without_reading_still_arrive() -> None:
    """Its unread echo makes the close a reset; what it sent before counts all the same."""
    async with serving(read_bytes=100) as relay:
        witness, leaver = await relay.join(), await relay.join()
        sent = [frame(sequence=number) for number in range(200)]
        await leaver.send(b"".join(sent))
        leaver.close()
        assert await witness.frames(200) == sent
        await relay.connected(1)


async def test_conn_7_half_closed_client_goes_on_receiving() -> None:
    async with serving() as relay:
        half, other = await relay.join(), await relay.join()
        own = frame(sequence=1)
        await half.send(own)
        half.sock.shutdown(socket.SHUT_WR)
        assert await other.frames(1) == [own]
        for sequence in range(2, 100):
            await other.send(frame(sequence=sequence))
        assert [f[8] for f in await half.frames(99)] == list(range(1, 100))


async def test_conn_8_half_closed_client_that_then_leaves_is_let_go_without_traffic() -> None:
    async with serving() as relay:
        half = await relay.join()
        half.sock.shutdown(socket.SHUT_WR)
        connection = next(iter(relay.server.hub.connections.values()))
        await happened(lambda: not connection.input_open)
        half.close()
        await relay.connected()
        assert connection.close_reason is CloseReason.PEER_LEFT


async def test_conn_8_closed_connections_give_back_their_descriptors() -> None:
    admitted = Admitted()
    async with serving(observer=admitted) as relay:
        for number in range(200):
            client = await relay.join()
            await client.send(frame(sequence=number)[: number % 33])
            client.close()
        await relay.connected()
        assert len(admitted.descriptors) == 200
        assert not any(map(is_a_socket, admitted.descriptors))


class Admitted(Observer):
    """Remembers the descriptor of every connection."""

    def __init__(self) -> None:
        self.descriptors: list[int] = []

    def admitted(self, connection: Connection, peer: Peer) -> None:
        assert is_a_socket(connection.descriptor)
        self.descriptors.append(connection.descriptor)


def is_a_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False


async def test_fwd_1_2_3_every_frame_reaches_every_other_connection_once_and_unchanged() -> None:
    async with serving() as relay:
        clients = [await relay.join() for _ in range(5)]
        sent = [frame(bytes([number]) * number, sequence=number, source=number) for number in range(60)]
        await clients[2].send(b"".join(sent))
        for client in clients:
            assert await client.frames(60) == sent


async def test_fwd_4_without_echo_a_sender_gets_only_the_frames_of_others() -> None:
    async with serving(hub=HubSettings(echo=False)) as relay:
        first, second = await relay.join(), await relay.join()
        await first.send(frame(sequence=1))
        assert await second.frames(1) == [frame(sequence=1)]
        await second.send(frame(sequence=2))
        assert await first.frames(1) == [frame(sequence=2)]


async def test_fwd_5_late_joiner_gets_nothing_of_the_past() -> None:
    async with serving() as relay:
        early = await relay.join()
        await early.send(frame(sequence=1))
        await early.frames(1)
        late = await relay.join()
        await early.send(frame(sequence=2))
        assert await late.frames(1) == [frame(sequence=2)]


async def test_fwd_6_7_frames_of_every_size_up_to_the_limit_are_forwarded() -> None:
    async with serving() as relay:
        sender, receiver = await relay.join(), await relay.join()
        for size in (32, 33, 4096, 65_535, 65_536, 65_537, 212_992, 1_048_576):
            sent = frame(bytes(size - 32), sequence=size)
            sending = asyncio.create_task(sender.send(sent))
            assert await receiver.frames(1) == [sent]
            assert await sender.frames(1) == [sent]
            await sending


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=20), st.lists(st.integers(1, 500), min_size=1), st.booleans())
def test_frame_1_2_frames_are_recognised_however_the_bytes_are_cut(
    sizes: list[int], cuts: list[int], one_byte_reads: bool
) -> None:
    async def run() -> None:
        async with serving(read_bytes=1 if one_byte_reads else 65_536) as relay:
            sender, receiver = await relay.join(), await relay.join()
            sent = [frame(bytes(size), sequence=number) for number, size in enumerate(sizes)]
            stream = b"".join(sent)
            position = 0
            for number in range(len(stream)):
                cut = cuts[number % len(cuts)]
                await sender.send(stream[position : position + cut])
                position += cut
                await asyncio.sleep(0)
                if position >= len(stream):
                    break
            assert await receiver.frames(len(sent)) == sent

    asyncio.run(run())


def _has_received(connection: Connection, total: int) -> bool:
    return connection.received_bytes == total


async def test_frame_1_header_and_payload_split_at_every_byte() -> None:
    async with serving() as relay:
        sender, receiver = await relay.join(), await relay.join()
        whole = frame(b"0123456789")
        connection = relay.server.hub.connections[1]
        for cut in range(1, len(whole)):
            await sender.send(whole[:cut])
            arrived = (cut - 1) * len(whole) + cut
            await happened(partial(_has_received, connection, arrived))
            await sender.send(whole[cut:])
            assert await receiver.frames(1) == [whole]


async def test_frame_3_bytes_of_two_connections_never_mix() -> None:
    async with serving(read_bytes=7) as relay:
        first, second, witness = await relay.join(), await relay.join(), await relay.join()
        ours = [frame(b"a" * number, source=1, sequence=number) for number in range(40)]
        theirs = [frame(b"b" * number, source=2, sequence=number) for number in range(40)]
        await asyncio.gather(first.send(b"".join(ours)), second.send(b"".join(theirs)))
        seen = await witness.frames(80)
        assert [f for f in seen if f[6] == 1] == ours
        assert [f for f in seen if f[6] == 2] == theirs


async def test_frame_4_incomplete_frame_is_forwarded_to_nobody() -> None:
    async with serving() as relay:
        sender, other = await relay.join(), await relay.join()
        await sender.send(frame(sequence=1) + frame(b"x" * 100, sequence=2)[:80])
        sender.sock.shutdown(socket.SHUT_WR)
        assert await other.frames(1) == [frame(sequence=1)]
        fence = relay.fence()
        await other.send(fence)
        assert await other.frames(1) == [fence]


async def test_frame_5_incomplete_frame_is_not_kept_past_its_timeout() -> None:
    async with serving(partial_frame_timeout=0.02) as relay:
        idle, stuck = await relay.join(), await relay.join()
        await stuck.send(frame(bytes(100))[:50])
        assert await stuck.end() == b""
        assert relay.server.hub.totals().closed[CloseReason.PARTIAL_FRAME_TIMEOUT] == 1
        await idle.send(frame())
        assert await idle.frames(1) == [frame()]


async def test_ord_1_2_receivers_agree_on_one_order_that_keeps_each_senders() -> None:
    async with serving(read_bytes=200) as relay:
        senders = [await relay.join() for _ in range(4)]
        receivers = [await relay.join() for _ in range(3)]
        streams = [b"".join(frame(source=s, sequence=n) for n in range(100)) for s in range(4)]
        await asyncio.gather(*(sender.send(stream) for sender, stream in zip(senders, streams, strict=True)))
        seen = [await receiver.frames(400) for receiver in receivers]
        assert seen[0] == seen[1] == seen[2]
        for number in range(4):
            own = [int.from_bytes(f[8:16], "little") for f in seen[0] if f[6] == number]
            assert own == list(range(100))


async def test_ord_3_a_frame_sent_after_receiving_another_comes_after_it_everywhere() -> None:
    async with serving() as relay:
        first, second, witness = await relay.join(), await relay.join(), await relay.join()
        for sequence in range(0, 100, 2):
            await first.send(frame(sequence=sequence))
            await second.until(frame(sequence=sequence))
            await second.send(frame(sequence=sequence + 1))
            await first.until(frame(sequence=sequence + 1))
        seen = [f[8] for f in await witness.frames(100)]
        assert all(earlier < later for earlier, later in pairwise(seen))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2, 3, 4, 5, 255]), min_size=1, max_size=30))
def test_dom_1_foreign_frames_reach_nobody_and_leave_the_others_unharmed(domains: list[int]) -> None:
    async def run() -> None:
        async with serving() as relay:
            sender, receiver = await relay.join(), await relay.join()
            sent = [frame(bytes(number), domain=domain, sequence=number) for number, domain in enumerate(domains)]
            fence = relay.fence()
            await sender.send(b"".join(sent) + fence)
            assert await receiver.until(fence) == [f for f in sent if f[4] == 1] + [fence]

    asyncio.run(run())


async def test_val_1_3_bad_checksum_or_tlvs_reach_nobody_and_the_connection_stays() -> None:
    policy = FramePolicy(2, types=range(20, 40), verify_checksum=True, check_tlvs=True)
    async with serving(policy) as relay:
        sender, receiver = await relay.join(), await relay.join()
        good = frame(tlv(20, b"abc") + tlv(39), domain=2)
        bad_checksum = good[:28] + struct.pack("<I", 1) + good[32:]
        bad_tlv = frame(tlv(20, b"abc")[:-1], domain=2)
        foreign_type = frame(tlv(40), domain=2)
        fence = relay.fence(domain=2)
        await sender.send(bad_checksum + good + bad_tlv + foreign_type + fence)
        assert await receiver.until(fence) == [good, fence]
        assert sum(relay.server.hub.totals().refused_frames) == 3


async def test_val_5_bytes_that_cannot_start_a_frame_close_that_connection_only() -> None:
    async with serving() as relay:
        witness, vandal = await relay.join(), await relay.join()
        await vandal.send(frame(sequence=1) + b"garbage" + frame(sequence=2))
        assert split(await vandal.end()) in ([frame(sequence=1)], [])
        assert await witness.frames(1) == [frame(sequence=1)]
        fence = relay.fence()
        await witness.send(fence)
        assert await witness.frames(1) == [fence]
        assert relay.server.hub.totals().closed[CloseReason.FRAMING_ERROR] == 1


async def test_val_5_resync_finds_the_next_frame() -> None:
    async with serving(hub=HubSettings(on_framing_error=OnFramingError.RESYNC), read_bytes=5) as relay:
        sender, receiver = await relay.join(), await relay.join()
        huge = MAGIC + bytes(20) + struct.pack("<II", 1 << 30, 0)
        await sender.send(b"garbage" + frame(sequence=1) + MAGIC[:3] + frame(sequence=2) + huge + frame(sequence=3))
        assert await receiver.frames(3) == [frame(sequence=number) for number in (1, 2, 3)]


async def test_val_6_gigabyte_claims_cost_no_memory() -> None:
    async with serving() as relay:
        witness = await relay.join()
        for _ in range(50):
            liar = await relay.join()
            await liar.send(MAGIC + struct.pack("<BBBBQQII", 1, 1, 1, 0, 0, 0, 1 << 30, 0))
            assert await liar.end() == b""
        await relay.connected(1)
        fence = relay.fence()
        await witness.send(fence)
        assert await witness.frames(1) == [fence]


async def test_val_6_random_garbage_never_stops_the_service() -> None:
    async with serving() as relay:
        witness = await relay.join()
        for number in range(100):
            vandal = await relay.join()
            await vandal.send(os.urandom(number + 1))
            vandal.close()
        await relay.connected(1)
        fence = relay.fence()
        await witness.send(fence)
        assert (await witness.until(fence))[-1] == fence


async def test_val_7_refused_frames_are_counted_by_reason() -> None:
    async with serving() as relay:
        sender = await relay.join()
        fence = relay.fence()
        await sender.send(frame(domain=2) * 3 + fence)
        await sender.until(fence)
        assert {k: n for k, n in enumerate(relay.server.hub.totals().refused_frames) if n} == {4: 3}
