"""A relay in a simulated process: the real server, hub and both roles of the handover, and little around them.

What is around them in a real process (torq_engine.operations: Service, Takeovers, take_over) reads configuration,
writes logs and keeps an audit log; here its order of calls is repeated without these.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest import mock

from torq_engine import server as server_module
from torq_engine.connection import Connection
from torq_engine.endpoint import Endpoint
from torq_engine.errors import RelayError
from torq_engine.handover.channel import Channel, Refuse, TakeoverError
from torq_engine.handover.predecessor import Holdings, Outcome, Predecessor
from torq_engine.handover.state import DescriptorState, EndpointState, LifeState, LogState, RelayState
from torq_engine.handover.successor import Successor, Taken
from torq_engine.hub import Hub
from torq_engine.observer import Observer
from torq_engine.port import Peer
from torq_engine.server import Server
from torq_engine.settings import ListenSettings, ServerSettings
from torq_protocol.policy import FramePolicy

from ..engine.hub_forms import HUBS
from .calls import SimulatedLoop, SimulatedPort, SimulatedSocket, SimulatedSystem
from .descriptions import Listener
from .kernel import Process

PATH, DOOR = "/run/torq/s", "/run/torq/s.takeover"
_PLACES = {"relay": "market_data", "domain": "1", "socket": PATH}
_BUILD = "torq (simulated)"
_LISTENER, _DOOR = "clients0.listener", "door.listener"
OWN_DESCRIPTORS = 4
"""What a relay holds beside its clients: two listeners and two epolls."""
POLICY = FramePolicy(1)


class Watcher(Observer):
    """What the world is told by servers: which clients were admitted and let go, by their numbers."""

    def __init__(self) -> None:
        self.admissions: list[int] = []
        self.closes: dict[int, str] = {}
        self.failures = 0
        self.takeovers: list[str] = []

    def admitted(self, connection: Connection, peer: Peer) -> None:
        self.admissions.append(peer.pid)

    def closed(self, connection: Connection, peer: Peer) -> None:
        assert connection.close_reason is not None
        self.closes[peer.pid] = connection.close_reason.name

    def failed(self, connection: Connection) -> None:
        self.failures += 1


class SimulatedEndpoint(Endpoint):
    """A listening socket whose path nobody takes away."""

    def owns_path(self) -> bool:
        return True


def _endpoint(process: Process, path: str, descriptor: int) -> SimulatedEndpoint:
    inode = process.get(descriptor).inode
    return SimulatedEndpoint(Path(path), SimulatedSocket.of(process, descriptor), inode=(0, inode))


class Relay:
    """A relay's process; to the handover it is the owner."""

    def __init__(
        self, process: Process, settings: ServerSettings, watcher: Watcher, loop: SimulatedLoop, descriptors: list[int]
    ) -> None:
        self.process = process
        self.settings = settings
        self.watcher = watcher
        self.running: Predecessor | None = None
        self.taken_by = 0
        self.loop = loop
        self._system = SimulatedSystem(process)
        self._clients = _endpoint(process, PATH, descriptors[0])
        self._door = _endpoint(process, DOOR, descriptors[1])
        self.server = Server(POLICY, settings, ListenSettings((Path(PATH),)), watcher, port=SimulatedPort(process))

    # What the handover asks

    def places(self) -> dict[str, str]:
        return _PLACES

    def unwilling(self) -> str:
        return ""

    def holdings(self) -> Holdings:
        totals = self.server.hub.totals()
        return Holdings(totals.connections, totals.connections + 2, totals.held_bytes + totals.incomplete_bytes)

    def begin_copy(self) -> list[memoryview]:
        return self.server.hub.begin_copy()

    def end_copy(self) -> None:
        self.server.hub.end_copy()

    def export(self, frozen_at: float) -> tuple[RelayState, list[memoryview], list[int]]:
        server, data, clients = self.server.export()
        roles = {_LISTENER: self._clients.listener.fileno(), _DOOR: self._door.listener.fileno()}
        state = RelayState(
            build=_BUILD,
            places=_PLACES,
            frozen_at=frozen_at,
            descriptors=[DescriptorState(role, self._system.inode(number)) for role, number in roles.items()],
            endpoints=[EndpointState(PATH.encode(), 0, 0, False, False)],
            operators={},
            server=server,
            log=LogState(),
            life=LifeState(0.0, 0.0),
            door=EndpointState(DOOR.encode(), 0, 0, False, False),
        )
        return state, data, [*roles.values(), *clients]

    def leave(self) -> None:
        self.server.leave()
        self.close_door()
        self._door.stop_listening()
        self.loop.stop()

    def close_door(self) -> None:
        """Hear no successor any more."""
        if self._door.listener.fileno() >= 0:
            self.loop.remove_reader(self._door.listener.fileno())

    # Its life

    def start(self) -> None:
        """Serve from the beginning."""
        self.server.start([self._clients])

    def restore(self, taken: Taken) -> None:
        """Know what another one knew."""
        self.server.restore(taken.state.server, taken.clients, taken.data)

    def resume(self) -> None:
        """Serve what was taken."""
        self.server.resume([self._clients])

    def run(self) -> None:
        """Serve until a successor does."""
        self.loop.add_reader(self._door.listener.fileno(), self._knocked)
        self.loop.run()

    def _knocked(self) -> None:
        try:
            sock, _ = self._door.listener.accept()
        except OSError:
            self.close_door()
            self.loop.call_later(0.1, self._hear_again)
            return
        channel = Channel(sock, self._system)
        if self.running is not None:
            with suppress(TakeoverError):
                channel.send(Refuse("another takeover is under way"))
            channel.close()
            return
        self.process.handover_calls = self.process.calls_since = 0
        self.running = Predecessor(self, channel, self._told)

    def _hear_again(self) -> None:
        if self._door.listener.fileno() >= 0:
            self.loop.add_reader(self._door.listener.fileno(), self._knocked)

    def _told(self, outcome: Outcome) -> None:
        self.running = None
        self.process.frozen = False
        self.process.fault = None
        self.process.kernel.log(self.process, "outcome", outcome.reason or f"taken by {outcome.pid}")
        self.watcher.takeovers.append(outcome.reason or "taken")


class Relays:
    """Starts the processes of a world's relays, and knows the relay in each."""

    def __init__(self, settings: ServerSettings) -> None:
        self.settings = settings
        self.watcher = Watcher()
        self.by_process: dict[Process, Relay] = {}
        self.successors: dict[Process, Successor] = {}

    def first(self, process: Process) -> None:
        """The main function of the process that serves from the beginning."""
        kernel = process.kernel
        loop = SimulatedLoop(process)
        numbers = []
        for path in (PATH, DOOR):
            listener = Listener(kernel.next_number())
            numbers.append(process.install(listener))
            kernel.paths[path] = listener
        relay = self.by_process[process] = Relay(process, self.settings, self.watcher, loop, numbers)
        relay.start()
        relay.run()

    def successor(self, process: Process) -> None:
        """The main function of a process that wants to take over."""
        try:
            relay = self._taken_over(process)
        except TakeoverError as error:
            process.kernel.log(process, "ends", error.reason)
            return
        relay.run()

    def _taken_over(self, process: Process) -> Relay:
        kernel = process.kernel
        loop = SimulatedLoop(process)
        system = SimulatedSystem(process)
        try:
            ours = kernel.knock(process, DOOR)
        except OSError as error:
            raise TakeoverError(f"no relay to take over: {error.strerror}") from None
        channel = Channel(SimulatedSocket.of(process, process.install(ours)), system)
        room = process.limit - len(process.table)
        successor = self.successors[process] = Successor(channel, _BUILD, _PLACES, room)
        taken = successor.collect()
        try:
            numbers = [taken.descriptors[_LISTENER], taken.descriptors[_DOOR]]
            relay = self.by_process[process] = Relay(process, self.settings, self.watcher, loop, numbers)
            relay.restore(taken)
        except Exception as error:
            successor.give_up(str(error))
            if isinstance(error, RelayError | OSError):
                raise TakeoverError(str(error)) from None
            raise
        try:
            successor.claim()
        except TakeoverError:
            relay.leave()
            raise
        relay.resume()
        successor.active(kernel.now - taken.state.frozen_at)
        return relay


@contextmanager
def chosen_forms() -> Iterator[None]:
    """Until the block ends, a server in a simulated process gets the hub in the form of that process."""

    def hub(port: SimulatedPort, *arguments: object) -> Hub:
        form = HUBS[port.process.form]
        return form(port, *arguments)  # type: ignore[arg-type]  # as the server gives them

    with mock.patch.object(server_module, "Hub", hub):
        yield
