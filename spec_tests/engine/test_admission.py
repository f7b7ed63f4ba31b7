"""Who is let in, and what a refused or hostile peer costs: SEC-2, CONN-5, caps before trust."""

import asyncio
import errno
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from torq_domains.execution import ExecutionLogic
from torq_domains.signal import SignalLogic
from torq_engine.accounting import CloseReason
from torq_engine.connection import Connection
from torq_engine.endpoint import Endpoint
from torq_engine.observer import Observer
from torq_engine.operations.configuration import RelayConfig
from torq_engine.operations.resolving import listen_settings
from torq_engine.port import Peer
from torq_engine.server import Server
from torq_engine.settings import HubSettings, ListenSettings, Overflow, ServerSettings, SettingsError

from .frames import MAGIC, frame
from .relays import MARKET_POLICY, Relay, happened, serving, short_directory

HERE = ListenSettings((Path("set-by-the-test"),))


class Recorder(Observer):
    def __init__(self) -> None:
        self.events: list[tuple[str, object]] = []

    def admitted(self, connection: Connection, peer: Peer) -> None:
        self.events.append(("admitted", peer))

    def refused(self, reason: CloseReason, peer: Peer) -> None:
        self.events.append(("refused", reason))

    def accept_paused(self, error: OSError) -> None:
        self.events.append(("paused", error.errno))

    def path_lost(self, path: Path) -> None:
        self.events.append(("lost", path.name))

    def failed(self, connection: Connection) -> None:
        self.events.append(("failed", connection.id))


@pytest.mark.parametrize(
    ("allowed", "admitted"),
    [
        ({"allow_uids": frozenset({os.geteuid()})}, True),
        ({"allow_gids": frozenset({os.getegid()})}, True),
        ({"allow_uids": frozenset({4242}), "allow_gids": frozenset({os.getegid()})}, True),
        ({"allow_uids": frozenset({4242})}, False),
        ({"allow_gids": frozenset({4242})}, False),
        ({"allow_uids": frozenset()}, False),
    ],
)
async def test_sec_2_checklist_11_only_listed_users_and_groups_are_served(
    allowed: dict[str, Any], admitted: bool
) -> None:
    recorder = Recorder()
    async with serving(listen=replace(HERE, **allowed), observer=recorder) as relay:
        client = await relay.connect()
        if admitted:
            await client.send(frame())
            assert await client.frames(1) == [frame()]
            assert recorder.events == [("admitted", Peer(os.getpid(), os.geteuid(), os.getegid()))]
        else:
            assert await client.end() == b""
            assert recorder.events == [("refused", CloseReason.NOT_ALLOWED)]
            assert relay.server.hub.totals().received_bytes == 0


def test_sec_2_execution_admits_its_own_user_by_default() -> None:
    assert listen_settings(RelayConfig(), ExecutionLogic()).allow_uids == frozenset({os.geteuid()})
    assert listen_settings(RelayConfig(), SignalLogic()).allow_uids is None


async def test_conn_5_without_a_setting_the_limit_follows_the_descriptors() -> None:
    async with serving() as relay:
        assert 0 < relay.server.max_connections <= 1 << 30


async def test_conn_5_checklist_15_accepting_pauses_and_resumes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recorder = Recorder()
    async with serving(observer=recorder) as relay:
        witness = await relay.join()
        endpoint = relay.server._endpoints[0]
        real = endpoint.listener
        endpoint.listener = Exhausted(real)  # type: ignore[assignment]  # a listener that fails once
        late = await relay.connect()
        await happened(lambda: ("paused", errno.EMFILE) in recorder.events)
        await witness.send(frame())
        assert await witness.frames(1) == [frame()]
        endpoint.listener = real
        await late.send(frame(sequence=1))
        assert await late.frames(1) == [frame(sequence=1)]


class Exhausted:
    """A listener of a process without free descriptors."""

    def __init__(self, real: socket.socket) -> None:
        self._real = real

    def accept(self) -> tuple[socket.socket, object]:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    def fileno(self) -> int:
        return self._real.fileno()

    def close(self) -> None:
        self._real.close()


async def test_val_6_an_error_of_our_own_ends_that_connection_only() -> None:
    recorder = Recorder()
    async with serving(observer=recorder) as relay:
        witness, unlucky = await relay.join(), await relay.join()

        def broken(connection: Connection, data: bytes | bytearray, scan: object) -> None:
            if connection.id == 2:
                raise RuntimeError

        relay.server.hub.tap = broken
        await unlucky.send(frame())
        assert await unlucky.end() == b""
        assert ("failed", 2) in recorder.events
        await witness.send(frame())
        assert await witness.frames(1) == [frame()]


async def test_operator_closes_one_connection_by_its_number() -> None:
    async with serving() as relay:
        client = await relay.join()
        [(connection, peer)] = relay.server.connections()
        assert (connection.id, peer.pid, peer.uid) == (1, os.getpid(), os.geteuid())
        assert relay.server.close(1)
        assert not relay.server.close(1)
        assert await client.end() == b""
        assert relay.server.hub.totals().closed[CloseReason.OPERATOR] == 1


async def test_res_2_checklist_15_hundreds_of_half_frames_hold_no_more_than_was_sent() -> None:
    async with serving() as relay:
        claim = MAGIC + bytes((1, 1, 1, 0)) + bytes(16) + (1_000_000).to_bytes(4, "little") + bytes(4)
        for _ in range(300):
            client = await relay.join()
            await client.send(claim)
        await happened(lambda: relay.server.hub.totals().received_bytes == 300 * 32)
        held = [len(c.partial or b"") for c in relay.server.hub.connections.values()]
        assert held == [32] * 300
        fence = relay.fence()
        witness = await relay.join()
        await witness.send(fence)
        assert await witness.frames(1) == [fence]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("queue_frames", -1),
        ("queue_bytes", 0),
        ("total_queue_bytes", 0),
        ("read_bytes", 0),
        ("path_check_interval", -1.0),
        ("drain_timeout", -1.0),
        ("max_connections", -1),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} is {value}: Expected `(int|float)` >= "):
        ServerSettings(**{name: value})  # type: ignore[arg-type]  # one setting of any type


async def test_drain_gives_up_on_a_consumer_that_never_reads() -> None:
    async with serving(drain_timeout=0.05, send_buffer_bytes=4608, hub=HubSettings(echo=False)) as relay:
        sender, _stuck, witness = await relay.join(), await relay.join(), await relay.join()
        for number in range(500):
            await sender.send(frame(bytes(40), sequence=number))
            await witness.frames(1)
        async with asyncio.timeout(5):
            await relay.server.drain()
        assert relay.server.hub.totals().connections == 0


async def test_sec_1_checklist_9_a_socket_path_that_vanished_is_reported_once() -> None:
    recorder = Recorder()
    async with serving(observer=recorder, path_check_interval=0.01) as relay:
        os.unlink(relay.path)
        await happened(lambda: ("lost", "s") in recorder.events)
        timer = relay.server._timers["path"]
        await happened(lambda: relay.server._timers["path"] is not timer)
        assert recorder.events == [("lost", "s")]


async def test_settings_can_change_while_serving() -> None:
    async with serving(partial_frame_timeout=0, hub=HubSettings(overflow=Overflow.BACKPRESSURE)) as relay:
        server = relay.server
        patient, sender = await relay.join(), await relay.join()
        await patient.send(frame(bytes(100))[:50])
        server.configure(
            ServerSettings(echo=False, queue_frames=5, partial_frame_timeout=0.02, max_connections=2), server.listen
        )
        refused = await relay.connect()
        assert await refused.end() == b""
        assert await patient.end() == b""
        receiver = await relay.join()
        await sender.send(frame())
        assert await receiver.frames(1) == [frame()]
        assert server.hub.connections[2].delivered_frames == 0


async def test_a_turn_is_timed_when_someone_asks_for_it() -> None:
    async with serving() as relay:
        times: list[float] = []
        relay.server.turn_timer = times.append
        client = await relay.join()
        await client.send(frame())
        await client.frames(1)
        assert len(times) == 1
        assert times[0] > 0


async def test_sec_1_a_socket_given_by_a_supervisor_is_served_and_left_alone() -> None:
    with short_directory() as directory, socket.socket(socket.AF_UNIX) as given:
        given.bind(str(directory / "s"))
        given.listen()
        given.setblocking(False)
        server = Server(MARKET_POLICY, ServerSettings(), ListenSettings((directory / "s",)), Observer())
        endpoint = Endpoint(directory / "s", given)
        server.start([endpoint])
        relay = Relay(server, endpoint)
        client = await relay.join()
        await client.send(frame())
        assert await client.frames(1) == [frame()]
        server.stop()
        client.close()
        assert (directory / "s").exists()
