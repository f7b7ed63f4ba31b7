"""A supervisor of several relays: it restarts relays that fail, passes its signals on, and ends all relays together.

Facts:
- the supervisor restarts a relay that fails after a pause that doubles up to 30 s; after a minute without a failure the
  pause is short again;
- it gives up a relay that fails too often, or whose configuration is wrong (exit code 2). The others go on, because
  they are healthy, and SIGHUP starts again what was given up, for the configuration may be mended. When all have ended
  and one is given up, the exit code is 1;
- a relay that ends by itself without an error was drained by an operator: the supervisor does not restart it;
- SIGUSR2 replaces the relays one by one: each is taken over by a process that the supervisor starts, and then watches.
  A relay knows its supervisor by TORQ_SUPERVISOR, so that nobody else starts a successor, which would be watched by
  nobody;
- a relay is in a session of its own: Ctrl-C in a terminal reaches it once, through the supervisor, so that it drains;
- the supervisor's messages need no reader, and no relay outlives the supervisor, unless SIGKILL ends it.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass

import anyio
from anyio.abc import Process, TaskGroup

from .flags import TAKEOVER
from .loading import SUPERVISOR
from .signals import ASKING, ENDING, HEARD, block_signals, unblock_signals
from .systemd import Notifier
from .terminal import complain

_LONGEST_PAUSE = 30.0
_HEALTHY = 60.0
_WRONG_CONFIGURATION = 2
_SUPERVISOR_ONLY = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES")


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """``pause``: seconds before the first restart; ``failures``: after how many in a row it is given up."""

    pause: float = 0.5
    failures: int = 5


class Supervisor:
    """Runs commands by name until all have ended or are given up."""

    def __init__(self, commands: dict[str, list[str]], policy: RestartPolicy) -> None:
        self._commands = commands
        self._policy = policy
        self._processes: dict[str, Process] = {}
        self._successors: dict[str, Process] = {}
        self._ending = anyio.Event()
        self._starting = anyio.Lock()
        self._exit_code = 0
        self._kept: set[str] = set()
        self._given_up: list[str] = []
        self._notifier = Notifier(os.environ)
        self._environment = {name: value for name, value in os.environ.items() if name not in _SUPERVISOR_ONLY}
        self._environment[SUPERVISOR] = str(os.getpid())

    async def run(self) -> int:
        """Supervise; returns the exit code: 0, 1 when a relay was given up, 128 + number after a second signal.

        The caller exits with it: the signals that it forwards stay blocked, as no relay is left to tell.
        """
        async with anyio.create_task_group() as tasks:
            async with anyio.create_task_group() as keepers:
                await tasks.start(self._forward_signals, keepers)
                for name in self._commands:
                    self._begin(name, keepers)
                self._notifier.ready(f"supervising {', '.join(self._commands)}")
            block_signals()
            tasks.cancel_scope.cancel()
        self._notifier.stopping()
        return max(self._exit_code, int(bool(self._given_up)))

    def _begin(self, name: str, keepers: TaskGroup) -> None:
        self._kept.add(name)
        keepers.start_soon(self._keep, name)

    async def _keep(self, name: str) -> None:
        try:
            await self._keep_running(name)
        finally:
            self._kept.discard(name)

    async def _keep_running(self, name: str) -> None:
        failures = 0
        while not self._ending.is_set():
            started = time.monotonic()
            code = await self._run_once(name)
            if self._ending.is_set():
                self._exit_code = max(self._exit_code, _worth(code))
                return
            if code == 0:
                _say(f"{name} ended by itself; not started again")
                return
            failures = 1 if time.monotonic() - started >= _HEALTHY else failures + 1
            if code == _WRONG_CONFIGURATION or failures >= self._policy.failures:
                _say(f"{name} ended with exit code {code}, failure {failures}; given up, the others go on")
                self._given_up.append(name)
                self._notifier.send(f"STATUS=supervising; given up: {', '.join(self._given_up)}")
                return
            pause = min(self._policy.pause * 2 ** (failures - 1), _LONGEST_PAUSE)
            _say(f"{name} ended with exit code {code}, failure {failures}; starting it again in {pause:g} s")
            with anyio.move_on_after(pause):
                await self._ending.wait()

    async def _run_once(self, name: str) -> int:
        """Run a relay, and those that take over from it; returns the exit code of the last."""
        process = await self._start(name)
        try:
            _say(f"{name} started, process {process.pid}")
            while True:
                self._processes[name] = process
                if self._ending.is_set():
                    _signal(process, signal.SIGTERM)
                code = await process.wait()
                successor = self._successors.pop(name, None)
                if successor is None:
                    return code
                process = successor  # it serves, or will end soon
        except BaseException:
            _signal(process, signal.SIGTERM)
            raise
        finally:
            self._processes.pop(name, None)

    async def _start(self, name: str, *flags: str) -> Process:
        command = [*self._commands[name], *flags]
        async with self._starting:
            signal.pthread_sigmask(signal.SIG_BLOCK, ASKING)  # in the relay: before it hears them they would end it
            try:
                return await anyio.open_process(
                    command, stdin=None, stdout=None, stderr=None, env=self._environment, start_new_session=True
                )
            finally:
                signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKING)

    async def _replace_all(self) -> None:
        """Have every relay taken over, one after the other."""
        for name in list(self._processes):
            process = self._processes.get(name)
            if process is None or name in self._successors or self._ending.is_set():
                continue
            successor = self._successors[name] = await self._start(name, TAKEOVER)
            await _first_end(process, successor)
            if self._successors.get(name) is successor and successor.returncode is not None:
                del self._successors[name]
                _say(
                    f"{name}: process {process.pid} serves on; "
                    f"its successor ended with exit code {successor.returncode}"
                )
            else:
                _say(f"{name} taken over by process {successor.pid}")

    async def _forward_signals(self, keepers: TaskGroup, *, task_status: anyio.abc.TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(*HEARD) as signals:
            unblock_signals()
            task_status.started()
            async for number in signals:
                if number in ENDING:
                    self._end(number)
                elif number == signal.SIGUSR2:
                    keepers.start_soon(self._replace_all)
                else:
                    self._tell(number)
                    if number == signal.SIGHUP:
                        self._begin_given_up(keepers)

    def _begin_given_up(self, keepers: TaskGroup) -> None:
        """Start what was given up again, while others are kept: with the last of them all ends."""
        if not self._kept or self._ending.is_set():
            return
        given_up, self._given_up = self._given_up, []
        for name in given_up:
            self._begin(name, keepers)
        if given_up:
            self._notifier.send(f"STATUS=supervising {', '.join(self._commands)}")

    def _end(self, number: signal.Signals) -> None:
        again = self._ending.is_set()
        self._ending.set()
        self._tell(number if again else signal.SIGTERM)  # SIGINT would be a traceback of a relay that is just starting

    def _tell(self, number: signal.Signals) -> None:
        for process in self._processes.values():
            _signal(process, number)


async def _first_end(*processes: Process) -> None:
    """Wait until one of some processes has ended."""
    async with anyio.create_task_group() as waits:

        async def wait(process: Process) -> None:
            await process.wait()
            waits.cancel_scope.cancel()

        for process in processes:
            waits.start_soon(wait, process)


def _signal(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # it has just ended; Process.send_signal would take its exit code away
        os.kill(process.pid, number)


def _worth(code: int) -> int:
    """What an ending relay's exit code adds to ours: SIGTERM itself ends a relay that is still starting."""
    return code if code >= 0 else int(code != -signal.SIGTERM)


def _say(text: str) -> None:
    complain(f"torq-relay: {text}")
