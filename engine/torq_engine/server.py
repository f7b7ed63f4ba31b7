"""The server: a thin shell that moves bytes between raw non-blocking sockets and the hub, on the running loop.

Facts:
- the server registers one reader callback per connection; a turn makes four reads of at most ``read_bytes`` (fairness);
- while a receiver that kept up until now lags, the server puts reading off: at most 2 ms at a time, and at most half
  of the time unless the receiver's queue is nearly full; it does not wait for one that takes nothing meanwhile (ISO-1);
- no transports: unsent bytes stay in the hub, which counts them, drops whole frames only and can hand them over;
- a half-closed client stays readable for ever, so the server removes its reader (CONN-7). A client that left with
  unread bytes of ours raises an error condition: then uvloop reports its socket once more and watches it no more,
  though bytes of the client may still be to be read. So after each read the server asks whether the client has left;
- whom the loop does not watch, a second epoll does: it reports hang-ups and errors and nothing else. At its events the
  server reads what the client had sent to the end (CONN-6, CONN-8). To watch all sockets with both cost some 5 %
  of the throughput of small writes;
- a turn does a bounded part of what the hub has left, and the next turn goes on with it: however many connections end
  at once, or wait for room, others are served in between;
- without descriptors, accepting pauses and tries again instead of spinning.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from pathlib import Path

from torq_protocol.header import MessageHeader
from torq_protocol.policy import FramePolicy
from torq_protocol.scanner import FrameScanner

from .accounting import CloseReason
from .connection import Connection
from .endpoint import Endpoint
from .handover.state import ClientState, ServerState, StateError, WaitingData
from .hub import Hub
from .observer import Observer
from .port import Peer, Port, production_port
from .settings import ListenSettings, ServerSettings

_ACCEPTS_PER_TURN = 64
_ACCEPT_PAUSE = 0.1
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.ENOSPC)
_LEAST_RESERVE, _MOST_RESERVE = 24, 64
_MOST_CONNECTIONS = 10_000_000
_FINAL_READS = 64
_WRITERS_PER_TURN = 256
_CLOSES_PER_TURN = 32
_HANGUPS_PER_TURN = 64
_RESUMES_PER_TURN = 128
_UNREAD_DRAIN = 1.0
_SWEEP = 10.0
_SHORTEST_SWEEP = 0.005
_CATCH_UP = 0.002


class _Watch(Enum):
    """Who reports what happens to a client's socket: one at most."""

    NOBODY = 0
    LOOP = 1
    HANGUPS = 2


_WATCHES = frozenset(each.value for each in _Watch)


@dataclass(slots=True)
class _Client:
    """A connection's descriptor, and who watches it."""

    connection: Connection
    descriptor: int
    peer: Peer
    watch: _Watch = _Watch.HANGUPS
    hung_up: bool = False


class Server:
    """Serves endpoints from :meth:`start` to :meth:`stop`. Create and use it on one running loop."""

    def __init__(
        self,
        policy: FramePolicy,
        settings: ServerSettings,
        listen: ListenSettings,
        observer: Observer,
        should_forward: Callable[[MessageHeader], bool] | None = None,
        port: Port | None = None,
    ) -> None:
        self.observer = observer
        self._port = port or production_port()
        self._clock = self._port.clock
        self._has_left = self._port.has_left
        self.hub = Hub(self._port, FrameScanner(policy), settings, should_forward)
        self.turn_timer: Callable[[float], None] | None = None
        """Called with the seconds that each read took from its arrival to its fan-out, when set."""
        self._loop = asyncio.get_running_loop()
        self._endpoints: list[Endpoint] = []
        self._clients: dict[int, _Client] = {}
        self._paused: dict[int, _Client] = {}
        self._reads_until = 0.0
        self._polls_until = 0.0
        self._polling = False
        self._holds_up = False
        self._goes_on = False
        self._hangups = self._port.hangups()
        self._loop.add_reader(self._hangups.fileno(), self._hung_up)
        self._by_descriptor: dict[int, _Client] = {}
        self._watches: list[tuple[_Client, _Watch]] = []
        self._lost: set[Path] = set()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._drained = asyncio.Event()
        self.accepting = False
        self._draining = self._holding = self._kept = False
        self._held: dict[int, _Watch] = {}
        self._stopped = False
        self.configure(settings, listen)

    def configure(self, settings: ServerSettings, listen: ListenSettings) -> None:
        """Take new settings while serving; allow lists and ``send_buffer_bytes`` hold for new connections only."""
        self.settings = settings
        self.listen = listen
        self.hub.configure(settings)
        self._busy_poll = settings.busy_poll
        self.max_connections = min(settings.max_connections or _MOST_CONNECTIONS, _enough_descriptors())
        if "partial" in self._timers:
            self._timers.pop("partial").cancel()
            self._every_partial_sweep()
        if self._paused:
            self._resume_paused()

    def start(self, endpoints: list[Endpoint]) -> None:
        """Accept and serve connections from now on."""
        self._endpoints = endpoints
        self._resume_accepting()
        self.observer.listening([endpoint.path for endpoint in endpoints])
        self._every_partial_sweep()
        self._every_path_check()

    async def drain(self) -> None:
        """Stop accepting, deliver what was received within ``drain_timeout`` seconds, and stop (LIFE-1)."""
        if self._holding:
            self._hold_no_longer()
        self._accept_last()
        self.stop_accepting()
        self.observer.draining()
        self._reads_until = float("inf")  # nobody is waited for any more before what was sent is read
        if "catch up" in self._timers:
            self._end_catching_up()
        self._draining = True
        for client in list(self._clients.values()):
            self._read_last(client)
        self._settle()
        await self._until_delivered()
        self.stop()

    async def hold(self) -> None:
        """Read nobody any more, and deliver what waits, as far as receivers take it within ``drain_timeout``.

        What comes next is an export for who goes on, and :meth:`keep_clients`; or :meth:`drain` after all.
        """
        if self.accepting:
            self._accept_last()
            self._pause_accepting()
        if resume := self._timers.pop("accept", None):
            resume.cancel()
        if sweep := self._timers.pop("partial", None):
            sweep.cancel()  # what is not read cannot become whole
        self._holding = True
        self._held = {number: client.watch for number, client in self._clients.items()}
        for client in self._clients.values():
            self._watch(client, _Watch.NOBODY)
        await self._until_delivered()

    def _hold_no_longer(self) -> None:
        self._holding = False
        for number, watch in self._held.items():
            if number in self._clients:
                self._watch(self._clients[number], watch)
        self._held.clear()
        self._resume_accepting()

    def keep_clients(self) -> None:
        """Let go of all clients, as another process will serve them: nothing is written to them or shut down."""
        self._kept = True
        self._let_go_of_clients()

    async def _until_delivered(self) -> None:
        limits = (self.settings.drain_timeout, min(_UNREAD_DRAIN, self.settings.drain_timeout))
        started = self._loop.time()
        while self._waiting(self._loop.time() - started, limits):
            self._drained.clear()
            left = [limit - (self._loop.time() - started) for limit in limits]
            try:
                async with asyncio.timeout(min([seconds for seconds in left if seconds > 0], default=0)):
                    await self._drained.wait()
            except TimeoutError:
                continue

    def stop(self) -> None:
        """Close every connection and give the endpoints back, at once. Doing it twice does nothing."""
        if self._stopped:
            return
        self._stopped = True
        self.stop_accepting()
        undelivered = 0 if self._kept else self.hub.totals().queued_frames
        for timer in self._timers.values():
            timer.cancel()
        for client in list(self._clients.values()):
            self.hub.disconnect(client.connection, CloseReason.SHUTDOWN)
        while self.hub.closing:
            self._settle()
        self._loop.remove_reader(self._hangups.fileno())
        self._hangups.close()
        for endpoint in self._endpoints:
            endpoint.release()
        self.observer.stopped(undelivered)

    def stop_accepting(self) -> None:
        """Close the listeners and remove their paths."""
        if self.accepting:
            self._pause_accepting()
        if resume := self._timers.pop("accept", None):
            resume.cancel()
        if check := self._timers.pop("path", None):
            check.cancel()
        for endpoint in self._endpoints:
            endpoint.stop_listening()

    def export(self) -> tuple[ServerState, list[memoryview], list[int]]:
        """All that it knows, the bytes that wait, and the descriptors of its clients (LIFE-3).

        What has ended is closed first. Nothing else changes: the server goes on, should nobody take over (LIFE-4).
        """
        while self.hub.closing:
            self._settle()
        state, data = self.hub.export()
        clients = [
            ClientState(
                client.peer.pid,
                client.peer.uid,
                client.peer.gid,
                client.peer.program,
                self._port.inode(client.descriptor),
                self._held.get(number, client.watch).value,
                client.hung_up,
            )
            for number, client in self._clients.items()
        ]
        lost = [os.fsencode(path) for path in self._lost]
        return (
            ServerState(hub=state, clients=clients, paused=list(self._paused), lost_paths=lost),
            data,
            [client.descriptor for client in self._clients.values()],
        )

    def restore(self, state: ServerState, descriptors: list[int], data: WaitingData) -> None:
        """Know what another process's server knew; call it before :meth:`resume`, which begins to serve.

        Touches no client: they are still the other's. Raises :class:`~torq_engine.handover.state.StateError`.
        """
        if len(state.clients) != len(state.hub.connections):
            raise StateError(f"{len(state.clients)} clients for {len(state.hub.connections)} connections")
        self.hub.restore(state.hub, descriptors, data)
        self._lost = {Path(os.fsdecode(path)) for path in state.lost_paths}
        for row, connection in zip(state.clients, self.hub.connections.values(), strict=True):
            peer = Peer(row.pid, row.uid, row.gid, row.program)
            client = _Client(connection, connection.descriptor, peer, _Watch.NOBODY, row.hung_up)
            self._clients[connection.id] = client
            self._by_descriptor[client.descriptor] = client
            if row.watch not in _WATCHES:
                raise StateError(f"nobody known watches connection {connection.id}: {row.watch}")
            self._watches.append((client, _Watch(row.watch)))
        for number in state.paused:
            if number not in self._clients:
                raise StateError(f"there is no connection {number}")
            self._paused[number] = self._clients[number]

    def resume(self, endpoints: list[Endpoint], away: float = 0.0) -> None:
        """Go on where the other server stood: watch its clients, accept, and time what it timed.

        ``away``: seconds in which nobody served. No client is late for them.
        """
        self._endpoints = endpoints
        if away:
            for client in self._clients.values():
                client.connection.partial_since += away
                client.connection.stalled_since += away
        watches, self._watches = self._watches, []
        for client, watch in watches:
            self._watch(client, watch)
        self._resume_accepting()
        stalled = self.hub.stalled.values()
        if stalled:
            since = min(connection.stalled_since for connection in stalled)
            left = max(0.0, since + self.settings.stall_timeout - self._clock())
            self._timers["stall"] = self._loop.call_later(left, self._end_stalls)
        self._every_partial_sweep()
        self._every_path_check()

    def leave(self) -> None:
        """Let go of everything, as another process serves it: nothing is written, shut down or removed.

        A descriptor leaves the loop before it is closed: what it names stays open elsewhere, and would be reported on.
        """
        if self._stopped:
            return
        self._stopped = True
        if self.accepting:
            self._pause_accepting()
        for timer in self._timers.values():
            timer.cancel()
        self._let_go_of_clients()
        self._loop.remove_reader(self._hangups.fileno())
        self._hangups.close()
        for endpoint in self._endpoints:
            endpoint.leave()
            endpoint.stop_listening()

    def _let_go_of_clients(self) -> None:
        for client in self._clients.values():
            self._loop.remove_reader(client.descriptor)
            self._loop.remove_writer(client.descriptor)
            self._port.close(client.descriptor)
        self._clients.clear()
        self._by_descriptor.clear()
        self._paused.clear()

    def close(self, number: int, reason: CloseReason = CloseReason.OPERATOR) -> bool:
        """End a connection by its number; False when no connection has it."""
        client = self._clients.get(number)
        if client is None:
            return False
        self.hub.disconnect(client.connection, reason)
        self._settle()
        return True

    def connections(self) -> list[tuple[Connection, Peer]]:
        """Every connection with its peer, in join order."""
        return [(client.connection, client.peer) for client in self._clients.values()]

    # Accepting

    def _resume_accepting(self) -> None:
        self._timers.pop("accept", None)
        self.accepting = True
        for endpoint in self._endpoints:
            self._loop.add_reader(endpoint.listener.fileno(), self._acceptable, endpoint)

    def _pause_accepting(self) -> None:
        self.accepting = False
        for endpoint in self._endpoints:
            self._loop.remove_reader(endpoint.listener.fileno())

    def _acceptable(self, endpoint: Endpoint) -> None:
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                self._admit(*self._port.accept(endpoint.listener, self.settings.send_buffer_bytes))
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    continue
                self.observer.accept_paused(error)
                self._pause_accepting()
                self._timers["accept"] = self._loop.call_later(_ACCEPT_PAUSE, self._resume_accepting)
                return

    def _accept_last(self) -> None:
        """Admit the clients that have connected by now; the listen backlog bounds their number."""
        for endpoint in self._endpoints:
            for _ in range(self.listen.backlog // _ACCEPTS_PER_TURN + 1):
                if self.accepting:
                    self._acceptable(endpoint)

    def _admit(self, descriptor: int, peer: Peer) -> None:
        if not self.listen.admits(peer.uid, peer.gid):
            self._refuse(descriptor, CloseReason.NOT_ALLOWED, peer)
            return
        if len(self._clients) >= self.max_connections:
            self._refuse(descriptor, CloseReason.MAX_CONNECTIONS, peer)
            return
        try:
            self._hangups.register(descriptor, 0)  # so that there is room for a watch
        except OSError:
            self._port.close(descriptor)
            raise
        connection = self.hub.join(descriptor)
        client = _Client(connection, descriptor, peer)
        self._clients[connection.id] = client
        self._by_descriptor[client.descriptor] = client
        self._start_reading(client)
        self.observer.admitted(connection, peer)

    def _refuse(self, descriptor: int, reason: CloseReason, peer: Peer) -> None:
        self._port.close(descriptor)
        self.hub.refuse(reason)
        self.observer.refused(reason, peer)

    # Moving bytes

    def _start_reading(self, client: _Client) -> None:
        self._watch(client, _Watch.HANGUPS if client.hung_up else _Watch.LOOP)

    def _stop_reading(self, client: _Client) -> None:
        self._watch(client, _Watch.NOBODY if client.hung_up else _Watch.HANGUPS)

    def _watch(self, client: _Client, watch: _Watch) -> None:
        """Hand a client's socket over to who watches it from now on."""
        if client.watch is watch:
            return
        if client.watch is _Watch.LOOP:
            self._loop.remove_reader(client.descriptor)
        elif client.watch is _Watch.HANGUPS:
            self._hangups.unregister(client.descriptor)
        client.watch = watch
        if watch is _Watch.LOOP:
            self._loop.add_reader(client.descriptor, self._readable, client)
        elif watch is _Watch.HANGUPS:
            self._hangups.register(client.descriptor, 0)

    def _readable(self, client: _Client, *, settles: bool = True) -> None:
        """Read a client once: one read, one scan, one fan-out.

        A turn that reads several settles what that leads to itself, once.
        """
        hub = self.hub
        if hub.closing and client.connection.close_reason is not None:
            return
        if self._holds_up and self._is_held_up(client):
            return
        try:
            if self.turn_timer is None:
                more = hub.read(client.connection)
            else:
                arrived = self._clock()
                more = hub.read(client.connection)
                self.turn_timer(self._clock() - arrived)
            if not more:
                self._input_ended(client)
            elif client.watch is _Watch.LOOP and self._has_left(client.descriptor):
                self._stop_reading(client)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            hub.disconnect(client.connection, CloseReason.PEER_LEFT)
        except Exception:
            self.observer.failed(client.connection)
            hub.disconnect(client.connection, CloseReason.INTERNAL)
        if hub.unsettled:
            if settles:
                self._settle()
            else:
                self._holds_up = bool(hub.stalled or hub.lagging)
        if self._busy_poll:
            self._polls_until = self._clock() + self._busy_poll
            if not self._polling:
                self._polling = True
                self._loop.call_soon(self._poll)

    def _poll(self) -> None:
        """Keep the loop from sleeping for a while, and let others have the core that want it."""
        self._polling = self._clock() < self._polls_until
        if self._polling:
            os.sched_yield()
            self._loop.call_soon(self._poll)

    def _is_held_up(self, client: _Client) -> bool:
        """Whether a client is not read now, for the sake of receivers; it is read when they have caught up."""
        hub = self.hub
        if not (hub.stalled and not self._may_read(client)) and not (hub.lagging and self._is_put_off()):
            return False
        self._stop_reading(client)
        self._paused[client.connection.id] = client
        return True

    def _is_put_off(self) -> bool:
        """Whether nobody is read now, for a receiver that kept up until now catches up."""
        if "catch up" in self._timers:
            return True
        if self._clock() < self._reads_until:
            return False
        self.hub.begin_waiting()
        self._timers["catch up"] = self._loop.call_later(_CATCH_UP, self._end_catching_up)
        return True

    def _end_catching_up(self) -> None:
        self._timers.pop("catch up").cancel()
        self._reads_until = max(self._reads_until, self._clock() + _CATCH_UP * (1.0 - self.hub.end_waiting()))
        self._resume_paused()

    def _writable(self, client: _Client) -> None:
        try:
            if self.hub.drain(client.connection):
                self._loop.remove_writer(client.descriptor)
                self._drained.set()
        except Exception:
            self.observer.failed(client.connection)
            self.hub.disconnect(client.connection, CloseReason.INTERNAL)
        if self.hub.unsettled or self._holds_up:
            self._settle()
        if "catch up" in self._timers and not self.hub.lagging:
            self._end_catching_up()
        elif self._paused:
            self._resume_paused()

    def _may_read(self, client: _Client) -> bool:
        """Under backpressure the server reads only a client that alone stalls the others: a write may block it."""
        stalled = self.hub.stalled
        return len(stalled) == 1 and client.connection.id in stalled

    def _resume_paused(self) -> None:
        """Read on whom nothing holds up any more, some in a turn, in the order in which they were held up."""
        if self.hub.stalled or "catch up" in self._timers or self._holding:
            return
        for number in list(islice(self._paused, _RESUMES_PER_TURN)):
            client = self._paused.pop(number)
            if self._draining:
                self._read_last(client)
            elif client.connection.input_open:
                self._start_reading(client)
        if not self._paused:
            self._drained.set()
        if self._paused or self.hub.unsettled:
            self._go_on_soon()

    def _go_on_soon(self) -> None:
        if not self._goes_on:
            self._goes_on = True
            self._loop.call_soon(self._settle_on)

    def _settle(self) -> None:
        """Do a part of what the hub has left: register writers, tell who loses, close who ended, time stalls."""
        hub = self.hub
        hub.unsettled = False
        self._holds_up = bool(hub.stalled or hub.lagging)
        for _ in range(min(len(hub.backlogged), _WRITERS_PER_TURN)):
            connection = hub.backlogged.pop()
            if connection.output_open:
                client = self._clients[connection.id]
                self._loop.add_writer(client.descriptor, self._writable, client)
        for _ in range(min(len(hub.losing), _WRITERS_PER_TURN)):
            connection = hub.losing.pop()
            if connection.close_reason is None:
                self.observer.losing(connection, self._clients[connection.id].peer)
        for _ in range(min(len(hub.closing), _CLOSES_PER_TURN)):
            self._forget(self._clients.pop(hub.closing.pop().id))
        if hub.backlogged or hub.losing or hub.closing or hub.overfull:
            self._go_on_soon()
        if hub.stalled and "stall" not in self._timers:
            self._timers["stall"] = self._loop.call_later(self.settings.stall_timeout, self._end_stalls)
        if self._paused:
            self._resume_paused()

    def _settle_on(self) -> None:
        """Go on with what the turns before have left."""
        if self._stopped:
            return
        self._goes_on = False
        if self.hub.overfull:
            self.hub.shed()
        self._settle()

    def _forget(self, client: _Client) -> None:
        self._loop.remove_reader(client.descriptor)
        self._loop.remove_writer(client.descriptor)
        del self._by_descriptor[client.descriptor]
        if client.watch is _Watch.HANGUPS:
            self._hangups.unregister(client.descriptor)
        self._port.close(client.descriptor)
        self._drained.set()
        self.observer.closed(client.connection, client.peer)

    # The client's end of input

    def _input_ended(self, client: _Client) -> None:
        if not client.hung_up:
            self._stop_reading(client)
        self.hub.end_input(client.connection)

    def _hung_up(self) -> None:
        """Read clients that hung up, some in a turn, until the hub has forwarded all that they had sent."""
        for descriptor, _ in self._hangups.poll(0, _HANGUPS_PER_TURN):  # epoll tells of the others next time
            client = self._by_descriptor.get(descriptor)
            if client is None:
                continue
            if not client.hung_up:
                self._loop.remove_writer(descriptor)
                client.hung_up = True
                self.hub.end_output(client.connection)
            if client.connection.id in self._paused:
                self._stop_reading(client)
            elif client.connection.input_open:
                self._readable(client, settles=False)
        self._settle()

    # Time

    def _every_partial_sweep(self) -> None:
        timeout = self.settings.partial_frame_timeout or float("inf")
        for connection in self.hub.partial_since_before(self._clock() - timeout):
            self.hub.disconnect(connection, CloseReason.PARTIAL_FRAME_TIMEOUT)
        self._settle()
        self._timers["partial"] = self._loop.call_later(
            max(min(timeout / 4, _SWEEP), _SHORTEST_SWEEP), self._every_partial_sweep
        )

    def _every_path_check(self) -> None:
        for endpoint in self._endpoints:
            if endpoint.path not in self._lost and not endpoint.owns_path():
                self._lost.add(endpoint.path)
                self.observer.path_lost(endpoint.path)
        self._timers["path"] = self._loop.call_later(self.settings.path_check_interval, self._every_path_check)

    def _end_stalls(self) -> None:
        del self._timers["stall"]
        for connection in self.hub.stalled_since_before(self._clock() - self.settings.stall_timeout):
            self.hub.disconnect(connection, CloseReason.SLOW_CONSUMER)
        self._settle()

    # Draining

    def _read_last(self, client: _Client) -> None:
        """Read what a client has sent by now, its share at most; one that is held up is read when the stall is over."""
        for _ in range(_FINAL_READS):
            if not client.connection.input_open or not self._reads_on(client):
                break
        if client.watch is _Watch.LOOP:
            self._stop_reading(client)

    def _reads_on(self, client: _Client) -> bool:
        before = client.connection.received_bytes
        self._readable(client, settles=False)
        return client.connection.received_bytes > before

    def _waiting(self, elapsed: float, limits: tuple[float, float]) -> bool:
        """Whether to wait for what is held up, or for a queue; a connection never seen to read gets less time."""
        if self._paused and not self._holding and elapsed < limits[0]:
            return True
        for client in self._clients.values():
            if client.connection.backlog.frames and elapsed < limits[0 if client.connection.reading else 1]:
                return True
        return False


def _enough_descriptors() -> int:
    """For how many connections the process's descriptors are enough, some kept for operators and files."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    reserve = max(_LEAST_RESERVE, min(_MOST_RESERVE, soft // 4))
    return max(1, soft - reserve) if soft >= 0 else _MOST_CONNECTIONS
