"""Publishes the JSON Schemas of the suite's files: ``python -m torq_conformance.reports.schema docs/schemas``."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from ..record import Record
from .model import Report

SCHEMAS: dict[str, tuple[type[msgspec.Struct], str]] = {
    "report.schema.json": (Report, "urn:torq:conformance:report:1"),
    "counterexample.schema.json": (Record, "urn:torq:conformance:counterexample:1"),
}


def schema(name: str) -> bytes:
    """The text of one published schema."""
    kind, identifier = SCHEMAS[name]
    described = msgspec.json.schema(kind)
    whole = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": identifier, **described}
    return msgspec.json.format(msgspec.json.encode(whole, order="deterministic"), indent=1) + b"\n"


def main(folder: str) -> None:
    """Write every schema into a folder."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name in SCHEMAS:
        Path(folder, name).write_bytes(schema(name))


if __name__ == "__main__":
    main(sys.argv[1])
