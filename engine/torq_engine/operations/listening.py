"""Answers to operators at a control socket and at an address for metrics and health, both off unless asked for.

Facts:
- the relay hangs up on a peer of another user at the control socket, whatever the mode of its path;
- no request of an operator, and no lack of descriptors, ends the relay: an error of ours closes that one connection;
- each socket keeps at most 16 operators. Where one more comes, the one that has been silent longest has to leave: so no
  number of silent clients keeps a probe waiting, which would restart a healthy relay.
"""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio
from anyio.abc import ByteStream, SocketListener, SocketStream

from .logs import EventLog
from .service import Service
from .sockets import CONTROL

_AT_ONCE = 16
_ACCEPT_PAUSE = 0.1
Answer = Callable[[ByteStream], Awaitable[None]]


async def serve_operators(service: Service) -> None:
    """Answer operators until cancelled; imports only the endpoints that are on."""
    async with anyio.create_task_group() as tasks:
        for name, one in service.sockets.operators.items():
            listener = await SocketListener.from_socket(one.listener)
            if name == CONTROL:
                from .control import ControlServer

                tasks.start_soon(_serve, listener, ControlServer(service).answer, service.log)
            else:
                from .health import HealthServer

                tasks.start_soon(_serve, listener, HealthServer(service).answer, service.log)


class _Operator(ByteStream):
    """The connection of one operator, last of those present whenever it is answered; its ``scope`` ends it."""

    def __init__(self, stream: SocketStream, present: dict[_Operator, None]) -> None:
        self.scope = anyio.CancelScope()
        self._stream = stream
        self._present = present
        present[self] = None

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """Those of its socket."""
        return self._stream.extra_attributes

    async def receive(self, max_bytes: int = 65_536) -> bytes:
        """Some bytes of a request."""
        return await self._stream.receive(max_bytes)

    async def send(self, item: bytes) -> None:
        """Send an answer."""
        await self._stream.send(item)
        self._present.pop(self, None)
        self._present[self] = None

    async def send_eof(self) -> None:
        """Send no more."""
        await self._stream.send_eof()

    async def aclose(self) -> None:
        """Hang up."""
        self._present.pop(self, None)
        await self._stream.aclose()


async def _serve(listener: SocketListener, answer: Answer, log: EventLog) -> None:
    """Accept and answer until cancelled."""
    present: dict[_Operator, None] = {}
    async with listener, anyio.create_task_group() as tasks:
        while True:
            try:
                stream = await listener.accept()
            except (OSError, anyio.BrokenResourceError) as error:  # anyio tells of a lack of descriptors by the second
                cause = error if isinstance(error, OSError) else error.__cause__
                reason = cause.strerror if isinstance(cause, OSError) else str(error)
                log.warning("cannot accept an operator for now; trying again", error=reason)
                await anyio.sleep(_ACCEPT_PAUSE)
                continue
            if len(present) >= _AT_ONCE:
                silent = next(iter(present))
                del present[silent]
                silent.scope.cancel()
            tasks.start_soon(_answer, _Operator(stream, present), answer, log)


async def _answer(operator: _Operator, answer: Answer, log: EventLog) -> None:
    try:
        with operator.scope:
            async with operator:
                await answer(operator)
    except (anyio.EndOfStream, anyio.BrokenResourceError):
        pass
    except Exception:
        log.error("internal error while answering an operator", trace=traceback.format_exc())
