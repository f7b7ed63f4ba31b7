"""The relay itself: connections, fan-out and life cycle on one epoll loop (CONN, FWD, ORD, ISO, LIFE-1).

Facts:
- one thread reads a chunk, judges its frames and queues each for every receiver before it reads the next chunk:
  that alone gives per-sender order, one total order and causality;
- a client that joins is served after everything that was readable before, so it gets no frame of the past;
- a write that fails ends only the receiving of a client: what it still sent is read to the end;
- under backpressure nobody is read while a slow consumer is over its bound; it may exceed it by one read.
"""

import errno
import os
import select
import signal
import socket
import struct
import time
from contextlib import suppress

from torq_conformance.specimens.correct.audit import Audit
from torq_conformance.specimens.correct.counters import Counters
from torq_conformance.specimens.correct.doorway import Doorway
from torq_conformance.specimens.correct.framing import Framer, FramingError
from torq_conformance.specimens.correct.judging import Judge
from torq_conformance.specimens.correct.outbox import Outbox
from torq_conformance.specimens.correct.settings import Settings
from torq_conformance.specimens.correct.takeover import Takeover

READ_BYTES = 65_536
CATCH_UP_READS = 64  # of each connection: more than its socket can have held
GONE = select.EPOLLHUP | select.EPOLLERR


class Connection:
    """One client. `sending` and `receiving` tell which of its two directions are still open."""

    def __init__(self, sock: socket.socket, number: int, framer: Framer, outbox: Outbox) -> None:
        self.sock = sock
        self.number = number  # in order of joining, from 1
        self.framer = framer
        self.outbox = outbox
        self.sending = True
        self.receiving = True
        self.watched = 0


class Relay:
    """Serves until SIGTERM or SIGINT. A mutant replaces one of the parts or overrides a method."""

    doorway_part: type[Doorway] = Doorway
    framer_part: type[Framer] = Framer
    judge_part: type[Judge] = Judge
    outbox_part: type[Outbox] = Outbox
    counters_part: type[Counters] = Counters
    audit_part: type[Audit] = Audit
    takeover_part: type[Takeover] = Takeover

    def __init__(self, settings: Settings, doorway: Doorway) -> None:
        self.settings = settings
        self.doorway = doorway
        self.judge = self.judge_part(settings)
        self.connections: dict[int, Connection] = {}
        self.held: dict[Connection, float] = {}  # over its bound under backpressure, with its deadline
        self.unfinished: dict[Connection, float] = {}  # within a frame, with its deadline
        self.joined = 0
        self.spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        self.stopping = False
        self.poll = select.epoll()
        self.takeover = self.takeover_part(self)
        estate = self.takeover.collect() if settings.takeover else None
        self.listener = estate.listener if estate else doorway.open()
        self.poll.register(self.listener, select.EPOLLIN)
        self.counters = self.counters_part(settings.metrics, estate.metrics if estate else None)
        if self.counters.listener is not None:
            self.poll.register(self.counters.listener, select.EPOLLIN)
        self.audit = self.audit_part(settings.audit) if settings.audit else None
        self.wakeup, wakeup = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.poll.register(self.wakeup, select.EPOLLIN)
        signal.set_wakeup_fd(wakeup)
        for number in (signal.SIGTERM, signal.SIGINT):
            self.handle(number)
        self.prepare()
        if estate:
            self.takeover.restore(estate)
            self.takeover.claim(estate)
        self.takeover.hear()
        if estate:
            self.watch_all()
            self.takeover.active()

    def handle(self, number: signal.Signals) -> None:
        """React to a signal, even where whoever started the relay had it blocked or ignored (LIFE-5)."""
        signal.signal(number, self.on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [number])

    def prepare(self) -> None:
        """Make what a mutant keeps besides; the correct relay keeps nothing more."""

    # Life cycle

    def serve(self) -> int:
        """Run until told to stop, drain, and return the exit code."""
        while not self.stopping:
            self.turn()
        self.drain()
        return self.exit_code()

    def on_signal(self, number: int, _: object) -> None:
        """The first signal drains, the second ends at once."""
        if self.stopping:
            os._exit(1)
        self.stopping = True

    def turn(self) -> None:
        """Wait for events and serve them; a client that joins comes after all that was sent before (FWD-5)."""
        if self.react_to(self.poll.poll(self.seconds_to_wait())):
            self.catch_up()
            self.accept()
        self.tick()

    def react_to(self, events: list[tuple[int, int]]) -> bool:
        """Serve what happened on the connections; True when a client waits to be accepted."""
        joining = False
        for descriptor, event in events:
            if descriptor == self.listener.fileno():
                joining = True
            elif descriptor == self.wakeup:
                os.read(self.wakeup, 512)
            elif connection := self.connections.get(descriptor):
                self.react(connection, event)
            elif self.takeover.door is not None and descriptor == self.takeover.door.fileno():
                self.takeover.answer()
            elif self.counters.listener is not None and descriptor == self.counters.listener.fileno():
                self.counters.answer(each.outbox for each in self.connections.values())
        return joining

    def catch_up(self) -> None:
        """Read what has been sent until now, and no more than that."""
        for _ in range(CATCH_UP_READS):
            readable = [
                (descriptor, event & ~select.EPOLLOUT)
                for descriptor, event in self.poll.poll(0)
                if descriptor in self.connections and event & ~select.EPOLLOUT
            ]
            if not readable:
                break
            self.react_to(readable)

    def seconds_to_wait(self) -> float | None:
        """Time to the next deadline, None when there is none."""
        deadlines = (*self.held.values(), *self.unfinished.values())
        return max(0.0, min(deadlines) - time.monotonic()) if deadlines else None

    def tick(self) -> None:
        """Once a turn: disconnect slow consumers whose stall, and senders whose frame, lasted too long (FRAME-5)."""
        for connection, deadline in (*self.held.items(), *self.unfinished.items()):
            if deadline <= time.monotonic():
                self.close(connection)

    def drain(self) -> None:
        """Stop accepting, read what was sent, deliver it within the drain timeout, close (LIFE-1)."""
        self.listener.close()
        self.takeover.close()
        self.doorway.remove()
        self.catch_up()
        for connection in list(self.connections.values()):
            connection.sending = False
            self.watch(connection)
        self.deliver_rest(time.monotonic() + self.settings.drain_timeout_s)
        for connection in list(self.connections.values()):
            self.close(connection)
        if self.audit is not None:
            self.audit.seal()

    def deliver_rest(self, deadline: float) -> None:
        """Write until every outbox is empty or the deadline has come."""
        while any(connection.outbox.frames for connection in self.connections.values()):
            left = deadline - time.monotonic()
            if left <= 0:
                break
            for descriptor, event in self.poll.poll(left):
                if descriptor == self.wakeup:
                    os.read(self.wakeup, 512)
                elif descriptor not in self.connections:
                    self.poll.unregister(descriptor)  # the counters are shown no more
                elif event & GONE:
                    self.close(self.connections[descriptor])
                else:
                    self.write(self.connections[descriptor])

    def exit_code(self) -> int:
        """0 after a drain."""
        return 0

    # Connections

    def accept(self) -> None:
        """Take the next client, or refuse it at the limit (CONN-5), or where no descriptor is left (CONN-10)."""
        try:
            sock, _ = self.listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self.refuse_without_descriptor()
            return
        if len(self.connections) >= self.settings.max_connections or not self.may_connect(sock):
            self.refuse(sock)
            return
        sock.setblocking(False)
        self.joined += 1
        connection = self.admit(sock, self.joined)
        self.watch(connection)
        self.opened(connection)

    def admit(self, sock: socket.socket, number: int) -> Connection:
        """A connection of this number, of which nothing is read or written yet."""
        framer, outbox = self.framer_part(self.settings), self.outbox_part(sock, self.settings)
        connection = Connection(sock, number, framer, outbox)
        self.connections[sock.fileno()] = connection
        self.poll.register(sock, 0)
        return connection

    def may_connect(self, sock: socket.socket) -> bool:
        """Whether the user or the group of a peer is on a list, where there is one (SEC-2)."""
        users, groups = self.settings.allow_uids, self.settings.allow_gids
        if not users and not groups:
            return True
        _, uid, gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return str(uid) in users.split(",") or str(gid) in groups.split(",")

    def refuse_without_descriptor(self) -> None:
        """Lend the spare descriptor to a client and close it: else the client would wake the relay for ever."""
        os.close(self.spare)
        with suppress(OSError):
            self.listener.accept()[0].close()
        self.spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def refuse(self, sock: socket.socket) -> None:
        """One connection too many."""
        sock.close()

    def opened(self, connection: Connection) -> None:
        """A connection has joined."""

    def react(self, connection: Connection, event: int) -> None:
        """A socket can be written, read, or has gone."""
        if event & select.EPOLLOUT:
            self.write(connection)
        if event & (select.EPOLLIN | GONE):
            self.read(connection, event)

    def read(self, connection: Connection, event: int) -> None:
        """Read one chunk and forward its frames."""
        try:
            data = connection.sock.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self.was_reset(connection)
            data, event = b"", GONE
        if data:
            self.received(connection, data)
        else:
            self.sending_ended(connection, bool(event & GONE))
        self.write_all()

    def was_reset(self, connection: Connection) -> None:
        """A client leaves by a reset, which ends both directions at once."""

    def sending_ended(self, connection: Connection, gone: bool) -> None:
        """A client sends no more: it may go on receiving (CONN-7) unless it is gone."""
        connection.sending = False
        self.unfinished.pop(connection, None)
        if gone or not connection.receiving:
            self.close(connection)
        else:
            self.watch(connection)

    def close(self, connection: Connection) -> None:
        """End a connection and give back all that was held for it (CONN-8)."""
        if self.connections.pop(connection.sock.fileno(), None) is None:
            return
        self.release(connection)
        self.unfinished.pop(connection, None)
        self.counters.close(connection.outbox)
        self.closed(connection)
        connection.sock.close()

    def closed(self, connection: Connection) -> None:
        """A connection has been taken out; its socket closes next."""

    def watch(self, connection: Connection) -> None:
        """Tell epoll what the connection waits for; hang-ups are always told."""
        reading = connection.sending and not self.held
        wanted = reading * select.EPOLLIN | bool(connection.outbox.frames) * select.EPOLLOUT
        if wanted != connection.watched:
            self.poll.modify(connection.sock, wanted)
            connection.watched = wanted

    # Forwarding

    def received(self, connection: Connection, data: bytes) -> None:
        """Cut a chunk into frames and forward those that are not refused (FWD-1, DOM, VAL)."""
        finished = False
        try:
            for frame in connection.framer.feed(data):
                finished = True
                reason = self.judge.refusal(frame)
                self.counters.received += 1
                if self.audit is not None:
                    self.audit.record(connection.number, frame, reason)
                if reason is None:
                    self.forward(connection, frame)
                else:
                    self.refused(connection, frame, reason)
        except FramingError:
            self.framing_error(connection)
        if self.settings.partial_frame_timeout_s and connection.sock.fileno() in self.connections:
            self.time_frame(connection, finished)

    def time_frame(self, connection: Connection, finished: bool) -> None:
        """Time the frame that a connection is within, from its first byte; a read may have `finished` others."""
        if not connection.framer.buffer:
            self.unfinished.pop(connection, None)
        elif finished or connection not in self.unfinished:
            self.unfinished[connection] = time.monotonic() + self.settings.partial_frame_timeout_s

    def refused(self, connection: Connection, frame: bytes, reason: str) -> None:
        """A frame reaches nobody; its connection stays."""
        self.counters.refuse(reason)

    def framing_error(self, connection: Connection) -> None:
        """The bytes of a connection stopped making sense (VAL-5): it still gets what its socket takes at once."""
        self.write(connection)
        self.close(connection)

    def forward(self, sender: Connection, frame: bytes) -> None:
        """Queue a frame for every receiver."""
        receivers = self.receivers(sender)
        for receiver in receivers:
            self.deliver(receiver, frame)
        if sum(receiver.outbox.bytes for receiver in receivers) > self.settings.total_queue_bytes:
            self.shed(receivers)

    def shed(self, receivers: list[Connection]) -> None:
        """All together hold too much: who holds most loses its oldest frames, or is disconnected (ISO-2, ISO-3)."""
        while self.held_together() > self.settings.total_queue_bytes:
            slowest = max(receivers, key=lambda receiver: receiver.outbox.bytes)
            if self.settings.overflow != "drop_oldest" and slowest.outbox.reader_seen:
                receivers.remove(slowest)
                self.close(slowest)
            elif not slowest.outbox.drop_first():
                return

    def held_together(self) -> int:
        """Bytes that wait for anybody; a frame that waits for several counts once."""
        frames = {id(frame): len(frame) for each in self.connections.values() for frame in each.outbox.frames}
        return sum(frames.values())

    def receivers(self, sender: Connection) -> list[Connection]:
        """Everyone joined, the sender if and only if echo is on (FWD-4)."""
        return [
            connection
            for connection in self.connections.values()
            if connection.receiving and (connection is not sender or self.settings.echo)
        ]

    def deliver(self, receiver: Connection, frame: bytes) -> None:
        """Queue a frame for one receiver; past the bound its overflow policy happens (ISO-3, ISO-7)."""
        if not receiver.outbox.has_room(frame):
            self.write(receiver)
        if not receiver.receiving:
            self.counters.drop("closed", 1)
            return
        if not receiver.outbox.has_room(frame):
            policy = self.settings.overflow if receiver.outbox.reader_seen else "drop_oldest"
            if policy == "disconnect":
                self.close(receiver)
                self.counters.drop("closed", 1)
                return
            if policy == "backpressure":
                self.hold(receiver)
            else:
                receiver.outbox.drop_oldest(frame)
        receiver.outbox.put(frame)

    def write_all(self) -> None:
        """Write to every connection that has something and is not known to be full."""
        for connection in list(self.connections.values()):
            if connection.outbox.frames and not connection.outbox.blocked:
                self.write(connection)

    def write(self, connection: Connection) -> None:
        """Write what the socket takes; a peer that is gone receives no more."""
        try:
            connection.outbox.write()
        except OSError:
            connection.receiving = False
            self.counters.drop("closed", len(connection.outbox.frames))
            connection.outbox.frames.clear()
            if not connection.sending:
                self.close(connection)
                return
        if connection in self.held and connection.outbox.has_room(b""):
            self.release(connection)
        self.watch(connection)

    # Backpressure

    def hold(self, slow: Connection) -> None:
        """Read nobody until this consumer has caught up or its stall has lasted too long."""
        if slow not in self.held:
            self.held[slow] = time.monotonic() + self.settings.stall_s
            self.watch_all()

    def release(self, slow: Connection) -> None:
        """A held consumer caught up or is gone."""
        if self.held.pop(slow, None) is not None:
            self.watch_all()

    def watch_all(self) -> None:
        """Reading begins or ends for everyone."""
        for connection in self.connections.values():
            self.watch(connection)
