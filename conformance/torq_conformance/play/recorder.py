"""What clients send and get, written into the history: bytes in, history out, no socket.

Facts:
- a frame that arrives is told by its bytes; of those that are equal byte for byte the next one in their order has come;
- a connection is joined when a fence has reached it; what was sent before may legally miss it;
- more may be under way to a receiver than the relay's queue holds: then it may lose frames although it reads.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from zlib import crc32

from torq_protocol.constants import CHECKSUM_OFFSET, HEADER_SIZE

from ..model import wire
from ..model.frames import EDGE_BYTES, EPOCH_NS, Frame, connection_name, encode_frame, play_of_fence
from ..model.history import Received, Sent, Stalled
from ..model.legality import BEHIND_AN_ERROR, Fate, fate_of
from ..model.steps import Flood, Write
from .state import Ends, Link, State

FENCE_HEAD = 64
"""Bytes of a frame among which the mark of a fence begins."""


class Recorder:
    """Keeps the history of a play."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._known: dict[bytes, list[Sent]] = {}
        """The frames of the program by their bytes."""
        self._seen: dict[tuple[int, int], int] = {}
        """The tick at which each fence first arrived anywhere, by its play and sequence."""
        self._void: dict[int, int] = {}
        """The last sequence of each sender whose fences prove nothing any more."""

    def begin_write(self, step: Write, position: int, first: int) -> tuple[bytes, Ends, bool]:
        """The bytes of a write, its frames, numbered from ``first``, and whether another frame may follow them."""
        state, data = self._state, bytearray()
        ends: Ends = []
        boundary, numbers = True, count(first)
        for item in step.items:
            if isinstance(item, Frame):
                number = next(numbers)
                state.sequence += 1
                encoded = encode_frame(item, conn=step.conn, number=number, sequence=state.sequence)
                fate, why = fate_of(item, state.rules)
                if self.is_to_close(step.conn):
                    fate, why = BEHIND_AN_ERROR
                elif fate is Fate.BREAK:
                    state.history.broken.add(step.conn)
                data += encoded
                sent = Sent(number, position, step.conn, item, encoded, fate, why, state.tick)
                ends.append((len(data), self._enter(sent)))
            else:
                raw = bytes.fromhex(item.bytes)
                data += raw
                _, used, torn = wire.decode(raw, state.rules.max_message_size)
                boundary = used == len(raw) or torn
                if torn:
                    state.history.broken.add(step.conn)
        return bytes(data), ends, boundary

    def begin_part(self, step: Flood, position: int, numbers: Sequence[int]) -> tuple[bytes, Ends]:
        """The bytes of a part of a flood, and its frames: none counts as whole unless all of it goes out."""
        state = self._state
        fate, why = fate_of(step.frame, state.rules)
        frames = list(encoded_flood(step, numbers, state.sequence + 1))
        state.sequence += len(numbers)
        data = b"".join(frames)
        return data, [
            (len(data), self._enter(Sent(number, position, step.conn, step.frame, frame, fate, why, state.tick)))
            for number, frame in zip(numbers, frames, strict=True)
        ]

    def _enter(self, sent: Sent) -> Sent:
        self._known.setdefault(sent.data, []).append(sent)
        self._state.history.sent.append(sent)
        return sent

    def end_write(self, ends: Ends, size: int, *, taken: bool) -> None:
        """Note that ``size`` bytes of a write went out; ``taken`` says that the relay must take its whole frames."""
        self._state.tick += 1
        for end, sent in ends:
            sent.tick = self._state.tick
            sent.whole = end <= size
            sent.certain = sent.whole and taken

    def is_to_close(self, conn: int) -> bool:
        """Whether a connection has sent what makes the relay close it: the frames before that are still owed."""
        return conn in self._state.history.broken and self._state.rules.on_framing_error == "close"

    def expect(self, sender: Link, frames: int, size: int) -> None:
        """Note that frames are sent which the relay forwards: they wait for stalled clients, and may for the others."""
        state = self._state
        for link in state.links.values():
            if link is sender and not state.rules.echo:
                continue
            if link.awaited_frames <= 0:
                link.awaited_since = state.tick
            link.awaited_frames = max(0, link.awaited_frames) + frames
            link.awaited_bytes = max(0, link.awaited_bytes) + size
            if link.reading:
                self._note_overload(link)
            elif link.peer.stalls:
                link.peer.stalls[-1].frames += frames
                link.peer.stalls[-1].bytes += size

    def _note_overload(self, link: Link) -> None:
        """Note whether more is under way to a client that reads than its queue holds: it may lose frames then."""
        frames, size, rules = link.awaited_frames, link.awaited_bytes, self._state.rules
        if frames <= rules.most_frames and size <= rules.most_bytes:
            if link.overload is not None:
                link.overload.ended, link.overload = self._state.tick, None
            return
        if link.overload is None:
            link.overload = Stalled(link.awaited_since, reading=True)
            link.peer.stalls.append(link.overload)
        link.overload.frames, link.overload.bytes = max(link.overload.frames, frames), max(link.overload.bytes, size)

    def take(self, link: Link, data: bytes) -> None:
        """Note bytes that a client got."""
        state, peer = self._state, link.peer
        if not link.buffer:
            peer.rest_at = state.tick
        if link.buffer or peer.torn:
            link.buffer += data
        if peer.torn:
            return
        frames, used, peer.torn = wire.decode(link.buffer or data, state.rules.max_message_size)
        known, received, got = self._known, peer.received, link.got
        for frame in frames:
            equal = known.get(frame)
            if equal is not None:
                sent = equal[0]
                if len(equal) > 1:
                    sent = next((each for each in equal if each.number not in got), equal[-1])
                state.tick += 1
                received.append(Received(sent.number, sent.data, state.tick))
                got.add(sent.number)
            elif frame.find(wire.FENCE_MARK, 0, FENCE_HEAD) < 0:
                state.tick += 1
                received.append(Received(None, frame, state.tick))
            else:
                play = play_of_fence(frame)
                self._take_fence(link, int.from_bytes(frame[8:16], "little"), state.play if play is None else play)
        if link.buffer:
            del link.buffer[:used]
        elif used < len(data):
            link.buffer += data[used:]
        if used:
            peer.rest_at = state.tick
            link.awaited_frames -= len(frames)
            link.awaited_bytes -= used

    def _take_fence(self, link: Link, sequence: int, play: int) -> None:
        """Note a fence. One of another play proves nothing: a slow relay may have had it under way."""
        state, peer = self._state, link.peer
        if self._seen.setdefault((play, sequence), state.tick) < peer.connected:
            peer.old_fences.append(sequence if play == state.play else 0)
            return
        if play != state.play:
            return
        link.latest_fence = max(link.latest_fence, sequence)
        conn = state.history.fences.get(sequence)
        if conn is not None and sequence > self._void.get(conn, 0):
            peer.fenced_by.add(conn)
        if peer.joined is None:
            state.tick += 1
            peer.joined = state.tick

    def void_fences(self, conns: Iterable[int]) -> None:
        """Let only fences that are still to be written prove anything of these senders: older ones may be under way."""
        for conn in conns:
            self._void[conn] = self._state.fence
            for link in self._state.links.values():
                link.peer.fenced_by.discard(conn)


def encoded_flood(step: Flood, numbers: Sequence[int], sequence: int) -> Iterator[bytes]:
    """The frames of a flood as :func:`encode_frame` writes them; they differ by sequence, time and label only."""
    frame, conn = step.frame, step.conn
    if Frame(frame.domain, frame.tlvs) != frame or len(frame.tlvs) != 1 or not numbers:
        for place, number in enumerate(numbers):
            yield encode_frame(frame, conn=conn, number=number, sequence=sequence + place)
        return
    first = encode_frame(frame, conn=conn, number=numbers[0], sequence=sequence)
    size = frame.tlvs[0].size
    *head, _, _, payload_size, _ = wire.HEADER.unpack_from(first)
    tlv_head = first[HEADER_SIZE : len(first) - size]
    name, filling = connection_name(conn), EDGE_BYTES * (size // 256 + 1)
    for place, number in enumerate(numbers):
        header = wire.HEADER.pack(*head, sequence + place, EPOCH_NS + number, payload_size, 0)
        start = header[:CHECKSUM_OFFSET]
        rest = tlv_head + (f"{name}{number}.".encode() + filling)[:size]
        yield start + crc32(rest, crc32(start)).to_bytes(4, "little") + rest
