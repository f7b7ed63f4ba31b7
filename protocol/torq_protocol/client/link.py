"""One connection: a socket that never blocks, and the decoder of what comes from it.

Facts:
- whoever sends knows how many bytes of a message have left, since the socket is ours and no stream or transport keeps
  bytes of its own; so a message that is torn is never followed by another;
- closing shuts the socket down first, which wakes whoever waits for it; its descriptor is given back when the last
  one that uses it has left, so that no other file can have got its number meanwhile;
- closing is for any thread, signal handler or finalizer, so nothing here is locked: a user notes itself first and looks
  at ``closed`` then, who closes does the two in the other order, and of both at least one sees the other.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import TypeAlias

from ..decoder import FrameDecoder, Refusal
from ..errors import ErrorKind, ProtocolError
from ..message import Message
from .errors import ConnectionLostError, StreamEndedError, TornStreamError

READ_SIZE = 65_536
"""Bytes asked for in one read."""
_FRAMING_FAULTS = (ErrorKind.BAD_MAGIC, ErrorKind.OVERSIZE)


class Torn:
    """The place in the inbox where a connection's stream is torn."""

    __slots__ = ("error", "link")

    def __init__(self, link: Link, error: TornStreamError) -> None:
        self.link, self.error = link, error


class Followed:
    """A message whose gap was told: ``on_event`` raised then, and the message waits for the next call."""

    __slots__ = ("message",)

    def __init__(self, message: Message) -> None:
        self.message = message


Inbox: TypeAlias = "deque[Message | Refusal | ProtocolError | Torn | Followed]"
"""What was read and decoded and not yet taken, in the order of the stream."""


class Link:
    """A connected socket and its :class:`FrameDecoder`; ``decoder_of`` makes one that tells refusals to its argument.

    What breaks the connection is raised as :class:`ConnectionLostError`. For one caller that receives, one that sends
    and any that close, in whatever threads.
    """

    def __init__(
        self, sock: socket.socket, decoder_of: Callable[[Callable[[Refusal], None]], FrameDecoder], inbox: Inbox
    ) -> None:
        self.socket = sock
        self._inbox = inbox
        self._decoder = decoder_of(inbox.append)
        self._users: set[str] = set()
        self._once = {"close": True, "give up": True}
        self._reading = False
        self.closed = False

    @property
    def offset(self) -> int:
        """Stream offset behind the last message read."""
        return self._decoder.offset

    def hold(self, user: str, *, closed_too: bool = False) -> None:
        """Keep the descriptor until :meth:`leave`, which stands in the ``finally`` of the ``try`` around this call.

        Raises :class:`ConnectionLostError` if the connection was closed, but for what can be read ``closed_too``.
        """
        self._users.add(user)
        if self.closed and not closed_too:
            raise ConnectionLostError("the connection was closed meanwhile", offset=self.offset)

    def leave(self, user: str) -> None:
        """Need the descriptor no more; who does not hold it may say so too."""
        self._users.discard(user)
        if self.closed and not self._users:
            self.socket.close()

    def close(self) -> None:
        """Close; whoever waits for the socket wakes up."""
        if self._once.pop("close", False):
            self._users.add("closer")
            self.closed = True
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.leave("closer")

    def disown(self) -> None:
        """Forget a connection of the process that this one was forked from, which goes on using it."""
        self.closed = True
        self._once.clear()
        self.socket.close()

    def give_up(self) -> bool:
        """Whether this is the first call: one caller tells that a connection is lost."""
        return self._once.pop("give up", False)

    def keep_unread(self) -> bool:
        """Keep the descriptor for ``backlog`` if something may have arrived that nobody has read; whether it does."""
        try:
            unread = "reader" in self._users or bool(self.socket.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        except OSError:
            return False
        if unread:
            self._users.add("backlog")
        return unread

    def end_sending(self) -> None:
        """Tell the relay that nothing more will be sent (CONN-7)."""
        with suppress(OSError):  # a connection that is gone is noticed by whoever receives
            self.socket.shutdown(socket.SHUT_WR)

    def try_send(self, data: bytes | memoryview) -> int:
        """Send what the socket takes; 0 if it takes nothing now."""
        try:
            return self.socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise ConnectionLostError(f"cannot send: {error.strerror or error}", offset=self.offset) from error

    def try_receive(self) -> bool:
        """Read once and decode it into the inbox; False if there is nothing to read now. Raises at the stream's end.

        Bytes that an exception of a signal handler has cut out of the stream end the connection.
        """
        if self._reading:
            raise ConnectionLostError("reading was broken off by an exception of a signal handler", offset=self.offset)
        self._reading = True
        try:
            data = self.socket.recv(READ_SIZE)
        except (BlockingIOError, InterruptedError):
            self._reading = False
            return False
        except OSError as error:
            raise ConnectionLostError(f"cannot receive: {error.strerror or error}", offset=self.offset) from error
        if not data:
            raise self._ended()
        self._decode(data)
        self._reading = False
        return True

    def _decode(self, data: bytes) -> None:
        messages = self._decoder.feed(data)
        while True:
            try:
                self._inbox.extend(messages)
            except ProtocolError as fault:
                if fault.kind in _FRAMING_FAULTS:
                    self._inbox.append(Torn(self, self._torn(fault)))
                    return
                self._inbox.append(fault)
                messages = self._decoder.feed(b"")
            else:
                return

    def _ended(self) -> ConnectionLostError:
        """Why a stream ended where it did."""
        begins, seen = self.offset, len(self._inbox)
        try:
            self._decoder.finish()
        except ProtocolError as fault:
            return self._torn(fault, begins)
        if len(self._inbox) > seen:
            last = self._inbox.pop()
            assert isinstance(last, Refusal)
            return self._torn(last.error, begins)
        return StreamEndedError(
            f"the relay closed the connection at offset {begins}, between two messages", offset=begins
        )

    def _torn(self, fault: ProtocolError, begins: int | None = None) -> TornStreamError:
        begins = self.offset if begins is None else begins
        text = f"the stream is torn at offset {fault.stream_offset}, in the message that begins at {begins}: {fault}"
        return TornStreamError(text, offset=begins, fault=fault)
