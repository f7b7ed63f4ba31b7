"""Runs one relay with one mutant: ``python -m spec_tests.mutation.run NAME SOURCE -- DOMAIN relay arguments``.

The mutated source takes the place of one module in this process alone; nothing is written into the installed tree. The
engine runs interpreted, unmutated modules too: a compiled hub would not be the one that was changed. ``SOURCE`` is the
file of the mutated module; "-" mutates here, which costs a start some tenths of a second.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType

from .subjects import SUBJECTS, UNCHANGED, find, subject_of

IN_C = frozenset(("torq_protocol._scanner", "torq_engine._sockets", "torq_engine.compiled__mypyc"))
COMPILED_BESIDE = {"torq_engine.connection": "engine/torq_engine/connection.py"}
"""Modules that are no subjects and are compiled together with some: they have to run interpreted too."""


class _Source(Loader):
    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file

    def exec_module(self, module: ModuleType) -> None:
        exec(compile(self.text, self.file, "exec"), module.__dict__)


class Interpreted(MetaPathFinder):
    """Finds every subject as Python source, the mutated one as ``text``; what is written in C is not there."""

    def __init__(self, mutated: str, text: str) -> None:
        self.mutated = mutated
        self.text = text
        self.files = {each.module: str(each.path) for each in SUBJECTS} | COMPILED_BESIDE

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The spec of a subject; None for the rest. Raises ModuleNotFoundError for what is written in C."""
        if fullname in IN_C:
            raise ModuleNotFoundError(f"{fullname} is left out: the engine runs interpreted", name=fullname)
        file = self.files.get(fullname)
        if file is None:
            return None
        loader = _Source(self.text, file) if fullname == self.mutated else SourceFileLoader(fullname, file)
        return importlib.util.spec_from_file_location(fullname, file, loader=loader)


def main() -> None:
    """Entry point of a mutated relay; it exits as the relay does."""
    name, source, _, domain, *words = sys.argv[1:]
    mutated, text = "", ""
    if name != UNCHANGED:
        mutated = subject_of(name).module
        text = find(name).source if source == "-" else Path(source).read_text("utf-8")
    sys.meta_path.insert(0, Interpreted(mutated, text))
    sys.argv = [f"{domain}_relay", *words]
    if domain == "specimen":
        importlib.import_module("torq_conformance.specimens.cli").main(words)
    else:
        importlib.import_module(f"torq_domains.{domain}").main()


if __name__ == "__main__":
    main()
