"""The log of a relay: events with fields, as plain lines, coloured lines or JSON objects.

Facts:
- a storm of warnings is one line and a count;
- of what a peer sends or chooses, its program's name and the first 8 bytes of a framing error stand in a log: the one
  quoted, the others in hexadecimal digits; no payload of a frame does;
- a log that cannot be written delays no client: lines that a full pipe or a stopped terminal does not take at once are
  lost, and the next line that goes through counts them. A pipe that says it has room takes ``_PIECE`` bytes without
  waiting. No logging library writes so, which is why the stream is ours.
"""

from __future__ import annotations

import json
import logging
import os
import select
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Protocol

from ..port import Peer
from ..printable import printable, printable_within
from .configuration import ConfigError, LogLevel, RelayConfig

LEVELS: dict[LogLevel, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
Field = str | int | float | list[str] | None
_STANDARD_ERROR = 2
_PIECE = select.PIPE_BUF
_COLORS: dict[LogLevel, str] = {"debug": "34", "info": "32", "warning": "33", "error": "31", "critical": "1;31"}
_BOLD, _CYAN = "1", "36"
"""Colours as a terminal's SGR codes."""


class Render(Protocol):
    """One event as one line, without its end."""

    def __call__(self, level: LogLevel, event: str, fields: dict[str, Field]) -> str: ...


class LogStream:
    """Where lines go: standard error, or a file (mode 0600) that can be opened anew after it was moved away."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._torn = False
        self._descriptor = self._open() if path else _STANDARD_ERROR
        self._room = _room(self._descriptor)

    def write(self, line: str) -> bool:
        """Write a line if that is possible without waiting; whether it was."""
        data = f"{line}\n".encode("utf-8", "backslashreplace")
        if self._torn:  # the line before ended in the middle
            data = b"\n" + data
        written = 0
        try:
            while written < len(data) and self._room.poll(0):
                written += os.write(self._descriptor, data[written : written + _PIECE])
        except OSError:
            pass
        self._torn = written < len(data) and (written > 0 or self._torn)
        return written == len(data)

    def reopen(self) -> None:
        """Go on in a new file at the same path; raises OSError, and then nothing has changed."""
        if self._path:
            old, self._descriptor = self._descriptor, self._open()
            self._room = _room(self._descriptor)
            os.close(old)

    def close(self) -> None:
        """Write no more, if it is a file."""
        if self._path and self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor, self._room = -1, select.poll()

    def isatty(self) -> bool:
        """Whether a person is looking."""
        return os.isatty(self._descriptor)

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        return os.open(self._path, flags, 0o600)


def _room(descriptor: int) -> select.poll:
    """Says whether a descriptor takes bytes; a file always does."""
    room = select.poll()
    room.register(descriptor, select.POLLOUT)
    return room


class EventLog:
    """Writes events at or above a level; like warnings are written once per interval (seconds) and counted."""

    def __init__(self, stream: LogStream, render: Render, level: LogLevel, repeat_interval: float) -> None:
        self.stream = stream
        self._render = render
        self._clock = time.monotonic
        self._lost = 0
        self.lines_lost = 0
        """Lines that the stream did not take, since the start."""
        self._counts: dict[tuple[LogLevel, str], list[float]] = {}
        self.later: Callable[[float, Callable[[], None]], object] | None = None
        """Calls a function after so many seconds, when a loop runs: then counts are written when their time is up."""
        self.configure(level, repeat_interval)

    def configure(self, level: LogLevel, repeat_interval: float) -> None:
        """Take another level and interval from now on."""
        self.level = level
        self.repeat_interval = repeat_interval

    def debug(self, event: str, **fields: Field) -> None:
        self.write("debug", event, fields)

    def info(self, event: str, **fields: Field) -> None:
        self.write("info", event, fields)

    def warning(self, event: str, **fields: Field) -> None:
        self._repeatable("warning", event, fields)

    def error(self, event: str, **fields: Field) -> None:
        self._repeatable("error", event, fields)

    def flush(self) -> None:
        """Write the counts of what was held back so far."""
        for (level, event), (_, held) in list(self._counts.items()):
            if held:
                self.write(level, event, {"repeated": int(held)})
        self._counts.clear()

    def _repeatable(self, level: LogLevel, event: str, fields: dict[str, Field]) -> None:
        now = self._clock()
        like: tuple[LogLevel, str] = (level, event)
        known = self._counts.get(like)
        if known is not None and now - known[0] < self.repeat_interval:
            known[1] += 1
            return
        if known is not None and known[1]:
            fields["repeated"] = int(known[1])
        self._counts[like] = [now, 0]
        self.write(level, event, fields)
        if self.later is not None and self.repeat_interval:
            self.later(self.repeat_interval, lambda: self._expire(like))

    def _expire(self, like: tuple[LogLevel, str]) -> None:
        known = self._counts.get(like)
        if known is not None and self._clock() - known[0] >= self.repeat_interval * 0.99:
            del self._counts[like]
            if known[1]:
                self.write(*like, {"repeated": int(known[1])})

    def write(self, level: LogLevel, event: str, fields: dict[str, Field]) -> None:
        """Write an event, however often the like was written."""
        if LEVELS[level] < LEVELS[self.level]:
            return
        if self._lost and self.stream.write(self._render("warning", "log lines were lost", {"lines": self._lost})):
            self._lost = 0
        if not self.stream.write(self._render(level, event, fields)):
            self._lost += 1
            self.lines_lost += 1


def open_log(name: str, config: RelayConfig) -> EventLog:
    """The log of a relay, as its ``log_...`` keys say. Raises :class:`ConfigError` when its file cannot be opened."""
    path = config.log_file
    try:
        stream = LogStream(path)
    except OSError as error:
        problem = f"cannot log to {path}: {error.strerror}"
        raise ConfigError(problem, "use another path", key="log_file", got=path) from None
    colored = config.log_format == "console" and stream.isatty()
    render = _json(name) if config.log_format == "json" else _line(f"torq.{name}", _painted if colored else _unpainted)
    log = EventLog(stream, render, config.log_level, config.log_repeat_interval)
    logging.basicConfig(handlers=[_Forward(log)], level=logging.WARNING, force=True)
    return log


class _Forward(logging.Handler):
    """What libraries log becomes an event."""

    def __init__(self, log: EventLog) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.error(record.getMessage(), logger=record.name, trace=_trace(record))


def _trace(record: logging.LogRecord) -> str | None:
    return logging.Formatter().formatException(record.exc_info) if record.exc_info else None


def _line(name: str, paint: Callable[[str, str], str]) -> Render:
    def render(level: LogLevel, event: str, fields: dict[str, Field]) -> str:
        now = time.time()
        stamp = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(now))
        words = [
            f"{stamp},{int(now % 1 * 1000):03d} {paint(level.upper(), _COLORS[level])} {name}: {paint(event, _BOLD)}"
        ]
        words += [f"{paint(key, _CYAN)}={_word(value)}" for key, value in fields.items() if value is not None]
        return " ".join(words)

    return render


def _painted(text: str, color: str) -> str:
    return f"\x1b[{color}m{text}\x1b[0m"


def _unpainted(text: str, color: str) -> str:
    return text


def _word(value: Field) -> str:
    text = printable(",".join(value) if isinstance(value, list) else str(value))
    return text if text and text.isprintable() and not set(text) & set(' "=') else json.dumps(text)


def _json(name: str) -> Render:
    def render(level: LogLevel, event: str, fields: dict[str, Field]) -> str:
        given = {key: printable_within(value) for key, value in fields.items() if value is not None}
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        return json.dumps({"event": event, "level": level, "relay": name, **given, "timestamp": now})

    return render


def of_peer(peer: Peer) -> dict[str, Field]:
    """The fields that say who a client is."""
    return {"pid": peer.pid, "uid": peer.uid, "gid": peer.gid, "program": peer.program or None}
