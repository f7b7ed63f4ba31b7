"""The player of a replay script: copied whole into every script, so it imports nothing of the suite.

Facts:
- nothing is decided by waiting: *fences* do it, frames that each client writes last and every other waits for. One that
  arrives proves that whatever its sender wrote before has arrived or never will;
- a client counts as served when a fence has reached it; what was sent before may legally miss it.
"""

from __future__ import annotations

import array
import fcntl
import select
import socket
import sys
import termios
import time
import zlib
from collections.abc import Callable, Iterable, Iterator

from .case import FENCE, MAGIC, WITNESS, Case, Client, Sent, UnreachableError, cut, dial


class Run:
    """One run of the program over real sockets, in one thread."""

    def __init__(self, case: Case, address: str) -> None:
        self.case = case
        self.address = address
        self.clients: dict[str, Client] = {}
        self.sent = {name: Sent(name, *rest) for name, *rest in case.frames}  # type: ignore[arg-type] # the fields of a frame
        self.names: dict[bytes, list[str]] = {}
        for name, entry in self.sent.items():
            self.names.setdefault(entry.data, []).append(name)
        self.broken: set[str] = set()
        self.late: set[tuple[str, str]] = set()
        self.void: dict[str, int] = {}
        self.pending: dict[str, tuple[bytes, int]] = {}
        self.fences: dict[int, str] = {}
        self.fence_seen: dict[int, int] = {}
        self.sequence = 1_000_000
        self.reading = 1.0  # seconds that the relay gets to read what was written; fewer when it does not
        self.now = 0
        self.stuck = ""
        self.crash = ""

    def play(self) -> None:
        """All steps, then the closing fences."""
        self.connect(WITNESS)
        for verb, *details in self.case.steps:
            self.now += 1
            getattr(self, str(verb))(*details)
        self.conclude()
        for client in self.clients.values():
            client.rest = b"" if client.left else bytes(client.buffer)
        try:
            dial(self.address).close()
        except OSError as error:
            self.crash = self.crash or f"the relay accepts no connection any more: {error.strerror or error}"

    def close_all(self) -> None:
        """Give back the sockets."""
        for client in self.clients.values():
            client.sock.close()

    # --- steps

    def connect(self, name: str) -> None:
        """Open a connection, and fence from the witness until it is served."""
        try:
            sock = dial(self.address)
        except OSError as error:
            if name == WITNESS:
                raise UnreachableError(f"cannot connect to {self.address}: {error.strerror or error}") from error
            self.crash = f"the relay accepts no connection: {error.strerror or error}"
            return
        self.now += 1
        client = self.clients[name] = Client(name, sock, self.now)
        if name == WITNESS or not self.case.forwards:
            return
        patience, deadline = 0.001, time.monotonic() + 2.0
        while not client.joined and client.open and time.monotonic() < deadline:
            if not self.fence(self.clients[WITNESS]):
                break
            self.pump_until(lambda: bool(client.joined) or not client.open, patience)
            patience = min(patience * 2, 0.2)
        last = self.sequence
        self.pump_until(lambda: client.latest_fence >= last or not client.open, 0.05)

    def write(
        self, name: str, items: tuple[str | bytes, ...], pieces: tuple[int, ...], settle: bool, rest: int
    ) -> None:
        """Send items in writes of so many bytes each; the last ``rest`` bytes wait for ``finish``."""
        client = self.clients.get(name)
        data, ends = b"", []
        for item in items:
            raw = item if isinstance(item, bytes) else self.sent[item].data
            data += raw
            if isinstance(item, str):
                self.sent[item].begun, self.sent[item].end = self.now, len(data)
                ends.append(item)
            if (isinstance(item, str) and self.sent[item].fate == "break") or (
                isinstance(item, bytes) and cut(bytearray(raw), self.case.limit)[2]
            ):
                self.broken.add(name)
        if client is None or not client.sending:
            return
        written = 0
        for size in pieces:
            written += self.send(client, data[written : written + size])
            if settle:
                self.settle(client)
        self.now += 1
        for item in ends:
            self.sent[item].whole = self.sent[item].end <= written
            self.sent[item].certain = self.sent[item].whole and (self.ended(name) or client.sending)
        if rest:
            self.pending[name] = (data[-rest:], written)
        if rest or self.ended(name):
            client.sending = False

    def ended(self, name: str) -> bool:
        """Whether a client has sent what makes the relay close it: the frames before that are still owed."""
        return self.case.closes and name in self.broken

    def finish(self, name: str) -> None:
        """Send the rest of a write that stopped short."""
        client = self.clients.get(name)
        if client is None or name not in self.pending or not client.open:
            return
        data, before = self.pending.pop(name)
        client.sending = True
        whole = self.send(client, data) == len(data)
        self.settle(client)
        self.now += 1
        for entry in self.sent.values():
            if entry.sender == name and entry.begun and entry.end > before and not entry.whole:
                entry.whole, entry.certain = whole, whole and client.sending

    def sync(self) -> None:
        """Wait until everything sent so far has arrived wherever it will."""
        self.fence_round(0.3)

    def half_close(self, name: str) -> None:
        """Shut down the sending side."""
        client = self.clients.get(name)
        if client is not None and client.open:
            client.sending, client.half_closed = False, True
            client.sock.shutdown(socket.SHUT_WR)

    def leave(self, name: str, reset: bool) -> None:
        """Close a connection, politely or by reset."""
        client = self.clients.get(name)
        if client is None or client.left:
            return
        self.pump(0)
        client.left, client.sending = True, False
        for entry in self.sent.values():
            if entry.sender == name:
                entry.certain = False
        if reset and client.sock.family != socket.AF_UNIX:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        client.sock.close()

    def idle(self, milliseconds: int) -> None:
        """Everybody is silent for a while: that is the step, and decides nothing."""
        self.pump_until(lambda: False, milliseconds / 1000)

    def buffer(self, name: str, size: int) -> None:
        """Give a client a send buffer of some bytes: what it writes arrives in pieces."""
        client = self.clients.get(name)
        if client is not None and client.open:
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, size)

    # --- bytes in and out

    def send(self, client: Client, data: bytes) -> int:
        """Write bytes, reading everybody meanwhile; how many the relay took."""
        written, progress = 0, time.monotonic()
        while written < len(data) and client.sending:
            try:
                written += client.sock.send(data[written:])
                progress = time.monotonic()
            except BlockingIOError:
                if time.monotonic() - progress > 3.0:
                    self.stuck = f"the relay took no byte of {client.name} for 3 s"
                    client.sending = False
                self.pump(0.001)
            except OSError:
                client.sending = False
        return written

    def settle(self, client: Client) -> None:
        """Wait until the relay has read what was written, so that the next write is the next read."""
        unread, deadline, turns = array.array("i", [1]), time.monotonic() + self.reading, 0
        while client.open and time.monotonic() < deadline:
            try:
                fcntl.ioctl(client.sock, termios.TIOCOUTQ, unread)
            except OSError:
                return
            if not unread[0]:
                self.reading = 1.0
                return
            turns += 1
            self.pump(0 if turns < 50 else 0.001)
        self.reading = max(self.reading / 2, 0.02)

    def pump(self, seconds: float) -> None:
        """Read whatever arrives within some seconds, returning after the first of it."""
        watched = [client for client in self.clients.values() if client.open]
        poller = select.poll()
        for client in watched:
            poller.register(client.sock, select.POLLIN)
        ready = {descriptor for descriptor, _ in poller.poll(seconds * 1000)}
        for client in watched:
            if client.sock.fileno() in ready:
                self.read(client)

    def pump_until(self, reached: Callable[[], bool], seconds: float) -> None:
        """Read until something has been reached, or the patience is used up."""
        deadline = time.monotonic() + seconds
        while not reached() and (left := deadline - time.monotonic()) > 0:
            self.pump(left)

    def read(self, client: Client) -> None:
        """Take what has come, and cut it into frames."""
        try:
            data = client.sock.recv(262_144)
        except BlockingIOError:
            return
        except OSError as error:
            client.closed, client.sending = error.strerror or str(error), False
            return
        if not data:
            client.closed, client.sending = "end of stream", False
            return
        client.buffer += data
        if client.torn:
            return
        frames, used, client.torn = cut(client.buffer, self.case.limit)
        for frame in frames:
            if FENCE in frame[:64]:
                number = int.from_bytes(frame[8:16], "little")
                author = self.fences.get(number, "nobody")
                if self.fence_seen.setdefault(number, self.now) < client.connected:
                    client.old_fences.append(author)
                    continue
                client.latest_fence = max(client.latest_fence, number)
                if number > self.void.get(author, 0):
                    client.fenced_by.add(author)
                self.now += 1
                client.joined = client.joined or self.now
            else:
                self.now += 1
                client.received.append((self.name_of(frame, client), frame, self.now))
        del client.buffer[:used]

    def name_of(self, frame: bytes, client: Client) -> str:
        """Which frame of the program has come: of those that are equal byte for byte the next one in their order."""
        names = self.names.get(frame, [""])
        got = client.order() if len(names) > 1 else []
        return next((name for name in names if name not in got), names[-1])

    # --- fences

    def fence(self, client: Client) -> bool:
        """Write one fence; False when the connection takes none."""
        self.sequence += 1
        self.fences[self.sequence] = client.name
        value = (FENCE + f":{client.name}:{self.sequence}:".encode()).ljust(40, b".")
        payload = bytes((self.case.fence_type, len(value))) + value
        head = MAGIC + bytes((self.case.domain, 1, 1, 0)) + self.sequence.to_bytes(8, "little")
        head += (1_700_000_000_000_000_000 + self.sequence).to_bytes(8, "little") + len(payload).to_bytes(4, "little")
        checksum = zlib.crc32(payload, zlib.crc32(head)).to_bytes(4, "little")
        return self.send(client, head + checksum + payload) == len(head) + 4 + len(payload)

    def missing(self) -> set[str]:
        """Clients whose fence some reader has not seen."""
        readers = [c for c in self.clients.values() if c.name != WITNESS and c.open and c.joined and not c.torn]
        senders = [c for c in self.clients.values() if c.sending and c.open]
        return {
            s.name for s in senders for r in readers if s.name not in r.fenced_by and (self.case.echo or s is not r)
        }

    def fence_round(self, patience: float) -> bool:
        """Let every sender fence until every reader has seen one of each; False when that never happens."""
        if not self.case.forwards:
            self.pump_until(lambda: False, 0.03)
            return True
        self.void = dict.fromkeys(self.clients, self.sequence)  # what is under way from before proves nothing
        for client in self.clients.values():
            client.fenced_by.clear()
        deadline, wait = time.monotonic() + patience, 0.02
        while missing := self.missing():
            if time.monotonic() > deadline:
                return False
            for name in sorted(missing, key=lambda name: name == WITNESS):
                self.fence(self.clients[name])
            self.pump_until(lambda: not self.missing(), wait)
            wait = min(wait * 2, 0.3)
            for client in self.clients.values():
                place = client.buffer.find(FENCE)
                client.torn = client.torn or (place >= 0 and place != 34)
        return True

    def conclude(self) -> None:
        """The end of what was broken, the closing fences, and one more, behind which even a doubled frame has come."""
        if self.case.closes:
            ends = [self.clients[name] for name in self.broken if name in self.clients]
            self.pump_until(lambda: not any(client.open for client in ends), 2.0)
        last = {entry.sender: entry for entry in self.sent.values() if entry.certain and entry.fate == "forward"}
        self.pump_until(lambda: not any(entry in last.values() for _, entry in self.lacking()), 1.0)
        self.late = {(client.name, entry.name) for client, entry in self.lacking() if entry in last.values()}
        witness = self.clients[WITNESS]
        if self.fence_round(2.0) and self.case.forwards and witness.sending:
            self.void[WITNESS] = self.sequence
            for client in self.clients.values():
                client.fenced_by.discard(WITNESS)
            self.fence(witness)
            self.pump_until(lambda: WITNESS not in self.missing(), 0.05)
        self.pump_until(lambda: not any(self.lacking()), 0.3)  # no fence proves what a closed client's frames became

    # --- what the checks ask

    def readers(self) -> list[Client]:
        """The clients of the program."""
        return [client for client in self.clients.values() if client.name != WITNESS]

    def lacking(self) -> Iterator[tuple[Client, Sent]]:
        """Every frame that a client lacks although every correct relay delivers it there."""
        if self.case.forwards:
            for client in self.readers():
                names = set(client.order())
                for entry in self.sent.values():
                    if entry.name not in names and self.must_arrive(entry, client):
                        yield client, entry

    def must_arrive(self, entry: Sent, client: Client) -> bool:
        """Whether every correct relay delivers this frame to this client."""
        sender = self.clients.get(entry.sender)
        return (
            entry.fate == "forward"
            and entry.certain
            and sender is not None
            and (sender.open or (client is not sender and self.ended(sender.name)))
            and client.open
            and not client.torn
            and 0 < client.joined <= entry.begun
            and (self.case.echo or client is not sender)
        )


Check = Callable[[Run], Iterable[str]]


def main(case: Case, checks: tuple[Check, ...], arguments: list[str]) -> int:
    """Play the program until it fails, at most ``case.runs`` times: 1 it fails, 0 it holds, 2 it cannot be played."""
    if len(arguments) != 1 or arguments[0] in ("-h", "--help"):
        print("usage: python3 THIS_FILE SOCKET    (a socket path, or tcp:HOST:PORT)", file=sys.stderr)
        return 2
    for number in range(1, case.runs + 1):
        run = Run(case, arguments[0])
        try:
            run.play()
        except (UnreachableError, ValueError) as error:
            print(f"cannot judge: {error}", file=sys.stderr)
            return 2
        finally:
            run.close_all()
        faults = [*filter(None, (run.stuck, run.crash)), *(fault for check in checks for fault in check(run))]
        if faults:
            print(f"FAILS {case.requirement} (run {number} of {case.runs}):")
            print("\n".join(f"  {fault}" for fault in faults[:10]))
            return 1
    print(f"HOLDS {case.requirement}: {case.runs} run{'s' * (case.runs != 1)}, no fault")
    return 0
