"""The relay under test: a relay that runs already, or a command that the suite starts on a private socket.

Facts:
- a relay that the suite starts leads a process group and carries a mark in its environment; however the run ends, the
  suite (or its guard) ends the whole group, and whatever has left it but carries the mark;
- its wait status and its socket say whether it lives, never what it prints.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from .. import interruption
from ..counting import counted
from ..errors import CutShortError, ImpededError, NotServingError, TargetError, UsageError
from ..impediments import impeded
from ..model.rules import Rules
from ..model.timing import DEFAULT, Timing
from . import guard, slate
from .address import Address
from .processes import await_end, doing, family, is_busy, listener, name_of

LEAST_ROOM_BYTES = 4096
"""Bytes that must have room beside the socket of a relay."""
FOREGROUND = "a relay must stay in the foreground while the suite judges it"
_numbers = itertools.count()


@dataclass(slots=True)
class Limit:
    """The moment of the monotonic clock at which who waits for a relay gives up; who has no time left moves it."""

    moment: float = math.inf

    def check(self) -> None:
        """Raises CutShortError when the moment has come."""
        if time.monotonic() >= self.moment:
            raise CutShortError("the time for it was over")


class _Started(subprocess.Popen[bytes]):
    """A process that the suite has started, and the mark that it and all that it starts carry."""

    mark = ""

    @property
    def left(self) -> list[int]:
        """The living processes of it, itself too."""
        return list(dict.fromkeys((*family(self.pid), *guard.marked(self.mark))))


class Target:
    """A relay that runs already, at a known address; ``timing`` says how long the suite waits for it.

    ``frozen`` says that the suite has stopped its process; ``environment`` is what the relay's environment has besides
    that of the suite.
    """

    def __init__(self, address: Address, *, timing: Timing = DEFAULT) -> None:
        self.address = address
        self.timing = timing
        self.frozen = False
        self.environment: Mapping[str, str] = {}
        self._programs = self._connections = 0

    @property
    def plays(self) -> int:
        """How many programs the suite has played on this relay."""
        return self._programs

    @property
    def served(self) -> str:
        """What the suite has played on this relay, in words."""
        return f"{counted(self._programs, 'program')} with {counted(self._connections, 'connection')}"

    def count(self, connections: int) -> None:
        """Note that the suite has played one more program, with so many connections."""
        self._programs += 1
        self._connections += connections

    @property
    def description(self) -> str:
        """How the first screen names the target."""
        return str(self.address)

    @property
    def restartable(self) -> bool:
        """Whether :meth:`restart` gives a fresh relay."""
        return False

    def known_to(self, rules: Rules) -> Rules:
        """The rules of a profile with what the sockets of this target may hold."""
        return msgspec.structs.replace(rules, socket_bytes=self.address.socket_bytes)

    def connect(self) -> socket.socket:
        """A connected, non-blocking socket. Raises OSError."""
        return self.address.connect(self.timing)

    def start(self) -> None:
        """Make sure that the relay answers. Raises TargetError."""
        try:
            self.connect().close()
        except OSError as error:
            raise TargetError(
                f"cannot connect to {self.address}: {error.strerror or error}; "
                "is the relay running? (--exec 'CMD {socket}' starts one)"
            ) from error

    @property
    def pid(self) -> int | None:
        """The process id of the relay, where the suite has started it."""
        return None

    @property
    def revivable(self) -> bool:
        """Whether :meth:`revive` can kill the relay and start it again on its path."""
        return False

    def restart(self) -> None:
        """Start a fresh relay, where the suite has started this one."""

    def revive(self) -> None:
        """Kill the relay and start it again on the same path. Raises TargetError when it does not come back."""

    def freeze(self) -> None:
        """Stop the relay's process (SIGSTOP), where the suite has started it."""
        if self.pid is not None and not self.crash():
            os.kill(self.pid, signal.SIGSTOP)
            self.frozen = True

    def thaw(self) -> None:
        """Let the relay's process go on, if the suite has stopped it."""
        if self.frozen and self.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGCONT)
        self.frozen = False

    def crash(self, seconds: float = 0.0) -> str:
        """How the relay ended, "" where it has not within some seconds, or the suite does not see it."""
        return ""

    @property
    def doing(self) -> str:
        """What the relay's process is doing, as the rest of a sentence; "" where the suite does not see it."""
        return doing(self.pid) if self.pid is not None else ""

    @property
    def busy(self) -> bool:
        """Whether the relay, with all that it has started, is known to be doing something, and not to wait."""
        return self.pid is not None and is_busy(self.pid)

    def last_output(self, lines: int = 20) -> list[str]:
        """The lines that the relay printed last; none where the suite does not see them."""
        return []

    def stop(self) -> None:
        """End the relay, where the suite has started it."""

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class SpawnedTarget(Target):
    """A relay started from a command with ``{socket}`` (a fresh Unix path) or ``{port}`` (a free TCP port) in it.

    ``{domain}`` becomes the name of the domain that it is to serve. ``option`` is where its user wrote the command.
    """

    def __init__(
        self,
        command: str,
        domain: str = "",
        *,
        folder: Path | None = None,
        timing: Timing = DEFAULT,
        environment: Mapping[str, str] | None = None,
        option: str = "--exec",
        limit: Limit | None = None,
    ) -> None:
        self.limit = limit or Limit()
        """When to give up waiting for it, and whatever else is done with it."""
        if "{socket}" not in command and "{port}" not in command:
            raise UsageError(f"{option} {command!r}: write {{socket}} (or {{port}} for TCP) where the relay expects it")
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise UsageError(f"{option} {command!r}: {error}") from error
        self._command = command
        self._domain = domain
        self._process: _Started | None = None
        self._folder = folder
        self._private: Path | None = None
        self._generation = 0
        self._refused = False
        super().__init__(Address(), timing=timing)
        self.environment = environment or {}

    @property
    def description(self) -> str:
        return self._command

    @property
    def restartable(self) -> bool:
        return True

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    @property
    def revivable(self) -> bool:
        return bool(self.address.path)

    @property
    def folder(self) -> Path:
        """Where the relay makes its socket: a private folder, unless another was given."""
        return self._folder or self._private_folder

    @property
    def _private_folder(self) -> Path:
        """A folder that this makes when somebody first needs it, and :meth:`stop` removes."""
        if self._private is None:
            with interruption.deferred():
                try:
                    self._private = Path(tempfile.mkdtemp(prefix="torq-"))
                except OSError as error:
                    why = error.strerror or error
                    raise ImpededError(f"cannot make a folder for the relay's socket: {why}; set TMPDIR") from error
        return self._private

    @property
    def _output(self) -> Path:
        return self._private_folder / "output"

    def start(self) -> None:
        self._generation += 1
        if "{port}" in self._command:
            self.address = Address(host="127.0.0.1", port=free_port())
        else:
            self.address = Address(
                path=str(self.folder / f"relay{self._generation}{self._private_folder.name[-3:]}.sock")
            )
        self.start_again()

    def start_again(self) -> None:
        """Start the relay at the address that it has. Raises TargetError when it does not come to accept there."""
        self._programs = self._connections = 0
        self.frozen = False
        with interruption.deferred():
            self._process = self._launch()
        self._wait_until_it_accepts()

    @property
    def command_line(self) -> str:
        """The command as it was started, with its address."""
        return shlex.join(self._words_to_run())

    def _words_to_run(self) -> list[str]:
        meant = {"{socket}": self.address.path, "{port}": str(self.address.port), "{domain}": self._domain}
        words = [re.sub(r"\{(socket|port|domain)\}", lambda name: meant[name[0]], word) for word in self._words]
        return [installed_beside(words[0]), *words[1:]]

    def _launch(self) -> _Started:
        words = self._words_to_run()
        mark = guard.mark(next(_numbers))
        try:
            guard.begin()
        except OSError as error:
            raise ImpededError(f"cannot start the guard of the relay: {error.strerror or error}") from error
        slate.learn_how_children_end()
        try:
            output = self._output.open("wb")
        except OSError as error:
            raise ImpededError(f"the output of the relay has no place: {error.strerror or error}") from error
        with output:
            try:
                process = _Started(
                    words,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    preexec_fn=slate.cleaning(),
                    cwd=self._private_folder if slate.folder_is_gone() else None,
                    env={**os.environ, **self.environment, guard.VARIABLE: mark},
                )
            except OSError as error:
                if isinstance(error, BlockingIOError) or impeded(error):
                    raise ImpededError(f"cannot start a process: {error.strerror or error}") from error
                raise TargetError(
                    f"cannot start {words[0]!r}: {error.strerror or error}; give the path of the program"
                ) from error
        process.mark = mark
        guard.watch(process.pid)
        return process

    def move(self, folder: Path) -> None:
        """End the relay and start it in a folder, given from its own, that it has to create."""
        self.end()
        self.address = Address(path=str(self.folder / folder / "relay.sock"))
        self.start_again()

    def start_second(self, seconds: float, enough: Callable[[], bool]) -> int | None:
        """Start a second relay on the same path: its exit status, None where it runs on until ``enough`` or in time."""
        second: _Started | None = None
        deadline = time.monotonic() + seconds
        try:
            with interruption.deferred():
                second = self._launch()
            while (status := _status(second)) is None and time.monotonic() < deadline and not enough():
                time.sleep(0.01)
            return status
        finally:
            if second is not None:
                _end(second, self.timing.stop_seconds)

    def start_rivals(self, count: int, seconds: float, *, stale: bool) -> list[int | None]:
        """Start several relays at once on the path of this one, which is ended; ``stale`` leaves its socket file there.

        The exit status of each when all but one have ended, or after some seconds; None while it runs. The first that
        runs is this target's relay from then on, the others are ended.
        """
        if stale:
            self._kill()
        else:
            self.end()
            Path(self.address.path).unlink(missing_ok=True)
        self._process = None
        rivals: list[_Started] = []
        deadline = time.monotonic() + seconds
        try:
            with interruption.deferred():
                rivals += (self._launch() for _ in range(count))
            while (statuses := [_status(each) for each in rivals]).count(None) > 1 and time.monotonic() < deadline:
                time.sleep(0.01)
            self._process = next((each for each in rivals if _status(each) is None), None)
        finally:
            for rival in rivals:
                if rival is not self._process:
                    _end(rival, self.timing.stop_seconds)
        if statuses.count(None) == 1:
            self._wait_until_it_accepts()
        return statuses

    def wait(self, seconds: float) -> int | None:
        """The exit status of the relay; None while it runs on for some seconds."""
        if self._process is None:
            return 0
        if (status := _wait(self._process, min(seconds, max(self.limit.moment - time.monotonic(), 0.0)))) is None:
            self.limit.check()
        return status

    @property
    def refused_to_start(self) -> bool:
        """Whether the relay, started last, never came to accept and ended with an error."""
        return self._refused

    def _wait_until_it_accepts(self) -> None:
        deadline = time.monotonic() + self.timing.start_seconds
        pause = 0.001
        while True:
            try:
                self.connect().close()
            except OSError as error:
                crash = self._crash(0.0, ends_at_once=True)
                if crash:
                    self._check_room()
                    self._refused = self.wait(0.0) not in (None, 0)
                    raise NotServingError(f"{self._command!r} did not start: {crash}", self.last_output()) from error
                if time.monotonic() > deadline:
                    self._check_room()
                    self.stop()
                    raise NotServingError(
                        f"{self._command!r} does not listen on {self.address} after {self.timing.start_seconds:.0f} s",
                        self.last_output(),
                    ) from error
                self.limit.check()
                time.sleep(pause)
                pause = min(pause * 1.5, 0.05)
            else:
                return

    def _check_room(self) -> None:
        """Raises ImpededError where the relay cannot have made its socket, for there is no room beside it."""
        try:
            with tempfile.TemporaryFile(dir=self._private_folder, buffering=0) as probe:
                probe.write(bytes(LEAST_ROOM_BYTES))
        except OSError as error:
            if impeded(error):
                raise ImpededError(f"no room for the relay's socket: {error.strerror}; set TMPDIR") from error

    def restart(self) -> None:
        self._kill()
        self.start()

    def revive(self) -> None:
        self._kill()
        self.start_again()

    def _kill(self) -> None:
        """End the relay by SIGKILL: a relay that hangs would not heed SIGTERM."""
        if self._process is not None:
            _kill(self._process, self.timing.stop_seconds)

    def crash(self, seconds: float = 0.0) -> str:
        return self._crash(seconds)

    def _crash(self, seconds: float, *, ends_at_once: bool = False) -> str:
        if self._process is None:
            return ""
        status = _wait(self._process, seconds)
        if status is None:
            return ""
        if status < 0:
            return f"the relay was ended by signal {signal.Signals(-status).name}"
        behind = guard.marked(self._process.mark)
        if behind:
            left = counted(len(behind), "process", "processes")
            return f"the relay exited with status {status} and left {left} running: {FOREGROUND}"
        return f"the relay exited with status {status}" + (f": {FOREGROUND}" if ends_at_once and not status else "")

    @property
    def stand_in(self) -> str:
        """Who gets the signals that are meant for the relay, as the rest of a sentence; "" where that is the relay."""
        if self._process is None or not self.address.path:
            return ""
        own, child = self._process.pid, listener(self._process.left, self.address.path)
        if child in (None, own):
            return ""
        return (
            f"{name_of(own)} gets the signals in place of the relay ({name_of(child)}) that it has started: "
            "begin the relay's command with exec there"
        )

    def last_output(self, lines: int = 20) -> list[str]:
        with contextlib.suppress(OSError):
            return self._output.read_bytes()[-4000:].decode(errors="replace").splitlines()[-lines:]
        return []

    def end(self) -> None:
        """End the relay, and everything that it has started."""
        if self._process is not None:
            _end(self._process, self.timing.stop_seconds)
            self._process = None

    def stop(self) -> None:
        with interruption.deferred():
            self.end()
            if self._private is not None:
                shutil.rmtree(self._private, ignore_errors=True)
                self._private = None


def _end(process: _Started, seconds: float) -> None:
    """End a process and its group by SIGTERM, whatever is left after some seconds by SIGKILL."""
    with interruption.deferred():
        started = family(process.pid)
        _signal_group(process, signal.SIGTERM)
        _wait(process, seconds)
        _kill(process, seconds, started)


def _kill(process: _Started, seconds: float, started: Iterable[int] = ()) -> None:
    """End a process and all that it has started by SIGKILL; ``started`` is what must have ended then too."""
    started = {*started, *process.left}  # a wrapper ends before the relay that it has started
    _signal_group(process, signal.SIGKILL)
    _wait(process, math.inf)
    guard.forget(process.pid)
    for _ in range(guard.END_ROUNDS):  # a process may start another while it is being ended
        left = guard.marked(process.mark)
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        started |= {*left}
        await_end(started, seconds)
        if not left:
            return


def _signal_group(process: _Started, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _status(process: _Started) -> int | None:
    """The exit status of a process, None while it runs.

    An interruption waits until this is over: else the lock of the Popen stays taken, and the next wait lasts for ever.
    """
    with interruption.deferred():
        return process.poll()


def _wait(process: _Started, seconds: float) -> int | None:
    """The exit status of a process; None while it runs on for some seconds."""
    deadline, pause = time.monotonic() + seconds, 0.0005
    while (status := _status(process)) is None and (left := deadline - time.monotonic()) > 0:
        pause = min(pause * 2, left, 0.05)
        time.sleep(pause)
    return status


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def installed_beside(program: str) -> str:
    """The program as found on PATH, else as installed beside this interpreter, else as given."""
    return shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent)) or program
