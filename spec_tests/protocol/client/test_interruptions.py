"""What comes in the middle of a call: signal handlers and finalizers at every line, exceptions, forks, other threads.

A trace function stands for the handler: it runs in the thread of the call, between two lines of the client's code.
"""

from __future__ import annotations

import asyncio
import gc
import linecache
import os
import signal as signals
import socket
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from types import FrameType

import anyio
import pytest

import torq_protocol.client
from spec_tests.protocol.client.fake_relays import FakeRelay, fake_relay, in_thread, pair, read_all, signal
from torq_protocol.client import (
    Backoff,
    BlockingRelay,
    ClientSettings,
    ClientState,
    ClosedError,
    ConnectionLostError,
    GapSeen,
    connect,
    connect_blocking,
)

FOLDER = str(Path(torq_protocol.client.__file__).parent)
UNDOING = ("give_back", "leave", "done", "lost", "torn_by")
"""What undoes: an exception that comes in the middle of undoing is beyond what Python can promise. So is a bare
``return`` out of a ``try``: its line stands behind what is protected, though no signal is handled there."""
QUICK = ClientSettings(backoff=Backoff(first_seconds=0.0001))


def at_line(number: int, act: Callable[[], None], *, not_while_undoing: bool = False) -> Callable[[], bool]:
    """Have this thread do something between two lines of the client's code; the result tells whether it was done."""
    lines = count()
    done = False

    def trace(frame: FrameType, event: str, argument: object) -> object:
        nonlocal done
        if not frame.f_code.co_filename.startswith(FOLDER):
            return None
        if event == "line" and not done:
            undoing = frame.f_code.co_name in UNDOING or any(
                word in linecache.getline(frame.f_code.co_filename, frame.f_lineno)
                for word in (*UNDOING, "_writing = False", "  return\n")
            )
            if not (not_while_undoing and undoing) and next(lines) == number:
                done = True
                sys.settrace(None)
                act()
        return trace

    sys.settrace(trace)  # type: ignore[arg-type]  # typeshed knows no trace function that returns itself

    def stop() -> bool:
        sys.settrace(None)
        return done

    return stop


def prepared(relay: FakeRelay, client: BlockingRelay, connection: socket.socket, call: str) -> None:
    if call == "receive":
        connection.sendall(signal(1))
    elif call == "send again":
        connection.close()


CALLS: dict[str, Callable[[BlockingRelay], object]] = {
    "send": lambda client: client.send(signal(1)),
    "send again": lambda client: client.send(signal(1)),
    "receive": lambda client: client.receive(),
}
INTRUSIONS: dict[str, Callable[[BlockingRelay], object]] = {
    "close": lambda client: client.close(),
    "send": lambda client: client.send(signal(2)),
    "receive": lambda client: client.receive(0),
    "end_sending": lambda client: client.end_sending(),
}


@pytest.mark.parametrize("intrusion", INTRUSIONS)
@pytest.mark.parametrize("call", CALLS)
def test_no_call_in_a_handler_waits_for_what_it_has_interrupted(call: str, intrusion: str) -> None:
    """It does what it is asked, or is refused; what it has interrupted ends too."""

    def intrude(client: BlockingRelay) -> None:
        with suppress(RuntimeError, TimeoutError, ClosedError, ConnectionLostError):
            INTRUSIONS[intrusion](client)

    for number in count():
        with fake_relay() as relay, pair(relay, settings=QUICK) as (client, connection):
            prepared(relay, client, connection, call)
            reached = False

            def run(client: BlockingRelay, number: int) -> None:
                nonlocal reached
                stop = at_line(number, lambda: intrude(client))
                try:
                    CALLS[call](client)
                except (ClosedError, ConnectionLostError):
                    assert intrusion in ("close", "end_sending")
                except TimeoutError:
                    assert intrusion == "receive"
                finally:
                    reached = stop()

            if call == "receive" and intrusion == "receive":  # one of the two gets the message, the other waits for one
                connection.sendall(signal(2))
            with in_thread(partial(run, client, number)):
                pass
            if intrusion == "close" and reached:
                assert client.state is ClientState.CLOSED
                assert client._session.link is None
        if not reached:
            assert number > 10, "the call was followed"
            return


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")  # of sockets that nobody has got yet
@pytest.mark.parametrize("call", CALLS)
def test_an_exception_at_any_line_leaves_a_client_that_goes_on_and_no_torn_stream(call: str) -> None:
    class Interrupt(BaseException):
        pass

    def interrupt() -> None:
        raise Interrupt

    for number in count():
        with fake_relay() as relay, pair(relay, settings=QUICK) as (client, connection):
            prepared(relay, client, connection, call)
            reached = False

            def run(client: BlockingRelay, number: int) -> None:
                nonlocal reached
                stop = at_line(number, interrupt, not_while_undoing=True)
                try:
                    CALLS[call](client)
                except Interrupt:
                    pass
                finally:
                    reached = stop()
                client.send(signal(7))
                with suppress(TimeoutError, ConnectionLostError):
                    while client.receive(0):
                        pass

            with in_thread(partial(run, client, number)):
                pass
            client.close()
            relay.listener.settimeout(0)
            streams = [] if call == "send again" else [whatever_came(connection)]
            with suppress(BlockingIOError):
                while True:
                    streams.append(whatever_came(relay.accept()))
            assert all(stream in (b"", signal(1), signal(7), signal(1) + signal(7)) for stream in streams)
            assert any(stream.endswith(signal(7)) for stream in streams)
        if not reached:
            assert number > 10, "the call was followed"
            gc.collect()
            return


def whatever_came(connection: socket.socket) -> bytes:
    """Everything until the other side ends, with its own input read or not."""
    parts = []
    with suppress(ConnectionResetError):
        while data := connection.recv(1 << 20):
            parts.append(data)
    return b"".join(parts)


def test_a_signal_handler_may_close_while_its_thread_waits_for_a_message() -> None:
    with fake_relay() as relay, pair(relay) as (client, _):
        before = signals.signal(signals.SIGUSR1, lambda *_: client.close())
        try:
            threading.Timer(0.01, lambda: os.kill(os.getpid(), signals.SIGUSR1)).start()
            assert list(client) == []
        finally:
            signals.signal(signals.SIGUSR1, before)


def test_a_finalizer_may_close() -> None:
    class Owner:
        def __init__(self, client: BlockingRelay) -> None:
            self.client, self.cycle = client, self

        def __del__(self) -> None:
            self.client.close()

    with fake_relay() as relay, pair(relay) as (client, connection):
        Owner(client)
        gc.collect()
        assert client.state is ClientState.CLOSED
        assert read_all(connection) == b""


@pytest.mark.parametrize("given", ["1", b"1", True, [], object(), float("nan")])
def test_a_wrong_time_limit_is_refused_before_anything_else(given: object) -> None:
    with fake_relay() as relay, pair(relay) as (client, connection):
        with pytest.raises((TypeError, ValueError), match="use a number of seconds, or None"):
            client.receive(given)  # type: ignore[arg-type]  # the point of the test
        connection.sendall(signal(1))
        assert client.receive(1e12).header.sequence == 1


@pytest.mark.parametrize("seconds", [1e12, float("inf"), None])
def test_any_time_limit_can_be_waited_for(seconds: float | None) -> None:
    with fake_relay() as relay, pair(relay) as (client, connection):
        threading.Timer(0.01, lambda: connection.sendall(signal(1))).start()
        assert client.receive(seconds).header.sequence == 1
        with pytest.raises(TimeoutError):
            client.receive(-1)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of the threads of whoever runs the tests
def test_a_forked_process_has_no_part_in_its_parents_connection() -> None:
    with fake_relay() as relay, pair(relay) as (client, connection):
        connection.sendall(signal(1) + signal(2))
        assert client.receive().header.sequence == 1
        child = os.fork()
        if child == 0:
            told = 0
            calls: list[Callable[[], object]] = [client.receive, partial(client.send, signal(3)), lambda: [*client]]
            for call in calls:
                try:
                    told += call() == []
                except ClosedError as error:
                    told += "connect in this one" in str(error)
            client.end_sending()
            client.close()
            os._exit(told)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 3
        assert client.receive().header.sequence == 2
        client.send(signal(4))
        connection.sendall(signal(5))
        assert client.receive().header.sequence == 5
        assert client.reconnects == 0
        client.close()
        assert read_all(connection) == signal(4)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of the threads of whoever runs the tests
def test_a_forked_process_keeps_no_connection_open() -> None:
    """Or the relay would go on to fill it when the parent has been killed."""
    with fake_relay() as relay, pair(relay) as (client, _):
        link = client._session.link
        assert link is not None
        child = os.fork()
        if child == 0:
            os._exit(link.socket.fileno() != -1)
        assert os.waitpid(child, 0)[1] == 0
        assert client.state is ClientState.CONNECTED


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of the threads of whoever runs the tests
def test_a_forked_process_does_not_wait_for_a_task_of_its_parent() -> None:
    async def fork(relay: FakeRelay) -> int:
        async with await connect(relay.path) as client:
            await client._sending.acquire()  # as a task does that waits for the socket to take its message
            child = os.fork()
            if child == 0:
                try:
                    client.end_sending().send(None)
                finally:  # with StopIteration when it has ended, without when it waits
                    os._exit(isinstance(sys.exception(), StopIteration))
            client._sending.release()
            return child

    with fake_relay() as relay:
        child = asyncio.run(fork(relay))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def test_an_asynchronous_client_is_refused_to_a_second_thread_while_the_first_uses_it() -> None:
    async def elsewhere(relay: FakeRelay) -> None:
        async with await connect(relay.path) as client:
            waiting = asyncio.create_task(client.receive())
            await asyncio.sleep(0)
            calls: list[Callable[[], Coroutine[None, None, None]]] = [
                partial(client.send, signal(1)),
                client.end_sending,
                client.aclose,
            ]
            for call in calls:
                with pytest.raises(RuntimeError, match="event loop"):
                    await asyncio.to_thread(asyncio.run, call())
            await client.aclose()
            with pytest.raises(ClosedError):
                await waiting

    with fake_relay() as relay:
        anyio.run(elsewhere, relay)


def test_an_asynchronous_client_may_go_from_one_event_loop_to_the_next() -> None:
    with fake_relay() as relay:
        client = asyncio.run(hand_over(relay))
        asyncio.run(client.send(signal(1)))
        anyio.run(client.aclose)
        assert read_all(relay.accept()) == signal(1)


async def hand_over(relay: FakeRelay) -> torq_protocol.client.Relay:
    return await connect(relay.path)


def test_a_message_whose_gap_on_event_could_not_bear_is_the_next_one() -> None:
    def fail(event: object) -> None:
        if isinstance(event, GapSeen):
            raise LookupError(event.gap.current)

    tracking = ClientSettings(track_sequences=True)
    with fake_relay() as relay, pair(relay, settings=tracking, on_event=fail) as (client, connection):
        connection.sendall(signal(1) + signal(5) + signal(6))
        assert client.receive().header.sequence == 1
        with pytest.raises(LookupError, match="5"):
            client.receive()
        assert [client.receive().header.sequence for _ in range(2)] == [5, 6]
        assert client.received == 3


def test_on_event_may_send_when_the_connection_stands_again_and_close_when_it_is_lost() -> None:
    with fake_relay() as relay:
        greeted: list[str] = []

        def note(event: object) -> None:
            greeted.append(type(event).__name__)
            if greeted[-1] == "Reconnected":
                client.send(signal(9))
            if greeted.count("Lost") == 2:
                client.close()

        with connect_blocking(relay.path, on_event=note) as client:
            relay.accept().close()
            client.send(signal(1))
            assert relay.accept().recv(100) == signal(9) + signal(1)
            relay.accepted[-1].close()
            with pytest.raises(ClosedError):
                client.receive()
    assert greeted == ["Connected", "Lost", "Reconnected", "Lost"]


def test_reading_that_an_exception_has_broken_off_is_a_lost_connection_and_no_torn_message() -> None:
    class Interrupted:
        def __init__(self, real: socket.socket) -> None:
            self.real = real

        def recv(self, size: int) -> bytes:
            self.real.recv(size)
            raise KeyboardInterrupt

        def __getattr__(self, name: str) -> object:
            return getattr(self.real, name)

    once = ClientSettings(reconnect=False)
    with fake_relay() as relay, pair(relay, settings=once) as (client, connection):
        link = client._session.link
        assert link is not None
        connection.sendall(signal(1)[:20])
        link.socket = Interrupted(link.socket)  # type: ignore[assignment]  # it acts as one
        with pytest.raises(KeyboardInterrupt):
            client.receive()
        with pytest.raises(ConnectionLostError, match="broken off by an exception"):
            client.receive()


def test_nothing_in_the_library_has_a_lock_that_its_own_thread_waits_for() -> None:
    """A handler that needs one which its thread has would wait for ever: see ``turns.py``."""
    plain = ("threading.Lock(", "threading.Event(", "Semaphore(", "queue.Queue(", "Barrier(")
    found = [
        f"{path.name}: {line.strip()}"
        for path in Path(FOLDER).parent.rglob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if any(word in line for word in plain)
    ]
    assert [each.partition("  #")[0] for each in found] == [
        "turns.py: self._done = threading.Lock()",
        "turns.py: self._open = threading.Lock()",
    ]
