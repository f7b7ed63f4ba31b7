"""A relay whose next handover meets a fault: at the n-th of its calls to the operating system, on one of the two sides.

Facts:
- the relay's own code runs; what is put between it and the system counts the calls of a handover, and acts at one;
- a file says what is to happen, so that a relay that has served for long can be told; what happened stands in another;
- lack of descriptors is real: the limit of the process is lowered. Lack of room is an error of the call itself.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from torq_engine.handover import blob
from torq_engine.handover.state import SCHEMA

from .relays import allow_descriptors

PREDECESSOR, SUCCESSOR = "predecessor", "successor"
KILL, STOP, DESCRIPTORS, ROOM, DAMAGE, FUTURE = "killed", "stopped", "no descriptors", "no room", "damaged", "future"
_CALLS = ("pipe", "read", "write", "wait", "memfd", "write_at", "seal", "contents", "inode")
_NEEDS_ROOM = ("memfd", "write_at")


class Call(msgspec.Struct, frozen=True):
    """A call of a handover, and the state in which it is made."""

    name: str
    state: str


class Fault(msgspec.Struct, frozen=True):
    """``what`` happens to a ``role`` at the first call of its handover, from a number on, at which it can."""

    role: str
    call: int
    what: str


class Struck(msgspec.Struct, frozen=True):
    """What has happened: the fault, to which process, at which call."""

    fault: Fault
    pid: int
    call: Call


def applicable(what: str, role: str, call: Call) -> bool:
    """Whether something can happen at a call of a role."""
    if what == ROOM:
        return call.name in _NEEDS_ROOM
    if what == DAMAGE:
        return call.name == "write_at"
    return what != FUTURE or role == PREDECESSOR


class Injector:
    """Counts the calls of this process's handovers, and does what the file in a directory says."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._role = ""
        self._machine: Any = None
        self._fault: Fault | None = None
        self._calls: list[Call] = []
        self._limits = resource.getrlimit(resource.RLIMIT_NOFILE)

    def begin(self, role: str, machine: object) -> None:
        """A handover begins in which this process has a role; ``machine`` knows its state."""
        self._role, self._machine, self._calls, self._fault = role, machine, [], None
        with suppress(OSError):
            fault = msgspec.json.decode((self._directory / "fault").read_bytes(), type=Fault)
            self._fault = fault if fault.role == role else None

    def end(self) -> None:
        """It is over; says which calls it made."""
        if self._role:
            resource.setrlimit(resource.RLIMIT_NOFILE, self._limits)
            vars(blob)["SCHEMA"] = SCHEMA
            self._write(f"calls.{self._role}", self._calls)
        self._role = ""

    def before(self, name: str) -> bool:
        """A call is about to be made; whether its bytes are to be damaged. Raises OSError where it is to fail."""
        if not self._role:
            return False
        state = getattr(self._machine, "_state", None)
        call = Call(name, state.name if state is not None else "START")
        self._calls.append(call)
        fault = self._fault
        if fault is None or len(self._calls) <= fault.call or not applicable(fault.what, self._role, call):
            return False
        self._fault = None
        self._write("struck", Struck(fault, os.getpid(), call))
        if fault.what in (KILL, STOP):
            os.kill(os.getpid(), signal.SIGKILL if fault.what == KILL else signal.SIGSTOP)
        elif fault.what == DESCRIPTORS:
            unused = os.dup(0)
            os.close(unused)
            resource.setrlimit(resource.RLIMIT_NOFILE, (unused, self._limits[1]))
        elif fault.what == ROOM:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        elif fault.what == FUTURE:
            vars(blob)["SCHEMA"] = SCHEMA + 1  # of what this process writes until the handover is over
        return fault.what == DAMAGE

    def _write(self, name: str, what: object) -> None:
        new = self._directory / f"{name}.{os.getpid()}"
        new.write_bytes(msgspec.json.encode(what))
        os.replace(new, self._directory / name)


def _install(injector: Injector) -> None:
    from torq_engine.handover.channel import Channel
    from torq_engine.handover.predecessor import Predecessor
    from torq_engine.handover.successor import Successor
    from torq_engine.handover.system import Kernel

    def counted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def made(self: object, *given: Any) -> Any:
            if injector.before(name) and name == "write_at":
                descriptor, parts, offset = given
                data = bytearray(b"".join(parts))
                data[len(data) // 2] ^= 1
                given = (descriptor, [data], offset)
            return call(self, *given)

        return made

    def begun(role: str, begin: Callable[..., None]) -> Callable[..., None]:
        def made(self: object, *given: Any, **named: Any) -> None:
            injector.begin(role, self)
            begin(self, *given, **named)

        return made

    def ended(end: Callable[..., None]) -> Callable[..., None]:
        def made(self: object, *given: Any) -> None:
            try:
                end(self, *given)
            finally:
                injector.end()

        return made

    for name in _CALLS:
        setattr(Kernel, name, counted(name, getattr(Kernel, name)))
    for name in ("send", "receive"):
        setattr(Channel, name, counted(name, getattr(Channel, name)))
    for machine, role, first, last in (
        (Predecessor, PREDECESSOR, "__init__", "_end"),
        (Successor, SUCCESSOR, "__init__", "active"),
    ):
        setattr(machine, first, begun(role, getattr(machine, first)))
        setattr(machine, last, ended(getattr(machine, last)))


def main() -> None:
    """Run a market data relay; the first argument is the directory of the files."""
    from torq_domains.market_data import MarketDataLogic
    from torq_engine.daemon import run_relay

    allow_descriptors()
    _install(Injector(Path(sys.argv[1])))
    sys.exit(run_relay(MarketDataLogic(), sys.argv[2:]))


def command(directory: Path, *flags: str) -> list[str]:
    """The command line of such a relay; its successors have the same."""
    return [sys.executable, "-c", f"from {__name__} import main; main()", str(directory), *flags]
