"""SIGHUP, and ``torq-relay ctl reload``: validated whole, then taken; what reloads is what the table says."""

import asyncio
import json
import signal
import threading
import time
from contextlib import suppress

import msgspec
import pytest

from torq_engine.accounting import CloseReason
from torq_engine.operations.configuration import KEYS
from torq_engine.operations.resolving import listen_settings
from torq_engine.operations.signals import block_signals
from torq_engine.settings import Overflow

from ..daemons import daemon, receive
from ..frames import MAGIC, frame
from ..relays import LIMIT, happened, short_directory
from .services import operating
from .test_configuration import OTHER_VALUES, toml


@pytest.mark.parametrize("key", [key for key in KEYS if key not in ("socket", "log_file")])
async def test_a_key_is_taken_by_a_reload_if_and_only_if_the_table_says_so(key: str) -> None:
    """Taken means: the engine, the log and the audit log work by it, not that the file was read."""
    async with operating("execution") as running:
        service = running.service
        before = service.config
        running.write(f"{key} = {toml(OTHER_VALUES[key])}\n")
        error = service.reload()
        if not KEYS[key].reloads:
            assert error == f"{key}: cannot change in a running relay; restart it, or undo the change"
            assert service.config is before
            assert service.reloads == 0
            return
        assert error == ""
        assert msgspec.to_builtins(getattr(service.config, key)) == OTHER_VALUES[key]
        assert service.server.settings is service.config
        assert service.server.listen == listen_settings(service.config, service.source.logic)
        assert service.log.level == service.config.log_level
        assert service.log.repeat_interval == service.config.log_repeat_interval
        assert service.audit is not None
        assert service.audit.settings is service.config


async def test_a_bad_file_changes_nothing_and_is_logged() -> None:
    async with operating(text="queue_frames = 5\n") as running:
        service = running.service
        running.write("queue_frames = 6\noverflow = 'sideways'\n")
        assert "overflow: 'sideways' is not allowed" in service.reload()
        assert service.config.queue_frames == 5
        assert service.server.settings.queue_frames == 5
        assert "configuration not reloaded, nothing has changed" in running.log()
        running.write("queue_frames = 6\nlevel = 'security'\n")
        assert service.reload().startswith("level: cannot change")
        assert service.config.queue_frames == 5
        running.write("queue_frames = 6\n")
        assert service.reload() == ""
        assert service.config.queue_frames == 6
        assert "configuration reloaded changed=queue_frames" in running.log()


async def test_signals_that_came_while_it_started_are_acted_on_when_it_serves() -> None:
    async with operating() as running:
        running.write("queue_frames = 7\n")
        (running.directory / "log").rename(running.directory / "old")
        block_signals()
        for number in (signal.SIGHUP, signal.SIGUSR1):
            signal.pthread_kill(threading.main_thread().ident or 0, number)  # other threads do not block them
        running.service.hear_signals()
        await happened(lambda: (running.directory / "log").exists() and "logs reopened" in running.log())
        assert running.service.config.queue_frames == 7
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            asyncio.get_running_loop().remove_signal_handler(number)


async def test_a_log_that_cannot_be_opened_anew_goes_on_in_the_old_file() -> None:
    async with operating() as running:
        (running.directory / "log").rename(running.directory / "old")
        (running.directory / "log").mkdir()
        running.service.reopen()
        assert "log not reopened; going on in the old one" in (running.directory / "old").read_text("utf-8")
        (running.directory / "log").rmdir()
        running.service.reopen()
        assert "logs reopened" in running.log()


async def test_iso_3_senders_that_backpressure_stopped_go_on_when_a_reload_ends_it() -> None:
    stop = "overflow = 'backpressure'\nqueue_frames = 10\nsend_buffer_bytes = 4608\nstall_timeout = 60\necho = false\n"
    stop += "drain_timeout = 0\n"  # what waits at the end is of no interest
    async with operating(text=stop) as running:
        hub = running.service.server.hub
        sender, slow = await running.join(), await running.join()
        for _ in range(20):  # it reads, and is seen to read
            await sender.send(frame(bytes(1000)) * 3)
            await slow.frames(3)
        while not hub.stalled:
            with suppress(BlockingIOError):
                sender.sock.send(frame(bytes(1000)) * 3)
            await asyncio.sleep(0)
        with suppress(BlockingIOError):
            sender.sock.send(frame(bytes(1000)) * 3)
        before = hub.totals().received_frames
        await happened(lambda: bool(running.service.server._paused))
        running.write(stop.replace("backpressure", "drop_oldest"))
        assert running.service.reload() == ""
        await happened(lambda: hub.totals().received_frames > before)


async def test_fwd_4_reloaded_echo_holds_for_connections_that_stand() -> None:
    async with operating() as running:
        client, other = await running.join(), await running.join()
        await client.send(frame(sequence=1))
        assert await client.frames(1) == [frame(sequence=1)]
        running.write("echo = false\n")
        assert running.service.reload() == ""
        await client.send(frame(sequence=2))
        assert (await other.frames(2))[1] == frame(sequence=2)
        await other.send(frame(sequence=3))
        assert await client.frames(1) == [frame(sequence=3)]


async def test_sec_2_reloaded_allow_list_refuses_new_connections_and_keeps_old_ones() -> None:
    async with operating() as running:
        old = await running.join()
        running.write("allow_uids = [4242]\n")
        assert running.service.reload() == ""
        refused = await running.connect()
        assert await refused.end() == b""
        assert running.service.server.hub.totals().closed[CloseReason.NOT_ALLOWED] == 1
        await old.send(frame())
        assert await old.frames(1) == [frame()]
        running.write("allow_uids = ['*']\n")
        assert running.service.reload() == ""
        await running.join()


async def test_conn_5_val_5_reload_while_serving() -> None:
    async with operating(text="max_connections = 1\n") as running:
        first = await running.join()
        running.write("max_connections = 2\non_framing_error = 'resync'\noverflow = 'backpressure'\n")
        assert running.service.reload() == ""
        second = await running.join()
        await first.send(b"garbage" + frame(sequence=1))
        assert await second.frames(1) == [frame(sequence=1)]
        assert running.service.server.settings.overflow is Overflow.BACKPRESSURE


async def test_frame_5_reloaded_partial_frame_timeout_ends_what_stands() -> None:
    async with operating(text="partial_frame_timeout = 0\n") as running:
        client = await running.join()
        await client.send(MAGIC)
        await happened(lambda: running.service.server.connections()[0][0].received_bytes == 4)
        running.write("partial_frame_timeout = 0.01\n")
        assert running.service.reload() == ""
        assert await client.end() == b""
        assert running.service.server.hub.totals().closed[CloseReason.PARTIAL_FRAME_TIMEOUT] == 1


def test_sighup_and_sigusr1_reach_a_daemon_without_disturbing_its_clients() -> None:
    with short_directory() as directory:
        config, log = directory / "relay.toml", directory / "log"
        settings = f'log_file = "{log}"\nlog_format = "json"\n'
        config.write_text(settings, encoding="utf-8")
        with daemon("market_data", "--config", config, path=directory / "s") as relay:
            client, witness = relay.connect(), relay.connect()

            def logged(event: str) -> None:
                """Exchange frames until the daemon has logged an event."""
                limit = time.monotonic() + LIMIT
                while not log.exists() or event not in log.read_text("utf-8"):
                    assert time.monotonic() < limit, f"no {event!r} in the log"
                    client.sendall(frame())
                    assert receive(witness, 32) == frame()

            logged("listening")
            config.write_text(settings + "echo = false\n", encoding="utf-8")
            relay.signal(signal.SIGHUP)
            logged("configuration reloaded")
            config.write_text("nonsense", encoding="utf-8")
            relay.signal(signal.SIGHUP)
            logged("nothing has changed")
            log.rename(directory / "old")
            relay.signal(signal.SIGUSR1)
            logged("logs reopened")
            relay.signal()
            assert relay.ends() == 0
            old = [json.loads(line)["event"] for line in (directory / "old").read_text("utf-8").splitlines()]
            new = [json.loads(line)["event"] for line in log.read_text("utf-8").splitlines()]
            assert old[0] == "listening"
            assert new[0] == "logs reopened"
            assert new[-1] == "stopped"
