"""Publishes the JSON Schemas of the suite's files: ``python -m torq_conformance.replay.schema FOLDER [--check]``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import msgspec

from ..reports.model import Report
from .difference import DifferenceRecord
from .record import Record

SCHEMAS: dict[str, tuple[type[msgspec.Struct], str]] = {
    "report.schema.json": (Report, "urn:torq:conformance:report:1"),
    "counterexample.schema.json": (Record, "urn:torq:conformance:counterexample:1"),
    "difference.schema.json": (DifferenceRecord, "urn:torq:conformance:difference:1"),
}


def schema(name: str) -> bytes:
    """The text of one published schema."""
    kind, identifier = SCHEMAS[name]
    described = msgspec.json.schema(kind)
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": identifier, **described}
    return msgspec.json.format(msgspec.json.encode(whole, order="deterministic"), indent=1) + b"\n"


def main() -> int:
    """Write every schema into a folder, or check those that stand there; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m torq_conformance.replay.schema", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if anything differs")
    given = parser.parse_args()
    drifted = [name for name in SCHEMAS if not _stands(given.folder / name, schema(name))]
    for name in drifted:
        if given.check:
            print(f"{given.folder / name} is not what the suite writes", file=sys.stderr)
        else:
            given.folder.mkdir(parents=True, exist_ok=True)
            (given.folder / name).write_bytes(schema(name))
    return int(given.check and bool(drifted))


def _stands(path: Path, text: bytes) -> bool:
    return path.exists() and path.read_bytes() == text


if __name__ == "__main__":
    sys.exit(main())
