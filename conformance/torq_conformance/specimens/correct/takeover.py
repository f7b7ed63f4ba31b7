"""Takeovers: a successor gets all sockets and what is held for them, or the relay goes on untouched (LIFE-3, LIFE-4).

Facts:
- the relay hands over between two events, in one go: whatever fails, it has read, written and closed nothing meanwhile;
- a successor knocks at an abstract socket, whose name is made of the relay's address: it leaves no file;
- a message takes 253 descriptors; they go in batches, and the state in a file in memory, which is the first of them;
- the baton is a pipe. The relay gives up ownership by a byte in it, and the successor owns everything when it has read
  that byte; a relay that gets no answer reads the byte back, or finds that it is gone;
- the successor never has the writing end: where the relay ends or goes on, the pipe ends without a byte.
"""

import json
import mmap
import os
import select
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple, TypedDict

from torq_conformance.specimens.correct.doorway import StartRefusedError

if TYPE_CHECKING:
    from torq_conformance.specimens.correct.relay import Connection, Relay

BATCH = 200
NAME_BYTES = 60
ANSWER_SECONDS = 5.0
COMMIT = b"c"


class HandoverError(Exception):
    """The other side does not do what it should."""


class Client(TypedDict):
    """One connection: its `buffer` is a size in bytes, its `frames` are places in the list of all frames."""

    number: int
    sending: bool
    receiving: bool
    buffer: int
    frames: list[int]
    written: int
    delivered: int
    dropped: int
    blocked: bool
    reader_seen: bool
    in_flight: int
    held_until: float | None
    unfinished_until: float | None


class State(TypedDict):
    """All that the relay knows but bytes: `frames` are sizes; the frames stand behind, and the buffers behind them."""

    identity: tuple[int, int] | None
    joined: int
    received: int
    delivered: int
    refused: dict[str, int]
    lost: dict[str, int]
    metrics: bool
    frames: list[int]
    clients: list[Client]


class Estate(NamedTuple):
    """What a successor has got."""

    state: State
    data: bytes
    baton: int
    listener: socket.socket
    door: socket.socket
    metrics: socket.socket | None
    clients: list[socket.socket]


class Takeover:
    """Both sides of a takeover: a relay that hands over, and one that is started to take over."""

    def __init__(self, relay: "Relay") -> None:
        self.relay = relay
        self.door: socket.socket | None = None
        self.line: socket.socket | None = None
        doorway = relay.doorway
        place = doorway.path or "{}:{}".format(*(doorway.tcp_address or ()))
        self.address = b"\0torq-specimen " + os.fsencode(place)[-NAME_BYTES:]

    # The relay that hands over

    def hear(self) -> None:
        """Let successors knock; where another relay hears at this address, none can."""
        if self.door is None:
            door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                door.bind(self.address)
            except OSError:
                door.close()
                return
            door.listen()
            door.setblocking(False)
            self.door = door
        self.relay.poll.register(self.door, select.EPOLLIN)

    def close(self) -> None:
        """Hear no successor any more."""
        if self.door is not None:
            self.door.close()
            self.door = None

    def answer(self) -> None:
        """Hand over to who knocks: this process ends, or goes on as if nobody had come."""
        assert self.door is not None
        try:
            line, _ = self.door.accept()
        except OSError:
            return
        with line:
            _, uid, _ = struct.unpack("3i", line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if uid != os.geteuid():
                return
            line.settimeout(ANSWER_SECONDS)
            baton, commit = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            try:
                if self.hand_over(line, baton, commit):
                    self.leave()
            finally:
                os.close(baton)
                os.close(commit)
        self.failed()

    def hand_over(self, line: socket.socket, baton: int, commit: int) -> bool:
        """Whether the successor owns everything now."""
        try:
            self.give(line, baton)
            expect(line, b"prepared")
            os.write(commit, COMMIT)
        except (OSError, HandoverError):
            return False
        with suppress(OSError, HandoverError):
            self.wait_until_active(line)
            return True
        try:
            return not os.read(baton, 1)
        except BlockingIOError:
            return True

    def wait_until_active(self, line: socket.socket) -> None:
        """Wait until the successor serves. Raises OSError or HandoverError where it does not say so."""
        expect(line, b"active")

    def give(self, line: socket.socket, baton: int) -> None:
        """Send the state and all descriptors."""
        file = os.memfd_create("state")
        try:
            with open(file, "wb", closefd=False) as written:
                for part in self.exported():
                    written.write(part)
            descriptors = [file, baton, *self.descriptors()]
            line.send(str(len(descriptors)).encode())
            for start in range(0, len(descriptors), BATCH):
                socket.send_fds(line, [b"descriptors"], descriptors[start : start + BATCH])
                expect(line, b"got")
        finally:
            os.close(file)

    def descriptors(self) -> Iterator[int]:
        """The sockets of the relay, those of its clients last."""
        assert self.door is not None
        yield self.relay.listener.fileno()
        yield self.door.fileno()
        if self.relay.counters.listener is not None:
            yield self.relay.counters.listener.fileno()
        yield from (connection.sock.fileno() for connection in self.clients())

    def clients(self) -> list["Connection"]:
        """The connections that are handed over, in the order in which they joined."""
        return list(self.relay.connections.values())

    def exported(self) -> Iterator[bytes]:
        """The state, and the bytes behind it."""
        relay, clients = self.relay, self.clients()
        frames = {id(frame): frame for each in clients for frame in each.outbox.frames}
        places = {name: place for place, name in enumerate(frames)}
        if relay.audit is not None:
            relay.audit.file.flush()
        state: State = {
            "identity": relay.doorway.identity,
            "joined": relay.joined,
            "received": relay.counters.received,
            "delivered": relay.counters.delivered,
            "refused": relay.counters.refused,
            "lost": relay.counters.dropped,
            "metrics": relay.counters.listener is not None,
            "frames": [len(frame) for frame in frames.values()],
            "clients": [self.client(each, [places[id(frame)] for frame in each.outbox.frames]) for each in clients],
        }
        text = json.dumps(state).encode()
        yield len(text).to_bytes(8, "little") + text
        yield from frames.values()
        yield from (bytes(each.framer.buffer) for each in clients)

    def client(self, connection: "Connection", frames: list[int]) -> Client:
        """One connection, whose frames stand at these places."""
        outbox = connection.outbox
        return {
            "number": connection.number,
            "sending": connection.sending,
            "receiving": connection.receiving,
            "buffer": len(connection.framer.buffer),
            "frames": frames,
            "written": outbox.written,
            "delivered": outbox.delivered,
            "dropped": outbox.dropped,
            "blocked": outbox.blocked,
            "reader_seen": outbox.reader_seen,
            "in_flight": outbox.in_flight,
            "held_until": self.relay.held.get(connection),
            "unfinished_until": self.relay.unfinished.get(connection),
        }

    def leave(self) -> None:
        """The successor serves: end, and touch nothing that is its now."""
        os._exit(0)

    def failed(self) -> None:
        """The successor does not serve: the relay goes on."""

    # The relay that takes over

    def collect(self) -> Estate:
        """Ask the relay that runs for all that it has. Raises StartRefusedError where that does not come."""
        self.line = line = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        line.settimeout(ANSWER_SECONDS)
        descriptors: list[int] = []
        try:
            line.connect(self.address)
            count = int(line.recv(64))
            while len(descriptors) < count:
                word, more, flags, _ = socket.recv_fds(line, 64, BATCH)
                descriptors += more
                if flags & socket.MSG_CTRUNC or not word:
                    raise HandoverError("not all descriptors have come")
                line.send(b"got")
            return self.opened(descriptors)
        except (OSError, ValueError, HandoverError) as error:
            raise StartRefusedError(f"cannot take over: {error}") from error

    def opened(self, descriptors: list[int]) -> Estate:
        """What the descriptors are."""
        file, baton, *others = descriptors
        with mmap.mmap(file, 0, prot=mmap.PROT_READ) as content:
            size = int.from_bytes(content[:8], "little")
            state: State = json.loads(content[8 : 8 + size])
            data = content[8 + size :]
        os.close(file)
        listener, door, *sockets = (socket.socket(fileno=each) for each in others)
        metrics = sockets.pop(0) if state["metrics"] else None
        if len(sockets) != len(state["clients"]):
            raise HandoverError("the state is about other connections")
        return Estate(state, data, baton, listener, door, metrics, sockets)

    def restore(self, estate: Estate) -> None:
        """Be what the other relay was. Nothing is read or written."""
        relay, state = self.relay, estate.state
        self.door = estate.door
        if state["identity"]:
            device, inode = state["identity"]
            relay.doorway.identity = device, inode
        relay.joined = state["joined"]
        self.restore_counters(state)
        at = 0
        frames = []
        for size in state["frames"]:
            frames.append(estate.data[at : at + size])
            at += size
        for sock, client in zip(estate.clients, state["clients"], strict=True):
            self.restore_client(sock, client, frames, estate.data[at : at + client["buffer"]])
            at += client["buffer"]

    def restore_counters(self, state: State) -> None:
        """Count on."""
        counters = self.relay.counters
        counters.received, counters.delivered = state["received"], state["delivered"]
        counters.refused.update(state["refused"])
        counters.dropped.update(state["lost"])

    def restore_client(self, sock: socket.socket, client: Client, frames: list[bytes], buffer: bytes) -> None:
        """A connection with all that waits for it, and the frame that it is within."""
        connection = self.relay.admit(sock, client["number"])
        connection.framer.buffer += buffer
        connection.sending, connection.receiving = client["sending"], client["receiving"]
        outbox = connection.outbox
        for place in client["frames"]:
            outbox.put(frames[place])
        outbox.bytes -= client["written"]
        outbox.written, outbox.blocked = client["written"], client["blocked"]
        outbox.delivered, outbox.dropped = client["delivered"], client["dropped"]
        outbox.reader_seen, outbox.in_flight = client["reader_seen"], client["in_flight"]
        if client["held_until"] is not None:
            self.relay.held[connection] = client["held_until"]
        if client["unfinished_until"] is not None:
            self.relay.unfinished[connection] = client["unfinished_until"]

    def claim(self, estate: Estate) -> None:
        """Own everything from now on. Raises StartRefusedError where the other relay goes on, or has ended."""
        assert self.line is not None
        try:
            self.line.send(b"prepared")
            select.select([estate.baton], [], [], ANSWER_SECONDS)
            if os.read(estate.baton, 1) != COMMIT:
                raise HandoverError("the relay serves on")
        except (OSError, HandoverError) as error:
            raise StartRefusedError(f"cannot take over: {error}") from error
        os.close(estate.baton)

    def active(self) -> None:
        """Say that this relay serves."""
        assert self.line is not None
        with suppress(OSError), self.line:
            self.line.send(b"active")


def expect(line: socket.socket, word: bytes) -> None:
    """Raises HandoverError where another word comes, or none."""
    if line.recv(64) != word:
        raise HandoverError(f"no {word.decode()}")
