"""A relay in operation: one life of a server with its log, its audit log and its supervisor.

Facts:
- a reload is validated whole before anything changes: a bad file, or a key that cannot change, leaves all as it was;
- ready while it accepts and can record; a draining relay is alive, not ready;
- the first signal to end drains (LIFE-1), the second ends at once.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import ExitStack

import msgspec

from torq_protocol.build_info import build_info

from ..accounting import CloseReason
from ..endpoint import Endpoint
from ..errors import RelayError
from ..observer import Observer, ObserverGroup
from ..server import Server
from .audit import AuditLog
from .audit_observer import AuditObserver
from .configuration import ConfigError, LogLevel, RelayConfig
from .loading import Source, reloaded
from .log_observer import LogObserver
from .logs import open_log
from .refused_clients import RefusalsByClient
from .resolving import audit_directory, frame_policy, listen_settings
from .signals import HEARD, unblock_signals
from .slow_consumers import SlowConsumers
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
from .systemd import Notifier

_STATUSES_PER_TURN = 128


class Service:
    """Runs a relay until a signal or an operator ends it; signals and the control socket call its methods.

    ``key`` keys the audit log's chain and may be empty. ``held`` is where the caller keeps all that must be given back:
    the service adds its log and its audit log, and gives everything back itself where a second signal ends it at once.
    Raises :class:`~torq_engine.errors.RelayError` when a log cannot be opened.
    """

    def __init__(
        self, source: Source, config: RelayConfig, key: bytes, endpoints: list[Endpoint], held: ExitStack
    ) -> None:
        self.source = source
        self.config = config
        self.log = open_log(source.logic.name, config)
        held.callback(self.log.stream.close)
        directory = audit_directory(config, source.logic, source.environment)
        self.audit = AuditLog(directory, source.logic.name, config, key) if directory else None
        if self.audit is not None:
            held.callback(self.audit.close)
            self.audit.tell = self._tell_of_audit
            self.log.info("recording every frame", audit=str(self.audit.directory))
            if self.audit.failure:
                self._tell_of_audit("the audit log cannot be written: nothing is forwarded", self.audit.failure)
        self.reloads = 0
        self.draining = False
        self.ended = asyncio.Event()
        """Set when everything is delivered and closed."""
        self._notifier = Notifier(source.environment)
        self._endpoints = endpoints
        self._held = held
        self._started = time.monotonic()
        self.start_time = time.time()
        """Seconds since 1970."""
        self.slow_consumers = SlowConsumers(self.log)
        self.refusals = RefusalsByClient()
        self._ending = asyncio.Event()
        self._end_signals = 0
        self._log_level: LogLevel | None = None
        self._loop = asyncio.get_running_loop()
        self._loop_name = type(self._loop).__module__.partition(".")[0]
        self.log.later = self._loop.call_later
        self.server = self._make_server()

    async def run(self) -> None:
        """Serve until a signal or an operator ends it, then drain."""
        self.server.start(self._endpoints)
        self._notifier.ready(f"serving {self.source.logic.name}")
        self._heartbeat()
        try:
            await self._ending.wait()
            self.draining = True
            self._notifier.stopping()
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
        else:
            self._end_by_signal(number)

    def end(self) -> None:
        """Drain and end."""
        self._ending.set()

    def reload(self) -> str:
        """Read the configuration again and take it whole; returns why it took nothing, empty when it did."""
        self._notifier.reloading()
        try:
            config = self.source.load()
            changed = reloaded(self.config, config)
        except ConfigError as error:
            self.log.error("configuration not reloaded, nothing has changed", error=str(error))
            self._notifier.ready("the last reload was refused")
            return str(error)
        self._apply(config)
        self.reloads += 1
        self.log.info("configuration reloaded", changed=changed)
        if self.audit is not None:
            self.audit.event(
                "reloaded", {"changed": {key: msgspec.to_builtins(getattr(config, key)) for key in changed}}
            )
        self._notifier.ready(f"serving {self.source.logic.name}")
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
            sockets=[str(endpoint.path) for endpoint in self._endpoints],
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
        observers: list[Observer] = [
            LogObserver(self.log, str(build_info()), self._loop_name),
            self.slow_consumers,
            self.refusals,
        ]
        audit_observer = None
        if self.audit is not None:
            self.audit.later = self._loop.call_later
            audit_observer = AuditObserver(self.audit, should_forward)
            observers.append(audit_observer)
        listen = listen_settings(self.config, logic)
        server = Server(frame_policy(self.config, logic), self.config, listen, ObserverGroup(observers), should_forward)
        if audit_observer is not None:
            audit_observer.attach(server.hub)
        self._tell_of_few_descriptors(server)
        return server

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
        if self._notifier.watchdog_interval:
            self._notifier.heartbeat()
            self._loop.call_later(self._notifier.watchdog_interval, self._heartbeat)


def _woken() -> None:
    """The loop has nothing to do at a signal but to wake up: then the interpreter calls the handler."""
