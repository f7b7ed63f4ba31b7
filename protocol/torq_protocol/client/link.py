"""One connection: a socket that never blocks, and the decoder of what comes from it.

Facts:
- whoever sends knows how many bytes of a message have left, since the socket is ours and no stream or transport keeps
  bytes of its own; so a message that is torn is never followed by another;
- closing shuts the socket down first, which wakes whoever waits for it; its descriptor is given back when the last
  one that uses it has left, so that no other file can have got its number meanwhile.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from ..decoder import FrameDecoder, Refusal
from ..errors import ErrorKind, ProtocolError
from ..message import Message
from .errors import ConnectionLostError, StreamEndedError, TornStreamError

READ_SIZE = 65_536
"""Bytes asked for in one read."""
_FRAMING_FAULTS = (ErrorKind.BAD_MAGIC, ErrorKind.OVERSIZE)


class Link:
    """A connected socket and its :class:`FrameDecoder`; ``decoder_of`` makes one that tells refusals to its argument.

    What breaks the connection is raised as :class:`ConnectionLostError`. Safe to share between one thread that
    receives, one that sends and any that close.
    """

    def __init__(self, sock: socket.socket, decoder_of: Callable[[Callable[[Refusal], None]], FrameDecoder]) -> None:
        self.socket = sock
        self._refusals: list[Refusal] = []
        self._decoder = decoder_of(self._refusals.append)
        self._messages: Iterator[Message] = iter(())
        self._lock = threading.Lock()
        self._decoding = threading.RLock()  # held while bytes are read as well, or two readers would mix them up
        self._users = 0
        self.closed = False

    @property
    def offset(self) -> int:
        """Stream offset behind the last message received."""
        return self._decoder.offset

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keeps the descriptor for as long as the block lasts, closed or not."""
        with self._lock:
            if self.closed:
                raise ConnectionLostError("the connection was closed meanwhile", offset=self.offset)
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                self._give_back()

    def close(self) -> None:
        """Close; whoever waits for the socket wakes up."""
        with self._lock:
            if not self.closed:
                self.closed = True
                with suppress(OSError):
                    self.socket.shutdown(socket.SHUT_RDWR)
            self._give_back()

    def _give_back(self) -> None:
        if self.closed and not self._users:
            self.socket.close()

    def end_sending(self) -> None:
        """Tell the relay that nothing more will be sent (CONN-7)."""
        with suppress(OSError):  # a connection that is gone is noticed by whoever receives
            self.socket.shutdown(socket.SHUT_WR)

    def try_send(self, data: memoryview) -> int:
        """Send what the socket takes; 0 if it takes nothing now."""
        try:
            return self.socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            raise ConnectionLostError(f"cannot send: {error.strerror or error}", offset=self.offset) from error

    def try_receive(self) -> bool:
        """Read once, for :meth:`next_message`; False if there is nothing to read now. Raises at the stream's end."""
        with self._decoding:
            try:
                data = self.socket.recv(READ_SIZE)
            except (BlockingIOError, InterruptedError):
                return False
            except OSError as error:
                raise ConnectionLostError(f"cannot receive: {error.strerror or error}", offset=self.offset) from error
            if not data:
                raise self._ended()
            self._messages = self._decoder.feed(data)
        return True

    def next_message(self) -> Message | None:
        """The next message among the bytes read; None if more must be read.

        Raises :class:`TornStreamError` where bytes start no message, and the :class:`ProtocolError` of a wrong message
        if the decoder raises those: the next call goes on behind it.
        """
        with self._decoding:
            try:
                return next(self._messages, None)
            except ProtocolError as fault:
                self._messages = self._decoder.feed(b"")
                if fault.kind in _FRAMING_FAULTS:
                    raise self._torn(fault) from fault
                raise

    def refusals(self) -> list[Refusal]:
        """The wrong messages left out since the last call."""
        with self._decoding:
            taken = self._refusals.copy()
            self._refusals.clear()
        return taken

    def drain(self) -> list[Message]:
        """What had arrived whole on a connection that is given up; the socket is read until it is empty."""
        drained: list[Message] = []
        with suppress(ConnectionLostError, ProtocolError), self.in_use(), self._decoding:
            while True:
                while (message := self.next_message()) is not None:
                    drained.append(message)
                if not self.try_receive():
                    break
        return drained

    def _ended(self) -> ConnectionLostError:
        """Why a stream ended where it did."""
        begins, seen = self.offset, len(self._refusals)
        try:
            self._decoder.finish()
        except ProtocolError as fault:
            return self._torn(fault, begins)
        if len(self._refusals) > seen:
            return self._torn(self._refusals.pop().error, begins)
        return StreamEndedError(
            f"the relay closed the connection at offset {begins}, between two messages", offset=begins
        )

    def _torn(self, fault: ProtocolError, begins: int | None = None) -> TornStreamError:
        begins = self.offset if begins is None else begins
        text = f"the stream is torn at offset {fault.stream_offset}, in the message that begins at {begins}: {fault}"
        return TornStreamError(text, offset=begins, fault=fault)
