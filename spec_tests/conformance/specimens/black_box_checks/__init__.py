"""One or more black-box checks per requirement, which the correct relay passes and a mutant of it does not.

A section file holds the checks of a section of the requirements and enters them in ``CHECKS``.
"""

from spec_tests.conformance.specimens.black_box_checks import (
    combined,
    connections,
    domains,
    forwarding,
    framing,
    isolation,
    life_cycle,
    ordering,
    security,
    validation,
)
from spec_tests.conformance.specimens.black_box_checks.subject import CHECKS, Check, Subject

__all__ = [
    "CHECKS",
    "Check",
    "Subject",
    "combined",
    "connections",
    "domains",
    "forwarding",
    "framing",
    "isolation",
    "life_cycle",
    "ordering",
    "security",
    "validation",
]
