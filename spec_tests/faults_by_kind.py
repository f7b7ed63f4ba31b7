"""The tables of faults by kind at the end of ``docs/specimens.md``, from the table of mutants."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from torq_conformance.reports.markdown import cell
from torq_conformance.specimens import mutants
from torq_conformance.specimens.mutants.table import ALL_DOMAINS, TABLE, Mutant

PAGE = "docs/specimens.md"
MARK = "<!-- faults by kind: the rest of the page is generated -->\n"


def page(root: Path) -> str:
    """The page with its tables as the table of mutants has them. Raises ValueError when it has no place for them."""
    text, mark, _ = (root / PAGE).read_text("utf-8").partition(MARK)
    if not mark:
        raise ValueError(f"{PAGE} has no line {MARK}")
    return text + mark + "\n".join(_tables()) + "\n"


def _tables() -> Iterator[str]:
    mutants.load()
    for section, rows in groupby((row for row in TABLE.values() if row.family), lambda row: row.part.__module__):
        kind = (importlib.import_module(section).__doc__ or "").splitlines()[0]
        yield from ("", f"### {kind.rstrip('.')}", "", "| fault | breaks | what it does | variants |", "|-|-|-|-|")
        for family, members in groupby(rows, lambda row: row.family):
            first, *others = members
            variants = ", ".join(f"`{row.name.removeprefix(f'{family}:')}`" for row in others)
            yield f"| `{family}` | {' '.join(first.catches)} | {cell(first.text)}{_where(first)} | {variants} |"


def _where(row: Mutant) -> str:
    domains = "" if row.domains == ALL_DOMAINS else f" [{', '.join(row.domains)}]"
    return domains + (f" (`{' '.join(row.arguments)}`)" if row.arguments else "")
