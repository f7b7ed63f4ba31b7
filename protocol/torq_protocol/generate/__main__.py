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

Files: TypeAlias = Mapping[str, str]
"""Text by path below the docs folder."""


def _docs(root: Path) -> Files:
    from .pages import pages

    return pages(root / "conformance" / "torq_conformance" / "model" / "requirements.toml")


def _vectors(root: Path) -> Files:
    from .vectors import vector_files

    return vector_files()


def _dissector(root: Path) -> Files:
    from .dissector import dissector

    return {"wireshark/torq.lua": dissector()}


def _kaitai(root: Path) -> Files:
    from .kaitai import kaitai

    return {"kaitai/torq.ksy": kaitai()}


ARTEFACTS: Final[Mapping[str, Callable[[Path], Files]]] = {
    "docs": _docs,
    "vectors": _vectors,
    "dissector": _dissector,
    "kaitai": _kaitai,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m torq_protocol.generate", description="Write what is generated from the protocol schema."
    )
    parser.add_argument("artefact", choices=[*ARTEFACTS, "all"], help="what to write")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 with a diff if anything differs")
    parser.add_argument("--root", type=Path, default=Path(), help="the source tree (default: the current folder)")
    options = parser.parse_args(arguments)
    if not (options.root / "docs").is_dir():
        parser.error(f"{options.root.resolve()} has no docs folder; run in the source tree or give it with --root")
    chosen = list(ARTEFACTS) if options.artefact == "all" else [options.artefact]
    files = {name: text for artefact in chosen for name, text in ARTEFACTS[artefact](options.root).items()}
    return _check(options.root, files) if options.check else _write(options.root, files)


def _write(root: Path, files: Files) -> int:
    for name, text in files.items():
        path = root / "docs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        changed = _current(path) != text
        if changed:
            path.write_text(text, encoding="utf-8")
        print(f"{'wrote' if changed else 'kept '} {path}")
    return 0


def _check(root: Path, files: Files) -> int:
    drifted = 0
    for name, text in files.items():
        path = root / "docs" / name
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
            f"{drifted} of {len(files)} generated files differ from the schema; "
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
