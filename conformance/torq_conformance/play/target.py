"""The relay under test: a relay that runs already, or a command that the suite starts on a private socket.

Facts:
- a relay that the suite starts leads a process group and carries a mark in its environment; however the run ends, the
  suite (or its guard) ends the whole group, and whatever has left it but carries the mark;
- its wait status and its socket say whether it lives, never what it prints.
"""

from __future__ import annotations

import contextlib
import itertools
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
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from .. import interruption
from ..counting import counted
from ..errors import ImpededError, NotServingError, TargetError, UsageError
from ..impediments import impeded
from ..model.rules import Rules
from ..model.timing import DEFAULT, Timing
from . import guard, slate
from .address import Address
from .limit import Limit
from .processes import doing, is_busy, listener, name_of
from .started import Started, end, kill, status_of, wait_for

LEAST_ROOM_BYTES = 4096
"""Bytes that must have room beside the socket of a relay."""
FOREGROUND = "a relay must stay in the foreground while the suite judges it"
SUCCESSOR_OPTION = "--exec-successor"
OWN_COMMAND = "{command}"
"""What stands in the command of a successor for the command of the relay."""
_numbers = itertools.count()


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

    @property
    def replaceable(self) -> bool:
        """Whether :meth:`start_successor` starts a relay that takes the place of this one."""
        return False

    @property
    def is_being_replaced(self) -> bool:
        """Whether a successor has been started that neither serves nor has ended, as far as was looked."""
        return False

    def start_successor(self) -> None:
        """Start a successor beside the relay. Raises TargetError when it cannot be started."""

    def look_at_successor(self) -> bool | None:
        """Whether the successor serves, and is this target's relay now; None while neither that nor its end is seen."""
        return False

    @property
    def handed_over(self) -> int:
        """How many sockets of the relay its successor holds."""
        return 0

    @property
    def end_of_successor(self) -> str:
        """How the last successor ended that did not come to serve, in words."""
        return ""

    def advance_takeover(self) -> None:
        """Let the successor go on until it waits, then the relay, and stop both: neither goes far without being seen.

        Where the successor has got a first socket the relay does not go on: the two are stopped within the takeover.
        """

    def halt_successor(self) -> None:
        """Stop the successor (SIGSTOP), and wait until it stands still."""

    def give_up_successor(self) -> None:
        """Kill a successor that does not serve yet, whatever it is doing."""

    @property
    def exit_status(self) -> int | None:
        """The exit status of the relay; None while it runs, or where the suite does not see it."""
        return None

    def freeze(self) -> None:
        """Stop the relay's process (SIGSTOP), and its successor's, where the suite has started it."""
        if self.pid is not None and not self.crash():
            self._signal(signal.SIGSTOP)
            self.frozen = True

    def thaw(self) -> None:
        """Let the relay's process go on, if the suite has stopped it."""
        if self.frozen:
            self._signal(signal.SIGCONT)
        self.frozen = False

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to the relay, where the suite has started it."""

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
    ``successor`` is the command that starts a relay which takes over from it, "" where there is none; in it
    ``{command}`` stands for the relay's own.
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
        successor: str = "",
    ) -> None:
        self.limit = limit or Limit()
        """When to give up waiting for it, and whatever else is done with it."""
        self._words = words_of(command, option)
        self._successor_words = words_of(succeeding(command, successor), SUCCESSOR_OPTION) if successor else []
        self._successor: Started | None = None
        self._end_of_successor = ""
        self._sockets_before: frozenset[str] = frozenset()
        self._command = command
        self._domain = domain
        self._process: Started | None = None
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
    def replaceable(self) -> bool:
        return bool(self._successor_words)

    @property
    def is_being_replaced(self) -> bool:
        return self._successor is not None

    def start_successor(self) -> None:
        self.give_up_successor()
        if self._process is not None and self._successor_words:
            self._sockets_before = self._process.sockets
            with interruption.deferred():
                self._successor = self._launch(self._successor_words)

    @property
    def successor_pid(self) -> int | None:
        """The process id of a successor that does not serve yet."""
        return self._successor.pid if self._successor is not None else None

    def look_at_successor(self) -> bool | None:
        old, new = self._process, self._successor
        if old is None or new is None:
            return False
        ended = status_of(new)  # first: one that ends because the relay has is no failure of its own
        if status_of(old) is None:
            if ended is not None:
                how = f"was ended by {signal.Signals(-ended).name}" if ended < 0 else f"exited with status {ended}"
                printed = "".join(f", having printed {line.strip()!r}" for line in self.last_output(1))
                self._end_of_successor = f"it {how}{printed}"
                self.give_up_successor()
            return None if ended is None else False
        with interruption.deferred():
            self._process, self._successor = new, None
            kill(old, self.timing.stop_seconds)
        return True

    @property
    def handed_over(self) -> int:
        return len(self._successor.sockets & self._sockets_before) if self._successor is not None else 0

    @property
    def end_of_successor(self) -> str:
        return self._end_of_successor

    @property
    def exit_status(self) -> int | None:
        return status_of(self._process) if self._process is not None else None

    def advance_takeover(self) -> None:
        if self._successor is not None and self._process is not None:
            self.frozen = True
            self._process.pause()
            self._successor.take_turn()
            if self.handed_over == 0:
                self._process.take_turn()

    def halt_successor(self) -> None:
        if self._successor is not None:
            self._successor.pause()
            self.frozen = True

    def give_up_successor(self) -> None:
        with interruption.deferred():
            if self._successor is not None:
                kill(self._successor, self.timing.stop_seconds)
                self._successor = None

    def _signal(self, number: signal.Signals) -> None:
        for each in (self._successor, self._process):
            if each is not None and status_of(each) is None:  # or its number may be another's by now
                each.tell(number)

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
            self._output.unlink(missing_ok=True)
            self._process = self._launch()
        self._wait_until_it_accepts()

    @property
    def command_line(self) -> str:
        """The command as it was started, with its address."""
        return shlex.join(self._words_to_run())

    def _words_to_run(self, words: Sequence[str] = ()) -> list[str]:
        meant = {"{socket}": self.address.path, "{port}": str(self.address.port), "{domain}": self._domain}
        filled = [re.sub(r"\{(socket|port|domain)\}", lambda at: meant[at[0]], word) for word in words or self._words]
        return [installed_beside(filled[0]), *filled[1:]]

    def _launch(self, words: Sequence[str] = ()) -> Started:
        words = self._words_to_run(words)
        mark = guard.mark(next(_numbers))
        try:
            guard.begin()
        except OSError as error:
            raise ImpededError(f"cannot start the guard of the relay: {error.strerror or error}") from error
        slate.learn_how_children_end()
        try:
            output = self._output.open("ab")  # a relay and its successor write to one
        except OSError as error:
            raise ImpededError(f"the output of the relay has no place: {error.strerror or error}") from error
        with output:
            try:
                process = Started(
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
        """Start a second relay on the same path: its exit status, None where it runs on until ``enough`` or in time.

        One that still computes gets longer: on busy cores it may not have looked at the path yet.
        """
        second: Started | None = None
        begun = time.monotonic()
        try:
            with interruption.deferred():
                second = self._launch()
            while (status := status_of(second)) is None and not enough() and self._may_begin(begun, seconds, [second]):
                time.sleep(0.01)
            return status
        finally:
            if second is not None:
                end(second, self.timing.stop_seconds)

    def _may_begin(self, begun: float, seconds: float, processes: Sequence[Started]) -> bool:
        """Whether some processes, started at a moment, may still be beginning: in time, or while one computes."""
        since = time.monotonic() - begun
        longest = seconds * self.timing.computing_factor
        return since < seconds or (since < longest and any(is_busy(each.pid) for each in processes))

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
        rivals: list[Started] = []
        begun = time.monotonic()
        try:
            with interruption.deferred():
                rivals += (self._launch() for _ in range(count))
            while (statuses := [status_of(each) for each in rivals]).count(None) > 1:
                if not self._may_begin(begun, seconds, [each for each in rivals if status_of(each) is None]):
                    break
                time.sleep(0.01)
            self._process = next((each for each in rivals if status_of(each) is None), None)
        finally:
            for rival in rivals:
                if rival is not self._process:
                    end(rival, self.timing.stop_seconds)
        if statuses.count(None) == 1:
            self._wait_until_it_accepts()
        return statuses

    def wait(self, seconds: float) -> int | None:
        """The exit status of the relay; None while it runs on for some seconds."""
        if self._process is None:
            return 0
        if (status := wait_for(self._process, min(seconds, max(self.limit.moment - time.monotonic(), 0.0)))) is None:
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
        self.give_up_successor()
        if self._process is not None:
            kill(self._process, self.timing.stop_seconds)

    def crash(self, seconds: float = 0.0) -> str:
        return self._crash(seconds)

    def _crash(self, seconds: float, *, ends_at_once: bool = False) -> str:
        self.look_at_successor()
        if self._process is None:
            return ""
        status = wait_for(self._process, seconds)
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
        self.give_up_successor()
        self.thaw()
        if self._process is not None:
            end(self._process, self.timing.stop_seconds)
            self._process = None

    def stop(self) -> None:
        with interruption.deferred():
            self.end()
            if self._private is not None:
                shutil.rmtree(self._private, ignore_errors=True)
                self._private = None


def words_of(command: str, option: str) -> list[str]:
    """The words of a command that ``option`` gives. Raises UsageError where it is none, or names no address."""
    if "{socket}" not in command and "{port}" not in command:
        raise UsageError(f"{option} {command!r}: write {{socket}} (or {{port}} for TCP) where the relay expects it")
    try:
        return shlex.split(command)
    except ValueError as error:
        raise UsageError(f"{option} {command!r}: {error}") from error


def succeeding(command: str, successor: str) -> str:
    """The command that starts a successor of the relay that a command starts."""
    return successor.replace(OWN_COMMAND, command)


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def installed_beside(program: str) -> str:
    """The program as found on PATH, else as installed beside this interpreter, else as given."""
    return shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent)) or program
