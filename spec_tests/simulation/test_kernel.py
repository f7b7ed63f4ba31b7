"""The simulated kernel against the real one: the same calls on a pair of sockets, with the same results."""

from __future__ import annotations

import array
import errno
import os
import random
import select
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from torq_engine.handover.system import KERNEL, System
from torq_engine.port import Port, PythonPort

from .calls import SimulatedEpoll, SimulatedPort, SimulatedSocket, SimulatedSystem
from .descriptions import Messages, Stream
from .kernel import Kernel, Process

SIDES = (0, 1)
STEPS = st.lists(
    st.tuples(st.sampled_from(SIDES), st.sampled_from(["send", "read 3", "read 100", "shut down", "close", "look"])),
    max_size=14,
)
_SHOWN = select.EPOLLIN | select.EPOLLOUT | select.EPOLLHUP | select.EPOLLERR


def process() -> Process:
    """A process whose calls are made at once, without faults."""
    kernel = Kernel(random.Random(0))
    kernel.noise = False
    found = Process(kernel, "test", lambda _: None)
    found._budget = 1 << 30
    return found


class Real:
    """A pair of sockets of the real kernel."""

    def __init__(self) -> None:
        self.port: Port = PythonPort()
        self.sockets = socket.socketpair()
        self.numbers = [sock.fileno() for sock in self.sockets]
        for sock in self.sockets:
            sock.setblocking(False)

    def shut_down(self, side: int) -> None:
        self.sockets[side].shutdown(socket.SHUT_WR)

    def close(self, side: int) -> None:
        self.sockets[side].close()

    def events(self, side: int) -> int:
        with select.epoll() as epoll:
            epoll.register(self.numbers[side], select.EPOLLIN | select.EPOLLOUT)
            return sum(events for _, events in epoll.poll(0))

    def end(self) -> None:
        for sock in self.sockets:
            sock.close()


class Simulated:
    """A pair of sockets of the simulated kernel."""

    def __init__(self) -> None:
        self.process = process()
        self.port: Port = SimulatedPort(self.process)
        ends = Stream(1, capacity=1 << 20), Stream(2, capacity=1 << 20)
        ends[0].peer, ends[1].peer = ends[1], ends[0]
        self.numbers = [self.process.install(end) for end in ends]

    def shut_down(self, side: int) -> None:
        self.process.stream(self.numbers[side]).shut_down()

    def close(self, side: int) -> None:
        self.process.close(self.numbers[side])

    def events(self, side: int) -> int:
        epoll = SimulatedEpoll(self.process)
        epoll.register(self.numbers[side], select.EPOLLIN | select.EPOLLOUT)
        found = sum(events for _, events in epoll.poll(0))
        epoll.close()
        return found

    def end(self) -> None:
        pass


def results(world: Real | Simulated, steps: list[tuple[int, str]]) -> Iterator[object]:
    """What each step brings: bytes, a number, the name of an error."""
    open_sides, shut = set(SIDES), set[int]()
    for side, step in steps:
        if side not in open_sides:
            continue
        match step.split():
            case ["send"]:
                yield outcome(lambda side=side: world.port.send(world.numbers[side], [b"some bytes"]))  # type: ignore[misc]  # a default is not inferred
            case ["read", size]:
                buffer = bytearray(int(size))
                yield outcome(lambda side=side, buffer=buffer: world.port.receive(world.numbers[side], buffer, 0))  # type: ignore[misc]
                yield bytes(buffer)
            case ["shut", "down"]:
                if 1 - side in open_sides and side not in shut:
                    world.shut_down(side)
                    shut.add(side)
            case ["close"]:
                world.close(side)
                open_sides.discard(side)
            case _:
                yield world.events(side) & _SHOWN
                yield outcome(lambda side=side: world.port.has_left(world.numbers[side]))  # type: ignore[misc]


def outcome(call: Callable[[], object]) -> object:
    """What a call returns, or the name of its error."""
    try:
        return call()
    except OSError as error:
        return errno.errorcode[error.errno or 0]


@given(STEPS)
def test_a_pair_of_sockets_behaves_as_in_the_real_kernel(steps: list[tuple[int, str]]) -> None:
    real, simulated = Real(), Simulated()
    try:
        assert list(results(real, steps)) == list(results(simulated, steps))
    finally:
        real.end()
        simulated.end()


@contextmanager
def messages() -> Iterator[list[tuple[System, socket.socket, socket.socket]]]:
    """Two ends of a socket of messages, in the real kernel and in the simulated one."""
    with_real = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
    one = process()
    ends = Messages(1), Messages(2)
    ends[0].peer, ends[1].peer = ends[1], ends[0]
    simulated = [SimulatedSocket.of(one, one.install(end)) for end in ends]
    try:
        yield [(KERNEL, *with_real), (SimulatedSystem(one), simulated[0], simulated[1])]
    finally:
        for sock in with_real:
            sock.close()


MESSAGE = b"\x81\xa4type\xa5Ready"


def received(sock: socket.socket) -> object:
    return outcome(lambda: sock.recvmsg(100, socket.CMSG_SPACE(100))[:1])


def test_messages_sent_before_the_end_are_read_before_it() -> None:
    with messages() as both:
        found = []
        for system, ours, theirs in both:
            seen: list[object] = [received(theirs), system.wait(theirs.fileno(), 0)]
            ours.sendmsg([MESSAGE], [], socket.MSG_NOSIGNAL)
            seen.append(system.wait(theirs.fileno(), 0))
            ours.close()
            seen += [received(theirs), received(theirs), system.wait(theirs.fileno(), 0)]
            seen.append(outcome(lambda theirs=theirs: theirs.sendmsg([MESSAGE], [], socket.MSG_NOSIGNAL)))  # type: ignore[misc]
            found.append(seen)
        assert found[0] == found[1]
        assert found[0][:3] == ["EAGAIN", False, True]


def test_whoever_closes_with_messages_unread_resets_once() -> None:
    with messages() as both:
        found = []
        for _, ours, theirs in both:
            theirs.sendmsg([MESSAGE], [], socket.MSG_NOSIGNAL)
            ours.close()
            found.append([received(theirs), received(theirs)])
        assert found[0] == found[1] == ["ECONNRESET", (b"",)]


def test_what_a_message_carries_stays_open_until_nobody_holds_it() -> None:
    with messages() as both:
        found = []
        for system, ours, theirs in both:
            reading, writing = system.pipe()
            ours.sendmsg([MESSAGE], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [writing]))], 0)
            system.close(writing)
            seen = [outcome(lambda system=system, reading=reading: system.read(reading, 1))]  # type: ignore[misc]
            passed = theirs.recvmsg(100, socket.CMSG_SPACE(100))[1]
            [number] = array.array("i", passed[0][2])
            system.write(number, b"C")
            seen += [system.read(reading, 9), outcome(lambda system=system, reading=reading: system.read(reading, 1))]  # type: ignore[misc]
            system.close(number)
            seen += [system.wait(reading, 0), system.read(reading, 1)]
            found.append(seen)
            system.close(reading)
        assert found[0] == found[1] == ["EAGAIN", b"C", "EAGAIN", True, b""]


def test_a_sealed_file_is_the_same_in_both() -> None:
    for system in (KERNEL, SimulatedSystem(process())):
        number = system.memfd()
        assert system.contents(number) is None
        assert system.write_at(number, [b"ab", b"cd"], 2) == 4
        assert system.write_at(number, [b"xy"], 0) == 2
        assert system.contents(number) is None
        system.seal(number)
        found = system.contents(number)
        assert found is not None
        assert bytes(found) == b"xyabcd"
        assert not system.is_socket(number)
        system.close(number)
        with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
            system.inode(number)


def test_an_epoll_tells_of_a_socket_that_another_holder_keeps_open() -> None:
    found = []
    real = Real()
    with select.epoll() as epoll:
        epoll.register(real.numbers[0], 0)
        kept = os.dup(real.numbers[0])
        real.close(0)
        real.close(1)
        found.append([events & _SHOWN for _, events in epoll.poll(0)])
        os.close(kept)
        found.append([events for _, events in epoll.poll(0)])
    simulated = Simulated()
    watch = SimulatedEpoll(simulated.process)
    watch.register(simulated.numbers[0], 0)
    stream = simulated.process.stream(simulated.numbers[0])
    stream.hold()
    simulated.close(0)
    simulated.close(1)
    found.append([events for _, events in watch.poll(0)])
    stream.release()
    found.append([events for _, events in watch.poll(0)])
    assert found[:2] == found[2:] == [[select.EPOLLHUP], []]
