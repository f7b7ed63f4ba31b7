"""What a relay logs: one line per connection's life, storms as counts, plain, coloured or JSON."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from torq_engine.accounting import CloseReason
from torq_engine.operations.audit_chain import AuditError
from torq_engine.operations.configuration import ConfigError, RelayConfig
from torq_engine.operations.log_observer import LogObserver
from torq_engine.operations.logs import EventLog, open_log
from torq_engine.port import Peer, program_of

from ..frames import frame
from ..relays import happened
from .services import operating


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    handlers = logging.getLogger().handlers[:]
    yield
    logging.getLogger().handlers[:] = handlers


@pytest.fixture
def log(tmp_path: Path) -> Iterator[EventLog]:
    log = open_log("signal", RelayConfig(log_file=str(tmp_path / "log")))
    yield log
    log.stream.close()


def lines(tmp_path: Path) -> list[str]:
    return (tmp_path / "log").read_text("utf-8").splitlines()


async def test_a_connection_s_life_is_one_line_with_peer_counters_and_reason() -> None:
    async with operating(text="log_format = 'json'\nqueue_frames = 1\n") as running:
        client, leaver = await running.join(), await running.join()
        await leaver.send(frame(sequence=1) + frame(domain=2))
        await client.frames(1)
        leaver.close()
        await happened(lambda: len(running.service.server.hub.connections) == 1)
        [line] = [json.loads(text) for text in running.log().splitlines() if "connection closed" in text]
        assert line["reason"] == "peer-left"
        assert (line["frames_in"], line["bytes_in"], line["refused"], line["connection"]) == (2, 64, 1, 2)
        assert {"pid", "uid", "gid", "seconds", "frames_out", "bytes_out", "timestamp", "level", "relay"} <= set(line)


async def test_val_5_val_7_the_line_of_a_connection_says_why_and_where_its_bytes_were_refused() -> None:
    async with operating(text="log_format = 'json'\n") as running:
        client = await running.join()
        await client.send(frame(bytes(9)) + frame(domain=2) + frame(domain=2)[:20])
        await client.send(frame(domain=2)[20:] + b"GET / HTTP/1.1\r\n\r\n" + bytes(32))
        assert await client.end() == frame(bytes(9))
        [line] = [json.loads(text) for text in running.log().splitlines() if "connection closed" in text]
        assert line["framing_error"] == f"bad-magic at byte {3 * 32 + 9}: 47 45 54 20 2f 20 48 54"
        assert (line["reason"], line["refused"], line["refused_bad_domain"]) == ("framing-error", 2, 2)
        assert line["program"] == program_of(os.getpid())


def test_a_plain_line_has_time_level_name_event_and_fields(log: EventLog, tmp_path: Path) -> None:
    log.info("an event", number=3, text="two words", nothing=None, many=["a", "b"], empty="")
    [line] = lines(tmp_path)
    assert line[23:] == ' INFO torq.signal: an event number=3 text="two words" many=a,b empty=""'


def test_console_lines_carry_the_event(tmp_path: Path) -> None:
    log = open_log("signal", RelayConfig(log_file=str(tmp_path / "log"), log_format="console"))
    log.info("an event", number=3)
    log.stream.close()
    assert "an event" in lines(tmp_path)[0]
    assert "number=3" in lines(tmp_path)[0]


def test_a_storm_of_like_warnings_is_one_line_and_a_count(log: EventLog, tmp_path: Path) -> None:
    timers: list[Callable[[], None]] = []
    log.later = lambda delay, act: timers.append(act)
    now = [0.0]
    log._clock = lambda: now[0]
    for _ in range(1000):
        log.warning("refused", uid=5)
    log.error("another")
    assert len(lines(tmp_path)) == 2
    now[0] = 10.0
    for act in timers:
        act()
    assert lines(tmp_path)[2].endswith("WARNING torq.signal: refused repeated=999")
    assert len(lines(tmp_path)) == 3
    log.warning("refused", uid=6)
    assert lines(tmp_path)[3].endswith("refused uid=6")


def test_a_count_comes_with_the_next_line_or_at_the_end_without_a_loop(log: EventLog, tmp_path: Path) -> None:
    now = [0.0]
    log._clock = lambda: now[0]
    for moment in (0.0, 1.0, 11.0, 12.0):
        now[0] = moment
        log.warning("refused")
    log.flush()
    assert [line.partition("refused")[2] for line in lines(tmp_path)] == ["", " repeated=1", " repeated=1"]


def test_an_interval_of_0_writes_every_line_and_levels_hide_what_is_below(log: EventLog, tmp_path: Path) -> None:
    log.configure("warning", 0)
    log.later = lambda delay, act: None
    for _ in range(3):
        log.warning("x")
        log.info("hidden")
        log.debug("hidden")
    assert len(lines(tmp_path)) == 3


def test_a_log_that_cannot_be_written_holds_up_nobody_and_goes_on_when_it_can(log: EventLog, tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:
        file = os.dup(log.stream._descriptor)
        os.dup2(full.fileno(), log.stream._descriptor)
        log.info("lost")
        os.dup2(file, log.stream._descriptor)
        os.close(file)
    log.info("kept")
    assert [line[23:] for line in lines(tmp_path)] == [
        " WARNING torq.signal: log lines were lost lines=1",
        " INFO torq.signal: kept",
    ]


def test_a_closed_log_writes_to_no_descriptor(log: EventLog, tmp_path: Path) -> None:
    log.info("kept")
    log.stream.close()
    with open(tmp_path / "other", "wb"):  # a file that may have been given the log's number
        assert not log.stream.write("nowhere")
        log.info("nowhere")
    assert [line[23:] for line in lines(tmp_path)] == [" INFO torq.signal: kept"]
    assert (tmp_path / "other").read_bytes() == b""


def test_coloured_lines_are_plain_lines_with_colours(tmp_path: Path) -> None:
    leader, follower = os.openpty()
    log = open_log("signal", RelayConfig(log_file=os.ttyname(follower), log_format="console"))
    log.warning("an event", number=3)
    log.stream.close()
    line = os.read(leader, 1000).decode()
    os.close(leader)
    os.close(follower)
    assert "\x1b[33mWARNING\x1b[0m torq.signal: \x1b[1man event\x1b[0m \x1b[36mnumber\x1b[0m=3" in line


def test_a_full_pipe_holds_up_nobody_and_lost_lines_are_told(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "log")
    with pytest.raises(ConfigError, match="No such device"):  # nobody reads it: waiting for a reader would be for ever
        open_log("signal", RelayConfig(log_file=str(tmp_path / "log")))
    reader = os.open(tmp_path / "log", os.O_RDONLY | os.O_NONBLOCK)
    log = open_log("signal", RelayConfig(log_file=str(tmp_path / "log")))
    for number in range(1000):
        log.info("an event", number=number, text="x" * 200)
    read = os.read(reader, 1 << 20)
    log.info("the last")
    read += os.read(reader, 1 << 20)
    log.stream.close()
    os.close(reader)
    *whole, lost, last = read.decode().splitlines()
    kept = [line for line in whole if line.endswith("x" * 200)]
    assert 100 < len(kept) < 1000
    assert lost.endswith(f"WARNING torq.signal: log lines were lost lines={1000 - len(kept)}")
    assert last.endswith("the last")


def test_what_libraries_log_becomes_an_event(log: EventLog, tmp_path: Path) -> None:
    try:
        raise ValueError("inner")
    except ValueError:
        logging.getLogger("asyncio").exception("Exception in callback")
    [line] = lines(tmp_path)
    assert "ERROR torq.signal: Exception in callback logger=asyncio" in line
    assert "ValueError: inner" in line


async def test_observer_tells_of_every_event_of_a_server(log: EventLog, tmp_path: Path) -> None:
    async with operating() as running:
        connection = running.service.server.hub.join(-1)
        connection.close_reason = CloseReason.SLOW_CONSUMER
        connection.dropped_frames[0] = 4
        observer = LogObserver(log, "build", "loop")
        log.configure("debug", 10.0)
        peer = Peer(1, 2, 3, 'a "b"\n')
        observer.admitted(connection, peer)
        observer.refused(CloseReason.NOT_ALLOWED, peer)
        observer.refused(CloseReason.MAX_CONNECTIONS, peer)
        observer.accept_paused(OSError(24, "Too many open files"))
        observer.path_lost(Path("/x"))
        try:
            raise RuntimeError("of ours")
        except RuntimeError:
            observer.failed(connection)
        try:
            raise AuditError("the disk is full")
        except AuditError:
            observer.failed(connection)
        observer.closed(connection, peer)
        running.service.server.hub.disconnect(connection, CloseReason.SLOW_CONSUMER)
        running.service.server.hub.closing.clear()
    text = (tmp_path / "log").read_text("utf-8")
    for expected in (
        'connection joined connection=1 pid=1 uid=2 gid=3 program="a \\"b\\"\\n"',
        'connection refused: not-allowed pid=1 uid=2 gid=3 program="a \\"b\\"\\n"',
        'frames not forwarded connection=1 error="the disk is full"',
        "connection refused: max-connections",
        'trying again error="Too many open files"',
        "no longer at its path",
        "RuntimeError: of ours",
        "reason=slow-consumer",
        "dropped_queue_full=4",
    ):
        assert expected in text


class Nowhere:
    """An outlet that takes everything."""

    def send(self, data: bytes | memoryview, /) -> int:
        return len(data)

    def sendmsg(self, buffers: object, /) -> int:
        raise AssertionError(buffers)
