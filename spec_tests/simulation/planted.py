"""Faults planted in the real code, each of which the simulation has to find: the harness judges itself by them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import msgspec

from torq_engine.handover import successor
from torq_engine.handover.baton import Baton, read_baton
from torq_engine.handover.blob import SlowCopy
from torq_engine.handover.state import ConnectionState, ServerState, TotalsState, WaitingData
from torq_engine.handover.system import System
from torq_engine.handover.tables import Event
from torq_engine.server import Server

Exported = tuple[ServerState, list[memoryview], list[int]]
_export, _restore = Server.export, Server.restore


def _changing(change: Callable[[ConnectionState], ConnectionState]) -> mock._patch[object]:
    """A successor that restores each connection changed."""

    def restore(self: Server, state: ServerState, descriptors: list[int], data: WaitingData) -> None:
        connections = [change(each) for each in state.hub.connections]
        incomplete = [each.id for each in connections if each.partial is not None]
        hub = msgspec.structs.replace(state.hub, connections=connections, incomplete=incomplete)
        _restore(self, msgspec.structs.replace(state, hub=hub), descriptors, data)

    return mock.patch.object(Server, "restore", restore)


def _forget_remainder(each: ConnectionState) -> ConnectionState:
    return msgspec.structs.replace(each, remainder=None)


def _queue_twice(each: ConnectionState) -> ConnectionState:
    return msgspec.structs.replace(each, queue=each.queue * 2)


def _queue_reversed(each: ConnectionState) -> ConnectionState:
    return msgspec.structs.replace(each, queue=each.queue[::-1])


def _forget_partial(each: ConnectionState) -> ConnectionState:
    return msgspec.structs.replace(each, partial=None)


def _unblocked(each: ConnectionState) -> ConnectionState:
    return msgspec.structs.replace(each, blocked=False)


def _without_half_closed(self: Server) -> Exported:
    state, data, descriptors = _export(self)
    rows = zip(state.hub.connections, state.clients, descriptors, strict=True)
    kept = [row for row in rows if row[0].input_open]
    hub = msgspec.structs.replace(state.hub, connections=[row[0] for row in kept])
    return msgspec.structs.replace(state, hub=hub, clients=[row[1] for row in kept]), data, [row[2] for row in kept]


def _reading_on(self: Server) -> Exported:
    found = _export(self)
    for client in list(self._clients.values()):
        if client.connection.input_open:
            self._readable(client)
    return found


def _accepting_nobody(self: Server) -> Exported:
    found = _export(self)
    self._pause_accepting()
    return found


def _counting_anew(self: Server, state: ServerState, descriptors: list[int], data: WaitingData) -> None:
    hub = msgspec.structs.replace(state.hub, past=TotalsState())
    _restore(self, msgspec.structs.replace(state, hub=hub), descriptors, data)


def _without_the_baton(reading: int, seconds: float, system: System) -> Event:
    return Event.COMMITTED


def _deaf_to_the_end(reading: int, seconds: float, system: System) -> Event:
    event = read_baton(reading, seconds, system)
    return Event.LATE if event is Event.ORPHANED else event


def _always_taken_back(self: Baton) -> Event:
    return Event.TAKEN_BACK


def _nothing(self: object) -> None:
    """Forgotten."""


FAULTS: dict[str, Callable[[], mock._patch[object]]] = {
    "drops the torn remainder": lambda: _changing(_forget_remainder),
    "sends the queue again": lambda: _changing(_queue_twice),
    "reorders the queue": lambda: _changing(_queue_reversed),
    "forgets incomplete frames": lambda: _changing(_forget_partial),
    "forgets who waits for room": lambda: _changing(_unblocked),
    "forgets half-closed clients": lambda: mock.patch.object(Server, "export", _without_half_closed),
    "reads after the freeze": lambda: mock.patch.object(Server, "export", _reading_on),
    "accepts nobody after a failed handover": lambda: mock.patch.object(Server, "export", _accepting_nobody),
    "counts anew": lambda: mock.patch.object(Server, "restore", _counting_anew),
    "serves without the baton": lambda: mock.patch.object(successor, "read_baton", _without_the_baton),
    "gives up when the predecessor dies": lambda: mock.patch.object(successor, "read_baton", _deaf_to_the_end),
    "takes back a baton that is gone": lambda: mock.patch.object(Baton, "take_back", _always_taken_back),
    "does not revoke": lambda: mock.patch.object(Baton, "revoke", _nothing),
    "keeps the copy open": lambda: mock.patch.object(SlowCopy, "close", _nothing),
}
"""Each by its name."""


@contextmanager
def planted(name: str) -> Iterator[None]:
    """Until the block ends, the code has this fault."""
    with FAULTS[name]():
        yield
