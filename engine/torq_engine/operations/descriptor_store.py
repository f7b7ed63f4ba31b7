"""systemd's descriptor store: connections that outlive a restart of their service (``FileDescriptorStoreMax=``).

Facts:
- a relay that systemd ends hands the connections and what waits for them over to systemd, and its next process takes
  them back: ``systemctl restart`` disconnects nobody. ``systemctl stop`` empties the store, which ends them;
- a relay cannot know which of the two it is. So what receivers take is delivered first in both, as at any end (LIFE-1);
- systemd is given two descriptors: the state, and a socket in whose queue all connections lie. It compares each
  descriptor with every other, which took two seconds for two thousand, and names each in one variable, which may not be
  longer than 128 KiB: with too many no process could be started at all. ``FDSTORE`` says how many it keeps;
- it keeps them when all clients have gone too (``FDPOLL=0``), and what is not taken out again stays open for ever: so
  both are taken out at once;
- so nothing is sent to them before systemd has let go of them: a process that is killed then leaves no state behind
  that another one would go on with, and nobody is kept waiting for ever;
- all else is given back at the end and claimed anew at the start: paths, locks, the audit log. The listening socket
  is systemd's own where it opened it: who connects meanwhile waits there.
"""

from __future__ import annotations

import os
import select
import socket
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from ..handover.blob import opened, sealed, unpacked
from ..handover.channel import BATCH, close_all
from ..handover.state import RelayState, StateError, WaitingData
from ..handover.successor import Taken
from ..port import Buffer
from .systemd import CLIENTS, DESCRIPTOR_STORE, STATE, Notifier, number_of

if TYPE_CHECKING:
    from .logs import EventLog

_DESCRIPTORS = 2
_SECONDS = 5.0


class DescriptorStore:
    """What systemd keeps for a service; ``has_room`` says whether it keeps anything."""

    def __init__(self, notifier: Notifier, environment: Mapping[str, str]) -> None:
        self._notifier = notifier
        most = number_of(environment.get(DESCRIPTOR_STORE, "")) if notifier.is_heard else 0
        self.has_room = most >= _DESCRIPTORS

    def keep(self, blob: Sequence[Buffer], clients: Sequence[int]) -> None:
        """Hand the parts of a state and its clients' descriptors over. Raises OSError, and systemd keeps nothing."""
        try:
            memfd = sealed(blob)
            try:
                self._remove()  # what is still there would make two states of one
                self._store(STATE, memfd)
            finally:
                os.close(memfd)
            filling, queue = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with filling, queue:
                filling.setblocking(False)
                for start in range(0, len(clients), BATCH):
                    socket.send_fds(filling, [b"."], list(clients[start : start + BATCH]))
                self._store(CLIENTS, queue.fileno())
            self._await_receipt()
        except OSError:
            with suppress(OSError):
                self._remove()
            raise

    def empty(self) -> None:
        """Have systemd close its descriptors of ours, and wait until it has; raises OSError when it does not answer."""
        self._remove()
        self._await_receipt()

    def empty_or_tell(self, log: EventLog) -> None:
        """The same; where systemd does not answer, the log says so."""
        try:
            self.empty()
        except OSError as error:
            log.error("systemd may still keep connections: systemctl stop ends them", error=str(error))

    def _remove(self) -> None:
        for name in (STATE, CLIENTS):
            self._notifier.pass_on(("FDSTOREREMOVE=1", f"FDNAME={name}"), (), _SECONDS)

    def _store(self, name: str, descriptor: int) -> None:
        self._notifier.pass_on(("FDSTORE=1", f"FDNAME={name}", "FDPOLL=0"), [descriptor], _SECONDS)

    def _await_receipt(self) -> None:
        """Wait until systemd has read all that it was sent: it closes the end of a pipe then."""
        reading, writing = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                self._notifier.pass_on(("BARRIER=1",), [writing], _SECONDS)
            finally:
                os.close(writing)
            poll = select.poll()
            poll.register(reading, 0)
            if not poll.poll(_SECONDS * 1000):
                raise TimeoutError(f"systemd did not answer within {_SECONDS:g} s")
        finally:
            os.close(reading)


def taken_back(kept: Mapping[str, Sequence[int]], places: Mapping[str, str]) -> Taken:
    """What the process before this one has kept; ``kept`` are descriptors by name, ``places`` as this relay's.

    Raises :class:`~torq_engine.handover.state.StateError` and OSError for what this relay cannot go on with; all
    descriptors are closed then.
    """
    memfds, queues = kept.get(STATE, ()), kept.get(CLIENTS, ())
    clients: list[int] = []
    try:
        if (len(memfds), len(queues)) != (1, 1):
            raise StateError(f"{len(memfds)} states and {len(queues)} queues of connections were kept")
        clients += _taken_out(queues[0])
        state, data = unpacked(opened(memfds[0]), RelayState)
        for key in ("relay", "domain"):
            if state.places.get(key) != places.get(key):
                raise StateError(f"{key} was {state.places.get(key)} and is {places.get(key)}")
        statuses = [(os.fstat(number), number) for number in clients]
        by_inode = {status.st_ino: number for status, number in statuses if stat.S_ISSOCK(status.st_mode)}
        wanted = [client.inode for client in state.server.clients]
        missing = sum(inode not in by_inode for inode in wanted)
        if missing or len(wanted) != len(clients):
            raise StateError(f"{len(clients)} connections were kept, {missing} of {len(wanted)} are missing")
        return Taken(state, WaitingData(data), {}, [by_inode[inode] for inode in wanted], connections_only=True)
    except (StateError, OSError):
        close_all(clients)
        raise
    finally:
        close_all([*memfds, *queues])


def _taken_out(queue: int) -> list[int]:
    """The descriptors that lie in a socket's queue; raises OSError for what is no such socket."""
    found: list[int] = []
    with socket.socket(fileno=os.dup(queue)) as sock:
        sock.setblocking(False)
        while True:
            data, descriptors, _, _ = socket.recv_fds(sock, 1, BATCH)
            if not data:
                return found
            for number in descriptors:
                os.set_inheritable(number, False)
            found += descriptors
