"""Traffic that goes on while a relay is replaced, and that shows whatever a client could notice.

Facts:
- senders cut what they write anywhere, so that a handover meets torn frames; sequences are those of one sender;
- receivers read at once, now and then, or little at a time; one has shut its sending side, one never reads; visitors
  come and go. Every frame is checked by its checksum and by its sequence: none may be missing, doubled, out of order;
- nothing bounds what is under way but the clients' own pace, which is far below what a relay forwards.
"""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from zlib import crc32

from torq_protocol.constants import HEADER_SIZE, MAGIC, RelayDomain

from .relays import RelayError, connect
from .traffic import make_frame

_DOMAIN = RelayDomain.MARKET_DATA
_SIZES = (32, 74, 74, 74, 300, 300, 5_000, 70_000)
_TICK = 0.002
_SENDERS, _PROMPT = 3, 4
RECEIVERS = _SENDERS + _PROMPT + 3
CONNECTIONS = RECEIVERS + 1
"""Clients that stay, and those of them that read."""
_SHIFT = 48
_LIMIT = 30.0
_HEADER = struct.Struct("<IBBBBQQII")
_SLEEP = 0.7


class Checked:
    """A client that checks every frame; ``fault`` says what is wrong with them, ``gone`` that it was disconnected."""

    def __init__(self, sock: socket.socket, name: str, *, from_the_start: bool = True) -> None:
        self.name = name
        self.sock = sock
        self.sock.setblocking(False)
        self.fault = ""
        self.gone = ""
        self.next: dict[int, int] = {}
        self.latencies: list[tuple[float, float]] = []
        """The moment at which a frame was sent, and how long it took, in seconds."""
        self._start = 0 if from_the_start else None
        self._left = bytearray()

    def read(self, most: int = 1 << 20, *, timed: bool = False) -> None:
        """Read once and check what came."""
        try:
            data = self.sock.recv(most)
        except BlockingIOError:
            return
        except OSError as error:
            self.gone = str(error)
            return
        if not data:
            self.gone = "the end of the stream"
            return
        self._left += data
        now = time.time()
        for sequence, sent in self._frames():
            sender, number = sequence >> _SHIFT, sequence & ((1 << _SHIFT) - 1)
            due = self.next.get(sender, number if self._start is None else self._start)
            if number != due and not self.fault:
                self.fault = f"{self.name}: frame {number} of sender {sender} where {due} was due"
            self.next[sender] = number + 1
            if timed:
                self.latencies.append((sent, now - sent))

    def _frames(self) -> Iterator[tuple[int, float]]:
        position, data = 0, self._left
        while len(data) - position >= HEADER_SIZE and not self.fault:
            magic, domain, _, _, _, sequence, stamp, size, checksum = _HEADER.unpack_from(data, position)
            if magic != MAGIC or domain != _DOMAIN:
                self.fault = f"{self.name}: bytes that are no frame: {bytes(data[position : position + 32]).hex()}"
                break
            end = position + HEADER_SIZE + size
            if len(data) < end:
                break
            view = memoryview(data)[position:end]
            if crc32(view[HEADER_SIZE:], crc32(view[:28])) != checksum:
                self.fault = f"{self.name}: a frame that nobody sent, sequence {sequence:x}"
            view.release()
            position = end
            yield sequence, stamp / 1e9
        del data[:position]


class Sender(Checked):
    """A client that sends numbered frames, cut anywhere, and reads those of the others."""

    def __init__(self, sock: socket.socket, number: int, rng: random.Random) -> None:
        super().__init__(sock, f"sender {number}")
        self.number = number
        self.sent = 0
        self._rng = rng
        self._waiting = bytearray()

    def send(self, *, more: bool) -> bool:
        """Write what is left, and new frames; whether nothing is left."""
        if more and len(self._waiting) < 100_000:
            for _ in range(self._rng.randrange(1, 6)):
                self._waiting += make_frame(_DOMAIN, self._rng.choice(_SIZES), (self.number << _SHIFT) | self.sent)
                self.sent += 1
        if self._waiting:
            cut = self._rng.randrange(1, len(self._waiting) + 1) if more else len(self._waiting)
            try:
                taken = self.sock.send(memoryview(self._waiting)[:cut])
            except BlockingIOError:
                return False
            except OSError as error:
                self.gone = str(error)
                return True
            del self._waiting[:taken]
        return not self._waiting


class Traffic:
    """All of it, in a thread of its own from :meth:`start` to :meth:`finish` or :meth:`abandon`."""

    def __init__(self, path: str, seed: int) -> None:
        self._path = path
        self._rng = random.Random(seed)
        self.senders = [Sender(connect(path), number, self._rng) for number in range(_SENDERS)]
        self._prompt = [Checked(connect(path), f"receiver {number}") for number in range(_PROMPT)]
        self._half_closed = Checked(connect(path), "half-closed receiver")
        self._half_closed.sock.shutdown(socket.SHUT_WR)
        self._sleepy, self._slow = Checked(connect(path), "sleepy receiver"), Checked(connect(path), "slow receiver")
        self._silent = connect(path)
        self._visitor: Checked | None = None
        self.visitors = 0
        self._visit_until = 0.0
        self._sending = self._going = True
        self._thread = threading.Thread(target=self._run)

    @property
    def clients(self) -> list[Checked]:
        """All that check what they receive, but for visitors."""
        return [*self.senders, *self._prompt, self._half_closed, self._sleepy, self._slow]

    @property
    def latencies(self) -> list[tuple[float, float]]:
        """Those of one receiver that reads at once."""
        return self._prompt[0].latencies

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def faults(self) -> list[str]:
        """What was lost, doubled, torn or out of order so far."""
        everyone = [*self.clients, *([self._visitor] if self._visitor else [])]
        return [client.fault for client in everyone if client.fault]

    def gone(self) -> list[str]:
        """Who was disconnected."""
        found = [f"{client.name}: {client.gone}" for client in self.clients if client.gone]
        poll = select.poll()
        poll.register(self._silent, 0)
        return found + ["the client that never reads"] * len(poll.poll(0))

    def finish(self) -> list[str]:
        """Send no more, and wait until everyone has everything; returns what is wrong."""
        self._sending = False
        limit = time.monotonic() + _LIMIT
        while self._missing() and not self.faults() and not self.gone() and time.monotonic() < limit:
            time.sleep(0.01)
        return [*self.faults(), *self._missing(), *self.gone()]

    def abandon(self) -> None:
        """End at once."""
        self._going = False
        if self._thread.is_alive():
            self._thread.join()
        for client in (*self.clients, *([self._visitor] if self._visitor else [])):
            client.sock.close()
        self._silent.close()

    def _missing(self) -> list[str]:
        return [
            f"{client.name} has {client.next.get(sender.number, 0)} of {sender.sent} frames of {sender.name}"
            for client in self.clients
            for sender in self.senders
            if client is not sender and client.next.get(sender.number, 0) != sender.sent
        ]

    def _run(self) -> None:
        poll = select.epoll()
        at_once = {client.sock.fileno(): client for client in (*self.senders, *self._prompt, self._half_closed)}
        for number in at_once:
            poll.register(number, select.EPOLLIN)
        tick = 0.0
        while self._going:
            now = time.monotonic()
            for number, _ in poll.poll(max(0.0, tick - now)):
                client = at_once[number]
                client.read(timed=client is self._prompt[0])
                if client.gone:
                    poll.unregister(number)
            if now >= tick:
                tick = now + _TICK
                for sender in self.senders:
                    sender.send(more=self._sending)
                self._slow.read(200_000)
                if not self._sending or now % (2 * _SLEEP) > _SLEEP:
                    self._sleepy.read()
                self._visit(now)
        poll.close()

    def _visit(self, now: float) -> None:
        if self._visitor is None:
            if not self._sending:
                return
            try:
                self._visitor = Checked(connect(self._path), "visitor", from_the_start=False)
            except RelayError as error:
                self.senders[0].gone = self.senders[0].gone or f"a visitor is not let in: {error}"
                return
            self.visitors += 1
            self._visit_until = now + self._rng.random() / 2
        self._visitor.read()
        if self._visitor.fault:
            self.senders[0].fault = self._visitor.fault
        if now > self._visit_until or self._visitor.gone or not self._sending:
            if self._visitor.gone:
                self.senders[0].gone = self.senders[0].gone or f"visitor: {self._visitor.gone}"
            self._visitor.sock.close()
            self._visitor = None
