"""Seeded faults, each a few lines over one part of the correct relay, in one table.

A section file holds the mutants of a section of the requirements; `table` is what they are entered in.
"""

import importlib

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
    "connections",
    "resources",
    "life_cycle",
    "security",
)


def load() -> None:
    """Enter the mutants of every section in the table."""
    for section in SECTIONS:
        importlib.import_module(f"{__name__}.{section}")
