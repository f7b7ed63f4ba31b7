"""The simulated kernel: processes that take turns, a clock, descriptors, faults, and a trace of every call.

Facts:
- a process is a greenlet, with a stack of its own: whoever makes a call may be made to wait there while others run. So
  the compiled hub and the calls that wait run as they are, and any two calls of two processes come in any order;
- every choice comes out of one generator of random numbers, every order out of lists: a seed is a history;
- time passes by calls, and by waiting when nobody can run;
- a process that was killed changes nothing any more: whatever it still tries raises :class:`Killed`.
"""

from __future__ import annotations

import asyncio
import errno
import random
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from zlib import crc32

from greenlet import greenlet

from .descriptions import Description, Listener, Messages, Stream, refusal

CALL_SECONDS = 0.000_003
CALLS_AT_ONCE = (1, 1, 2, 3, 5, 10, 30, 100)
DESCRIPTORS = 256


class Killed(BaseException):
    """The process is dead; no handler of errors may stop this."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a process in a handover: after so many of its handover's calls, and so many others of any kind.

    ``who`` is ``old`` or ``new``; ``seconds`` is how long a stopped process stands.
    """

    kind: str
    who: str
    at: int = 0
    after: int = 0
    seconds: float = 0.0


class Process:
    """A process: its descriptors, and the greenlet that runs it."""

    def __init__(self, kernel: Kernel, name: str, main: Callable[[Process], None], form: str = "installed") -> None:
        self.kernel = kernel
        self.form = form
        """In which form its hub runs."""
        self.pid = kernel.next_number()
        self.name = name
        self.table: dict[int, Description] = {}
        self.limit = DESCRIPTORS
        self.dead = self.ended = False
        self.stopped_until = 0.0
        self.fault: Fault | None = None
        self.struck: set[str] = set()
        """The kinds of faults that have befallen it."""
        self.handover_calls = 0
        self.calls_since = 0
        self.frozen = False
        self.said = ""
        """The name of the last message that it sent."""
        self._main = main
        self._budget = 0
        self._ready: Callable[[], object] | None = None
        self._until = 0.0
        self.loop: asyncio.AbstractEventLoop | None = None
        """The loop that runs in it."""
        self._stack = greenlet(self._run)
        kernel.processes.append(self)

    # What the scheduler asks and does

    def runnable(self) -> bool:
        """Whether it could go on now."""
        now = self.kernel.now
        if self.ended or self.stopped_until > now:
            return False
        return self._ready is None or now >= self._until or bool(self._ready())

    def wakes(self) -> float:
        """When it can go on, if nothing happens before."""
        return max(self._until if self._ready is not None else 0.0, self.stopped_until)

    def resume(self, calls: int) -> None:
        """Let it make so many calls, or fewer if it waits."""
        self._budget = calls
        asyncio._set_running_loop(self.loop)
        try:
            self._stack.switch()
        finally:
            asyncio._set_running_loop(None)

    def _run(self) -> None:
        try:
            if not self.dead:
                self._main(self)
        except Killed:
            pass
        except Exception:
            self.kernel.crashes.append(f"{self.name}: {traceback.format_exc()}")
        finally:
            self.kernel.close_all(self)
            self.ended = True

    # What its calls do

    def enter(self, call: str, *, handover: bool = False) -> None:
        """A call begins: others may run before it, and faults may strike."""
        if self.dead:
            raise Killed
        self.kernel.now += CALL_SECONDS
        self.handover_calls += handover
        fault = self.fault
        if fault is not None and fault.kind in ("kill", "stop") and self.handover_calls >= fault.at:
            self.calls_since += 1
            if self.calls_since > fault.after:
                self.fault = None
                self._strike(fault, call)
        self._budget -= 1
        if self._budget <= 0:
            self._pause()

    def strikes(self, kind: str) -> bool:
        """Whether a fault of a kind is due at this call; it strikes once."""
        fault = self.fault
        if fault is None or fault.kind != kind or self.handover_calls < fault.at:
            return False
        self.fault = None
        self.struck.add(kind)
        self.kernel.injected(f"{kind} {fault.who}")
        self.kernel.log(self, "fault", kind)
        return True

    def _strike(self, fault: Fault, call: str) -> None:
        self.kernel.injected(f"{fault.kind} {fault.who}")
        if fault.kind == "kill":
            self.kernel.kill(self, call)
            raise Killed
        self.kernel.log(self, "stopped", f"{call} {fault.seconds:g}")
        self.stopped_until = self.kernel.now + fault.seconds
        self._pause()

    def _pause(self) -> None:
        self._stack.parent.switch()
        if self.dead:
            raise Killed

    def wait(self, ready: Callable[[], object], until: float) -> bool:
        """Wait until something holds or a moment has come; whether it holds."""
        while not ready():
            if self.kernel.now >= until:
                return False
            self._ready, self._until = ready, until
            try:
                self._pause()
            finally:
                self._ready = None
        return True

    # Descriptors

    def install(self, description: Description) -> int:
        """The lowest free descriptor, for what it names from now on. Raises OSError when there is none."""
        if len(self.table) >= self.limit:
            raise refusal(errno.EMFILE)
        number = 3
        while number in self.table:
            number += 1
        self.table[number] = description
        description.hold()
        return number

    def get(self, number: int) -> Description:
        """What a descriptor names. Raises OSError when it is closed."""
        found = self.table.get(number)
        if found is None:
            raise refusal(errno.EBADF)
        return found

    def stream(self, number: int) -> Stream:
        """The connection that a descriptor names."""
        found = self.get(number)
        assert isinstance(found, Stream)
        return found

    def close(self, number: int) -> None:
        """Close a descriptor."""
        self.get(number).release()
        del self.table[number]


class Kernel:
    """All processes, and what they share. ``draw`` is where every choice comes from."""

    def __init__(self, draw: random.Random) -> None:
        self.draw = draw
        self.now = 1000.0
        self.processes: list[Process] = []
        self.paths: dict[str, Listener] = {}
        self.crashes: list[str] = []
        self.problems: list[str] = []
        self.faults: Counter[str] = Counter()
        self.trace: list[tuple[float, int, str, object]] = []
        self.on_kill: Callable[[Process], None] = lambda _: None
        """Called when a process is about to be killed."""
        self.owner: Process | None = None
        self.noise = True
        self._number = 100
        self._owned: set[int] = set()

    def next_number(self) -> int:
        """A number that nothing has yet: of a process, or of something open."""
        self._number += 1
        return self._number

    def log(self, process: Process | None, call: str, what: object) -> None:
        """Write down what happened."""
        self.trace.append((self.now, process.pid if process else 0, call, what))

    def text(self) -> str:
        """The trace, a line for each call."""
        return "\n".join(f"{now:.6f} {pid} {call} {what}" for now, pid, call, what in self.trace)

    def injected(self, kind: str) -> None:
        """Count a fault."""
        self.faults[kind] += 1

    def happens(self, kind: str, one_in: int) -> bool:
        """Whether a small fault of the machine happens now."""
        if not self.noise or self.draw.randrange(one_in):
            return False
        self.injected(kind)
        return True

    # Processes

    def run(self, turns: int) -> bool:
        """Let processes that can go on take so many turns; False when none can."""
        for _ in range(turns):
            able = [process for process in self.processes if process.runnable()]
            if not able:
                return False
            process = able[self.draw.randrange(len(able))] if len(able) > 1 else able[0]
            process.resume(self.draw.choice(CALLS_AT_ONCE))
        return True

    def settle(self, seconds: float, done: Callable[[], bool] = lambda: False) -> bool:
        """Let processes run, and time pass, until something holds; False when it did not within so many seconds."""
        limit = self.now + seconds
        while not done():
            if self.run(1):
                if self.now >= limit:
                    return False
                continue
            wakes = min((each.wakes() for each in self.processes if not each.ended), default=limit)
            if wakes >= limit:
                self.now = limit
                return done()
            self.now = wakes
        return True

    def quiet(self) -> None:
        """Let processes run until none can go on without time passing."""
        while self.run(16):
            pass

    def kill(self, process: Process, call: str = "") -> None:
        """End a process at once."""
        self.on_kill(process)
        process.dead = True
        self.log(process, "killed", call)
        self.close_all(process)

    def close_all(self, process: Process) -> None:
        """Give back all descriptors of a process that has ended."""
        for number in list(process.table):
            process.table.pop(number).release()

    def end(self) -> None:
        """End every process, so that no stack is left."""
        for process in self.processes:
            if not process.ended:
                process.dead = True
                process.resume(1)

    # Owners

    def touched(self, process: Process) -> None:
        """A process reads, writes or accepts a client: it has to be the only one, from then on."""
        if process is self.owner:
            if process.frozen:
                self.problem(f"{process.name} touches a client while it stands still")
            return
        if process.pid in self._owned:
            self.problem(f"{process.name} touches a client that {self.owner.name if self.owner else 'nobody'} owns")
            return
        self._owned.add(process.pid)
        self.owner = process

    def problem(self, text: str) -> None:
        """Something that no kernel may ever see happened; it is told once."""
        if text not in self.problems:
            self.problems.append(text)
            self.log(None, "problem", text)

    # What clients do

    def connect(self, path: str, client: int, capacities: tuple[int, int]) -> Stream | None:
        """A client's end of a new connection; None when nobody listens, or too many wait."""
        listener = self.paths.get(path)
        if listener is None or listener.holders == 0 or len(listener.queue) >= listener.backlog:
            return None
        ours = Stream(self.next_number(), client=client, capacity=capacities[0])
        theirs = Stream(self.next_number(), client=client, capacity=capacities[1])
        ours.peer, theirs.peer = theirs, ours
        ours.hold()
        theirs.hold()
        listener.queue.append(theirs)
        return ours

    def knock(self, process: Process, path: str) -> Messages:
        """A process's end of a conversation with whoever listens. Raises OSError when nobody does."""
        listener = self.paths.get(path)
        if listener is None or listener.holders == 0:
            raise refusal(errno.ECONNREFUSED)
        ours, theirs = Messages(self.next_number()), Messages(self.next_number(), pid=process.pid)
        ours.peer, theirs.peer = theirs, ours
        theirs.hold()
        listener.queue.append(theirs)
        return ours


def digest(data: bytes | memoryview) -> str:
    """Bytes in a trace."""
    return f"{len(data)}:{crc32(data):08x}"
