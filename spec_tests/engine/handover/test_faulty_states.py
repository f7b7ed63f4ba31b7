"""LIFE-4: whatever is wrong with what a relay hands over, its successor refuses it by name and the relay serves on."""

import asyncio
import errno
import os
import signal
import socket
from collections.abc import Callable, Sequence

import msgspec
import pytest

from torq_engine.handover import blob, predecessor
from torq_engine.handover.baton import Baton, read_baton
from torq_engine.handover.blob import SlowCopy, packed
from torq_engine.handover.state import SCHEMA, RelayState
from torq_engine.handover.tables import Event
from torq_engine.operations.service import Service
from torq_engine.operations.takeovers import TakeoverReport
from torq_engine.port import Buffer

from ..daemons import command
from ..frames import frame
from ..operations.services import Running, operating
from ..relays import happened

Patch = Callable[[pytest.MonkeyPatch], None]


def words(running: Running) -> list[str]:
    return command("market_data", "--config", running.config, "--socket", running.directory / "s")


async def taken_over(running: Running) -> TakeoverReport:
    return await running.service.succession.begin(words(running))


def damaged(patch: pytest.MonkeyPatch, part: int) -> None:
    def changed(state: msgspec.Struct, data: Sequence[Buffer]) -> list[Buffer]:
        parts = packed(state, data)
        parts[part] = bytes(parts[part][:-1]) + bytes([parts[part][-1] ^ 1])
        return parts

    patch.setattr(predecessor, "packed", changed)


def with_state(patch: pytest.MonkeyPatch, change: Callable[[RelayState], RelayState]) -> None:
    export = Service.export

    def changed(self: Service, frozen_at: float) -> tuple[RelayState, list[memoryview], list[int]]:
        state, data, descriptors = export(self, frozen_at)
        return change(state), data, descriptors

    patch.setattr(Service, "export", changed)


def of_another_file(state: RelayState) -> RelayState:
    first, *others = state.descriptors
    return msgspec.structs.replace(state, descriptors=[msgspec.structs.replace(first, inode=1), *others])


def without_a_client(state: RelayState) -> RelayState:
    return msgspec.structs.replace(state, server=msgspec.structs.replace(state.server, clients=[]))


def without_a_role(state: RelayState) -> RelayState:
    descriptors = [msgspec.structs.replace(each, role="what?") for each in state.descriptors]
    return msgspec.structs.replace(state, descriptors=descriptors)


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


NO_SPACE = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
NO_DESCRIPTORS = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
FAULTS: dict[str, tuple[Patch, str]] = {
    "a damaged head": (lambda patch: damaged(patch, 2), "the state is damaged: its head is not as written"),
    "damaged data": (lambda patch: damaged(patch, 3), "the state is damaged: its data are not as written"),
    "a later schema": (
        lambda patch: patch.setattr(blob, "SCHEMA", SCHEMA + 1),
        f"the state has schema {SCHEMA + 1}, this build reads 1 to {SCHEMA}; take over with another build",
    ),
    "another file's descriptor": (
        lambda patch: with_state(patch, of_another_file),
        "descriptor 0 is not what the state says",
    ),
    "too many descriptors": (lambda patch: with_state(patch, without_a_client), "descriptors have come"),
    "no role": (lambda patch: with_state(patch, without_a_role), "no descriptor of clients0 came with the state"),
    "no space for the state": (
        lambda patch: patch.setattr(predecessor, "sealed", failing(NO_SPACE)),
        "OSError: [Errno 28] No space left on device",
    ),
    "no space for the copy": (
        lambda patch: patch.setattr(SlowCopy, "write", failing(NO_SPACE)),
        "what waits cannot be copied: No space left on device",
    ),
    "no descriptor for the baton": (
        lambda patch: patch.setattr(Baton, "__init__", failing(NO_DESCRIPTORS)),
        "OSError: [Errno 24] Too many open files",
    ),
    "an error of the relay itself": (
        lambda patch: patch.setattr(Service, "export", failing(RuntimeError("what?"))),
        "RuntimeError: what?",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
async def test_life_4_a_fault_of_the_handover_is_told_and_changes_nothing(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    patch, why = FAULTS[name]
    async with operating(text="first_read_grace = 100\n") as running:
        sender, receiver, late = await running.join(), await running.join(), await running.join()
        await sender.send(frame(sequence=1))
        assert await late.frames(1) == [frame(sequence=1)]
        stalled = b"".join(frame(bytes(60_000), sequence=number) for number in range(20))
        await sender.send(stalled)  # more than the socket of the one that does not read takes
        await receiver.until(frame(bytes(60_000), sequence=19))
        with monkeypatch.context() as context:
            patch(context)
            report = await taken_over(running)
        assert not report.taken
        assert report.reason.endswith(why)
        assert report.pid == os.getpid()
        assert running.service.failed_takeovers == 1
        assert "takeover failed: serving on" in running.log()
        await sender.send(frame(sequence=2))
        assert (await receiver.frames(1))[-1] == frame(sequence=2)
        assert (await late.until(frame(sequence=2)))[-2] == frame(bytes(60_000), sequence=19)
        assert running.service.server.hub.totals().balance() == 0


async def test_life_3_a_service_that_was_taken_over_ends_and_leaves_everything_to_its_successor() -> None:
    async with operating(text='control_socket = "DIR/c"\nmetrics = "127.0.0.1:0"\n') as running:
        sender, receiver = await running.join(), await running.join()
        address = running.service.sockets.operators["metrics"].listener.getsockname()
        report = await taken_over(running)
        assert (report.taken, report.connections) == (True, 2)
        await asyncio.wait_for(running.service.ended.wait(), 5)
        assert running.service.close() == 0
        await sender.send(frame(sequence=1))
        assert await receiver.frames(1) == [frame(sequence=1)]
        with socket.create_connection(address, 5) as scraper:
            scraper.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
            assert scraper.recv(1000).startswith(b"HTTP/1.1 200")
        os.kill(report.pid, signal.SIGTERM)
        await happened(lambda: not (running.directory / "s").exists())
        await asyncio.to_thread(os.waitpid, report.pid, 0)


async def test_life_4_a_relay_that_drains_is_not_taken_over() -> None:
    async with operating() as running:
        running.service.draining = True
        report = await taken_over(running)
        assert (report.taken, report.reason) == (False, "the relay is draining")
        running.service.draining = False


async def test_life_4_one_takeover_at_a_time() -> None:
    async with operating() as running:
        await running.join()
        first = asyncio.create_task(running.service.succession.begin(["sleep", "100"]))
        await asyncio.sleep(0)
        second = await taken_over(running)
        assert (second.taken, second.reason) == (False, "another takeover is under way")
        assert running.service.succession._running is not None
        running.service.succession._running.abandon("the test ends it")
        assert (await first).reason == "the test ends it"


def test_the_baton_is_read_by_one() -> None:
    held = Baton()
    assert read_baton(held.reading, 0) is Event.LATE
    held.commit()
    assert held.take_back() is Event.TAKEN_BACK
    assert held.take_back() is Event.GONE
    held.commit()
    assert read_baton(held.reading, 0) is Event.COMMITTED
    held.revoke()
    assert read_baton(held.reading, 0) is Event.REVOKED
    reading = os.dup(held.reading)
    held.close()
    assert read_baton(reading, 0) is Event.ORPHANED
    os.close(reading)
