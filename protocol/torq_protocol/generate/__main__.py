"""The command: writes what is generated, or with ``--check`` says what has drifted.

Exit codes: 0 written or up to date, 1 drift (with a diff), 2 wrong usage.
"""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from ..output import fully_written

Files: TypeAlias = Mapping[str, str]
"""Text by path below the root of the source tree."""


def _python(root: Path) -> Files:
    from .compiled_numbers import compiled_numbers
    from .payload_fields import payload_fields
    from .registry_names import registry_names

    package = "protocol/torq_protocol"
    return {
        f"{package}/payloads/fields.py": payload_fields(),
        f"{package}/names.py": registry_names(),
        f"{package}/compiled_numbers.py": compiled_numbers(),
    }


def _docs(root: Path) -> Files:
    from .pages import pages

    return _below_docs(pages(root / "conformance" / "torq_conformance" / "model" / "requirements.toml"))


def _vectors(root: Path) -> Files:
    from .vectors import vector_files

    return _below_docs(vector_files())


def _dissector(root: Path) -> Files:
    from .dissector import dissector

    return {"docs/wireshark/torq.lua": dissector()}


def _kaitai(root: Path) -> Files:
    from .kaitai import kaitai

    return {"docs/kaitai/torq.ksy": kaitai()}


def _below_docs(files: Files) -> Files:
    return {f"docs/{name}": text for name, text in files.items()}


ARTEFACTS: Final[Mapping[str, Callable[[Path], Files]]] = {
    "python": _python,
    "docs": _docs,
    "vectors": _vectors,
    "dissector": _dissector,
    "kaitai": _kaitai,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    return fully_written("python -m torq_protocol.generate", lambda: _generate(arguments))


def _generate(arguments: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m torq_protocol.generate",
        description="Write what is generated from schema and registry.",
    )
    parser.add_argument("artefact", choices=[*ARTEFACTS, "all"], help="what to write")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 with a diff if anything differs")
    parser.add_argument("--root", type=Path, default=Path(), help="the source tree (default: the current folder)")
    options = parser.parse_args(arguments)
    if not (options.root / "docs").is_dir():
        parser.error(f"{options.root.resolve()} has no docs folder; run in the source tree or give it with --root")
    chosen = list(ARTEFACTS) if options.artefact == "all" else [options.artefact]
    made = (ARTEFACTS[artefact](options.root) for artefact in chosen)
    if options.check:
        return _check(options.root, {name: text for files in made for name, text in files.items()})
    for files in made:  # each is written before the next is made: the first are modules that the others import
        _write(options.root, files)
    return 0


def _write(root: Path, files: Files) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        changed = _current(path) != text
        if changed:
            path.write_text(text, encoding="utf-8")
        print(f"{'wrote' if changed else 'kept '} {path}")


def _check(root: Path, files: Files) -> int:
    drifted = 0
    for name, text in files.items():
        path = root / name
        current = _current(path)
        if current != text:
            drifted += 1
            lines = (current.splitlines(), text.splitlines())
            sys.stdout.writelines(
                line[:200] + "\n"
                for line in difflib.unified_diff(*lines, f"{path} (stored)", f"{path} (generated)", lineterm="", n=1)
            )
    if drifted:
        print(
            f"{drifted} of {len(files)} generated files differ from their source; "
            "run python -m torq_protocol.generate all and commit the result",
            file=sys.stderr,
        )
        return 1
    print(f"{len(files)} generated files are up to date")
    return 0


def _current(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
