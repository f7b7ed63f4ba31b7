"""Asking a running relay over its control socket."""

from __future__ import annotations

import socket

import msgspec

from ..errors import RelayError
from ..printable import as_json
from .control import Request

_TIME_LIMIT = 10.0
_PATIENT = ("drain", "takeover")
_CHANGES_NOTHING = ("status", "connections", "refused")


class ControlError(RelayError):
    """The relay could not be asked, or refused."""


class Answer(msgspec.Struct):
    """What came back: a result, or an error."""

    result: msgspec.Raw = msgspec.Raw(b"null")
    error: str = ""


class ControlClient:
    """One operator of a relay; raises :class:`ControlError`.

    A relay that is taken over hangs up on its operators, and its successor answers at the same path: so what changes
    nothing is asked once more there.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._connect()

    def ask(self, command: str, argument: str = "") -> bytes:
        """The result of a command, as JSON; ``drain`` and ``takeover`` are waited for as long as they take."""
        line = self._line(command, argument)
        if not line and command in _CHANGES_NOTHING:
            self.close()
            self._connect()
            line = self._line(command, argument)
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

    def _connect(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.connect(self._path)
        except (OSError, ValueError) as error:  # ValueError: a path with a NUL
            self._socket.close()
            why = getattr(error, "strerror", None) or error
            raise ControlError(
                f"{self._path}: cannot connect: {why}; is a relay running with --control-socket {self._path}?"
            ) from None
        self._stream = self._socket.makefile("rb")

    def _line(self, command: str, argument: str) -> bytes:
        """What comes back; nothing where the relay hangs up."""
        self._socket.settimeout(None if command in _PATIENT else _TIME_LIMIT)
        try:
            self._socket.sendall(as_json(Request(command, argument)) + b"\n")
            return self._stream.readline()
        except (ConnectionResetError, BrokenPipeError):
            return b""
        except TimeoutError:
            raise ControlError(
                f"{self._path}: no answer within {_TIME_LIMIT:g} s; is the relay stopped (kill -CONT)?"
            ) from None
        except OSError as error:
            raise ControlError(f"{self._path}: {error.strerror}") from None
