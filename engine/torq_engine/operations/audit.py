"""The audit log of a relay: its clients and the fate of every frame, in a chain that shows every change (SEC-3).

Facts:
- the relay makes a record of each read before it forwards the read's frames. With fsync ``always`` the record is on the
  disk by then; otherwise the log writes it within 50 ms, so that many reads share one write;
- one record holds all frames of one read, packed in C: no Python object is made for a frame, and 8 characters of a
  line are hashed and written for most;
- the relay does not forward what it cannot record: while the disk refuses, it closes senders (reason ``internal``) and
  tries again to write. Meanwhile it holds the events of connections, up to a bound, and counts the rest;
- at its start the log adopts records after the seal if they follow it; it cuts a torn last line off and records that.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path

from torq_protocol.constants import HEADER_SIZE
from torq_protocol.header import MessageHeader
from torq_protocol.scanner import Scan, frame_records

from ..accounting import REFUSED_BY_LOGIC, CloseReason
from ..hub import Connection, Hub
from ..observer import Observer
from ..port import Peer
from .audit_chain import (
    FORMAT,
    FRAME_FIELDS,
    GENESIS,
    AuditError,
    Seal,
    file_name,
    file_number,
    follows,
    line_of,
    lines,
    packed_frames,
    read_seal,
    seal_line,
    seal_path,
    stated_start,
)
from .configuration import RelayConfig

_BUFFER = 65_536
_MOST_HELD = 16 * 1024 * 1024
_WRITE_INTERVAL = 0.05
_RETRY_INTERVAL = 1.0
_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW


class AuditLog:
    """Appends records to numbered files in a directory of its own, and keeps the seal beside them.

    Raises :class:`AuditError` when the directory cannot be used, is in use, or holds a log that cannot be continued.
    """

    def __init__(self, directory: Path, relay: str, settings: RelayConfig, key: bytes = b"") -> None:
        self.directory = directory
        self.settings = settings
        """Its ``audit_...`` fields count; another configuration may take its place at any time."""
        self.records = 0
        self.failure = ""
        """Why records cannot be written just now; empty when they can."""
        self.later: Callable[[float, Callable[[], None]], object] | None = None
        """Calls a function after so many seconds, when a loop runs; without one, call :meth:`flush`."""
        self._relay = relay
        self._key = key
        self._hash = GENESIS
        self._buffer = bytearray()
        self._left_out = 0
        self._file = -1
        self._number = 1
        self._size = 0
        self._synced = time.monotonic()
        self._scheduled = False
        self._directory, self._seal_file = self._lock()
        try:
            recovered, torn = self._recover()
            self._open_file(self._number)
            self.event("started", {"recovered_records": recovered, "torn_bytes": torn})
            self.flush()
        except OSError as error:
            self.release()
            file = directory / (error.filename or "")
            raise AuditError(f"{file}: cannot write the audit log: {error.strerror}") from None
        except BaseException:
            self.release()
            raise

    def event(self, name: str, fields: dict[str, object]) -> None:
        """Record an event that is no frame; while the disk refuses, events past 16 MiB are only counted."""
        if len(self._buffer) >= _MOST_HELD:
            self._left_out += 1
        else:
            self._append_event(name, fields)

    def frames(self, connection: int, user: int, receivers: int, records: bytes) -> None:
        """Record the frames of one read, as :func:`~torq_protocol.records.frame_records` tells them.

        Raises :class:`AuditError` when nothing can be recorded just now.
        """
        if self.failure:
            raise AuditError(f"not forwarded: the audit log cannot be written: {self.failure}")
        self._append(
            b'"event":"frames","connection":%d,"uid":%d,"receivers":%d,"frames":%b'
            % (connection, user, receivers, packed_frames(records))
        )
        if self.settings.audit_fsync == "always":
            self.flush()
            if self.failure:
                raise AuditError(f"not forwarded: the audit log cannot be written: {self.failure}")

    def flush(self) -> None:
        """Write what was recorded, force it to disk when that is due, and seal it."""
        self._scheduled = False
        try:
            self._write()
            if self._left_out:
                self._append_event("left-out", {"events": self._left_out})
                self._left_out = 0
                self._write()
            fsync = self.settings.audit_fsync
            if fsync == "always" or (
                fsync == "interval" and time.monotonic() - self._synced >= self.settings.audit_fsync_interval
            ):
                self._sync()
            self._seal()
            if self._size >= self.settings.audit_file_bytes:
                self._next_file()
            self.failure = ""
        except OSError as error:
            self.failure = error.strerror or str(error)
            self._schedule(_RETRY_INTERVAL)

    def next_file(self) -> None:
        """Begin the next file now."""
        self.flush()
        if not self.failure:
            self._next_file()

    def close(self) -> None:
        """Record the end, write everything, force it to disk unless that is never wanted, and let go.

        What could not be written is lost then, and ``failure`` says why. Doing it twice does nothing.
        """
        if self._file < 0:
            return
        self.later = None
        self._append_event("stopped", {})
        self.flush()
        if self.settings.audit_fsync != "never":
            with suppress(OSError):
                self._sync()
        self.release()

    def release(self) -> None:
        """Close the files as they are."""
        for descriptor in (self._file, self._seal_file, self._directory):
            if descriptor >= 0:
                os.close(descriptor)
        self._file = self._seal_file = self._directory = -1

    def _append_event(self, name: str, fields: dict[str, object]) -> None:
        members = "".join(f',"{key}":{json.dumps(value)}' for key, value in fields.items())
        self._append(f'"event":"{name}"{members}'.encode())

    def _append(self, members: bytes) -> None:
        self.records += 1
        body = b'{"n":%d,"time_ns":%d,%b' % (self.records, time.time_ns(), members)
        line, self._hash = line_of(self._hash, body, self._key)
        self._buffer += line
        if len(self._buffer) >= _BUFFER and not self.failure:
            self.flush()
        elif not self._scheduled:
            self._schedule(_WRITE_INTERVAL)

    def _write(self) -> None:
        while self._buffer:
            written = os.write(self._file, self._buffer)
            del self._buffer[:written]
            self._size += written

    def _schedule(self, delay: float) -> None:
        if self.later is not None and not self._scheduled:
            self._scheduled = True
            self.later(delay, self.flush)

    def _sync(self) -> None:
        os.fsync(self._file)
        self._synced = time.monotonic()

    def _seal(self) -> None:
        seal = Seal(file_name(self._relay, self._number), self._size, self.records, self._hash)
        line = seal_line(seal, self._key)
        os.pwrite(self._seal_file, line, 0)  # always as long as the one before: a seal is never half new
        if self.settings.audit_fsync == "always":
            os.fsync(self._seal_file)

    def _next_file(self) -> None:
        if self.settings.audit_fsync != "never":
            self._sync()
        self._open_file(self._number + 1)
        self.flush()

    def _open_file(self, number: int) -> None:
        """Go on in the file of a number, beside the seal; a new one starts with the record that links it.

        Raises OSError and goes on in the present file when it cannot be opened.
        """
        descriptor = os.open(file_name(self._relay, number), _FILE_FLAGS, 0o600, dir_fd=self._directory)
        if self._file >= 0:
            os.close(self._file)
        self._file = descriptor
        self._number = number
        self._size = os.fstat(descriptor).st_size
        if self._size == 0:
            self.event(
                "file",
                {
                    "relay": self._relay,
                    "format": FORMAT,
                    "previous": self._hash,
                    "chain": "hmac-sha256" if self._key else "sha256",
                    "frame_fields": FRAME_FIELDS,
                },
            )

    # Starting

    def _lock(self) -> tuple[int, int]:
        """The descriptors of the directory, which may be moved later, and of the seal in it, which one relay holds."""
        path = seal_path(self.directory / file_name(self._relay, 1))
        with ExitStack() as held:
            try:
                os.makedirs(self.directory, mode=0o700, exist_ok=True)
                directory = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
                held.callback(os.close, directory)
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                seal = os.open(path.name, flags, 0o600, dir_fd=directory)
                held.callback(os.close, seal)
                fcntl.flock(seal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AuditError(f"{path}: another relay writes there; use another --audit-directory") from None
            except OSError as error:
                raise AuditError(f"{path}: cannot open the audit log: {error.strerror}") from None
            held.pop_all()
        return directory, seal

    def _recover(self) -> tuple[int, int]:
        """Find the end of an earlier log; returns the numbers of records after the seal and of bytes of a torn line."""
        path = seal_path(self.directory / file_name(self._relay, 1))
        files = sorted(self.directory.glob(f"{self._relay}-*.jsonl"), key=file_number)
        if os.fstat(self._seal_file).st_size == 0:
            if any(file.stat().st_size for file in files[1:]) or (files and len(list(lines(files[0]))) > 1):
                raise AuditError(f"{path}: the seal of the log beside it is missing; use another --audit-directory")
            for file in files:  # killed before the first seal
                os.truncate(file, 0)
            return 0, 0
        seal = read_seal(path, self._key)
        self._number = file_number(Path(seal.file))
        self.records, self._hash = seal.records, seal.hash
        later = [file for file in files if file_number(file) >= self._number]
        if not later or later[0].name != seal.file or later[0].stat().st_size < seal.size:
            raise AuditError(
                f"{self.directory / seal.file}: the log ends before its seal; see what torq-audit verify says of it,"
                " and use another --audit-directory"
            )
        torn = 0
        for file in later:
            self._number = file_number(file)
            torn += self._adopt(file, seal.size if file.name == seal.file else 0)
        if later[-1].stat().st_size and stated_start(later[-1])[2] != FORMAT:
            self._number += 1  # each file is of one format
        return self.records - seal.records, torn

    def _adopt(self, file: Path, offset: int) -> int:
        """Adopt records after the seal; cuts off a line without an end and returns its bytes."""
        for line in lines(file, offset):
            if not line.endswith(b"\n"):
                os.truncate(file, offset)
                return len(line)
            found = follows(self._hash, line, self._key)
            if found is None:
                raise AuditError(
                    f"{file}: the log goes on with records that do not follow; see what torq-audit verify says of it,"
                    " and use another --audit-directory"
                )
            self._hash = found
            self.records += 1
            offset += len(line)
        return 0


class AuditObserver(Observer):
    """Feeds an audit log from a server: connections by events, frames by the hub's tap."""

    def __init__(self, log: AuditLog, should_forward: Callable[[MessageHeader], bool] | None) -> None:
        self.log = log
        self._should_forward = should_forward
        self._hub: Hub | None = None
        self._users: dict[int, int] = {}

    def attach(self, hub: Hub) -> None:
        """Hear of every frame from now on."""
        self._hub = hub
        hub.tap = self._tap

    def admitted(self, connection: Connection, peer: Peer) -> None:
        self._users[connection.id] = peer.uid
        self.log.event("joined", {"connection": connection.id, "pid": peer.pid, "uid": peer.uid, "gid": peer.gid})

    def refused(self, reason: CloseReason, peer: Peer) -> None:
        self.log.event("refused", {"reason": reason.label, "pid": peer.pid, "uid": peer.uid, "gid": peer.gid})

    def closed(self, connection: Connection, peer: Peer) -> None:
        assert connection.close_reason is not None
        self._users.pop(connection.id)
        counters = {
            "received_frames": connection.received_frames,
            "refused_frames": connection.refused_frames,
            "delivered_frames": connection.delivered_frames,
            "dropped_frames": sum(connection.dropped_frames),
        }
        self.log.event("closed", {"connection": connection.id, "reason": connection.close_reason.label, **counters})

    def _tap(self, sender: Connection, data: bytes | bytearray, scan: Scan) -> None:
        if not scan.runs and not scan.refused:
            return
        assert self._hub is not None
        runs, refused = scan.runs, scan.refused
        if self._should_forward is not None:
            runs, refused = judged_by_logic(data, scan, self._should_forward)
        records = frame_records(data, runs, refused)
        self.log.frames(sender.id, self._users[sender.id], self._hub.receiver_count(sender), records)


def judged_by_logic(
    data: bytes | bytearray, scan: Scan, should_forward: Callable[[MessageHeader], bool]
) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
    """The frames of a scan that a logic forwards, as runs of one, and those that the scan or the logic refused."""
    kept, refused = [], list(scan.refused)
    for start, stop, _ in scan.runs:
        while start < stop:
            header = MessageHeader.from_bytes(bytes(data[start : start + HEADER_SIZE]))
            end = start + HEADER_SIZE + header.payload_size
            if should_forward(header):
                kept.append((start, end, 1))
            else:
                refused.append((start, end, REFUSED_BY_LOGIC))
            start = end
    return kept, sorted(refused)
