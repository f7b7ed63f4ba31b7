"""How much a PASS rests on. What is thin is decided here, for every screen and report.

Facts: a PASS is thin where its programs might well have missed a fault: so few were about the requirement that they do
not rule out, with 95 % confidence, a fault that one such program in four shows; or hardly any of them used a case that
they could have used. A fixed check does the same each time, so it is never thin: more of it would tell no more.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..generation.cells import is_thin, thin_cells
from ..judging.scenarios import SCENARIOS
from ..judging.verdict import Result, Verdict
from .model import THIN_PASS, ThinCell
from .narrate import upper_bound

THIN_RATE = 0.25
"""A PASS that leaves a greater rate of failing programs possible is thin: one by ten programs or fewer."""


def rules_out_little(programs: int) -> bool:
    """Whether so many programs without a fault leave more possible than :data:`THIN_RATE`."""
    return upper_bound(programs) > THIN_RATE


def thin(result: Result) -> Iterator[ThinCell]:
    """What hardly any program of a requirement that holds was about."""
    if result.verdict is not Verdict.PASS or result.requirement.id not in SCENARIOS:
        return
    programs = result.evidence["programs"]
    if rules_out_little(result.exercised) or is_thin(result.exercised, programs):
        yield ThinCell("programs that exercise it", result.exercised, max(result.exercised, programs))
    for name, count in thin_cells(SCENARIOS[result.requirement.id].cells, result.evidence).items():
        yield ThinCell(name, count, programs)


def word_of(result: Result) -> str:
    """What is said of a result, as a key of :data:`~.model.VERDICTS`."""
    return THIN_PASS if any(thin(result)) else result.verdict.value
