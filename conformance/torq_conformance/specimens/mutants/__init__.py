"""Seeded faults, each a few lines over one part of the correct relay, in one table.

A section file holds the mutants of a section of the requirements; `table` is what they are entered in.
"""

import importlib

from torq_conformance.specimens.mutants.table import TABLE, Mutant

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
    "security",
    "rare_states",
    "combined_states",
    "long_acquaintance",
)


def load() -> None:
    """Enter the mutants of every section in the table."""
    for section in SECTIONS:
        importlib.import_module(f"{__name__}.{section}")


def find(name: str) -> Mutant | None:
    """The row of this name, or None; sections are entered only until it is found."""
    for section in SECTIONS:
        importlib.import_module(f"{__name__}.{section}")
        if name in TABLE:
            return TABLE[name]
    return None
