"""A specimen as a process of its own, and the clients that talk to it.

Nothing here waits for a time: a client waits for bytes or for the end of the connection. PATIENCE_S only turns
a relay that never answers into a failing test.
"""

import fcntl
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import threading
import time
import zlib
from types import TracebackType

PATIENCE_S = 20.0

# A process that begins holds its parent's sockets until its exec: what another thread closes meanwhile stays open.
BEGINNING_OR_CLOSING = threading.Lock()

MARKET_DATA, SIGNAL, EXECUTION = 1, 2, 3
DOMAIN_NAMES = {MARKET_DATA: "market_data", SIGNAL: "signal", EXECUTION: "execution"}
TYPES = {MARKET_DATA: 4, SIGNAL: 30, EXECUTION: 46}  # of variable size


def tlv(kind: int, value: bytes = b"", extended: bool = False) -> bytes:
    """One TLV in standard form, or extended when asked for or needed."""
    if extended or len(value) > 255:
        return bytes((255, 0, kind)) + len(value).to_bytes(2, "little") + value
    return bytes((kind, len(value))) + value


def frame(
    sequence: int,
    payload: bytes = b"",
    domain: int = SIGNAL,
    version: int = 1,
    source: int = 20,
    checksum: int | None = None,
    flags: int = 0,
) -> bytes:
    """One frame, with its true checksum unless another is given."""
    head = (0xDEADBEEF).to_bytes(4, "little") + bytes((domain, version, source, flags))
    head += sequence.to_bytes(8, "little") + (1_700_000_000_000_000_000).to_bytes(8, "little")
    head += len(payload).to_bytes(4, "little")
    if checksum is None:
        checksum = zlib.crc32(payload, zlib.crc32(head))
    return head + checksum.to_bytes(4, "little") + payload


def plain(sequence: int, domain: int = SIGNAL, size: int = 12) -> bytes:
    """A frame that every relay of the domain must forward; `size` is that of its one TLV's value."""
    return frame(sequence, tlv(TYPES[domain], bytes(size)), domain)


class Client:
    """A plain stream client."""

    def __init__(self, address: str | tuple[str, int], patience_s: float = PATIENCE_S) -> None:
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.sock = socket.socket(family, socket.SOCK_STREAM)
        self.sock.settimeout(patience_s)
        try:
            self.sock.connect(address)
        except OSError:
            self.sock.close()
            raise

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self, count: int) -> bytes:
        """Exactly `count` bytes, fewer only when the relay closes."""
        data = bytearray()
        while len(data) < count:
            piece = self.sock.recv(count - len(data))
            if not piece:
                break
            data += piece
        return bytes(data)

    def receive_until(self, ending: bytes) -> bytes:
        """Everything up to and including `ending`, which must be the last thing that is on its way."""
        data = bytearray()
        while not data.endswith(ending):
            piece = self.sock.recv(65_536)
            assert piece, f"the relay closed the connection after {bytes(data)!r}"
            data += piece
        return bytes(data)

    def receive_all(self) -> bytes:
        """Everything until the relay closes, politely or by reset."""
        data = bytearray()
        try:
            while piece := self.sock.recv(65_536):
                data += piece
        except ConnectionResetError:
            pass
        return bytes(data)

    def unread(self) -> int:
        """What the relay has not yet read of all this client sent, in the kernel's own measure; 0 when all is."""
        pending = bytearray(4)
        fcntl.ioctl(self.sock, termios.TIOCOUTQ, pending)
        return int.from_bytes(pending, "little")

    def send_and_see_it_read(self, data: bytes) -> None:
        """Send, and return when the relay has read all of it: what is sent next is another read for the relay."""
        self.send(data)
        deadline = time.monotonic() + (self.sock.gettimeout() or PATIENCE_S)
        while self.unread():
            assert time.monotonic() < deadline, "the relay does not read"
            select.select([], [], [], 0.0002)

    def has_something(self, within_s: float = 0.005) -> bool:
        """Whether something arrives within some milliseconds."""
        poller = select.poll()  # select() takes no descriptor above 1023, and another check opens 1000
        poller.register(self.sock, select.POLLIN)
        return bool(poller.poll(within_s * 1000))

    def finish_sending(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        with BEGINNING_OR_CLOSING:
            self.sock.close()


class Specimen:
    """One running `torq-specimen`, its socket in a short private directory."""

    def __init__(self, *arguments: str, path: str | None = None, patience_s: float = PATIENCE_S) -> None:
        self.patience_s = patience_s
        self.directory = tempfile.mkdtemp(prefix="sp", dir="/tmp")
        self.address: str | tuple[str, int] = path or os.path.join(self.directory, "s.sock")
        where = () if "--tcp" in arguments else ("--socket", str(self.address))
        self._clients: list[Client] = []
        with BEGINNING_OR_CLOSING:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "torq_conformance.specimens", *arguments, *where],
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        assert self.process.stdout is not None
        self.first_line = self.process.stdout.readline()
        if "--tcp" in arguments and self.first_line:
            host, port = self.first_line.split()[-1].rsplit(":", 1)
            self.address = (host, int(port))

    def __enter__(self) -> "Specimen":
        if self.first_line != f"listening on {self.name}\n":
            self.close()
            raise AssertionError(f"the specimen did not start: {self.first_line}")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process, its clients and its directory."""
        for client in self._clients:
            client.close()
        self.kill()
        self.process.communicate()
        shutil.rmtree(self.directory, ignore_errors=True)

    @property
    def name(self) -> str:
        return self.address if isinstance(self.address, str) else f"{self.address[0]}:{self.address[1]}"

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def stderr(self) -> str:
        """What an ended specimen complained of."""
        return self.process.communicate(timeout=self.patience_s)[1]

    def connect(self) -> Client:
        """A client that may not be served yet."""
        client = Client(self.address, self.patience_s)
        self._clients.append(client)
        return client

    def joined(self, count: int, ping: bytes) -> list[Client]:
        """Clients of which each has seen the ping of itself and of every later one (the relay echoes)."""
        clients: list[Client] = []
        for _ in range(count):
            clients.append(self.connect())
            clients[-1].send(ping)
            for client in clients:
                assert client.receive(len(ping)) == ping
        return clients

    def descriptors(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.process.pid}/task"))

    def memory(self) -> int:
        """Resident bytes."""
        with open(f"/proc/{self.process.pid}/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    def peak_memory(self) -> int:
        """The most resident bytes there have been."""
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) << 10 for line in status if line.startswith("VmHWM:"))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(self.patience_s)
