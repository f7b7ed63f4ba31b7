"""A world: one relay and those that take its place, clients, and what happens to them, up to the judgement."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from torq_conformance.model.frames import Frame
from torq_conformance.model.history import History, Peer, Received, Sent
from torq_conformance.model.legality import Fate
from torq_engine.handover.tables import New, Old

from ..engine.frames import MAGIC, MARKET_DATA, frame
from .descriptions import Stream
from .judging import contradictions
from .kernel import DESCRIPTORS, Kernel, Process, digest
from .programs import Event, Program
from .relay import OWN_DESCRIPTORS, PATH, Relay, Relays, chosen_forms

_LONGEST = 200.0
_IDLE_ROUNDS = 20
_ROUNDS = 3
_LARGE = 1 << 16
_HEIRS = (New.COLLECTING, New.VERIFYING, New.PREPARED, New.SERVING)
"""The states of a successor that has everything, or will find it in its channel, when its predecessor dies."""
_HEADER = 32
_GARBAGE = b"no frame begins like this" * 2
_FIRST_SEQUENCE = 100


@dataclass(eq=False)
class Client:
    """A client of the relay: its end of the connection, what it has yet to send, and what it has read of a frame."""

    number: int
    peer: Peer
    stream: Stream
    unsent: bytearray = field(default_factory=bytearray)
    unfinished: list[tuple[int, Sent]] = field(default_factory=list)
    queued: int = 0
    sent: int = 0
    rest: bytearray = field(default_factory=bytearray)
    half_closed: bool = False
    garbage: bool = False
    kept: int = 0
    """How many of its last bytes it holds back for now."""


@dataclass(frozen=True)
class Outcome:
    """What a history came to: what is wrong in it, its trace, and figures."""

    problems: list[str]
    trace: str
    seconds: float
    handovers: Counter[str]
    faults: Counter[str]
    calls: int
    frames: int
    served_by: str
    """The process that serves at the end; empty when none does."""


def play(program: Program) -> Outcome:
    """Play a program, and judge what happened."""
    with chosen_forms():
        world = World(program)
        try:
            world.play()
        finally:
            world.kernel.end()
        return world.outcome()


class World:
    """All of it."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.kernel = Kernel(random.Random(0))
        self.kernel.noise = program.noise
        self.relays = Relays(program.settings())
        self.history = History()
        self.clients: dict[int, Client] = {}
        self.kernel.on_kill = self._killed
        self.lost = False
        self.heirs: set[Process] = set()
        self.orphaned = False
        self.served_by = ""
        self._tick = 0
        self._by_sequence: dict[bytes, Sent] = {}
        self._admissions = 0
        self._connections = 0
        self._names = Counter[str]()
        self._spawn("relay", program.form, first=True)

    # Playing

    def play(self) -> None:
        """Every event, then let everybody come to an end."""
        self.kernel.quiet()
        for event in self.program.events:
            self.kernel.draw.seed(event.choices)
            self.kernel.log(None, "event", event)
            self._act(event)
            for _ in range(_ROUNDS):
                self.kernel.run(-(-event.turns // _ROUNDS))
                for client in self.clients.values():
                    self._send(client, client.kept)
            self._notice()
            if self.orphaned:
                break
        self._finish()

    def _act(self, event: Event) -> None:
        match event.act:
            case "join":
                self._join(event.client)
            case "takeover":
                self._take_over(event)
            case "wait":
                self.kernel.settle(event.seconds)
            case "exhaust" | "relent":
                owner = self.kernel.owner
                if owner is not None:
                    owner.limit = len(owner.table) if event.act == "exhaust" else DESCRIPTORS
            case act:
                client = self.clients.get(event.client)
                if client is not None:
                    self._act_of(client, act, event)

    def _act_of(self, client: Client, act: str, event: Event) -> None:
        match act:
            case "send" if not client.half_closed and not client.garbage:
                for size in event.sizes:
                    self._queue_frame(client, size)
                client.kept = event.kept
                self._send(client, client.kept)
            case "garbage" if not client.half_closed:
                client.garbage = True
                client.unsent += _GARBAGE
                client.queued += len(_GARBAGE)
                client.kept = 0
                self._send(client)
            case "read":
                self._read(client, event.size)
            case "half-close" if not client.half_closed:
                client.half_closed = True
                client.peer.half_closed = True
                client.unsent.clear()
                client.stream.shut_down()
            case "leave":
                self._leave(client)

    def _living(self) -> list[Process]:
        return [process for process in self.kernel.processes if not process.ended]

    def _spawn(self, name: str, form: str, *, first: bool = False) -> Process:
        self._names[name] += 1
        main = self.relays.first if first else self.relays.successor
        return Process(self.kernel, f"{name} {self._names[name]}", main, form)

    def _take_over(self, event: Event) -> None:
        successor = self._spawn("successor", event.form)
        for fault in event.faults:
            process = successor if fault.who == "new" else self.kernel.owner
            if process is not None and not process.ended and process.fault is None:
                process.fault = fault

    # Clients

    def moment(self) -> int:
        """The next moment."""
        self._tick += 1
        return self._tick

    def _join(self, number: int) -> None:
        if number in self.clients:
            return
        capacity = self.program.capacity
        conn = self._connections
        stream = self.kernel.connect(PATH, conn, (capacity, capacity))
        if stream is None:
            return
        self._connections += 1
        peer = self.history.peers[conn] = Peer(conn, connected=self.moment())
        self.clients[number] = Client(number, peer, stream)
        self.kernel.log(None, "connect", f"client {conn}")

    def _queue_frame(self, client: Client, size: int) -> None:
        number = len(self._by_sequence)
        sequence = number + _FIRST_SEQUENCE
        payload = (bytes([number & 0xFF, client.peer.conn & 0xFF]) * (size // 2 + 1))[:size]
        data = frame(payload, sequence=sequence, source=client.peer.conn % 4 + 1)
        sent = Sent(number, number, client.peer.conn, Frame(MARKET_DATA), data, Fate.FORWARD, None, 0)
        self._by_sequence[data[8:16]] = sent
        client.unsent += data
        client.queued += len(data)
        client.unfinished.append((client.queued, sent))

    def _send(self, client: Client, kept: int = 0) -> None:
        """Send what there is room for, but the last bytes: the frames that they end are then incomplete."""
        self._notice()
        wanted = len(client.unsent) - kept
        if wanted <= 0 or client.half_closed or client.stream.peer is None:
            return
        size = min(wanted, client.stream.room())
        if size <= 0:
            return
        client.stream.put(client.unsent[:size])
        del client.unsent[:size]
        moment = self.moment()
        begin, client.sent = client.sent, client.sent + size
        if client.garbage and client.sent > client.queued - len(_GARBAGE):
            self.history.broken.add(client.peer.conn)
        for end, sent in client.unfinished:
            if end - len(sent.data) < client.sent and sent.begun == 0:
                sent.begun = moment
                self.history.sent.append(sent)
            if begin < end <= client.sent:
                sent.tick, sent.whole, sent.certain = self.moment(), True, True
        client.unfinished = [each for each in client.unfinished if each[0] > client.sent]
        self.kernel.log(None, "client sends", f"{client.peer.conn} {size}")

    def _read(self, client: Client, size: int = -1) -> int:
        self._notice()
        stream, total = client.stream, 0
        try:
            available = stream.available()
        except BlockingIOError:
            return 0
        except OSError:
            available = 0
        if available == 0:
            if not client.peer.closed:
                client.peer.closed, client.peer.closed_at = "the relay closed the connection", self.moment()
                self.kernel.log(None, "client closed", client.peer.conn)
            return 0
        data = stream.take(available if size < 0 else min(available, size))
        total += len(data)
        self.kernel.log(None, "client reads", f"{client.peer.conn} {digest(data)}")
        client.rest += data
        self._recognise(client)
        return total

    def _recognise(self, client: Client) -> None:
        rest, peer, start = client.rest, client.peer, 0
        if peer.torn:
            peer.rest = bytes(rest)
            return
        while len(rest) - start >= _HEADER:
            if rest[start : start + 4] != MAGIC:
                peer.torn = True
                break
            size = _HEADER + int.from_bytes(rest[start + 24 : start + 28], "little")
            if len(rest) - start < size:
                break
            data = bytes(rest[start : start + size])
            sent = self._by_sequence.get(data[8:16])
            known = sent is not None and sent.data == data
            peer.received.append(Received(sent.number if sent is not None and known else None, data, self.moment()))
            start += size
        del rest[:start]
        peer.rest = bytes(rest)

    def _leave(self, client: Client) -> None:
        del self.clients[client.number]
        client.peer.left = True
        for sent in self.history.sent:
            if sent.conn == client.peer.conn and not sent.tick:
                sent.tick = self.moment()
        client.stream.release()
        self.kernel.log(None, "client leaves", client.peer.conn)

    def _notice(self) -> None:
        """Who was admitted since: frames that begin from now on have to reach them."""
        admissions = self.relays.watcher.admissions
        for conn in admissions[self._admissions :]:
            self.history.peers[conn].joined = self.moment()
        self._admissions = len(admissions)
        if not self.orphaned and not self._living():
            self.orphaned = True

    # The end

    def _finish(self) -> None:
        """No fault happens any more; stopped processes go on, handovers end, everybody sends and reads everything.

        Buffers grow, so that this takes little.
        """
        self.kernel.noise = False
        self.kernel.log(None, "finish", "")
        for process in self._living():
            process.limit = DESCRIPTORS
            if process.fault is not None:
                process.fault = None
        self.kernel.settle(_LONGEST, self._handed_over)
        if not self._handed_over():
            self.kernel.problem("a handover does not come to its end")
        for client in self.clients.values():
            client.stream.capacity = _LARGE
            if client.stream.peer is not None:
                client.stream.peer.capacity = _LARGE
        idle = 0
        while idle < _IDLE_ROUNDS:
            self.kernel.settle(0.3)
            moved = sum(self._catch_up(client) for client in self.clients.values())
            if not moved and not self._in_kernel():
                break
            idle = 0 if moved else idle + 1
        else:
            self.kernel.problem("the relay does not come to an end of what was sent")
        self._judge()

    def _catch_up(self, client: Client) -> int:
        """Have a client send and read all that it can; how many bytes that were."""
        before = client.sent
        self._send(client)
        return self._read(client) + client.sent - before

    def _in_kernel(self) -> bool:
        """Whether the relay has yet to read what a client sent, or to send what waits."""
        server = self._serving()
        if server is None:
            return False
        if any(client.stream.peer is not None and client.stream.peer.inbox for client in self.clients.values()):
            return True
        return server.server.hub.totals().queued_frames > 0

    def _handed_over(self) -> bool:
        living = self._living()
        if any(process.stopped_until > self.kernel.now for process in living):
            return False
        return len(living) <= 1 and all(self._settled(process) for process in living)

    def _settled(self, process: Process) -> bool:
        relay = self.relays.by_process.get(process)
        return relay is not None and relay.running is None

    def _serving(self) -> Relay | None:
        living = self._living()
        return self.relays.by_process.get(living[0]) if len(living) == 1 else None

    def _judge(self) -> None:
        kernel = self.kernel
        relay = self._serving()
        if relay is None:
            if not self._excused():
                kernel.problem("nobody serves at the end")
        else:
            self.served_by = relay.process.name
            self._judge_relay(relay)
        for crash in kernel.crashes:
            kernel.problem(f"a process ended by an error: {crash}")
        if self.relays.watcher.failures:
            kernel.problem("an error of the relay itself ended a connection")
        lossy = self._told_of_losses(relay) if relay is not None else set()
        for problem in contradictions(self.history, self.program, alive=relay is not None, lossy=lossy):
            kernel.problem(problem)

    def _judge_relay(self, relay: Relay) -> None:
        kernel, process, hub = self.kernel, relay.process, relay.server.hub
        held = len(process.table) - OWN_DESCRIPTORS - len(hub.connections)
        if held:
            kernel.problem(f"{process.name} holds {held:+} descriptors beside its clients and its own")
        open_clients = sorted(client.peer.conn for client in self.clients.values() if not client.peer.closed)
        served = sorted(peer.pid for _, peer in relay.server.connections())
        if served != open_clients:
            kernel.problem(f"clients {open_clients} are open, {served} are served")
        totals = hub.totals()
        if totals.balance():
            kernel.problem(f"the accounts differ by {totals.balance()} frames")
        whole = [sent.conn for sent in self.history.sent if sent.whole]
        closed = {peer.conn for peer in self.history.peers.values() if peer.closed}
        if not sum(conn not in closed for conn in whole) <= totals.received_frames <= len(whole):
            kernel.problem(f"{len(whole)} whole frames were sent, {totals.received_frames} are accounted for")

    def _told_of_losses(self, relay: Relay) -> set[int]:
        """The connections that lost frames by the relay's own account, which has to be right."""
        lossy = set()
        for connection, peer in relay.server.connections():
            received = len(self.history.peers[peer.pid].received)
            if connection.delivered_frames != received:
                told = f"{connection.delivered_frames} frames were delivered by the relay's account, it got {received}"
                self.kernel.problem(f"client {peer.pid}: {told}")
            if any(connection.dropped_frames):
                lossy.add(peer.pid)
        if self.program.may_drop:
            ended = self.relays.watcher.closes
            lossy |= {conn for conn, reason in ended.items() if reason == "SLOW_CONSUMER"}
            for conn in (conn for conn, reason in ended.items() if reason == "TOTAL_FULL"):
                self._let_go(conn)
        return lossy

    def _let_go(self, conn: int) -> None:
        """The relay may end who holds much of all that is incomplete, whatever that one had sent."""
        self.history.peers[conn].left = True
        for sent in self.history.sent:
            sent.certain = sent.certain and sent.conn != conn

    def _killed(self, process: Process) -> None:
        """Note whether the clients are lost with a process, or who has to serve them now."""
        successor = self.relays.successors.get(process)
        if successor is not None and successor._state is not New.SERVING:
            self.lost = self.lost or process in self.heirs
            return
        relay = self.relays.by_process.get(process)
        if relay is not None and relay.server._stopped:
            return
        predecessor = relay.running if relay is not None else None
        handed = process.said == "Whole" and predecessor is not None and predecessor._state is not Old.SERVING
        heirs = [each for each, one in self.relays.successors.items() if one._state in _HEIRS and not each.dead]
        if handed and heirs and "damage" not in process.struck:
            self.heirs.update(heirs)
        else:
            self.lost = True

    def _excused(self) -> bool:
        """Whether nothing could keep the clients: their owner died, and no successor had everything, or that failed."""
        return self.lost or any(heir.struck - {"stop"} for heir in self.heirs)

    def outcome(self) -> Outcome:
        """What it came to."""
        kernel = self.kernel
        told = Counter(self.relays.watcher.takeovers)
        return Outcome(
            kernel.problems,
            kernel.text(),
            kernel.now - 1000.0,
            told,
            kernel.faults,
            len(kernel.trace),
            len(self.history.sent),
            self.served_by,
        )
