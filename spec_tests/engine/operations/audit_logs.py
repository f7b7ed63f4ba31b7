"""Audit logs made for tests, and what is in them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from torq_engine.operations.audit import AuditLog
from torq_engine.operations.audit_chain import AuditError, Finding, file_number, read_seal, seal_path, verify
from torq_engine.operations.configuration import RelayConfig
from torq_protocol.errors import ErrorKind
from torq_protocol.scanner import frame_records

from ..frames import frame

FORMAT_1 = Path(__file__).with_name("audit_format_1")
"""``log``: a log of three files that torq 0.1.0 wrote; ``shown.txt``: what its ``torq-audit show`` printed of it."""


def logs(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.jsonl"), key=file_number)


def records(directory: Path) -> list[dict[str, object]]:
    return [json.loads(line) for file in logs(directory) for line in file.read_text("utf-8").splitlines()]


def check(directory: Path, key: bytes = b"") -> Finding:
    """What verification says: unreadable seals are problems too."""
    try:
        files = logs(directory)
        return verify(files, read_seal(seal_path(directory / "execution-00000001.jsonl"), key), key)
    except AuditError as error:
        return Finding(problems=[str(error)])


def write(directory: Path, frames: int, *, key: bytes = b"", file_bytes: int = 4096) -> None:
    """A log of several files."""
    log = AuditLog(directory, "execution", RelayConfig(audit_file_bytes=file_bytes, audit_fsync="never"), key)
    for number in range(frames):
        good, bad = frame(sequence=number), frame(bytes(10), sequence=number)
        end = len(good) + len(bad)
        records = frame_records(good + bad, [(0, len(good), 1)], [(len(good), end, ErrorKind.BAD_CHECKSUM)])
        log.frames(1, 1000, 2, records)
        log.flush()
    log.close()


def copy_of_format_1(directory: Path) -> Path:
    """A log in the format of torq 0.1.0, to be changed."""
    return shutil.copytree(FORMAT_1 / "log", directory)
