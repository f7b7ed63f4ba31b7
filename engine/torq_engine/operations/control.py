"""The control socket: one JSON request a line in, one JSON answer a line out.

Facts:
- the relay answers its own user and root only: the socket's mode says so, SO_PEERCRED proves it;
- ``drain`` answers when everything is delivered, then the relay ends;
- a request names a ``command`` and its ``argument``; an answer holds ``result`` or ``error``.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable
from inspect import isawaitable

import anyio
import msgspec
from anyio.abc import ByteStream, SocketAttribute

from ..port import Peer
from ..printable import as_json
from .logs import LEVELS
from .service import Service
from .takeovers import TakeoverReport

_LONGEST_REQUEST = 4096
_REPLY_LIMIT = 2.0
_IDLE_LIMIT = 60.0


class Request(msgspec.Struct, frozen=True):
    """What an operator asks for."""

    command: str
    argument: str = ""


class TakeoverRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The argument of ``takeover``, as JSON: the successor's command, or the relay's own; and if it is rehearsed.

    A command is bytes, in base64, for it may name any file.
    """

    command: bytes = b""
    dry_run: bool = False


class ControlServer:
    """Answers operators' requests about a service."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._commands: dict[str, Callable[[str], object]] = {
            "status": lambda _: service.status(),
            "connections": lambda _: service.connections(),
            "refused": lambda _: service.refusals.page(),
            "kill": self._kill,
            "log-level": self._log_level,
            "reload": self._reload,
        }

    async def answer(self, stream: ByteStream) -> None:
        """Answer requests until the operator leaves, says too much at once, or says nothing for a minute."""
        if not _is_own_user(Peer.of(stream.extra(SocketAttribute.raw_socket))):  # noqa: S610 - anyio's, not Django's
            return
        pending = b""
        while len(pending) <= _LONGEST_REQUEST:
            with anyio.move_on_after(_IDLE_LIMIT) as idle:
                pending += await stream.receive()
            if idle.cancelled_caught:
                return
            while b"\n" in pending:
                line, _, pending = pending.partition(b"\n")
                reply = await self._reply(line)
                with anyio.move_on_after(_REPLY_LIMIT, shield=True) as late:  # the last reply goes out while we end
                    await stream.send(reply + b"\n")
                if late.cancelled_caught:
                    return

    async def _reply(self, line: bytes) -> bytes:
        try:
            request = msgspec.json.decode(line, type=Request)
            if request.command == "drain":
                self._service.end()
                with anyio.CancelScope(shield=True):
                    await self._service.ended.wait()
                return as_json({"result": self._service.status()})
            if request.command == "takeover":
                with anyio.CancelScope(shield=True):  # the answer goes out though we end
                    return as_json({"result": await self._take_over(request.argument)})
            if request.command not in self._commands:
                known = ", ".join([*self._commands, "drain", "takeover"])
                raise ValueError(f"no command {request.command!r}; use {known}")
            result = self._commands[request.command](request.argument)
            return as_json({"result": await result if isawaitable(result) else result})
        except RecursionError:
            return as_json({"error": "the request is nested too deeply"})
        except (ValueError, msgspec.MsgspecError) as error:
            return as_json({"error": str(error)})

    async def _take_over(self, argument: str) -> TakeoverReport:
        wanted = msgspec.json.decode(argument or "{}", type=TakeoverRequest)
        words = shlex.split(os.fsdecode(wanted.command))
        return await self._service.succession.begin(words, rehearsal=wanted.dry_run)

    def _kill(self, argument: str) -> str:
        if not argument.isdecimal() or not self._service.kill(int(argument)):
            raise ValueError(f"no connection {argument}; 'connections' lists them")
        return f"connection {argument} closed"

    def _log_level(self, argument: str) -> str:
        for level in LEVELS:
            if level == argument:
                self._service.set_log_level(level)
                return f"logging {level} and above"
        raise ValueError(f"no log level {argument!r}; use one of {', '.join(LEVELS)}")

    def _reload(self, argument: str) -> str:
        error = self._service.reload()
        if error:
            raise ValueError(f"nothing has changed: {error}")
        return "reloaded"


def _is_own_user(peer: Peer) -> bool:
    return peer.uid in (os.geteuid(), 0)
