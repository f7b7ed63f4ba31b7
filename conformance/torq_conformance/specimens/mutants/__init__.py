"""Seeded faults, each a few lines over one part of the correct relay, in one table.

A section file holds the mutants of a section of the requirements; `table` is what they are entered in.
"""

import importlib

from torq_conformance.specimens.mutants.table import TABLE, Mutant, parsed, varied

SECTIONS = (
    "forwarding",
    "content",
    "echo_and_joining",
    "ordering",
    "framing",
    "domains",
    "type_ranges",
    "validation",
    "robustness",
    "isolation",
    "accounts",
    "connections",
    "resources",
    "life_cycle",
    "takeovers",
    "security",
    "rare_states",
    "combined_states",
    "long_acquaintance",
    "by_kind.sizes",
    "by_kind.populations",
    "by_kind.ages",
    "by_kind.receivers",
    "by_kind.leaving",
    "by_kind.defects",
    "by_kind.unkept_settings",
)


def load() -> None:
    """Enter the mutants of every section in the table."""
    for section in SECTIONS:
        importlib.import_module(f"{__name__}.{section}")


def find(name: str) -> Mutant | None:
    """The row of this name, or None; sections are entered only until it is found.

    NAME:ATTRIBUTE=VALUE:... is a fault with other values than those in the table. Raises ValueError for what is none.
    """
    base, *words = name.split(":")
    for section in SECTIONS:
        importlib.import_module(f"{__name__}.{section}")
        if base in TABLE:
            row = TABLE[base]
            return varied(row, parsed(row, words)) if words else row
    return None
