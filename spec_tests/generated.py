"""Everything checked in that a command writes: ``python -m spec_tests.generated [--check]``.

``--check`` writes nothing, shows what differs and exits 1: CI calls it, so that no generated page drifts.
"""

from __future__ import annotations

import argparse
import difflib
import subprocess
import sys
from pathlib import Path

from . import (
    api_reference,
    dimensions_page,
    equivalence_page,
    faults_by_kind,
    handover_page,
    manuals,
    pictures,
    traceability,
    walk,
)

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = (
    ("torq_protocol.generate", "all"),
    ("torq_engine.operations.reference",),
    ("torq_conformance.replay.schema", "docs/schemas"),
)
"""Generators that are modules of the packages; each knows ``--check``."""
PAGES = {
    "docs/traceability.md": traceability.page,
    dimensions_page.PAGE: dimensions_page.page,
    walk.PAGE: walk.page,
    handover_page.PAGE: handover_page.page,
    equivalence_page.PAGE: equivalence_page.page,
    faults_by_kind.PAGE: faults_by_kind.page,
    **api_reference.pages(),
    **manuals.pages(),
    **pictures.pages(),
}
"""Pages that are made here, or whose blocks are."""
MOST_LINES = 500
LONG_FILES = {
    "api/payloads.md": "an entry for each payload class; the index and the anchors lead to them",
    "equivalence_matrix.json": "a line for each comparison; the page is made from it",
    "equivalence_matrix.md": "a row for each mutant, looked up by its name",
    "grafana/torq-relay.json": "one dashboard is one file, which Grafana imports",
    "kaitai/torq.ksy": "one format is one file, which the Kaitai compiler takes",
    "matrix.md": "a row for each mutant, looked up by its name",
    "pictures/matrix.svg": "a drawing, which is looked at",
    "pictures/report.png": "a photograph, which is looked at",
    "schemas/counterexample.schema.json": "a JSON Schema, for validators",
    "schemas/difference.schema.json": "a JSON Schema, for validators",
    "schemas/report.schema.json": "a JSON Schema, for validators",
    "spec/payloads.md": "every payload in one page that a search covers; the registry's links lead into it",
    "traceability.md": "a line for each test, looked up by the requirement's id",
    "vectors/schema.json": "a JSON Schema, for validators",
}
"""Files of docs/ that are longer than a reader can be asked to read, and why they are one file all the same."""


def main() -> int:
    """Write the pages, or check them; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m spec_tests.generated", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 with a diff if anything differs")
    check = parser.parse_args().check
    flags = ["--check"] if check else []
    results = [
        subprocess.run([sys.executable, "-m", module, *words, *flags], cwd=ROOT, check=False).returncode
        for module, *words in COMMANDS
    ]
    results += [_write(ROOT / name, make(ROOT), check=check) for name, make in PAGES.items()]
    blurred = pictures.faults((ROOT / pictures.REPORT).read_bytes()) if check else []
    for problem in blurred:
        print(problem, file=sys.stderr)
    if check and any(results):
        print("generated pages have drifted; run: make generate", file=sys.stderr)
    long = too_long(ROOT / "docs")
    for problem in long:
        print(problem, file=sys.stderr)
    return int(any(results) or bool(long or blurred))


def too_long(docs: Path) -> list[str]:
    """What is to be said of each file that is long without a reason."""
    lines = {path: path.read_bytes().count(b"\n") for path in sorted(docs.rglob("*")) if path.is_file()}
    return [
        f"{path} has {count} lines, {MOST_LINES} at most: split it, or say why not in spec_tests/generated.py"
        for path, count in lines.items()
        if count > MOST_LINES and path.relative_to(docs).as_posix() not in LONG_FILES
    ]


def _write(path: Path, text: str, *, check: bool) -> int:
    old = path.read_text("utf-8") if path.exists() else ""
    if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
        return 0
    name = path.relative_to(ROOT).as_posix()
    sys.stdout.writelines(
        difflib.unified_diff(old.splitlines(True), text.splitlines(True), name, f"{name} (generated)")
    )
    return int(old != text)


if __name__ == "__main__":
    sys.exit(main())
