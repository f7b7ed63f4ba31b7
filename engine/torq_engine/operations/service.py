"""A relay in operation: one life of a server with its log, its audit log and its supervisor.

Facts:
- a reload is validated whole before anything changes: a bad file, or a key that cannot change, leaves all as it was;
- ready while it accepts and can record; a draining relay is alive, not ready;
- the first signal to end drains (LIFE-1), the second ends at once.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import msgspec

from torq_protocol.build_info import build_info

from ..accounting import CloseReason
from ..errors import RelayError
from ..handover.state import DescriptorState, LifeState, LogState, RelayState, ServerState, StateError
from ..observer import Observer, ObserverGroup
from ..server import Server
from .audit import AuditLog
from .audit_observer import AuditObserver
from .configuration import ConfigError, LogLevel, RelayConfig
from .latencies import Latencies
from .loading import Source, reloaded
from .log_observer import LogObserver
from .logs import LEVELS, open_log
from .refused_clients import RefusalsByClient
from .resolving import audit_directory, frame_policy, listen_settings
from .signals import HEARD, unblock_signals
from .slow_consumers import SlowConsumers
from .sockets import RelaySockets
from .status import (
    ConnectionPage,
    ConnectionStatus,
    Status,
    closes,
    connection_status,
    counted,
    drops,
    in_order,
    refusals,
)
from .systemd import DESCRIPTOR_STORE, Notifier
from .takeovers import Takeovers

if TYPE_CHECKING:
    from ..handover.successor import Taken

_STATUSES_PER_TURN = 128


class Service:
    """Runs a relay until a signal or an operator ends it; signals and the control socket call its methods.

    ``key`` keys the audit log's chain and may be empty. ``held`` is where the caller keeps all that must be given back:
    the service adds its log and its audit log, and gives everything back itself where a second signal ends it at once.
    Raises :class:`~torq_engine.errors.RelayError` when a log cannot be opened.

    ``taken`` is what another process holds and this one is about to own (LIFE-3): the service goes on there with
    :meth:`resume`, or :meth:`leave` lets go of it. Where it is what systemd kept, it goes on with :meth:`go_on`.
    """

    def __init__(
        self,
        source: Source,
        config: RelayConfig,
        key: bytes,
        sockets: RelaySockets,
        held: ExitStack,
        taken: Taken | None = None,
    ) -> None:
        self.source = source
        self.config = config
        self.key = key
        self.log = open_log(source.logic.name, config)
        held.callback(self.log.stream.close)
        self.audit = self._open_audit(key, taken)
        is_taken_whole = taken is not None and not taken.connections_only
        if self.audit is not None:
            held.callback(self.audit.leave if is_taken_whole else self.audit.close)
            self.audit.tell = self._tell_of_audit
            self.log.info("recording every frame", audit=str(self.audit.directory))
            if self.audit.failure:
                self._tell_of_audit("the audit log cannot be written: nothing is forwarded", self.audit.failure)
        self.reloads = 0
        self.draining = False
        self.ended = asyncio.Event()
        """Set when everything is delivered and closed."""
        self.notifier = Notifier(source.environment)
        self.sockets = sockets
        self._held = held
        self._started = time.monotonic()
        self.start_time = time.time()
        """Seconds since 1970."""
        self._cpu_before = 0.0
        self.takeovers = self.failed_takeovers = 0
        self.frozen = 0.0
        """How long the last takeover kept clients waiting, in seconds."""
        self.latencies = Latencies()
        self.slow_consumers = SlowConsumers(self.log)
        self.refusals = RefusalsByClient()
        self._ending = asyncio.Event()
        self._resumed = self._left = self._may_keep = False
        self._end_signals = 0
        self._log_level: LogLevel | None = None
        self._loop = asyncio.get_running_loop()
        self._loop_name = type(self._loop).__module__.partition(".")[0]
        self.log.later = self._loop.call_later
        self._log_observer = LogObserver(self.log, str(build_info()), self._loop_name)
        self._audit_observer: AuditObserver | None = None
        self.server = self._make_server()
        self.succession = Takeovers(self)
        """How this process hands over to the next."""
        if taken is not None:
            self._restore(taken)

    async def run(self) -> None:
        """Serve until a signal, an operator or a successor ends it; drain, unless a successor serves on."""
        if not self._resumed:
            self.server.start(self.sockets.endpoints)
        self.succession.hear()
        self.notifier.ready(f"serving {self.source.logic.name}")
        self._heartbeat()
        try:
            await self._ending.wait()
            if not self._left:
                self.draining = True
                self.notifier.stopping()
                self.succession.close()
                if not (self._may_keep and await self._keep_connections()):
                    await self.server.drain()
        finally:
            self.server.stop()
            self.log.later = None
            self.ended.set()

    def close(self) -> int:
        """Close the audit log; returns the exit code of the relay: 1 when the last records are lost, else 0."""
        if self.audit is not None:
            self.audit.close()
            if self.audit.failure:
                self.log.error("the last audit records are lost", error=self.audit.failure)
                return 1
        return 0

    def export(self, frozen_at: float) -> tuple[RelayState, list[memoryview], list[int]]:
        """Everything, the bytes that wait, and the descriptors in the state's order (LIFE-3). Nothing changes."""
        server, data, clients = self.server.export()
        endpoints, operators, door, roles = self.sockets.export()
        audit = None
        if self.audit is not None:
            audit, files = self.audit.export()
            roles.update({f"audit.{purpose}": number for purpose, number in files.items()})
        state = msgspec.structs.replace(
            self._state_of(server, frozen_at),
            descriptors=[DescriptorState(role, os.fstat(number).st_ino) for role, number in roles.items()],
            endpoints=endpoints,
            operators=operators,
            door=door,
            audit=audit,
        )
        return state, data, [*roles.values(), *clients]

    def _state_of(self, server: ServerState, frozen_at: float) -> RelayState:
        """What is there beside sockets and files of its own."""
        slow, never_read = self.slow_consumers.export()
        refused, others = self.refusals.export()
        return RelayState(
            build=str(build_info()),
            places=self.succession.places(),
            frozen_at=frozen_at,
            descriptors=[],
            endpoints=[],
            operators={},
            server=server,
            log=LogState(
                level=self._log_level,
                lines_lost=self.log.lines_lost,
                slow_consumers=slow,
                never_read=never_read,
                refused=refused,
                refused_others=others,
            ),
            life=LifeState(
                started=self._started,
                start_time=self.start_time,
                reloads=self.reloads,
                cpu_seconds=self.cpu_seconds(),
                takeovers=self.takeovers,
                failed_takeovers=self.failed_takeovers,
            ),
            latencies=self.latencies.export(),
        )

    async def _keep_connections(self) -> bool:
        """Have systemd keep the connections for the next process, if it can; whether it does."""
        from ..handover.blob import packed
        from .descriptor_store import DescriptorStore

        store = DescriptorStore(self.notifier, self.source.environment)
        connections = len(self.server.hub.connections)
        if not store.has_room or not connections:
            return False
        since = time.monotonic()
        await self.server.hold()
        server, data, clients = self.server.export()
        try:
            store.keep(packed(self._state_of(server, since), data), clients)
        except OSError as error:
            self.log.error("systemd keeps no connections: draining", error=str(error), connections=len(clients))
            return False
        self.server.keep_clients()
        waiting = sum(map(len, data))
        self.log.info("systemd keeps the connections", connections=len(clients), waiting_bytes=waiting)
        return True

    def _restore(self, taken: Taken) -> None:
        state = taken.state
        self._started, self.start_time = state.life.started, state.life.start_time
        self.reloads, self._cpu_before = state.life.reloads, state.life.cpu_seconds
        self.takeovers, self.failed_takeovers = state.life.takeovers, state.life.failed_takeovers
        if state.latencies is not None:
            self.latencies.restore(state.latencies)
        self.server.restore(state.server, taken.clients, taken.data)
        known = {connection.id: (connection, peer) for connection, peer in self.server.connections()}
        if self._audit_observer is not None:
            self._audit_observer.know(known.values())
        self.slow_consumers.restore(state.log, known)
        self.refusals.restore(state.log)
        self.log.lines_lost = state.log.lines_lost
        level = next((level for level in LEVELS if level == state.log.level), None)
        if level is not None:
            self._log_level = level
            self.log.configure(level, self.config.log_repeat_interval)

    def resume(self, frozen_at: float, predecessor: int) -> None:
        """Serve what was taken: it is ours from now on; ``frozen_at`` is when the predecessor stood still."""
        self._resumed = True
        self.server.resume(self.sockets.endpoints)
        self.frozen = time.monotonic() - frozen_at
        self.takeovers += 1
        connections = len(self.server.hub.connections)
        if self.audit is not None:
            self._held.callback(self.audit.close)
            self.audit.event("taken-over", {"predecessor": predecessor, "connections": connections})
        self.log.info(
            "took over",
            predecessor=predecessor,
            connections=connections,
            frozen_ms=round(self.frozen * 1000, 3),
            takeovers=self.takeovers,
            build=str(build_info()),
            loop=self._loop_name,
        )

    def go_on(self, frozen_at: float) -> None:
        """Have systemd forget the connections that it kept, and serve them; nobody was read since ``frozen_at``."""
        from .descriptor_store import DescriptorStore

        DescriptorStore(self.notifier, self.source.environment).empty_or_tell(self.log)
        self._resumed = True
        seconds = time.monotonic() - frozen_at
        self.server.resume(self.sockets.endpoints, away=seconds)
        away = round(1000 * seconds, 3)
        connections = len(self.server.hub.connections)
        if self.audit is not None:
            self.audit.event("restarted", {"connections": connections})
        self.log.info("goes on with the connections that systemd kept", connections=connections, away_ms=away)

    def leave(self) -> None:
        """Let go of everything, as another process serves: no path is removed, nothing written or shut down."""
        self.server.leave()
        self.succession.close()
        for each in self.sockets.operators.values():
            self._loop.remove_reader(each.listener.fileno())
        self.sockets.leave()
        if self.audit is not None:
            self.audit.leave()
        self._log_observer.flush()
        self._left = True
        self._ending.set()

    def cpu_seconds(self) -> float:
        """Processor time that the relay has used, all its processes together."""
        usage = resource.getrusage(resource.RUSAGE_SELF)
        return self._cpu_before + usage.ru_utime + usage.ru_stime

    def hear_signals(self) -> None:
        """Act on signals from now on, and on those that waited."""
        for number in HEARD:
            self._loop.add_signal_handler(number, _woken)
            signal.signal(number, self._on_signal)
            signal.siginterrupt(number, False)
        unblock_signals()

    def _on_signal(self, number: int, _: object) -> None:
        """Called once for each signal: uvloop calls its own handlers twice for one that comes just after another."""
        self._loop.call_soon_threadsafe(self._act, number)

    def _act(self, number: int) -> None:
        if number == signal.SIGHUP:
            self.reload()
        elif number == signal.SIGUSR1:
            self.reopen()
        elif number == signal.SIGUSR2:
            self.succession.begin_soon()
        else:
            self._end_by_signal(number)

    def end(self) -> None:
        """Drain and end."""
        self._ending.set()

    def reload(self) -> str:
        """Read the configuration again and take it whole; returns why it took nothing, empty when it did."""
        self.notifier.reloading()
        try:
            config = self.source.load()
            changed = reloaded(self.config, config)
        except ConfigError as error:
            self.log.error("configuration not reloaded, nothing has changed", error=str(error))
            self.notifier.ready("the last reload was refused")
            return str(error)
        self._apply(config)
        self.reloads += 1
        self.log.info("configuration reloaded", changed=changed)
        if self.audit is not None:
            self.audit.event(
                "reloaded", {"changed": {key: msgspec.to_builtins(getattr(config, key)) for key in changed}}
            )
        self.notifier.ready(f"serving {self.source.logic.name}")
        return ""

    def reopen(self) -> None:
        """Go on in new log files: the old ones may have been moved away."""
        try:
            self.log.stream.reopen()
            if self.audit is not None:
                self.audit.next_file()
        except (OSError, RelayError) as error:
            why = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
            self.log.error("log not reopened; going on in the old one", error=why)
        else:
            self.log.info("logs reopened")

    def set_log_level(self, level: LogLevel) -> None:
        """Log at another level until the configuration's level changes."""
        self._log_level = level
        self.log.configure(level, self.config.log_repeat_interval)
        self.log.warning("log level set by an operator", level=level)

    def kill(self, number: int) -> bool:
        """Close a connection by its number; False when no connection has it."""
        return self.server.close(number, CloseReason.OPERATOR)

    def ready(self) -> str:
        """Why clients should not connect just now; empty when they should."""
        if self.draining:
            return "draining"
        if not self.server.accepting:
            return "not accepting connections"
        if self.audit is not None and self.audit.failure:
            return f"the audit log cannot be written: {self.audit.failure}"
        return ""

    def status(self) -> Status:
        """The relay as it is now."""
        totals = self.server.hub.totals()
        return Status(
            relay=self.source.logic.name,
            build=str(build_info()),
            loop=self._loop_name,
            pid=os.getpid(),
            sockets=[str(endpoint.path) for endpoint in self.sockets.endpoints],
            state=self.ready() or "serving",
            seconds=round(time.monotonic() - self._started, 3),
            connections=totals.connections,
            max_connections=self.server.max_connections,
            joined=totals.joined,
            received_frames=totals.received_frames,
            received_bytes=totals.received_bytes,
            offered_frames=totals.offered_frames,
            delivered_frames=totals.delivered_frames,
            delivered_bytes=totals.delivered_bytes,
            queued_frames=totals.queued_frames,
            held_bytes=totals.held_bytes,
            incomplete_bytes=totals.incomplete_bytes,
            skipped_bytes=totals.skipped_bytes,
            refused=counted(refusals(totals)),
            dropped=counted(drops(totals.dropped_frames)),
            closed=counted(closes(totals)),
            audit=str(self.audit.directory) if self.audit else "",
            log_level=self.log.level,
            reloads=self.reloads,
            takeovers=self.takeovers,
            config=msgspec.to_builtins(self.config),
        )

    async def connections(self) -> list[ConnectionStatus]:
        """Every connection of now, in join order; clients are served between each ``_STATUSES_PER_TURN`` of them."""
        found = []
        for connection, peer in self.server.connections():
            found.append(connection_status(connection, peer, time.monotonic()))
            if len(found) % _STATUSES_PER_TURN == 0:
                await asyncio.sleep(0)
        return found

    async def connection_page(self, sort: str, offset: int, limit: int) -> ConnectionPage:
        """Some connections as they are now, in one of :data:`~torq_engine.operations.status.ORDERS`."""
        found = in_order(await self.connections(), sort)
        return ConnectionPage(self.source.logic.name, len(found), offset, limit, sort, found[offset : offset + limit])

    def _make_server(self) -> Server:
        logic = self.source.logic
        should_forward = logic.header_filter()
        observers: list[Observer] = [self._log_observer, self.slow_consumers, self.refusals]
        if self.audit is not None:
            self.audit.later = self._loop.call_later
            self._audit_observer = AuditObserver(self.audit, should_forward)
            observers.append(self._audit_observer)
        listen = listen_settings(self.config, logic)
        server = Server(frame_policy(self.config, logic), self.config, listen, ObserverGroup(observers), should_forward)
        if self._audit_observer is not None:
            self._audit_observer.attach(server.hub)
        self._tell_of_few_descriptors(server)
        return server

    def _open_audit(self, key: bytes, taken: Taken | None) -> AuditLog | None:
        directory = audit_directory(self.config, self.source.logic, self.source.environment)
        if directory is None:
            return None
        found = None
        if taken is not None and not taken.connections_only:
            if taken.state.audit is None:
                raise StateError("the relay there keeps no audit log")
            found = taken.state.audit, taken.of("audit")
        return AuditLog(directory, self.source.logic.name, self.config, key, found)

    def _tell_of_few_descriptors(self, server: Server) -> None:
        if self.config.max_connections > server.max_connections:
            self.log.warning(
                "too few descriptors for max_connections (ulimit -n, LimitNOFILE=)",
                max_connections=self.config.max_connections,
                admitted_at_most=server.max_connections,
            )

    def _apply(self, config: RelayConfig) -> None:
        if config.log_level != self.config.log_level:
            self._log_level = None
        self.config = config
        self.server.configure(config, listen_settings(config, self.source.logic))
        self.log.configure(self._log_level or config.log_level, config.log_repeat_interval)
        self._tell_of_few_descriptors(self.server)
        if self.audit is not None:
            self.audit.settings = config

    def _end_by_signal(self, number: int) -> None:
        self._end_signals += 1
        if self._end_signals == 1:
            self._may_keep = number == signal.SIGTERM and DESCRIPTOR_STORE in self.source.environment
            self.end()
            return
        try:
            self.server.stop()
            self._held.close()
        finally:
            os._exit(128 + number)

    def _tell_of_audit(self, event: str, error: str) -> None:
        if error:
            self.log.error(event, error=error)
        else:
            self.log.info(event)

    def _heartbeat(self) -> None:
        if self.notifier.watchdog_interval:
            self.notifier.heartbeat()
            self._loop.call_later(self.notifier.watchdog_interval, self._heartbeat)


def _woken() -> None:
    """The loop has nothing to do at a signal but to wake up: then the interpreter calls the handler."""
