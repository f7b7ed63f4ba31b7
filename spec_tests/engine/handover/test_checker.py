"""The tables of the handover hold in every run, and the checker finds what would break them."""

from dataclasses import replace
from typing import TypeVar

import pytest

from torq_engine.handover.tables import PREDECESSOR, SUCCESSOR, Action, Event, New, Old, Role, Row, Step

from .checker import Checker, told

StateT = TypeVar("StateT", Old, New)


def changed(role: Role[StateT], state: StateT, **parts: object) -> Role[StateT]:
    """A role with another row for a state."""
    row: Row[StateT] = replace(role.rows[state], **parts)  # type: ignore[arg-type]  # parts of a row
    return replace(role, rows={**role.rows, state: row})


def test_life_3_life_4_one_process_serves_in_every_run_of_the_two_tables() -> None:
    found = Checker().explore()
    assert not found.broken, told(found)
    assert found.states > 300


UNASKED = Step(Old.SERVING, (Action.SAY_REFUSE,))
PLANTED = {
    "a predecessor that serves on when its commit is not answered, without asking the baton": (
        Checker(predecessor=changed(PREDECESSOR, Old.COMMITTED, otherwise=Step(Old.SERVING, (Action.REVOKE,)))),
        "both serve",
    ),
    "a predecessor that leaves when its commit is not answered": (
        Checker(predecessor=changed(PREDECESSOR, Old.COMMITTED, otherwise=Step(Old.LEFT, (Action.LEAVE,)))),
        "nobody serves",
    ),
    "a predecessor that serves on without revoking": (
        Checker(predecessor=changed(PREDECESSOR, Old.JUDGED, otherwise=UNASKED)),
        "the successor serves what is not the latest",
    ),
    "a predecessor that takes the baton back and does not revoke": (
        Checker(predecessor=changed(PREDECESSOR, Old.RECLAIMING, at={Event.TAKEN_BACK: UNASKED})),
        "the successor serves what is not the latest",
    ),
    "a successor that serves when it is prepared, without the baton": (
        Checker(successor=changed(SUCCESSOR, New.VERIFYING, at={Event.WHOLE: Step(New.SERVING, (Action.SAY_ACTIVE,))})),
        "both serve",
    ),
    "a successor that serves before it has the state": (
        Checker(successor=changed(SUCCESSOR, New.COLLECTING, otherwise=Step(New.SERVING))),
        "the successor serves what is not whole",
    ),
    "a successor that gives up when the predecessor dies standing still": (
        Checker(successor=changed(SUCCESSOR, New.PREPARED, at={Event.COMMITTED: Step(New.SERVING)})),
        "nobody serves",
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_bug_is_found_with_a_shortest_run(name: str) -> None:
    checker, broken = PLANTED[name]
    found = checker.explore()
    assert found.broken == broken, told(found)
    assert 3 <= len(found.run) <= 16


@pytest.mark.parametrize("role", [PREDECESSOR, SUCCESSOR], ids=["predecessor", "successor"])
def test_every_state_is_reached_and_those_without_a_row_are_final(role: Role[Old] | Role[New]) -> None:
    reached = {role.start}
    for row in role.rows.values():
        reached |= {step.to for step in (*row.at.values(), row.otherwise)}
    assert reached == set(type(role.start))
    assert set(type(role.start)) - set(role.rows) in ({Old.SERVING, Old.LEFT}, {New.SERVING, New.ENDED})
