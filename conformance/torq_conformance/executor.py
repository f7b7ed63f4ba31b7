"""Plays a program against a relay over real sockets, in one thread, and records what was seen.

Facts:
- no sleep decides anything: *fences* do, frames that each sender writes last and each receiver waits for. One that
  arrives proves that whatever its sender wrote before has arrived or never will (ORD-1 is the relay's own promise);
- a connection counts as joined when a frame of the witness has reached it; what was sent before may legally miss it;
- when a closing fence does not arrive soon, another is sent in a write of its own: if that one arrives, the frames
  before the first are lost for certain, without a long wait;
- a relay that echoes fills the receive buffer of whoever writes, so everybody is read while anybody writes.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import select
import socket
import termios
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from . import wire
from .errors import TargetError
from .faults import Faults
from .history import History, Peer, Received, Sent
from .legality import Fate, fate_of, fence_type
from .profile import Rules
from .program import (
    Close,
    Connect,
    Finish,
    Flood,
    Frame,
    HalfClose,
    Idle,
    Program,
    Step,
    Sync,
    Write,
    connection_name,
    encode_frame,
    fence_frame,
)
from .target import Target

WITNESS = -1
JOIN_PATIENCE = 2.0
"""Seconds that a relay may take to serve a new connection."""
SILENCE = 2.0
"""Seconds without any fence after which a relay counts as forwarding nothing more to a connection."""
SETTLE_PATIENCE = 0.05
"""Seconds to wait for the relay to have read a write; a relay that is slower only sees the write joined to the next."""
STUCK_PATIENCE = 3.0
"""Seconds after which a write that makes no progress counts as refused by the relay."""
PATIENCE_ONCE_SILENT = 0.12
"""Share of its patience that a relay keeps each time it has used it up: its silence has been proven."""
LEAST_PATIENCE = 0.02
"""Share of its patience that a silent relay always keeps."""
LAST_BREATH = 1.0
"""Seconds that a relay which has dropped its clients gets to be seen to end."""
QUIET = 0.03
"""Seconds of silence that end a run where the profile forwards nothing."""
ORPHAN_PATIENCE = 0.3
"""Seconds that a relay gets to forward what a client sent before it left, after it has served everybody else."""
READ_SIZE = 262_144


class Link:
    """A socket of a run with its receive buffer; ``reading`` and ``sending`` say what its client still does."""

    def __init__(self, sock: socket.socket, peer: Peer) -> None:
        self.sock = sock
        self.peer = peer
        self.buffer = bytearray()
        self.sending = True
        self.reading = True
        self.latest_fence = 0
        self.unfinished: tuple[bytes, list[Sent]] | None = None


class Executor:
    """Plays programs against one target."""

    def __init__(self, target: Target, rules: Rules) -> None:
        self._target = target
        self._rules = rules
        self._patience = 1.0

    def play(self, program: Program) -> History:
        """Run a program to its end. Raises TargetError when the relay cannot be reached at all."""
        play = _Play(self._target, self._rules, program, self._patience)
        try:
            return play.run()
        finally:
            play.close()
            self._patience = play.patience if play.silent else 1.0


class _Play(Faults):
    """One run of one program."""

    def __init__(self, target: Target, rules: Rules, program: Program, patience: float) -> None:
        self._target = target
        self._rules = rules
        self._program = program
        self._history = History()
        self._links: dict[int, Link] = {}
        self._poller = select.poll()
        self._by_fd: dict[int, Link] = {}
        self._known: dict[bytes, int] = {}
        self.patience = patience
        self.silent = False
        self._sequence = 0
        self._tick = 0

    def run(self) -> History:
        history = self._history
        self._connect(WITNESS, joining=False)
        if history.crash:
            return history
        numbers = iter(self._program.frames())
        for position, step in enumerate(self._program.steps):
            self._tick += 1
            frames = list(islice(numbers, _frames_of(step)))
            match step:
                case Connect(conn=conn, reads=reads):
                    self._connect(conn, joining=reads)
                case Write():
                    self._write(step, position, [(number, frame) for number, _, _, frame in frames])
                case Finish(conn=conn):
                    self._finish(conn)
                case Sync():
                    self._fence_round(patience=0.3 * self.patience)
                case HalfClose(conn=conn):
                    self._half_close(conn)
                case Close(conn=conn, reset=reset):
                    self._leave(conn, reset=reset)
                case Idle(milliseconds=milliseconds):
                    self._pump_for(milliseconds / 1000)
                case _:
                    self.play_fault(step, position, [number for number, _, _, _ in frames])
            if self._crashed():
                break
        self._conclude()
        for link in self._links.values():
            if link.peer.conn != WITNESS and not link.peer.left:
                link.peer.rest = bytes(link.buffer)
        if not self._crashed():
            history.crash = self._seen_dead()
        if self._crashed():
            history.remains = list(self._remains())
        return history

    def _remains(self) -> Iterator[str]:
        """What is left of a dead relay: its last output, and the last bytes that each connection wrote."""
        for line in self._target.last_output(3).splitlines()[1:]:
            yield f"it printed {line.strip()[:160]!r}"
        for conn in self._history.peers:
            last = next((sent for sent in reversed(self._history.sent) if sent.conn == conn), None)
            if last is not None:
                cut = "" if last.whole else ", in part"
                yield f"the last frame of {connection_name(conn)} was {last}{cut}, ending in {last.data[-8:].hex(' ')}"

    def _crashed(self) -> bool:
        return bool(self._history.crash)

    def _seen_dead(self) -> str:
        """How the relay died, "" while it lives: its process is gone, or its listener takes no connection."""
        witness = self._links[WITNESS]
        if any(peer.closed and peer.conn not in self._history.broken for peer in self._history.peers.values()):
            self._pump_until(lambda: not witness.sending, 0.005)
        crash = self._target.crash(0.0 if witness.sending else LAST_BREATH)
        if crash:
            return crash
        try:
            self._target.address.connect().close()
        except OSError as error:
            crash = self._target.crash(LAST_BREATH)
            return crash or f"the relay accepts no connection any more: {error.strerror or error}"
        return ""

    def close(self) -> None:
        """Close every socket."""
        self._thaw()
        for link in self._links.values():
            link.sock.close()

    # --- reading -------------------------------------------------------------------------------------------------

    def _pump(self, seconds: float) -> bool:
        """Read whatever arrives within some seconds, returning after the first of it. False when nothing did."""
        events = self._poller.poll(seconds * 1000)
        for fd, _ in events:
            self._read(self._by_fd[fd])
        return bool(events)

    def _pump_for(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._pump(left)

    def _pump_until(self, reached: Callable[[], bool], seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not reached():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._pump(left)
        return True

    def _read(self, link: Link, size: int = READ_SIZE) -> bool:
        """Read once; False when nothing came."""
        try:
            data = link.sock.recv(size)
        except BlockingIOError:
            return False
        except OSError as error:
            self._lost(link, "reset" if isinstance(error, ConnectionResetError) else str(error))
            return False
        if not data:
            self._lost(link, "end of stream")
            return False
        if link.sock.family != socket.AF_UNIX:  # or a hub without TCP_NODELAY waits 40 ms for each acknowledgement
            link.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        link.buffer += data
        self._decode(link)
        return True

    def _lost(self, link: Link, how: str) -> None:
        self._unwatch(link)
        link.peer.closed = how
        link.peer.closed_at = self._tick
        link.sending = False

    def _unwatch(self, link: Link) -> None:
        fd = link.sock.fileno()
        if self._by_fd.pop(fd, None) is not None:
            self._poller.unregister(fd)

    def _decode(self, link: Link) -> None:
        peer = link.peer
        if not peer.torn:
            frames, used, peer.torn = wire.decode(link.buffer, self._rules.max_message_size)
            for frame in frames:
                if wire.FENCE_MARK in frame[:64]:
                    self._fenced(link, frame)
                else:
                    self._tick += 1
                    peer.received.append(Received(self._known.get(frame), frame, self._tick))
            del link.buffer[:used]

    def _fenced(self, link: Link, frame: bytes) -> None:
        peer = link.peer
        sequence = int.from_bytes(frame[8:16], "little")
        link.latest_fence = max(link.latest_fence, sequence)
        conn = self._history.fences.get(sequence)
        if conn is not None:
            peer.fenced_by.add(conn)
        if peer.joined is None:
            self._tick += 1
            peer.joined = self._tick

    # --- connections ---------------------------------------------------------------------------------------------

    def _connect(self, conn: int, *, joining: bool) -> None:
        if conn in self._links:
            return
        try:
            sock = self._target.address.connect()
        except OSError as error:
            crash = self._target.crash(LAST_BREATH)
            if conn == WITNESS and not crash:
                raise TargetError(f"cannot connect to {self._target.address}: {error.strerror or error}") from error
            self._history.crash = crash or f"the relay accepts no connection: {error.strerror or error}"
            return
        self._tick += 1
        peer = Peer(conn, connected=self._tick)
        link = Link(sock, peer)
        self._links[conn] = link
        self._by_fd[sock.fileno()] = link
        self._poller.register(sock, select.POLLIN)
        if conn != WITNESS:
            self._history.peers[conn] = peer
            if not joining:
                peer.reads = False
                self._begin_stall(link)
        if joining and self._rules.forwards and self._links[WITNESS].sending:
            self._join(link)

    def _connect_witness(self) -> None:
        self._links.pop(WITNESS, None)
        self._connect(WITNESS, joining=False)

    def _join(self, link: Link) -> None:
        """Fence from the witness until the new connection is served, in short waits that grow."""
        patience = 0.001
        deadline = time.monotonic() + JOIN_PATIENCE * self.patience
        while link.peer.joined is None and link.peer.open and time.monotonic() < deadline:
            if not self._fence(self._links[WITNESS]):
                break
            self._pump_until(lambda: link.peer.joined is not None or not link.peer.open, patience)
            patience = min(patience * 2, 0.2)
        if link.peer.joined is None and link.peer.open:
            self._fell_silent()
        last = self._sequence  # the fences behind the first must not mix with what comes next
        self._pump_until(lambda: link.latest_fence >= last or not link.peer.open, SETTLE_PATIENCE)

    def _fell_silent(self) -> None:
        """The relay has used up a whole patience: later waits in front of it are shorter."""
        self.silent = True
        self.patience = max(self.patience * PATIENCE_ONCE_SILENT, LEAST_PATIENCE)

    def _half_close(self, conn: int) -> None:
        link = self._links.get(conn)
        if link is not None and link.peer.open:
            link.sending = False
            link.peer.half_closed = True
            with contextlib.suppress(OSError):
                link.sock.shutdown(socket.SHUT_WR)

    def _leave(self, conn: int, *, reset: bool) -> None:
        link = self._links.get(conn)
        if link is None or link.peer.left:
            return
        if reset:
            self._leave_something_unread(link)
        elif link.reading:
            self._pump(0)
        link.peer.left = True
        link.sending = False
        link.reading = True
        if not link.peer.closed:
            self._unwatch(link)
        if reset or link.sock.family != socket.AF_UNIX:  # what a socket of TCP still holds unread takes the rest along
            for sent in self._history.sent:
                if sent.conn == conn:
                    sent.certain = False
        if reset and link.sock.family != socket.AF_UNIX:
            link.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        link.sock.close()

    def _leave_something_unread(self, link: Link) -> None:
        """Let the relay write something to a connection that will not read it: closing it is a reset then."""
        if not link.peer.closed and link.reading:
            self._unwatch(link)
        witness = self._links.get(WITNESS)
        if self._rules.forwards and not self.frozen and link.peer.joined is not None and witness and witness.sending:
            self._fence(witness)
            select.select([link.sock], [], [], SETTLE_PATIENCE * self.patience)

    # --- writing -------------------------------------------------------------------------------------------------

    def _write(self, step: Write, position: int, numbered: list[tuple[int, Frame]]) -> None:
        link = self._links.get(step.conn)
        frames = iter(numbered)
        data = bytearray()
        sent: list[tuple[int, Sent]] = []
        begun = self._tick
        for item in step.items:
            if isinstance(item, Frame):
                number, frame = next(frames)
                self._sequence += 1
                encoded = encode_frame(frame, conn=step.conn, number=number, sequence=self._sequence)
                fate, why = fate_of(frame, self._rules)
                if fate is Fate.BREAK:
                    self._history.broken.add(step.conn)
                data += encoded
                self._known[encoded] = number
                entry = Sent(
                    number, position, step.conn, frame, encoded, fate, why, begun, 0, whole=False, certain=False
                )
                self._history.sent.append(entry)
                sent.append((len(data), entry))
            else:
                raw = bytes.fromhex(item.bytes)
                data += raw
                if wire.decode(raw, self._rules.max_message_size)[2]:
                    self._history.broken.add(step.conn)
        if link is None or not link.sending:
            return
        if step.size < len(data):
            link.unfinished = (bytes(data[step.size :]), [entry for end, entry in sent if end > step.size])
        self._account(len(sent), len(data))
        written = 0
        for start, stop in step.pieces():
            written += self._send_all(link, memoryview(data)[start:stop])
            if written < stop:
                break
            if step.settle:
                self._settle(link)
        self._tick += 1
        for end, entry in sent:
            entry.tick = self._tick
            entry.whole = end <= written
            entry.certain = entry.whole and link.sending
        if link.unfinished is not None or (
            step.conn in self._history.broken and self._rules.on_framing_error == "close"
        ):
            link.sending = False

    def _finish(self, conn: int) -> None:
        link = self._links.get(conn)
        if link is None or link.unfinished is None or not link.peer.open:
            return
        data, entries = link.unfinished
        link.unfinished = None
        link.sending = True
        complete = self._send_all(link, memoryview(data)) == len(data)
        self._settle(link)
        self._tick += 1
        for entry in entries:
            entry.tick = self._tick
            entry.whole = complete
            entry.certain = complete and link.sending

    def _send_all(self, link: Link, data: memoryview) -> int:
        """Write bytes, reading everybody meanwhile; how many went out."""
        written = 0
        progress = time.monotonic()
        while written < len(data) and link.sending:
            try:
                written += link.sock.send(data[written:])
                progress = time.monotonic()
            except BlockingIOError:
                if self.frozen:
                    self._thaw()
                patience = STUCK_PATIENCE * max(self.patience, 0.1)
                if time.monotonic() - progress > patience:
                    self._history.stuck = f"the relay took no byte of {link.peer.name} for {patience:.1f} s"
                    link.sending = False
                    self._fell_silent()
                    break
                self._pump(0.001)
            except OSError:
                link.sending = False
        return written

    def _settle(self, link: Link) -> None:
        """Wait until the relay has read what was written, so that the next write is the next read."""
        deadline = time.monotonic() + (0.0 if self.frozen else SETTLE_PATIENCE)
        unread = array.array("i", [0])
        turns = 0
        while link.peer.open and time.monotonic() < deadline:
            try:
                fcntl.ioctl(link.sock, termios.TIOCOUTQ, unread)
            except OSError:
                return
            if unread[0] == 0:
                return
            turns += 1
            self._pump(0 if turns < 50 else 0.001)

    # --- fences --------------------------------------------------------------------------------------------------

    def _fence(self, link: Link) -> bool:
        """Write one fence; False when the connection takes none."""
        self._sequence += 1
        sequence = self._sequence
        self._history.fences[sequence] = link.peer.conn
        data = fence_frame(
            domain=self._rules.number, tlv_type=fence_type(self._rules), conn=link.peer.conn, sequence=sequence
        )
        self._account(1, len(data))
        return self._send_all(link, memoryview(data)) == len(data)

    def _senders(self) -> list[Link]:
        """Who can write a fence; the witness last, behind what the clients may still have under way."""
        links = sorted(self._links.values(), key=lambda link: link.peer.conn == WITNESS)
        return [link for link in links if link.sending and link.peer.open]

    def _receivers(self) -> list[Link]:
        return [
            link
            for link in self._links.values()
            if link.peer.conn != WITNESS
            and link.reading
            and link.peer.open
            and link.peer.joined is not None
            and not link.peer.torn
        ]

    def _unproven(self, senders: Iterable[Link]) -> set[int]:
        """Senders whose fence some open receiver has not seen."""
        receivers = self._receivers()
        return {
            sender.peer.conn
            for sender in senders
            if sender.sending
            for receiver in receivers
            if sender.peer.conn not in receiver.peer.fenced_by and (self._rules.echo or sender is not receiver)
        }

    def _fence_round(self, *, patience: float) -> bool:
        """Let every sender write fences until every receiver has seen one of each; False when that never happens."""
        self._thaw()
        if not self._rules.forwards:
            self._pump_for(QUIET)
            return True
        for link in self._links.values():
            link.peer.fenced_by.clear()
        deadline = time.monotonic() + patience
        wait = 0.02
        while missing := self._unproven(self._senders()):
            if time.monotonic() > deadline:
                return False
            fencing = [link for link in self._senders() if link.peer.conn in missing]
            for link in fencing:
                self._fence(link)
                if self._rules.granularity == "reads":  # one sender at a time, or their frames mix
                    self._pump_until(lambda sender=link: not self._unproven([sender]), wait)  # type: ignore[misc] # mypy cannot infer the default's type
            self._pump_until(lambda: not self._unproven(self._senders()), wait)
            wait = min(wait * 2, 0.3)
            for receiver in self._receivers():
                receiver.peer.torn = _swallowed_a_fence(receiver.buffer)
        return True

    def _conclude(self) -> None:
        """The end of what was broken, the closing fences, and one more, behind which even a doubled frame has come."""
        self._thaw()
        self._resume_all()
        if self._rules.on_framing_error == "close":
            broken = [self._links[conn].peer for conn in self._history.broken if conn in self._links]
            if not self._pump_until(lambda: not any(peer.open for peer in broken), SILENCE * self.patience):
                self._fell_silent()
        concluded = self._fence_round(patience=SILENCE * self.patience)
        if not concluded:
            self._fell_silent()
        self._resume_all()
        if concluded and self._rules.forwards:
            witness = self._links[WITNESS]
            if witness.sending:
                for link in self._links.values():
                    link.peer.fenced_by.discard(WITNESS)
                self._fence(witness)
                self._pump_until(lambda: not self._unproven([witness]), 0.05)
                for link in self._receivers():
                    link.peer.fenced_by.add(WITNESS)
        if self._rules.forwards:
            self._await_orphans()

    def _await_orphans(self) -> None:
        """Wait for frames of senders that have left: no fence of theirs can prove that they are lost."""
        orphans = [
            sent
            for sent in self._history.sent
            if sent.certain
            and sent.fate is Fate.FORWARD
            and not self._links[sent.conn].sending
            and sent.conn not in self._history.broken
        ]
        if orphans:
            receivers = self._receivers()
            self._pump_until(
                lambda: all(_has_all(link.peer, orphans) for link in receivers), ORPHAN_PATIENCE * self.patience
            )


def _has_all(peer: Peer, orphans: list[Sent]) -> bool:
    """Whether a receiver has got every orphan that was sent since it joined."""
    got = {received.number for received in peer.received}
    return all(
        sent.number in got or sent.conn == peer.conn or peer.joined is None or peer.joined > sent.begun
        for sent in orphans
    )


def _frames_of(step: Step) -> int:
    """How many frames a step sends."""
    if isinstance(step, Flood):
        return step.count
    return sum(isinstance(item, Frame) for item in step.items) if isinstance(step, Write) else 0


def _swallowed_a_fence(rest: bytearray) -> bool:
    """Whether a receiver waits for the end of a frame while a fence stands inside it: its stream is torn."""
    place = rest.find(wire.FENCE_MARK)
    return place >= 0 and place != wire.HEADER.size + 2
