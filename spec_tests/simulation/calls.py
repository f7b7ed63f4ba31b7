"""The kernel as one of its processes sees it: the engine's port, the handover's system, sockets, an epoll, a loop."""

from __future__ import annotations

import array
import asyncio
import contextvars
import errno
import heapq
import select
import socket
from collections.abc import Callable, Sequence
from typing import cast

from torq_engine.port import Buffer, Descriptors, Peer, PythonPort

from .descriptions import Description, Epoll, Listener, MemoryFile, Messages, PipeEnd, refusal
from .kernel import Process, digest

USER = 1000
_INT = array.array("i").itemsize
_SHORT, _AGAIN, _INTERRUPTED, _ABORTED = 6, 40, 60, 40
_FOREVER = 1e9


class SimulatedPort(PythonPort):
    """Sockets of clients. What :class:`PythonPort` makes of its own calls, it makes of these."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._kernel = process.kernel

    def accept(self, listener: socket.socket, send_buffer_bytes: int, /) -> tuple[int, Peer]:
        process, kernel = self.process, self._kernel
        process.enter("accept")
        kernel.touched(process)
        found = process.get(listener.fileno())
        assert isinstance(found, Listener)
        if not found.queue:
            raise refusal(errno.EAGAIN)
        if len(process.table) >= process.limit:
            kernel.injected("EMFILE accept")
            kernel.log(process, "accept", "EMFILE")
            raise refusal(errno.EMFILE)
        if kernel.happens("ECONNABORTED", _ABORTED):
            raise refusal(errno.ECONNABORTED)
        stream = found.queue.popleft()
        number = process.install(stream)
        stream.release()
        client = process.stream(number).client
        kernel.log(process, "accept", f"{number} client {client}")
        return number, Peer(client, USER, USER)

    def close(self, descriptor: int, /) -> None:
        self.process.enter("close")
        self._kernel.log(self.process, "close", descriptor)
        self.process.close(descriptor)

    def receive(self, descriptor: int, buffer: bytearray, start: int, /) -> int:
        process, kernel = self.process, self._kernel
        process.enter("receive")
        kernel.touched(process)
        stream = process.stream(descriptor)
        if kernel.happens("EAGAIN receive", _AGAIN):
            kernel.log(process, "receive", f"{descriptor} EAGAIN")
            raise refusal(errno.EAGAIN)
        if kernel.happens("EINTR receive", _INTERRUPTED):
            kernel.log(process, "receive", f"{descriptor} EINTR")
            raise refusal(errno.EINTR)
        assert 0 <= start < len(buffer)
        size = min(stream.available(), len(buffer) - start)
        if size > 1 and kernel.happens("short read", _SHORT):
            size = kernel.draw.randint(1, size)
        data = stream.take(size)
        buffer[start : start + size] = data
        kernel.log(process, "receive", f"{descriptor} {digest(data)}")
        return size

    def send_all(
        self, descriptors: Descriptors, data: Buffer, start: int, stop: int, skipped: int, /
    ) -> list[tuple[int, int]] | None:
        view = memoryview(data)[start:stop]
        short: list[tuple[int, int]] = []
        for index, descriptor in enumerate(descriptors):
            if index != skipped:
                try:
                    sent = self._send(descriptor, view)
                except (BlockingIOError, InterruptedError):
                    sent = 0
                except OSError as error:
                    sent = -(error.errno or errno.EIO)
                if sent != len(view):
                    short.append((index, sent))
        return short or None

    def send(self, descriptor: int, parts: Sequence[Buffer], /) -> int:
        return self._send(descriptor, memoryview(b"".join(parts[:256])))

    def _send(self, descriptor: int, data: memoryview) -> int:
        process, kernel = self.process, self._kernel
        process.enter("send")
        kernel.touched(process)
        stream = process.stream(descriptor)
        room = stream.room()
        if kernel.happens("EINTR send", _INTERRUPTED):
            kernel.log(process, "send", f"{descriptor} EINTR")
            raise refusal(errno.EINTR)
        if room <= 0 or kernel.happens("EAGAIN send", _AGAIN):
            kernel.log(process, "send", f"{descriptor} EAGAIN")
            raise refusal(errno.EAGAIN)
        size = min(room, len(data))
        if size < len(data):
            kernel.injected("full buffer")
        elif size > 1 and kernel.happens("short write", _SHORT * 2):
            size = kernel.draw.randint(1, size - 1)
        stream.put(data[:size])
        kernel.log(process, "send", f"{descriptor} {digest(data[:size])}")
        return size

    def unread(self, descriptor: int, /) -> int:
        self.process.enter("unread")
        self._kernel.touched(self.process)
        peer = self.process.stream(descriptor).peer
        return len(peer.inbox) if peer is not None else 0

    def has_left(self, descriptor: int, /) -> bool:
        self.process.enter("poll")
        stream = self.process.stream(descriptor)
        return stream.hung_up or bool(stream.error)

    def clock(self) -> float:
        return self._kernel.now

    def inode(self, descriptor: int, /) -> int:
        self.process.enter("fstat")
        return self.process.get(descriptor).inode

    def hangups(self) -> select.epoll:
        return cast(select.epoll, SimulatedEpoll(self.process))


class SimulatedSystem:
    """What a handover asks: see :class:`torq_engine.handover.system.System`."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._kernel = process.kernel

    def pid(self) -> int:
        return self._process.pid

    def user(self) -> int:
        return USER

    def clock(self) -> float:
        return self._kernel.now

    def pipe(self) -> tuple[int, int]:
        process = self._process
        self._enter("pipe")
        if process.strikes("EMFILE") or len(process.table) + 2 > process.limit:
            raise refusal(errno.EMFILE)
        data = bytearray()
        reading = PipeEnd(self._kernel.next_number(), data=data)
        writing = PipeEnd(self._kernel.next_number(), data=data, writes=True)
        reading.other, writing.other = writing, reading
        return process.install(reading), process.install(writing)

    def read(self, descriptor: int, size: int) -> bytes:
        self._enter("read")
        end = self._process.get(descriptor)
        assert isinstance(end, PipeEnd)
        data = bytes(end.data[:size])
        if not data and end.other is not None:
            raise refusal(errno.EAGAIN)
        del end.data[:size]
        self._kernel.log(self._process, "read", f"{descriptor} {data!r}")
        return data

    def write(self, descriptor: int, data: bytes) -> int:
        self._enter("write")
        end = self._process.get(descriptor)
        assert isinstance(end, PipeEnd)
        if end.other is None:
            raise refusal(errno.EPIPE)
        end.data.extend(data)
        if data == b"R":
            self._process.frozen = False
            self._process.said = "R"
        self._kernel.log(self._process, "write", f"{descriptor} {data!r}")
        return len(data)

    def close(self, descriptor: int) -> None:
        self._enter("close")
        self._kernel.log(self._process, "close", descriptor)
        self._process.close(descriptor)

    def wait(self, descriptor: int, seconds: float) -> bool:
        self._enter("wait")
        description = self._process.get(descriptor)
        return self._process.wait(lambda: description.events() & ~select.EPOLLOUT, self._kernel.now + max(0.0, seconds))

    def memfd(self) -> int:
        self._enter("memfd")
        if self._process.strikes("EMFILE"):
            raise refusal(errno.EMFILE)
        return self._process.install(MemoryFile(self._kernel.next_number()))

    def write_at(self, descriptor: int, parts: Sequence[Buffer], offset: int) -> int:
        self._enter("write_at")
        file = self._process.get(descriptor)
        assert isinstance(file, MemoryFile)
        assert not file.sealed
        if self._process.strikes("ENOSPC"):
            raise refusal(errno.ENOSPC)
        data = b"".join(parts)
        if offset and len(data) > 1 and self._kernel.happens("short write", _SHORT):
            data = data[: self._kernel.draw.randint(1, len(data) - 1)]
        if len(file.data) < offset:
            file.data.extend(bytes(offset - len(file.data)))
        file.data[offset : offset + len(data)] = data
        self._kernel.log(self._process, "write_at", f"{descriptor} {offset} {digest(data)}")
        return len(data)

    def seal(self, descriptor: int) -> None:
        self._enter("seal")
        file = self._process.get(descriptor)
        assert isinstance(file, MemoryFile)
        file.sealed = True
        if self._process.strikes("damage"):
            file.data[self._kernel.draw.randrange(len(file.data))] ^= 1 << self._kernel.draw.randrange(8)

    def contents(self, descriptor: int) -> memoryview | None:
        self._enter("mmap")
        file = self._process.get(descriptor)
        if self._process.strikes("ENOMEM"):
            raise refusal(errno.ENOMEM)
        if not isinstance(file, MemoryFile) or not file.sealed or not file.data:
            return None
        return memoryview(bytes(file.data))

    def inode(self, descriptor: int) -> int:
        self._enter("fstat")
        return self._process.get(descriptor).inode

    def is_socket(self, descriptor: int) -> bool:
        return self._process.get(descriptor).is_socket

    def peer(self, sock: socket.socket) -> Peer:
        return Peer(0, USER, USER)

    def _enter(self, call: str) -> None:
        self._process.enter(call, handover=True)


class SimulatedSocket:
    """A listener, or a socket of messages, as Python's socket has it."""

    def __init__(self, process: Process, descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor

    @classmethod
    def of(cls, process: Process, descriptor: int) -> socket.socket:
        """A descriptor as a socket of Python: as much of it as the engine uses."""
        return cast(socket.socket, cls(process, descriptor))

    def fileno(self) -> int:
        return self._descriptor

    def setblocking(self, _: bool) -> None:
        """Nothing here waits."""

    def close(self) -> None:
        if self._descriptor >= 0:
            self._process.enter("close")
            number, self._descriptor = self._descriptor, -1
            self._process.close(number)

    def accept(self) -> tuple[socket.socket, str]:
        process = self._process
        process.enter("accept")
        listener = process.get(self._descriptor)
        assert isinstance(listener, Listener)
        if not listener.queue:
            raise refusal(errno.EAGAIN)
        number = process.install(listener.queue[0])
        listener.queue.popleft().release()
        return SimulatedSocket.of(process, number), ""

    def sendmsg(self, parts: Sequence[bytes], passed: Sequence[tuple[int, int, array.array[int]]], _: int) -> int:
        process = self._process
        process.enter("sendmsg", handover=True)
        end = process.get(self._descriptor)
        assert isinstance(end, Messages)
        data = b"".join(parts)
        numbers = [number for _, _, each in passed for number in each]
        if end.peer is None:
            raise refusal(errno.EPIPE)
        if process.strikes("EAGAIN"):
            raise refusal(errno.EAGAIN)
        if numbers and process.strikes("ETOOMANYREFS"):
            raise refusal(errno.ETOOMANYREFS)
        assert len(numbers) <= 253
        under_way = [process.get(number) for number in numbers]
        for each in under_way:
            each.hold()
        end.peer.inbox.append((data, under_way))
        process.said = _name_of(data)
        process.frozen = process.frozen or process.said == "Batch"
        process.kernel.log(process, "sendmsg", f"{process.said} {len(numbers)}")
        return len(data)

    def recvmsg(self, size: int, space: int, _: int = 0) -> tuple[bytes, list[tuple[int, int, bytes]], int, str]:
        process = self._process
        process.enter("recvmsg", handover=True)
        end = process.get(self._descriptor)
        assert isinstance(end, Messages)
        if not end.inbox:
            if end.error:
                number, end.error = end.error, 0
                raise refusal(number)
            if end.peer is None:
                return b"", [], 0, ""
            raise refusal(errno.EAGAIN)
        data, under_way = end.inbox.popleft()
        flags, numbers = 0, []
        for each in under_way:
            try:
                if process.strikes("EMFILE"):
                    raise refusal(errno.EMFILE)
                numbers.append(process.install(each))
            except OSError:
                flags = socket.MSG_CTRUNC
                break
        for each in under_way:
            each.release()
        process.kernel.log(process, "recvmsg", f"{_name_of(data)} {numbers}")
        passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", numbers).tobytes())] if numbers else []
        return data, passed, flags, ""


def _name_of(message: bytes) -> str:
    """The name of a message: the value of its first field."""
    length = message[6] & 0x1F
    return message[7 : 7 + length].decode("ascii", "replace")


class SimulatedEpoll:
    """An epoll, as Python's select has it."""

    def __init__(self, process: Process) -> None:
        process.enter("epoll_create")
        self._process = process
        self._epoll = Epoll(process.kernel.next_number())
        self._descriptor = process.install(self._epoll)

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        if self._descriptor >= 0:
            self._process.enter("close")
            number, self._descriptor = self._descriptor, -1
            self._process.close(number)

    def register(self, descriptor: int, mask: int) -> None:
        self._process.enter("epoll_ctl")
        key, description = self._key(descriptor)
        if key in self._epoll.watched:
            raise refusal(errno.EEXIST)
        self._epoll.watched[key] = description, mask

    def modify(self, descriptor: int, mask: int) -> None:
        self._process.enter("epoll_ctl")
        key, description = self._key(descriptor)
        if key not in self._epoll.watched:
            raise refusal(errno.ENOENT)
        self._epoll.watched[key] = description, mask

    def unregister(self, descriptor: int) -> None:
        self._process.enter("epoll_ctl")
        key, _ = self._key(descriptor)
        if self._epoll.watched.pop(key, None) is None:
            raise refusal(errno.ENOENT)

    def poll(self, seconds: float, most: int = 1024) -> list[tuple[int, int]]:
        """What is ready, in any order; waits so long for it."""
        process = self._process
        process.enter("epoll_wait")
        if seconds > 0:
            process.wait(self._epoll.ready, process.kernel.now + seconds)
        found = self._epoll.ready()
        if len(found) > 1:
            process.kernel.draw.shuffle(found)
        return found[:most]

    def _key(self, descriptor: int) -> tuple[tuple[int, int], Description]:
        description = self._process.get(descriptor)
        return (descriptor, description.inode), description


class SimulatedLoop:
    """A loop of callbacks over the simulated epoll and clock: as much of asyncio's as the engine uses."""

    def __init__(self, process: Process) -> None:
        self.itself = process.loop = cast(asyncio.AbstractEventLoop, self)
        asyncio._set_running_loop(process.loop)
        self._process = process
        self._epoll = SimulatedEpoll(process)
        self._watched: dict[int, list[asyncio.Handle | None]] = {}
        self._soon: list[asyncio.Handle] = []
        self._later: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._timers = 0
        self._ended = False

    def time(self) -> float:
        return self._process.kernel.now

    def get_debug(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, BaseException]) -> None:
        raise context["exception"]

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self.itself, context)
        self._soon.append(handle)
        return handle

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.time() + delay, callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(when, callback, args, self.itself, context)
        self._timers += 1
        heapq.heappush(self._later, (when, self._timers, handle))
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled ones are passed over when they are due."""

    def add_reader(self, fd: int, callback: Callable[..., object], *args: object) -> None:
        self._watch(fd, 0, asyncio.Handle(callback, args, self.itself))

    def add_writer(self, fd: int, callback: Callable[..., object], *args: object) -> None:
        self._watch(fd, 1, asyncio.Handle(callback, args, self.itself))

    def remove_reader(self, fd: int) -> bool:
        return self._unwatch(fd, 0)

    def remove_writer(self, fd: int) -> bool:
        return self._unwatch(fd, 1)

    def _watch(self, descriptor: int, side: int, handle: asyncio.Handle) -> None:
        slots = self._watched.get(descriptor)
        if slots is None:
            self._epoll.register(descriptor, (select.EPOLLIN, select.EPOLLOUT)[side])
            slots = self._watched[descriptor] = [None, None]
        elif slots[side] is None:
            self._epoll.modify(descriptor, select.EPOLLIN | select.EPOLLOUT)
        _cancel(slots[side])
        slots[side] = handle

    def _unwatch(self, descriptor: int, side: int) -> bool:
        slots = self._watched.get(descriptor)
        if slots is None or slots[side] is None:
            return False
        _cancel(slots[side])
        slots[side] = None
        if slots[1 - side] is None:
            del self._watched[descriptor]
            self._epoll.unregister(descriptor)
        else:
            self._epoll.modify(descriptor, (select.EPOLLOUT, select.EPOLLIN)[side])
        return True

    def run(self) -> None:
        """Turn until :meth:`stop`."""
        while not self._ended:
            self._turn()

    def stop(self) -> None:
        self._ended = True

    def close(self) -> None:
        self._epoll.close()

    def _turn(self) -> None:
        while self._later and self._later[0][2].cancelled():
            heapq.heappop(self._later)
        seconds = 0.0 if self._soon else self._later[0][0] - self.time() if self._later else _FOREVER
        for descriptor, events in self._epoll.poll(seconds):
            reader, writer = self._watched.get(descriptor, (None, None))
            if reader is not None and events & ~select.EPOLLOUT:
                self._soon.append(reader)
            if writer is not None and events & ~select.EPOLLIN:
                self._soon.append(writer)
        while self._later and self._later[0][0] <= self.time():
            self._soon.append(heapq.heappop(self._later)[2])
        due, self._soon = self._soon, []
        for handle in due:
            if not handle.cancelled():
                handle._run()


def _cancel(handle: asyncio.Handle | None) -> None:
    if handle is not None:
        handle.cancel()
