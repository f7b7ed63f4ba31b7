"""The audit log's format and its proof: records that are chained by hash, files that follow each other, a seal.

Facts:
- a record is one JSON object on one line; its last member is ``hash``, SHA-256 (HMAC with a key) of the hash before it
  and of the line up to that member, so an edit, a cut, an insertion or another order breaks the chain (SEC-3);
- a file's first record says which hash it follows; the first file follows 64 zeros;
- one record holds all frames of one read. Format 2 has them as base64 of what torq_protocol/records.py tells; in
  format 1 each was a JSON list. The chain is the same, so a log of both is one chain;
- a chain cannot show that its end is missing: the *seal* beside it says where the end was. Records after the seal
  are those of a relay that still runs, or that was killed after it last sealed.
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
_END = re.compile(rb'(\{.*),"hash":"([0-9a-f]{64})"\}\n', re.DOTALL)
_NUMBER = re.compile(r"^(.+)-(\d{8})\.jsonl$")


class AuditError(RelayError):
    """An audit log that cannot be read, written or continued."""


class UnreadableError(AuditError):
    """A file of an audit log that the system does not let us read."""


@dataclass(frozen=True, slots=True)
class Seal:
    """Where a chain ends: the name of its last file, its length in bytes, the number of records in all, their hash."""

    file: str
    size: int
    records: int
    hash: str


@dataclass(slots=True)
class Finding:
    """What a check found: ``problems`` are tampering, ``notes`` are not."""

    records: int = 0
    files: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def chained(previous: str, body: bytes, key: bytes) -> str:
    """The hash of a record: ``body`` is its line up to the hash."""
    message = previous.encode() + body
    return hmac.digest(key, message, "sha256").hex() if key else hashlib.sha256(message).hexdigest()


def line_of(previous: str, body: bytes, key: bytes) -> tuple[bytes, str]:
    """A record's line and its hash; ``body`` is JSON without its closing brace."""
    found = chained(previous, body, key)
    return b'%b,"hash":"%b"}\n' % (body, found.encode()), found


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
    match = _END.fullmatch(line)
    if match is None:
        return None
    found = chained(previous, match[1], key)
    return found if hmac.compare_digest(found.encode(), match[2]) else None


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


def seal_line(seal: Seal, key: bytes) -> bytes:
    """A seal as its file's content, of one length: a record that follows the last one."""
    body = f'{{"file":"{seal.file}","size":{seal.size:20},"records":{seal.records:20},"last":"{seal.hash}"'
    return line_of(seal.hash, body.encode(), key)[0]


def read_seal(path: Path, key: bytes) -> Seal:
    """The seal in a file; raises :class:`AuditError` when the file holds no seal, or a changed one."""
    try:
        line = path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        content = json.loads(line)
        seal = Seal(str(content["file"]), int(content["size"]), int(content["records"]), str(content["last"]))
    except DAMAGED:
        raise AuditError(f"{path}: not a seal") from None
    if not follows(seal.hash, line, key):
        raise AuditError(f"{path}: the seal was changed, or sealed with another key")
    return seal


def lines(path: Path, start: int = 0) -> Iterator[bytes]:
    """The lines of a file from an offset on, each with its end; raises AuditError when it cannot be read."""
    try:
        with path.open("rb") as stream:
            stream.seek(start)
            yield from stream
    except OSError as error:
        raise UnreadableError(f"{path}: cannot be read: {error.strerror}") from None


def verify(files: list[Path], seal: Seal | None, key: bytes = b"", *, partial: bool = False) -> Finding:
    """Check files in order of their numbers: every record follows the one before, and the seal is reached.

    ``partial`` allows files before and after the given ones. Raises :class:`AuditError` for unreadable files.
    """
    finding = Finding()
    previous = GENESIS
    sealed = False
    for path in files:
        finding.files += 1
        stated, first_number, _ = stated_start(path)
        if stated != previous and not (partial and finding.files == 1):
            finding.problems.append(_gap(path, stated, finding))
        previous, offset, at_seal = _verify_file(path, stated, first_number, seal, key, finding)
        sealed = sealed or at_seal
        if sealed and (not at_seal or offset > (seal.size if seal else 0)) and not finding.problems:
            finding.notes.append(f"{path}: records behind the seal: the relay runs, or was killed")
    if seal is not None and not sealed and not finding.problems and not partial:
        finding.problems.append(f"the end is missing: {seal.records} records up to {seal.file} were sealed")
    return finding


def _verify_file(
    path: Path, previous: str, number: int, seal: Seal | None, key: bytes, finding: Finding
) -> tuple[str, int, bool]:
    """Check one file; returns its last hash, its size, and whether the sealed end is in it."""
    offset = 0
    sealed = False
    for position, line in enumerate(lines(path), start=1):
        found = follows(previous, line, key)
        if found is None and sealed and not line.endswith(b"\n"):
            finding.notes.append(f"{path}: line {position} behind the seal is torn: a crash or a full disk cut it off")
            return previous, offset, sealed
        if found is None:
            what = "is incomplete" if not line.endswith(b"\n") else "is not as written, or does not follow line"
            behind = "" if not line.endswith(b"\n") else f" {position - 1}"
            finding.problems.append(f"{path}: line {position} {what}{behind}")
            return previous, offset, sealed
        previous = found
        offset += len(line)
        finding.records += 1
        if seal is not None and path.name == seal.file and offset == seal.size:
            sealed = found == seal.hash and number + position - 1 == seal.records
    return previous, offset, sealed


def stated_start(path: Path) -> tuple[str, int, int]:
    """The hash that a file says it follows, the number of its first record, and its format."""
    first = next(lines(path), b"")
    try:
        record = json.loads(first)
        return str(record["previous"]), int(record["n"]), int(record["format"])
    except DAMAGED:
        return "", 0, 0


def _gap(path: Path, stated: str, finding: Finding) -> str:
    if not stated:
        return f"{path}: line 1 is not the start of an audit file"
    if finding.files == 1:
        return f"{path}: records before it are missing; if older files are kept elsewhere, say --partial"
    return f"{path}: does not follow the file before it: a file is missing, or cut, or out of order"
