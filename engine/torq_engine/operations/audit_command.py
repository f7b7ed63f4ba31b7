"""``torq-audit``: prove that an audit log is whole, and read it."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from torq_protocol.extras import CommandExtra

with CommandExtra("relay"):
    from .arguments import Parser, add_version
    from .audit_chain import (
        DAMAGED,
        FRAME_FIELDS,
        AuditError,
        Finding,
        Seal,
        UnreadableError,
        content_of,
        file_number,
        files_of,
        lines,
        read_seal,
        seal_path,
        unpacked_frames,
        verify,
    )
    from .inheritance import begin_afresh
    from .terminal import complain, told_in_one_line

_NAME = "torq-audit"
_CANNOT_CHECK = 2
"""The exit code of all that ends a check before its verdict: 1 says that a log was tampered with."""


def main(arguments: list[str] | None = None) -> None:
    """Check and read the audit logs of relays."""
    if arguments is None:
        begin_afresh(hears=False)
    with told_in_one_line(_NAME, _CANNOT_CHECK):
        options = command_parser().parse_args(arguments)
        act: Callable[[argparse.Namespace], int] = options.act
        sys.exit(act(options))


def command_parser() -> Parser:
    """The parser of the command, from which its manual and its completion are made too."""
    parser = Parser(prog=_NAME, description="Check and read the audit logs of relays.")
    add_version(parser)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    check = commands.add_parser(
        "verify",
        help="prove that logs are whole",
        description="Find any edit, cut, insertion, other order or missing end. FILE may be a directory.",
        epilog="Exit codes: 0 whole; 1 tampered with, or incomplete; 2 cannot be checked.",
    )
    check.add_argument("paths", metavar="FILE", nargs="+", type=_existing)
    check.add_argument("--seal", metavar="FILE", type=_existing_file, help="another seal than the one beside them")
    check.add_argument(
        "--partial", action="store_true", help="files before and after the given ones are kept elsewhere"
    )
    check.add_argument("--key-file", metavar="FILE", type=_existing_file, help="the relay's --audit-key-file")
    check.set_defaults(act=partial(_verify, check))
    show = commands.add_parser(
        "show",
        help="print logs",
        description="Print one JSON object for each frame and each other event; nothing is verified.",
        epilog="Exit codes: 0 all is printed; 2 a file is no audit log, or cannot be read or printed.",
    )
    show.add_argument("paths", metavar="FILE", nargs="+", type=_existing)
    show.add_argument("--refused", action="store_true", help="only refused frames and connections")
    show.set_defaults(act=partial(_show_logs, show))
    return parser


def _existing(text: str) -> Path:
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text}: does not exist")
    return path


def _existing_file(text: str) -> Path:
    path = _existing(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text}: is a directory; name a file")
    return path


def _verify(parser: Parser, options: argparse.Namespace) -> int:
    key = content_of(options.key_file) if options.key_file else b""
    if options.key_file and not key:
        parser.error(f"{options.key_file}: the key is empty")
    code = 0
    for seal_file, files in _logs(parser, options.paths).items():
        finding = Finding()
        try:
            if not files and not seal_file.stat().st_size:
                raise UnreadableError(f"{seal_file}: empty: a relay was killed at its first step, or the log is gone")
            seal = _seal(options.seal or seal_file, key, options.partial)
            if not options.partial:
                files = _with_later(seal_file, files)
            finding = verify(files, seal, key, partial=options.partial)
        except UnreadableError as error:
            complain(f"{_NAME}: {error}")
            code = _CANNOT_CHECK
            continue
        except AuditError as error:
            finding.problems.append(str(error))
        _tell(seal_file.with_suffix(""), finding)
        code = max(code, 1 if finding.problems else 0)
    return code


def _with_later(seal: Path, files: list[Path]) -> list[Path]:
    """The files of a log and those after them: a relay that runs may have begun one and sealed it meanwhile."""
    last = file_number(files[-1]) if files else 0
    return [*files, *[path for path in files_of(seal) if file_number(path) > last]]


def _show_logs(parser: Parser, options: argparse.Namespace) -> int:
    for files in _logs(parser, options.paths).values():
        for path in files:
            for line in lines(path):
                try:
                    _show(line, options.refused)
                except DAMAGED:
                    complain(f"{_NAME}: {path}: not an audit record: {line[:40]!r}; see {_NAME} verify")
                    return _CANNOT_CHECK
    return 0


def _logs(parser: Parser, paths: list[Path]) -> dict[Path, list[Path]]:
    """The seal of each log among paths, and its files in order; ends the command when there is none.

    Of a seal alone in a directory the files are missing.
    """
    logs: dict[Path, set[Path]] = {}
    for path in paths:
        files = list(path.glob("*.jsonl")) if path.is_dir() else [path]
        seals = [seal for seal in path.glob("*.seal") if seal.is_file()]
        if not files and not seals:
            parser.error(f"{path}: no audit files (*.jsonl) there")
        for seal in seals:
            logs.setdefault(seal, set())
        for file in files:
            logs.setdefault(seal_path(file), set()).add(file)
    return {seal: sorted(logs[seal], key=file_number) for seal in sorted(logs)}


def _seal(path: Path, key: bytes, partial: bool) -> Seal | None:
    if not path.exists():
        if partial:
            return None
        raise AuditError(f"{path}: the seal is missing, so a missing end could not be seen; or say --partial")
    return read_seal(path, key)


def _tell(log: Path, finding: Finding) -> None:
    for problem in finding.problems:
        print(f"TAMPERED {problem}")
    for note in finding.notes:
        print(f"note     {note}")
    verdict = "NOT WHOLE" if finding.problems else "whole"
    print(f"{log}: {verdict}, {finding.records:,} records, {finding.files} file(s)")


def _show(line: bytes, refused: bool) -> None:
    """Print a record, one line for each of its frames; raises one of DAMAGED for a line that is no record."""
    record = json.loads(line)
    event = record["event"]
    record.pop("hash", None)
    if "frames" not in record:
        if not refused or event == "refused":
            print(json.dumps(record))
        return
    frames = unpacked_frames(record.pop("frames"))
    start = json.dumps({**record, "event": "frame"})[:-1]
    nowhere = json.dumps({**record, "event": "frame", "receivers": 0})[:-1]
    for values in frames:
        is_refused = len(values) == len(FRAME_FIELDS)
        if not refused or is_refused:
            members = json.dumps(dict(zip(FRAME_FIELDS, values, strict=False)))
            print(f"{nowhere if is_refused else start}, {members[1:]}")
