"""Audit logs made for tests, and what is in them."""

from __future__ import annotations

import json
from pathlib import Path

from torq_engine.operations.audit import AuditLog
from torq_engine.operations.audit_chain import AuditError, Finding, file_number, read_seal, seal_path, verify
from torq_engine.operations.configuration import RelayConfig


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
        log.frames(1, 1000, 2, [f"[1,{number},10,99]", f'[1,{number},10,98,"bad-checksum"]'])
        log.flush()
    log.close()
