"""Asking a running relay over its control socket."""

from __future__ import annotations

import socket

import msgspec

from ..errors import RelayError
from .control import Request

_TIME_LIMIT = 10.0


class ControlError(RelayError):
    """The relay could not be asked, or refused."""


class Answer(msgspec.Struct):
    """What came back: a result, or an error."""

    result: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""


class ControlClient:
    """One connection to a control socket; raises :class:`ControlError`."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(path)
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL
            self._socket.close()
            why = getattr(error, "strerror", None) or error
            raise ControlError(
                f"{path}: cannot connect: {why}; is a relay running with --control-socket {path}?"
            ) from None
        self._stream = self._socket.makefile("rb")

    def ask(self, command: str, argument: str = "") -> bytes:
        """The result of a command, as JSON; only ``drain`` is waited for as long as it takes."""
        self._socket.settimeout(None if command == "drain" else _TIME_LIMIT)
        try:
            self._socket.sendall(msgspec.json.encode(Request(command, argument)) + b"\n")
            line = self._stream.readline()
        except (ConnectionResetError, BrokenPipeError):
            line = b""
        except TimeoutError:
            raise ControlError(
                f"{self._path}: no answer within {_TIME_LIMIT:g} s; is the relay stopped (kill -CONT)?"
            ) from None
        except OSError as error:
            raise ControlError(f"{self._path}: {error.strerror}") from None
        if not line.endswith(b"\n"):
            raise ControlError(f"{self._path}: the relay hung up; it answers its own user only")
        try:
            answer = msgspec.json.decode(line, type=Answer)
        except msgspec.MsgspecError:
            raise ControlError(f"{self._path}: what answers there is no relay's control socket") from None
        if answer.error:
            raise ControlError(answer.error)
        return bytes(answer.result)

    def close(self) -> None:
        """Let go of the connection."""
        self._stream.close()
        self._socket.close()
