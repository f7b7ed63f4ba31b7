"""A relay in operation: the server with its log, audit, endpoints and supervisor around it, for one life.

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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from torq_protocol.build_info import build_info

from ..accounting import CloseReason
from ..endpoint import Endpoint
from ..hub import Connection
from ..logic import RelayLogic
from ..observer import Observer, ObserverGroup, Peer
from ..server import Server
from .audit import AuditLog, AuditObserver, AuditSettings
from .configuration import ConfigError, LogLevel, RelayConfig, frame_policy, server_settings
from .loading import load, reloaded
from .logs import EventLog, LogObserver
from .status import ConnectionStatus, Status, closes, connection_status, counted, drops, refusals
from .systemd import Notifier


@dataclass(frozen=True, slots=True)
class Source:
    """Where a relay's configuration comes from, so that it can be read again."""

    logic: RelayLogic
    file: str
    environment: Mapping[str, str]
    flags: Mapping[str, object]

    def load(self) -> RelayConfig:
        """The configuration as it stands now; raises ConfigError."""
        return load(self.logic, self.file, self.environment, self.flags)


@dataclass(slots=True)
class Surroundings:
    """What the service works with beside its server: opened before the loop, closed by whoever opened it."""

    log: EventLog
    audit: AuditLog | None
    notifier: Notifier
    loop_name: str
    give_back: Callable[[], None]
    """Closes the audit log and every socket, and removes what stands for them."""


class JoinTimes(Observer):
    """Remembers when connections joined."""

    def __init__(self) -> None:
        self.since: dict[int, float] = {}

    def admitted(self, connection: Connection, peer: Peer) -> None:
        self.since[connection.id] = time.monotonic()

    def closed(self, connection: Connection, peer: Peer) -> None:
        del self.since[connection.id]


class Service:
    """Runs a relay until it is told to end; the methods are what signals and the control socket call."""

    def __init__(
        self, source: Source, config: RelayConfig, surroundings: Surroundings, endpoints: list[Endpoint]
    ) -> None:
        self.source = source
        self.config = config
        self.log = surroundings.log
        self.audit = surroundings.audit
        self.reloads = 0
        self.draining = False
        self.ended = asyncio.Event()
        """Set when everything is delivered and closed."""
        self._notifier = surroundings.notifier
        self._loop_name = surroundings.loop_name
        self._give_back = surroundings.give_back
        self._endpoints = endpoints
        self._started = time.monotonic()
        self._ending = asyncio.Event()
        self._end_signals = 0
        self._log_level: LogLevel | None = None
        self._loop = asyncio.get_running_loop()
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

    def handle_signals(self, earlier: list[int]) -> None:
        """Listen to signals from now on; ``earlier`` ones came before the loop ran."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            self._loop.add_signal_handler(number, _woken)
            signal.signal(number, self._on_signal)
            signal.siginterrupt(number, False)
        for early in earlier:
            self._act(early)

    def _on_signal(self, number: int, _: object) -> None:
        """Called once for each signal: uvloop calls its own handlers twice for one that comes just behind another."""
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
        """Read the configuration again and take it, or nothing of it; returns the error, empty if there is none."""
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
            self.audit.event("reloaded", {"changed": {key: getattr(config, key) for key in changed}})
        self._notifier.ready(f"serving {self.source.logic.name}")
        return ""

    def reopen(self) -> None:
        """Go on in new log files: the log's path may have been moved away."""
        try:
            self.log.stream.reopen()
            if self.audit is not None:
                self.audit.next_file()
        except OSError as error:
            self.log.error("log not reopened; going on in the old one", error=f"{error.filename}: {error.strerror}")
        else:
            self.log.info("logs reopened")

    def set_log_level(self, level: LogLevel) -> None:
        """Log at another level until the configuration's level changes."""
        self._log_level = level
        self.log.configure(level, self.config.log_repeat_interval)
        self.log.warning("log level set by an operator", level=level)

    def kill(self, number: int) -> bool:
        """Close a connection; False when there is none of this number."""
        return self.server.close(number, CloseReason.OPERATOR)

    def ready(self) -> str:
        """Why no client should come just now; empty when they should."""
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
            skipped_bytes=totals.skipped_bytes,
            refused=counted(refusals(totals)),
            dropped=counted(drops(totals.dropped_frames)),
            closed=counted(closes(totals)),
            audit=str(self.audit.directory) if self.audit else "",
            log_level=self.log.level,
            reloads=self.reloads,
            config=msgspec.to_builtins(self.config),
        )

    def connections(self) -> list[ConnectionStatus]:
        """Every connection as it is now, in join order."""
        now = time.monotonic()
        since = self._join_times.since
        return [
            connection_status(connection, peer, now - since[connection.id])
            for connection, peer in self.server.connections()
        ]

    def _make_server(self) -> Server:
        logic = self.source.logic
        should_forward = logic.header_filter()
        self._join_times = JoinTimes()
        observers: list[Observer] = [LogObserver(self.log, str(build_info()), self._loop_name), self._join_times]
        audit_observer = None
        if self.audit is not None:
            self.audit.later = self._loop.call_later
            audit_observer = AuditObserver(self.audit, should_forward)
            observers.append(audit_observer)
        settings = server_settings(self.config, logic)
        server = Server(frame_policy(self.config, logic), settings, ObserverGroup(observers), should_forward)
        if audit_observer is not None:
            audit_observer.attach(server.hub)
        return server

    def _apply(self, config: RelayConfig) -> None:
        if config.log_level != self.config.log_level:
            self._log_level = None
        self.config = config
        self.server.configure(server_settings(config, self.source.logic))
        self.log.configure(self._log_level or config.log_level, config.log_repeat_interval)
        if self.audit is not None:
            self.audit.settings = audit_settings(config, self.audit.settings.key)

    def _end_by_signal(self, number: int) -> None:
        self._end_signals += 1
        if self._end_signals == 1:
            self.end()
            return
        try:
            self.server.stop()
            self._give_back()
        finally:
            os._exit(128 + number)

    def _heartbeat(self) -> None:
        if self._notifier.watchdog_interval:
            self._notifier.heartbeat()
            self._loop.call_later(self._notifier.watchdog_interval, self._heartbeat)


def _woken() -> None:
    """All that the loop has to do for a signal: the interpreter calls the handler then."""


def open_audit(config: RelayConfig, logic: RelayLogic, environment: Mapping[str, str]) -> AuditLog | None:
    """The audit log that a configuration asks for; raises AuditError or ConfigError when it cannot be had."""
    wanted = logic.audited if config.audit is None else config.audit
    if not wanted:
        return None
    try:
        key = Path(config.audit_key_file).read_bytes() if config.audit_key_file else b""
    except OSError as error:
        raise ConfigError(f"audit_key_file: {config.audit_key_file} cannot be read: {error.strerror}") from None
    if config.audit_key_file and not key:
        raise ConfigError(f"audit_key_file: {config.audit_key_file} is empty, so it would protect nothing")
    directory = config.audit_directory
    if not directory:
        state = environment.get("STATE_DIRECTORY", "").partition(":")[0]
        directory = f"{state}/audit" if state else f"{config.socket or logic.socket_path}.audit"
    return AuditLog(Path(directory), logic.name, audit_settings(config, key))


def audit_settings(config: RelayConfig, key: bytes) -> AuditSettings:
    """The audit log's part of a configuration."""
    return AuditSettings(config.audit_file_bytes, config.audit_fsync, config.audit_fsync_interval, key)
