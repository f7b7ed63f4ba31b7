"""Who is slow is told: in the log at the first loss and then by counts, in metrics, by `ctl` (ISO-3, ISO-6, ISO-7)."""

import json
import os
from collections.abc import Callable
from pathlib import Path

from torq_engine.connection import Connection
from torq_engine.operations.configuration import RelayConfig
from torq_engine.operations.logs import EventLog, open_log
from torq_engine.operations.slow_consumers import SlowConsumers
from torq_engine.port import Peer, program_of

from ..frames import frame
from ..outlets import OutletPort
from ..relays import Client, happened
from .services import Running, operating
from .test_logs import lines
from .test_logs import log as log  # noqa: PLC0414 - the fixture
from .test_operators import UNIX, samples

SMALL = "queue_bytes = 5000\nsend_buffer_bytes = 4608\necho = false\nlog_format = 'json'\nlog_level = 'info'\n"
PEER = Peer(42, 1000, 1000, "strategy")


def said(running: Running, event: str) -> list[dict[str, object]]:
    return [found for found in map(json.loads, running.log().splitlines()) if event in found["event"]]


async def make_slow(running: Running, sender: Client, reader: Client) -> int:
    """Let a client read once and then no more, until it has lost frames; how many bytes it was sent."""
    hub = running.service.server.hub
    number = [one for one, _ in running.service.server.connections()][-1].id
    await sender.send(frame(bytes(1000)))
    await reader.frames(1)
    while not hub.connections[number].dropped_frames[0]:
        before = hub.totals().received_frames
        await sender.send(frame(bytes(1000)))
        await happened(lambda: hub.totals().received_frames > before)  # noqa: B023 - awaited in this very turn
        hub.connections[number].reading = True
    return number


async def test_iso_3_a_consumer_that_loses_frames_is_in_the_log_the_metrics_and_the_list_at_once() -> None:
    async with operating(text=SMALL + UNIX) as running:
        sender, reader = await running.join(), await running.join()
        number = await make_slow(running, sender, reader)
        [line] = said(running, "slow consumer: frames dropped")
        assert (line["level"], line["connection"], line["pid"]) == ("warning", number, os.getpid())
        assert line["program"] == program_of(os.getpid())
        found = await samples(running)
        assert found["torq_relay_slow_consumers"] == 1
        assert found["torq_relay_oldest_queued_seconds"] > 0
        slowest = (await running.service.connection_page("behind", 0, 1)).connections[0]
        assert (slowest.id, slowest.queued_seconds > 0, slowest.dropped["queue-full"] > 0) == (number, True, True)
        reader.close()
        await happened(lambda: len(running.service.server.hub.connections) == 1)
        assert (await samples(running))["torq_relay_slow_consumers"] == 0


async def test_iso_7_a_client_that_never_reads_is_told_once_and_is_a_warning_only_if_it_sends_nothing() -> None:
    async with operating(text=SMALL + "first_read_grace = 0\n") as running:
        publisher, _mute, late = await running.join(), await running.join(), await running.join()
        hub = running.service.server.hub
        for client in (publisher, late):
            for _ in range(30):
                before = hub.totals().received_frames
                await client.send(frame(bytes(1000)))
                await happened(lambda: hub.totals().received_frames > before)  # noqa: B023 - awaited in this very turn
        told = {line["connection"]: line["level"] for line in said(running, "client never read")}
        assert told == {2: "warning", 3: "warning", 1: "info"}
        assert len(said(running, "client never read")) == len(told)
        assert said(running, "slow consumer") == []
        assert running.service.slow_consumers.ids() == []


def test_iso_7_of_many_clients_that_never_read_some_are_named_and_the_rest_are_counted(
    log: EventLog, tmp_path: Path
) -> None:
    log.later = timers = Timers()
    watcher = SlowConsumers(log)
    for connection in readers(50):
        connection.reading = False
        watcher.losing(connection, PEER)
    timers.elapse()
    assert len(lines(tmp_path)) == 11
    assert lines(tmp_path)[-1].endswith("clients never read: what they would get is dropped clients=40")


class Timers:
    """What a loop would call later."""

    def __init__(self) -> None:
        self.waiting: list[tuple[float, Callable[[], None]]] = []

    def __call__(self, delay: float, act: Callable[[], None]) -> None:
        self.waiting.append((delay, act))

    def elapse(self) -> None:
        waiting, self.waiting = self.waiting, []
        for _, act in waiting:
            act()


def readers(count: int) -> list[Connection]:
    """Connections that were seen to read."""
    from torq_engine.hub import Hub
    from torq_engine.settings import HubSettings
    from torq_protocol.policy import FramePolicy
    from torq_protocol.scanner import FrameScanner

    hub = Hub(OutletPort(), FrameScanner(FramePolicy(1)), HubSettings())
    found = [hub.join(number) for number in range(count)]
    for connection in found:
        connection.reading = True
    return found


def lose(watcher: SlowConsumers, connection: Connection, frames: int) -> None:
    """Drop frames as the hub does."""
    connection.dropped_frames[0] += frames
    if not connection.losing:
        connection.losing = True
        watcher.losing(connection, PEER)


def test_iso_6_losses_are_counted_once_in_an_interval_until_there_are_none(log: EventLog, tmp_path: Path) -> None:
    log.later = timers = Timers()
    watcher = SlowConsumers(log)
    [connection] = readers(1)
    for _ in range(1000):
        lose(watcher, connection, 3)
    assert [delay for delay, _ in timers.waiting] == [log.repeat_interval]
    timers.elapse()
    timers.elapse()
    assert (connection.losing, watcher.ids()) == (False, [])
    timers.elapse()
    assert timers.waiting == []
    lose(watcher, connection, 5)
    told = [line[23:].replace(" torq.signal: slow consumer", "").partition(" queued")[0] for line in lines(tmp_path)]
    who = "connection=1 pid=42 uid=1000 gid=1000 program=strategy"
    assert told == [
        f" WARNING: frames dropped {who} dropped_in_all=3",
        f" WARNING: frames dropped {who} dropped=2997 dropped_in_all=3000",
        f" INFO loses no more frames {who} dropped_in_all=3000",
        f" WARNING: frames dropped {who} dropped_in_all=3005",
    ]
    watcher.closed(connection, PEER)
    assert watcher.ids() == []


def test_iso_6_of_many_slow_consumers_the_worst_are_named_and_the_rest_are_counted(
    log: EventLog, tmp_path: Path
) -> None:
    log.later = timers = Timers()
    watcher = SlowConsumers(log)
    connections = readers(200)
    for connection in connections:
        lose(watcher, connection, 1)
    assert len(lines(tmp_path)) == 10
    for connection in connections:
        lose(watcher, connection, connection.id)
    timers.elapse()
    counted = [line for line in lines(tmp_path)[10:] if " dropped=" in line]
    assert [int(line.partition("connection=")[2].split()[0]) for line in counted[:10]] == [*range(200, 190, -1)]
    assert counted[10:][0].endswith(f"slow consumers: frames dropped consumers=190 dropped={sum(range(1, 191))}")
    assert len(counted) == 11
    while timers.waiting:
        timers.elapse()
    assert watcher.ids() == []
    assert not any(connection.losing for connection in connections)
    assert len(lines(tmp_path)) <= 10 + 11 + 10


def test_iso_6_of_a_consumer_that_no_line_has_named_none_says_that_it_loses_no_more(
    log: EventLog, tmp_path: Path
) -> None:
    log.later = timers = Timers()
    watcher = SlowConsumers(log)
    for connection in readers(15):
        lose(watcher, connection, 1)
    while timers.waiting:
        timers.elapse()
    named = [line.partition("connection=")[2].split()[0] for line in lines(tmp_path)]
    assert sorted(named[:10]) == sorted(named[10:])
    assert watcher.ids() == []


def test_iso_6_without_a_loop_a_loss_is_told_and_nothing_is_counted(tmp_path: Path) -> None:
    log = open_log("signal", RelayConfig(log_file=str(tmp_path / "log")))
    watcher = SlowConsumers(log)
    [connection] = readers(1)
    lose(watcher, connection, 1)
    assert len(lines(tmp_path)) == 1
    log.stream.close()
