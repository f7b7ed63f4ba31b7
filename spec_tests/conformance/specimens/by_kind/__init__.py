"""How each fault by kind shows: a small client that the correct relay serves well, and the faulty one does not.

A section holds those of the mutants of the same name, and enters them in ``SHOWN``.
"""

from spec_tests.conformance.specimens.by_kind import (
    ages,
    defects,
    leaving,
    populations,
    receivers,
    sizes,
    unkept_settings,
)
from spec_tests.conformance.specimens.by_kind.showing import SHOWN, Fault, Show, Start

__all__ = [
    "SHOWN",
    "Fault",
    "Show",
    "Start",
    "ages",
    "defects",
    "leaving",
    "populations",
    "receivers",
    "sizes",
    "unkept_settings",
]
