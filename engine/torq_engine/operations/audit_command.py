"""``torq-audit``: prove that an audit log is whole, and read it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from torq_protocol.build_info import build_info

from .audit_chain import (
    DAMAGED,
    AuditError,
    Finding,
    Seal,
    UnreadableError,
    file_number,
    lines,
    read_seal,
    seal_path,
    verify,
)
from .terminal import told_in_one_line

_KEY = click.option("--key-file", type=click.Path(exists=True, dir_okay=False), help="The relay's --audit-key-file.")
_PATHS = click.argument("paths", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True))


@click.group()
@click.version_option(str(build_info()), message="%(version)s")
def commands() -> None:
    """Check and read the audit logs of relays."""


@commands.command("verify")
@_PATHS
@click.option(
    "--seal", "seal_file", type=click.Path(exists=True, dir_okay=False), help="Another seal than beside them."
)
@click.option("--partial", is_flag=True, help="Files before and behind the given ones are kept elsewhere.")
@_KEY
def verify_command(paths: tuple[str, ...], seal_file: str | None, partial: bool, key_file: str | None) -> None:
    """Find any edit, cut, insertion, other order or missing end. FILE may be a directory.

    Exit codes: 0 whole; 1 tampered with, or incomplete; 2 cannot be checked.
    """
    key = Path(key_file).read_bytes() if key_file else b""
    if key_file and not key:
        raise click.UsageError(f"{key_file}: the key is empty")
    code = 0
    for files in _logs(paths):
        try:
            seal = _seal(files, seal_file, key, partial)
            finding = verify(files, seal, key, partial=partial)
        except AuditError as error:
            click.echo(f"torq-audit: {error}", err=True)
            code = max(code, 2 if isinstance(error, UnreadableError) else 1)
            continue
        _tell(files, finding)
        code = max(code, 1 if finding.problems else 0)
    sys.exit(code)


@commands.command()
@_PATHS
@click.option("--refused", is_flag=True, help="Only refused frames and connections.")
def show(paths: tuple[str, ...], refused: bool) -> None:
    """Print one JSON object for each frame and each other event; nothing is verified."""
    for files in _logs(paths):
        for path in files:
            for line in lines(path):
                _show(_record(path, line), refused)


def main() -> None:
    """Check and read the audit logs of relays."""
    with told_in_one_line("torq-audit"):
        commands(prog_name="torq-audit")


def _logs(paths: tuple[str, ...]) -> list[list[Path]]:
    """The files of each log among paths, in order; ends the command when there is none."""
    logs: dict[Path, set[Path]] = {}
    for path in map(Path, paths):
        files = list(path.glob("*.jsonl")) if path.is_dir() else [path]
        if not files:
            raise click.UsageError(f"{path}: no audit files (*.jsonl) there")
        for file in files:
            logs.setdefault(seal_path(file), set()).add(file)
    return [sorted(files, key=file_number) for files in logs.values()]


def _seal(files: list[Path], given: str | None, key: bytes, partial: bool) -> Seal | None:
    path = Path(given) if given else seal_path(files[0])
    if not path.exists():
        if partial:
            return None
        raise AuditError(f"{path}: the seal is missing, so a missing end could not be seen; or say --partial")
    return read_seal(path, key)


def _tell(files: list[Path], finding: Finding) -> None:
    for problem in finding.problems:
        click.echo(f"TAMPERED {problem}")
    for note in finding.notes:
        click.echo(f"note     {note}")
    verdict = "NOT WHOLE" if finding.problems else "whole"
    click.echo(f"{files[0].parent}: {verdict}, {finding.records:,} records, {finding.files} file(s)")


def _record(path: Path, line: bytes) -> dict[str, object]:
    try:
        record = json.loads(line)
    except DAMAGED:
        record = None
    if not isinstance(record, dict) or "event" not in record or not _are_frames(record.get("frames", [])):
        click.echo(f"torq-audit: {path}: not an audit record: {line[:40]!r}; see torq-audit verify", err=True)
        sys.exit(2)
    return record


def _are_frames(frames: object) -> bool:
    return isinstance(frames, list) and all(isinstance(frame, list) for frame in frames)


def _show(record: dict[str, object], refused: bool) -> None:
    frames = record.pop("frames", None)
    record.pop("hash", None)
    if not isinstance(frames, list):
        if not refused or record["event"] == "refused":
            click.echo(json.dumps(record))
        return
    for frame in frames:
        if refused and len(frame) == 4:
            continue
        names = ("source", "sequence", "payload_size", "checksum", "refused")
        click.echo(json.dumps({**record, "event": "frame", **dict(zip(names, frame, strict=False))}))
