"""The audit log's format and its proof: records that are chained by hash, files that follow each other, a seal.

Facts:
- a record is one JSON object on one line; its last member is ``hash``, SHA-256 (HMAC with a key) of the hash before it
  and of the line up to that member, so an edit, a cut, an insertion or another order breaks the chain (SEC-3);
- a file's first record says which hash it follows; the first file follows 64 zeros;
- one record holds all frames of one read. Format 2 has them as base64 of what torq_protocol/records.py tells; in
  format 1 each was a JSON list. The chain is the same, so a log of both is one chain;
- a chain cannot show that its end is missing: the *seal* beside it says where the end was. Records after the seal
  are those of a relay that still runs, or that was killed after it last sealed;
- the first seal of all stands before any file: it says that nothing is recorded. So a log of which the seal alone is
  left, or an empty seal, is never the work of a relay.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from torq_protocol.records import recorded_frames

from ..accounting import REFUSAL_LABELS
from ..errors import RelayError

FORMAT = 2
GENESIS = "0" * 64
"""What the first record of all follows."""
DAMAGED = (ValueError, KeyError, TypeError, OverflowError, RecursionError)
"""The errors of reading a line that another program wrote."""
FRAME_FIELDS = ("source", "sequence", "payload_size", "checksum", "refused")
"""What the numbers of a frame mean, in both formats."""
_END_BYTES = len(',"hash":""}\n') + len(GENESIS)
_NUMBER = re.compile(r"^(.+)-(\d{8})\.jsonl$")


class AuditError(RelayError):
    """An audit log that cannot be read, written or continued."""


class UnreadableError(AuditError):
    """A file of an audit log that the system does not let us read."""


@dataclass(frozen=True, slots=True)
class Seal:
    """Where a chain ends: the name of its last file, its length in bytes, the number of records in all, their hash."""

    file: str = ""
    size: int = 0
    records: int = 0
    hash: str = GENESIS


@dataclass(slots=True)
class Finding:
    """What a check found: ``problems`` are tampering, ``notes`` are not.

    ``sealed`` says whether the sealed end was reached, ``end`` where the chain ends, ``torn`` how many bytes of a line
    without an end stand there. ``records`` and ``files`` are how many were looked at.
    """

    records: int = 0
    files: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    sealed: bool = False
    end: Seal = field(default_factory=Seal)
    torn: int = 0


def chained(previous: str, body: bytes, key: bytes) -> str:
    """The hash of a record: ``body`` is its line up to the hash."""
    message = previous.encode() + body
    return hmac.digest(key, message, "sha256").hex() if key else hashlib.sha256(message).hexdigest()


def line_of(previous: str, body: bytes, key: bytes) -> tuple[bytes, str]:
    """A record's line and its hash; ``body`` is JSON without its closing brace."""
    found = chained(previous, body, key)
    return body + _end_of(found), found


def _end_of(found: str) -> bytes:
    return b',"hash":"%b"}\n' % found.encode()


def packed_frames(records: bytes) -> bytes:
    """The JSON value of a record's ``frames``, of what :func:`~torq_protocol.records.frame_records` made."""
    return b'"%b"' % binascii.b2a_base64(records, newline=False)


def unpacked_frames(value: object) -> Iterator[tuple[object, ...]]:
    """The values of each frame in a record's ``frames``, as in :data:`FRAME_FIELDS`; the last only of refused ones.

    Takes the values of both formats; raises one of :data:`DAMAGED` for any other.
    """
    if isinstance(value, str):
        for frame in recorded_frames(binascii.a2b_base64(value, strict_mode=True)):
            kind = frame.refused
            yield (*frame[:-1], REFUSAL_LABELS.get(kind, str(kind))) if kind else frame[:-1]
    elif isinstance(value, list) and all(isinstance(frame, list) for frame in value):
        yield from map(tuple, value)
    else:
        raise TypeError("no frames")


def follows(previous: str, line: bytes, key: bytes) -> str | None:
    """The hash of a line if it follows ``previous``; None if it does not."""
    body = line[:-_END_BYTES]
    found = chained(previous, body, key)
    return found if hmac.compare_digest(line[-_END_BYTES:], _end_of(found)) and body.startswith(b"{") else None


def file_name(relay: str, number: int) -> str:
    """The name of a relay's audit file."""
    return f"{relay}-{number:08d}.jsonl"


def file_number(path: Path) -> int:
    """The number in an audit file's name, 0 when there is none."""
    match = _NUMBER.match(path.name)
    return int(match[2]) if match else 0


def seal_path(file: Path) -> Path:
    """Where the seal of a file's chain stands."""
    match = _NUMBER.match(file.name)
    return file.with_name(f"{match[1] if match else file.stem}.seal")


def files_of(seal: Path) -> list[Path]:
    """The files beside a seal that are of its chain, in order."""
    return sorted((path for path in seal.parent.glob("*.jsonl") if seal_path(path) == seal), key=file_number)


def seal_line(seal: Seal, key: bytes) -> bytes:
    """A seal as its file's content, of one length: a record that follows the last one."""
    body = f'{{"file":"{seal.file}","size":{seal.size:20},"records":{seal.records:20},"last":"{seal.hash}"'
    return line_of(seal.hash, body.encode(), key)[0]


def read_seal(path: Path, key: bytes) -> Seal:
    """The seal in a file; raises :class:`AuditError` when the file holds no seal, or a changed one."""
    line, problem = None, ""
    while (again := content_of(path)) != line:  # a relay may have been writing it
        line = again
        try:
            content = json.loads(line)
            seal = Seal(str(content["file"]), int(content["size"]), int(content["records"]), str(content["last"]))
            if follows(seal.hash, line, key):
                return seal
            problem = "the seal was changed, or sealed with another key"
        except DAMAGED:
            problem = "not a seal"
    raise AuditError(f"{path}: {problem}")


def content_of(path: Path) -> bytes:
    """The bytes of a file; raises :class:`UnreadableError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"{path}: cannot be read: {error.strerror}") from None


def lines(path: Path) -> Iterator[bytes]:
    """The lines of a file, each with its end; raises AuditError when it cannot be read."""
    try:
        with path.open("rb") as stream:
            yield from stream
    except OSError as error:
        raise UnreadableError(f"{path}: cannot be read: {error.strerror}") from None


def verify(files: list[Path], seal: Seal | None, key: bytes = b"", *, partial: bool = False) -> Finding:
    """Check files in order of their numbers: every record follows the one before, and the seal is reached.

    Read the seal before you list the files: a relay that runs goes on meanwhile. ``partial`` allows files before and
    after the given ones. Raises :class:`AuditError` for unreadable files.
    """
    finding = Finding(sealed=seal is not None and seal.records == 0)
    written = []
    for path in files:
        if next(lines(path), None) is None:
            finding.notes.append(f"{path}: nothing is in it")
        else:
            written.append(path)
    for path in written:
        finding.files += 1
        _verify_file(path, seal, key, finding, partial=partial, last=path == written[-1])
    elsewhere = partial and seal is not None and seal.file not in [path.name for path in written]
    if seal is not None and not finding.sealed and not finding.problems and not elsewhere:
        finding.problems.append(f"the end is missing: {seal.records} records up to {seal.file} were sealed")
    if finding.sealed and seal is not None and finding.end.records > seal.records and not finding.problems:
        where = files[-1].with_name(finding.end.file)
        finding.notes.insert(0, f"{where}: records behind the seal: the relay runs, or was killed")
    return finding


def _verify_file(path: Path, seal: Seal | None, key: bytes, finding: Finding, *, partial: bool, last: bool) -> None:
    """Check that one file goes on where the finding's chain ends, which is then where this file ends."""
    previous, number, offset = finding.end.hash, finding.end.records, 0
    for position, line in enumerate(lines(path), start=1):
        if not line.endswith(b"\n"):
            finding.torn = len(line)
            if last and finding.sealed:
                note = f"line {position} behind the seal is torn: a crash or a full disk cut it off"
                finding.notes.append(f"{path}: {note}")
            else:
                finding.problems.append(f"{path}: line {position} is incomplete")
            break
        if position == 1:
            stated, first, _ = start_of(line)
            if stated != previous and not (partial and finding.files == 1 and first > 1):
                finding.problems.append(_gap(path, stated, finding))
            previous, number = stated, first - 1
        found = follows(previous, line, key)
        if found is None:
            finding.problems.append(
                f"{path}: line {position} is not as written, or does not follow line {position - 1}"
            )
            break
        previous, number, offset = found, number + 1, offset + len(line)
        finding.records += 1
        if seal is not None and path.name == seal.file and offset == seal.size:
            finding.sealed = found == seal.hash and number == seal.records
    finding.end = Seal(path.name, offset, number, previous)


def start_of(line: bytes) -> tuple[str, int, int]:
    """The hash that a file says it follows, the number of its first record, and its format, by its first line."""
    try:
        record = json.loads(line)
        previous = str(record["previous"])
        return previous if previous.isascii() else "", int(record["n"]), int(record["format"])
    except DAMAGED:
        return "", 0, 0


def _gap(path: Path, stated: str, finding: Finding) -> str:
    if not stated:
        return f"{path}: line 1 is not the start of an audit file"
    if finding.files == 1:
        return f"{path}: records before it are missing; if older files are kept elsewhere, say --partial"
    return f"{path}: does not follow the file before it: a file is missing, or cut, or out of order"
