"""What one connection is still to get: a bounded queue of whole frames in front of its socket (ISO-2 to 5, ISO-7).

Facts: a frame of which a part is written is never dropped. A Unix socket tells by TIOCOUTQ what its peer has not
read; when that falls, the peer reads. TCP tells only what was acknowledged, so there a peer is seen to read when a
full socket takes more.
"""

import fcntl
import socket
import termios
from collections import deque
from itertools import islice

from torq_conformance.specimens.correct.settings import Settings

FRAMES_A_WRITE = 64


class Outbox:
    """The frames not yet written to one connection, oldest first."""

    def __init__(self, sock: socket.socket, settings: Settings) -> None:
        self.sock = sock
        self.settings = settings
        self.frames: deque[bytes] = deque()
        self.bytes = 0
        self.written = 0  # bytes of frames[0] that are already in the socket
        self.delivered = self.dropped = 0
        self.blocked = False
        self.reader_seen = False
        self.in_flight = 0  # unread by the peer when last looked at, and what was written since

    def put(self, frame: bytes) -> None:
        """Queue a frame; the caller sees to the bound."""
        self.frames.append(frame)
        self.bytes += len(frame)

    def has_room(self, frame: bytes) -> bool:
        """Whether one more frame stays within both bounds; an empty outbox takes any frame."""
        return not self.frames or (
            (not self.settings.queue_frames or len(self.frames) < self.settings.queue_frames)
            and self.bytes + len(frame) <= self.settings.queue_bytes
        )

    def drop_oldest(self, frame: bytes) -> None:
        """Drop whole frames, the oldest first, until `frame` has room or only a partly written one is left."""
        while not self.has_room(frame) and self.drop_first():
            pass

    def drop_first(self) -> bool:
        """Drop the oldest frame of which nothing is written; False when there is none."""
        first = 1 if self.written else 0
        if len(self.frames) <= first:
            return False
        self.bytes -= len(self.frames[first])
        del self.frames[first]
        self.dropped += 1
        return True

    def write(self) -> None:
        """Write until the outbox is empty or the socket full (`blocked`). Raises OSError when the peer is gone."""
        if not self.frames:
            return
        self.look_for_reader()
        self.blocked, queued = False, self.bytes
        try:
            while self.frames:
                self.advance(self.write_once())
        except BlockingIOError:
            self.blocked = True
        self.in_flight += queued - self.bytes
        self.look_for_reader()

    def write_once(self) -> int:
        """One system call; returns the bytes it took."""
        batch: list[bytes | memoryview] = list(islice(self.frames, FRAMES_A_WRITE))
        batch[0] = memoryview(batch[0])[self.written :]
        taken = self.sock.sendmsg(batch)
        if self.sock.family != socket.AF_UNIX and self.blocked:
            self.reader_seen = True
        return taken

    def advance(self, taken: int) -> None:
        """Account for `taken` bytes written."""
        self.bytes -= taken
        taken += self.written
        while self.frames and taken >= len(self.frames[0]):
            taken -= len(self.frames.popleft())
            self.delivered += 1
        self.written = taken

    def look_for_reader(self) -> None:
        """Note it when less is unread than a peer that does not read would have left (ISO-7)."""
        if self.reader_seen or self.sock.family != socket.AF_UNIX:
            return
        unread = self.unread_by_peer()
        self.reader_seen = unread < self.in_flight
        self.in_flight = unread

    def unread_by_peer(self) -> int:
        """What a Unix socket's peer has not read, by the kernel's measure: never less than the bytes themselves."""
        count = bytearray(4)
        fcntl.ioctl(self.sock, termios.TIOCOUTQ, count)
        return int.from_bytes(count, "little")
