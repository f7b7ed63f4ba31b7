"""The requirements that a test stands for, by its name.

``test_frame_1_header_split_at_every_byte`` stands for FRAME-1, ``test_fwd_1_2_every_frame`` for FWD-1 and FWD-2,
``test_res_2_val_6_memory_is_flat`` for RES-2 and VAL-6. A name of this form with an unknown id is misspelt: the test
would stand for nothing, and nobody would see it.
"""

from __future__ import annotations

import re

from torq_conformance.model.requirements import requirements

_NUMBERED = re.compile(r"([a-z]+)((?:_\d+)+)(?:_|$)")
_CHECKLIST = "checklist"
"""``test_sec_1_checklist_2_...``: a row of the specification's security checklist, which is no list of requirements."""


class UnknownRequirementError(ValueError):
    """A test is named after a requirement that does not exist."""


def identifiers(test: str) -> list[str]:
    """The ids of the requirements in a test's name, parameters apart; raises :class:`UnknownRequirementError`."""
    found = []
    at = len("test_")
    while (match := _NUMBERED.match(test, at)) and match[1] != _CHECKLIST:
        found += [f"{match[1].upper()}-{number}" for number in match[2].split("_")[1:]]
        at = match.end()
    if unknown := [identifier for identifier in found if identifier not in requirements()]:
        raise UnknownRequirementError(f"{test}: no such requirement: {', '.join(unknown)}; mend the test's name")
    return found
