"""The audit log of a relay: its clients and the fate of every frame, in a chain that shows every change (SEC-3).

Facts:
- the relay makes a record of each read before it forwards the read's frames. With fsync ``always`` the record is on the
  disk by then; otherwise the log writes it within 50 ms, so that many reads share one write;
- one record holds all frames of one read, packed in C: no Python object is made for a frame, and 8 characters of a
  line are hashed and written for most;
- the relay does not forward what it cannot record: while the disk refuses, it closes senders (reason ``internal``) and
  tries again to write. Meanwhile it holds the events of connections, up to a bound, and counts the rest;
- whatever step fails, and wherever the process or the machine dies, the log can be continued and is whole. So the seal
  is written last: what it says is on the disk by then, the name of the file included, unless fsync is ``never``. The
  seal is shorter than a sector and always as long: a disk has the old one or the new one;
- after an fsync that failed nobody knows what the disk holds, and a second one would claim success: the log then
  records nothing more until the relay starts again and reads what is there;
- a file is begun when all of the one before is sealed. Where none can be begun, the log goes on in the present one;
- at its start the log checks the end of what is there as ``torq-audit verify`` does, and refuses a log that was
  tampered with. It adopts records behind the seal if they follow it, and cuts off a torn last line.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path

from ..handover.state import AuditState
from ..printable import printable_within
from .audit_chain import (
    FORMAT,
    FRAME_FIELDS,
    GENESIS,
    AuditError,
    Seal,
    file_name,
    file_number,
    files_of,
    line_of,
    lines,
    packed_frames,
    read_seal,
    seal_line,
    seal_path,
    start_of,
    verify,
)
from .configuration import RelayConfig

_BUFFER = 65_536
_MOST_HELD = 16 * 1024 * 1024
_CHECKED_AT_START = 256 * 1024 * 1024
_WRITE_INTERVAL = 0.05
_RETRY_INTERVAL = 1.0
_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_LONG_AGO = float("-inf")


class AuditLog:
    """Appends records to numbered files in a directory of its own, and keeps the seal beside them.

    Raises :class:`AuditError` when the directory cannot be used, is in use, or holds a log that cannot be continued.
    ``taken`` is the state of a log that another process holds, and its descriptors here: then nothing is written until
    the other has let go.
    """

    def __init__(
        self,
        directory: Path,
        relay: str,
        settings: RelayConfig,
        key: bytes = b"",
        taken: tuple[AuditState, Mapping[str, int]] | None = None,
    ) -> None:
        self.directory = directory
        self.settings = settings
        """Its ``audit_...`` fields count; another configuration may take its place at any time."""
        self.records = 0
        self.failure = ""
        """Why records cannot be written just now; empty when they can."""
        self.later: Callable[[float, Callable[[], None]], object] | None = None
        """Calls a function after so many seconds, when a loop runs; without one, call :meth:`flush`."""
        self.tell: Callable[[str, str], object] = lambda event, error: None
        """Told what becomes of the log, and the error, empty where things are well again."""
        self._relay = relay
        self._key = key
        self._hash = GENESIS
        self._buffer = bytearray()
        self._left_out = 0
        self._file = -1
        self._number = 1
        self._size = 0
        self._name_synced = False
        self._sealed_records = 0
        self._synced = _LONG_AGO
        self._lost = ""
        self._next_file_after = _LONG_AGO
        self._scheduled: set[str] = set()
        if taken is not None:
            self._restore(*taken)
            return
        self._directory, self._seal_file = self._lock()
        try:
            adopted, torn = self._recover()
            self._append_event("started", {"recovered_records": adopted, "torn_bytes": torn})
            self.flush()
        except OSError as error:
            self.release()
            file = directory / (error.filename or "")
            raise AuditError(f"{file}: cannot write the audit log: {error.strerror}") from None
        except BaseException:
            self.release()
            raise

    def export(self) -> tuple[AuditState, dict[str, int]]:
        """Its place in the chain with what is not written yet, and its descriptors by what they are for (LIFE-3)."""
        state = AuditState(
            records=self.records,
            hash=self._hash,
            number=self._number,
            size=self._size,
            sealed_records=self._sealed_records,
            name_synced=self._name_synced,
            synced=self._synced,
            next_file_after=self._next_file_after,
            buffer=bytes(self._buffer),
            left_out=self._left_out,
            failure=self.failure,
            lost=self._lost,
        )
        return state, {"file": self._file, "seal": self._seal_file, "directory": self._directory}

    def _restore(self, state: AuditState, descriptors: Mapping[str, int]) -> None:
        self.records = state.records
        self.failure = state.failure
        self._hash = state.hash
        self._number = state.number
        self._size = state.size
        self._sealed_records = state.sealed_records
        self._name_synced = state.name_synced
        self._synced = state.synced
        self._next_file_after = state.next_file_after
        self._buffer = bytearray(state.buffer)
        self._left_out = state.left_out
        self._lost = state.lost
        self._file, self._seal_file, self._directory = (descriptors[name] for name in ("file", "seal", "directory"))

    def leave(self) -> None:
        """Close the files, as another process goes on with the log: nothing more is written."""
        self.later = None
        self.failure = ""
        self._buffer.clear()
        self.release()

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
        self._demand_success()
        self._append(
            b'"event":"frames","connection":%d,"uid":%d,"receivers":%d,"frames":%b'
            % (connection, user, receivers, packed_frames(records))
        )
        if self.settings.audit_fsync == "always":
            self.flush()
            self._demand_success()

    def flush(self) -> None:
        """Write what was recorded; force it to disk and seal it when that is due. Once closed it does nothing."""
        self._scheduled.discard("write")
        if self._file >= 0:
            self._flush(self._seal_is_due())

    def next_file(self) -> None:
        """Begin the next file now.

        Raises :class:`AuditError` when records cannot be written just now, OSError when no file can be begun: then the
        log goes on in the present one.
        """
        self._flush(seal=True)
        self._demand_success()
        self._begin_file(self._number + 1)
        self.flush()

    def close(self) -> None:
        """Record the end, write everything, force it to disk unless that is never wanted, and let go.

        What could not be written is lost then, and ``failure`` says why. Doing it twice does nothing.
        """
        if self._file < 0:
            return
        self.later = None
        self._append_event("stopped", {})
        self._flush(seal=True)
        self.release()

    def release(self) -> None:
        """Close the files as they are."""
        for descriptor in (self._file, self._seal_file, self._directory):
            _close(descriptor)
        self._file = self._seal_file = self._directory = -1

    # Recording

    def _demand_success(self) -> None:
        if self.failure:
            raise AuditError(f"the audit log cannot be written: {self.failure}")

    def _append_event(self, name: str, fields: dict[str, object]) -> None:
        members = "".join(f',"{key}":{json.dumps(printable_within(value))}' for key, value in fields.items())
        self._append(f'"event":"{name}"{members}'.encode())

    def _append(self, members: bytes) -> None:
        self.records += 1
        body = b'{"n":%d,"time_ns":%d,%b' % (self.records, time.time_ns(), members)
        line, self._hash = line_of(self._hash, body, self._key)
        self._buffer += line
        if len(self._buffer) >= _BUFFER and not self.failure:
            self.flush()
        else:
            self._schedule("write", _WRITE_INTERVAL)

    def _schedule(self, what: str, delay: float) -> None:
        if self.later is not None and what not in self._scheduled:
            self._scheduled.add(what)
            self.later(delay, self.flush if what == "write" else self._seal_later)

    def _seal_later(self) -> None:
        self._scheduled.discard("seal")
        self.flush()

    # Writing

    def _flush(self, seal: bool) -> None:
        try:
            self._write()
            if seal:
                self._seal()
        except OSError as error:
            self._failed(error)
            return
        if self.failure:
            self.failure = ""
            self.tell("the audit log is written again", "")
        if self._size >= self.settings.audit_file_bytes and time.monotonic() >= self._next_file_after:
            self._try_next_file()
        elif self._sealed_records < self.records:
            self._schedule("seal", self.settings.audit_fsync_interval)

    def _failed(self, error: OSError) -> None:
        known, self.failure = self.failure, error.strerror or str(error)
        if not known:
            self.tell("the audit log cannot be written: nothing is forwarded", self.failure)
        self._schedule("write", _RETRY_INTERVAL)

    def _write(self) -> None:
        if self._lost:
            raise OSError(errno.EIO, self._lost)
        while True:
            while self._buffer:
                written = os.write(self._file, self._buffer)
                del self._buffer[:written]
                self._size += written
            if not self._left_out:
                return
            self._append_event("left-out", {"events": self._left_out})
            self._left_out = 0

    def _seal_is_due(self) -> bool:
        if self.settings.audit_fsync == "interval":
            return time.monotonic() - self._synced >= self.settings.audit_fsync_interval
        return True

    def _seal(self) -> None:
        """Say in the seal that the log ends here; what it says is on the disk before."""
        if self._sealed_records == self.records:
            return
        if self.settings.audit_fsync != "never":
            self._sync()
        self._write_seal(Seal(file_name(self._relay, self._number), self._size, self.records, self._hash))
        if self.settings.audit_fsync == "always":
            os.fsync(self._seal_file)
        self._sealed_records = self.records

    def _write_seal(self, seal: Seal) -> None:
        line = seal_line(seal, self._key)
        if os.pwrite(self._seal_file, line, 0) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), seal_path(Path(seal.file)).name)

    def _sync(self) -> None:
        try:
            os.fsync(self._file)
            if not self._name_synced:
                os.fsync(self._directory)
        except OSError as error:
            self._lost = f"{error.strerror}: what the disk holds is not known; start the relay again"
            raise OSError(errno.EIO, self._lost) from error
        self._name_synced = True
        self._synced = time.monotonic()

    # Files

    def _try_next_file(self) -> None:
        try:
            self._seal()
            self._begin_file(self._number + 1)
        except OSError as error:
            if self._lost:
                self._failed(error)
                return
            self._next_file_after = time.monotonic() + _RETRY_INTERVAL
            self.tell("no audit file can be begun: going on in the present one", error.strerror or str(error))
        else:
            self._flush(self._seal_is_due())

    def _begin_file(self, number: int) -> None:
        """Go on in a new file. All before it is sealed. Raises OSError, and nothing has changed then."""
        self._open_file(number, 0)
        self._append_event(
            "file",
            {
                "relay": self._relay,
                "format": FORMAT,
                "previous": self._hash,
                "chain": "hmac-sha256" if self._key else "sha256",
                "frame_fields": FRAME_FIELDS,
            },
        )

    def _open_file(self, number: int, size: int) -> None:
        """Write to the file of a number, beside the seal, which has so many bytes.

        Raises OSError, and nothing has changed then.
        """
        name = file_name(self._relay, number)
        descriptor = os.open(name, _FILE_FLAGS, 0o600, dir_fd=self._directory)
        try:
            if os.fstat(descriptor).st_size != size:
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)
        except BaseException:
            _close(descriptor)
            raise
        before, self._file = self._file, descriptor
        self._number, self._size, self._name_synced = number, size, False
        _close(before)

    # Starting

    def _lock(self) -> tuple[int, int]:
        """The descriptors of the directory, which may be moved later, and of the seal in it, which one relay holds."""
        path = seal_path(self.directory / file_name(self._relay, 1))
        with ExitStack() as held:
            try:
                os.makedirs(self.directory, mode=0o700, exist_ok=True)
                directory = os.open(self.directory, _DIRECTORY_FLAGS)
                held.callback(_close, directory)
                flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
                seal = os.open(path.name, flags, 0o600, dir_fd=directory)
                held.callback(_close, seal)
                fcntl.flock(seal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AuditError(f"{path}: another relay writes there; use another --audit-directory") from None
            except OSError as error:
                raise AuditError(f"{path}: cannot open the audit log: {error.strerror}") from None
            held.pop_all()
        return directory, seal

    def _recover(self) -> tuple[int, int]:
        """Go on where an earlier log ends; returns the numbers of records behind its seal and of bytes of a torn line.

        Raises :class:`AuditError` for a log that was tampered with, OSError.
        """
        path = seal_path(self.directory / file_name(self._relay, 1))
        files = files_of(path)
        if os.fstat(self._seal_file).st_size == 0:
            self._begin_seal(path, files)
        seal = read_seal(path, self._key)
        files = _newest([file for file in files if file.stat().st_size], seal)
        finding = verify(files, seal, self._key, partial=True)
        end = finding.end
        if not finding.sealed and not finding.problems:
            finding.problems.append(f"{self.directory / seal.file}: the log ends before its seal")
        if finding.problems:
            raise AuditError(
                f"{finding.problems[0]}; see what torq-audit verify says of it, and use another --audit-directory"
            )
        if finding.torn:
            os.truncate(self.directory / end.file, end.size)
        self.records, self._hash, self._sealed_records = end.records, end.hash, seal.records
        if end.size:
            self._open_file(file_number(files[-1]), end.size)
            if start_of(next(lines(files[-1])))[2] != FORMAT:  # each file is of one format
                self._seal()
                self._begin_file(self._number + 1)
        else:
            self._begin_file(file_number(files[-1]) if files else 1)
        return end.records - seal.records, finding.torn

    def _begin_seal(self, path: Path, files: list[Path]) -> None:
        """Seal that nothing is recorded, before there is a file: then a log without a seal was tampered with."""
        if any(file.stat().st_size for file in files[1:]) or (files and len(list(lines(files[0]))) > 1):
            raise AuditError(f"{path}: the seal of the log beside it is missing; use another --audit-directory")
        for file in files:  # of torq 0.2, killed before its first seal
            os.truncate(file, 0)
        try:
            self._write_seal(Seal(file_name(self._relay, 1)))
        except OSError:
            os.ftruncate(self._seal_file, 0)
            raise
        if self.settings.audit_fsync != "never":
            os.fsync(self._seal_file)
            os.fsync(self._directory)
            parent = os.open(self.directory.parent, _DIRECTORY_FLAGS)
            try:
                os.fsync(parent)
            finally:
                _close(parent)


def _newest(files: list[Path], seal: Seal) -> list[Path]:
    """The files that a start checks: the sealed one and those after it, and before it as many as cost little time."""
    size = 0
    for place in reversed(range(len(files))):
        size += files[place].stat().st_size
        if size > _CHECKED_AT_START and file_number(files[place]) < file_number(Path(seal.file)):
            return files[place + 1 :]
    return files


def _close(descriptor: int) -> None:
    """Close a descriptor, if it is one: it is closed whatever the system says of it."""
    if descriptor >= 0:
        with suppress(OSError):
            os.close(descriptor)
