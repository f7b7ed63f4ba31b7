"""How a relay hands over to its successor: who may knock, who is started, and what is told of it (LIFE-3, LIFE-4).

Facts:
- a successor comes by itself and knocks at the *door*, a socket beside the relay's own for its user alone; or the relay
  starts it, with its own command line or another, and gives it a channel (SIGUSR2, ``torq-relay ctl takeover``);
- one handover at a time;
- what is needed for it is imported when one begins;
- a successor that the relay started and that did not take over is killed: it owns nothing.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from ..printable import printable
from .configuration import RelayConfig
from .flags import TAKEOVER
from .loading import SUPERVISOR, Source, claims
from .signals import ASKING

if TYPE_CHECKING:
    from ..handover.predecessor import Holdings, Outcome, Predecessor
    from ..handover.state import RelayState
    from .service import Service

_DESCRIPTORS = "/dev/fd/"
_KNOCK_PAUSE = 0.1
_ENVIRONMENT_OF_ONE_PROCESS = ("WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


class TakeoverReport(msgspec.Struct, frozen=True):
    """What came of a takeover: ``taken`` or why not, the process that serves now, and what it holds.

    ``possible`` is what a rehearsal found. ``frozen`` is how long no client was served, in seconds; ``successor`` the
    build of the successor.
    """

    taken: bool
    possible: bool
    reason: str
    pid: int
    connections: int
    descriptors: int
    held_bytes: int
    frozen: float
    successor: str


class Takeovers:
    """The handovers of a service's process; to the handover it is the relay."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._loop = asyncio.get_running_loop()
        self._running: Predecessor | None = None
        self._starting = False
        self._closed = False
        self._tasks: set[asyncio.Task[TakeoverReport]] = set()

    def hear(self) -> None:
        """Let successors knock from now on."""
        door = self._service.sockets.door
        if door is not None and not self._closed:
            self._loop.add_reader(door.listener.fileno(), self._knocked)

    def close(self) -> None:
        """Let nobody knock any more, and end a handover that has not come to its end."""
        self._closed = True
        self._stop_hearing()
        if self._running is not None:
            self._running.abandon(self.unwilling())

    def _stop_hearing(self) -> None:
        door = self._service.sockets.door
        if door is not None and door.listener.fileno() >= 0:
            self._loop.remove_reader(door.listener.fileno())

    # What the handover asks

    def places(self) -> dict[str, str]:
        """What the relay holds, by key: a successor's must be the same."""
        service = self._service
        return places_of(service.source, service.config, service.key)

    def unwilling(self) -> str:
        """Why the relay cannot be taken over just now; empty when it can."""
        return "the relay is draining" if self._service.draining else ""

    def holdings(self) -> Holdings:
        """What the relay holds."""
        from ..handover.predecessor import Holdings

        totals = self._service.server.hub.totals()
        audit = 3 if self._service.audit is not None else 0
        roles = self._service.sockets.export()[3]
        descriptors = totals.connections + len(roles) + audit
        return Holdings(totals.connections, descriptors, totals.held_bytes + totals.incomplete_bytes)

    def begin_copy(self) -> list[memoryview]:
        """See :meth:`Hub.begin_copy`."""
        return self._service.server.hub.begin_copy()

    def end_copy(self) -> None:
        """See :meth:`Hub.end_copy`."""
        self._service.server.hub.end_copy()

    def export(self, frozen_at: float) -> tuple[RelayState, list[memoryview], list[int]]:
        """Everything; see :meth:`Service.export`."""
        return self._service.export(frozen_at)

    def leave(self) -> None:
        """The successor serves."""
        self._service.leave()

    # How one begins

    def begin_soon(self) -> None:
        """Start a successor, as a signal asks."""
        task = self._loop.create_task(self.begin())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def begin(self, words: Sequence[str] = (), *, rehearsal: bool = False) -> TakeoverReport:
        """Start a successor, with a command or our own, and hand over to it; or only see whether it would take over."""
        if why := self._busy() or self.unwilling() or self._supervised():
            return self._refused(why)
        from ..handover.channel import Channel
        from ..handover.predecessor import Predecessor

        ended: asyncio.Future[Outcome] = self._loop.create_future()

        def end(outcome: Outcome) -> None:
            ended.set_result(outcome)
            if outcome.taken:  # this process is about to end: there is no later
                self._tell(outcome)

        self._starting = True
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                given = f"{TAKEOVER}={_DESCRIPTORS}{theirs.fileno()}"
                process = _started([*(words or own_command()), given], theirs.fileno())
        except (OSError, ValueError) as error:
            ours.close()
            return self._refused(f"the successor cannot be started: {error}")
        finally:
            self._starting = False
        running = self._running = Predecessor(self, Channel(ours), end, rehearsal=rehearsal)
        gone = self._gone(process)
        gone.add_done_callback(lambda _: running.abandon(Channel.GONE))
        outcome = await ended
        if outcome.taken:
            process.returncode = 0  # it outlives us: nobody waits for it
            return self._report(outcome)
        if outcome.reason == Channel.GONE:
            code = await gone
            why = f"the successor ended with exit code {code}; the relay's standard error says why"
            outcome = replace(outcome, reason=why)
        process.kill()
        await gone
        return self._tell(outcome, rehearsal=rehearsal)

    def _gone(self, process: subprocess.Popen[bytes]) -> asyncio.Future[int]:
        """The exit code of a process, once it has ended."""
        gone: asyncio.Future[int] = self._loop.create_future()
        watch = os.pidfd_open(process.pid)

        def ended() -> None:
            self._loop.remove_reader(watch)
            os.close(watch)
            gone.set_result(process.wait())

        self._loop.add_reader(watch, ended)
        return gone

    def _supervised(self) -> str:
        supervisor = self._service.source.environment.get(SUPERVISOR, "")
        return f"process {supervisor} supervises this relay, and replaces it at SIGUSR2" if supervisor else ""

    def _busy(self) -> str:
        return "another takeover is under way" if self._running is not None or self._starting else ""

    def _knocked(self) -> None:
        from ..handover.channel import Channel, Refuse, TakeoverError
        from ..handover.predecessor import Predecessor

        door = self._service.sockets.door
        assert door is not None
        try:
            sock, _ = door.listener.accept()
        except OSError:  # most often no descriptor is left: it may wait until there is one
            self._stop_hearing()
            self._loop.call_later(_KNOCK_PAUSE, self.hear)
            return
        channel = Channel(sock)
        if channel.peer().uid != os.geteuid() or self._busy():
            with suppress(TakeoverError):
                channel.send(Refuse(self._busy() or "the relay belongs to another user"))
            channel.close()
            return
        self._running = Predecessor(self, channel, self._told)

    # How one ends

    def _told(self, outcome: Outcome) -> None:
        self._tell(outcome)

    def _tell(self, outcome: Outcome, *, rehearsal: bool = False) -> TakeoverReport:
        self._running = None
        service, held = self._service, outcome.holdings
        frozen = round(outcome.frozen * 1000, 3)
        if outcome.taken:
            service.log.info("handed over", successor=outcome.pid, connections=held.connections, frozen_ms=frozen)
            service.log.flush()
            service.notifier.send(f"MAINPID={outcome.pid}")
        elif not rehearsal:
            service.failed_takeovers += 1
            service.log.error(
                "takeover failed: serving on", reason=outcome.reason, successor=outcome.pid, frozen_ms=frozen
            )
            if service.audit is not None:
                service.audit.event("takeover-failed", {"successor": outcome.pid, "reason": outcome.reason})
        return self._report(outcome)

    def _report(self, outcome: Outcome) -> TakeoverReport:
        held = outcome.holdings if outcome.taken else self.holdings()
        return TakeoverReport(
            outcome.taken,
            outcome.possible,
            outcome.reason,
            outcome.pid if outcome.taken else os.getpid(),
            held.connections,
            held.descriptors,
            held.held_bytes,
            outcome.frozen,
            outcome.successor,
        )

    def _refused(self, why: str) -> TakeoverReport:
        self._service.log.error("takeover refused", reason=why)
        held = self.holdings()
        return TakeoverReport(
            False, False, why, os.getpid(), held.connections, held.descriptors, held.held_bytes, 0.0, ""
        )


def places_of(source: Source, config: RelayConfig, key: bytes) -> dict[str, str]:
    """What a relay takes for itself, by key, and a trace of the ``key`` that its audit log is chained with."""
    logic = source.logic
    found: dict[str, str] = {"relay": logic.name, "domain": str(int(logic.domain))}
    for claim in claims(config, logic, source.environment):
        found[claim.key] = f"{found[claim.key]}, {claim.place}" if claim.key in found else claim.place
    found["metrics"] = config.metrics
    found["supervisor"] = source.environment.get(SUPERVISOR, "")
    if key:
        found["audit_key_file"] = hmac.digest(key, b"torq takeover", "sha256").hex()
    return {name: printable(value) for name, value in found.items() if value}


def own_command() -> list[str]:
    """The command line of this process, without what made it a successor."""
    words = [sys.executable]
    before = ""
    for word in sys.orig_argv[1:]:
        is_its_value = before == TAKEOVER and not word.startswith("-")
        if word != TAKEOVER and not word.startswith(f"{TAKEOVER}=") and not is_its_value:
            words.append(word)
        before = word
    return words


def _started(words: Sequence[str], channel: int) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name not in _ENVIRONMENT_OF_ONE_PROCESS}
    signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)  # in the successor: before it hears them they would end it
    try:
        return subprocess.Popen(  # noqa: S603 - our own command line, or that of our operator
            words, stdin=subprocess.DEVNULL, pass_fds=[channel], env=environment
        )
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKING)
