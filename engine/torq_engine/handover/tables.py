"""The handover as two tables: what the relay that serves and its successor do at each event, in each state.

The shells (predecessor.py, successor.py) work by these tables; the diagram in docs/handover.md is drawn from them, and
a checker explores them with every interleaving, crash and delay.

Facts:
- every connection is owned by one process. The *baton* is a pipe of which the predecessor holds both ends and the
  successor the reading end. Until the successor reads a commit out of it, the predecessor owns everything. A read of a
  pipe is atomic, so one of the two gets the byte, whoever hangs or dies;
- the predecessor stands still from FREEZE on: it neither reads nor writes a client. So a rollback restores nothing;
- before it serves again it revokes: it writes the other byte. A successor that finds the pipe at its end, without a
  byte, knows that the predecessor died while it stood still: the state that was handed over is the latest, and the
  successor serves. One that finds the revocation never serves;
- a predecessor whose commit was not answered takes it back out of the pipe. If the pipe is empty, the successor serves;
- each state that waits has a time limit, so a hang is a delay: LATE.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar


class Old(Enum):
    """The states of the predecessor. It serves in the first four, and in SERVING."""

    LISTENING = "waits for the successor's greeting"
    OFFERED = "has offered what it holds"
    COPYING = "copies what waits for slow receivers"
    HANDING = "has sent the copy"
    SENDING = "stands still and sends descriptors"
    JUDGED = "has sent the state, which the successor checks"
    COMMITTED = "has given the baton away"
    RECLAIMING = "tries to take the baton back"
    SERVING = "serves on, as if nothing had happened"
    LEFT = "has left: the successor serves"


class New(Enum):
    """The states of the successor. It serves in SERVING."""

    GREETING = "has booted and greeted the predecessor"
    COLLECTING = "takes descriptors, and touches none"
    VERIFYING = "checks the state and restores it"
    PREPARED = "waits for the baton"
    SERVING = "serves"
    ENDED = "has given up"


class Event(Enum):
    """What a machine is told."""

    FITS = "the greeting fits"
    MISFIT = "the greeting does not fit"
    READY = "ready"
    COPIED = "all is copied"
    KEPT = "the copy is kept"
    UNABLE = "the state cannot be exported or sent"
    ACK = "descriptors acknowledged"
    LAST_ACK = "all descriptors acknowledged"
    PREPARED = "prepared"
    ACTIVE = "active"
    FAILED = "the successor gave up"
    TAKEN_BACK = "the baton is back"
    GONE = "the baton is gone"
    OFFER = "an offer, with the baton"
    REFUSED = "refused"
    EARLY = "a copy of what waits"
    BATCH = "descriptors"
    STATE = "the state"
    WHOLE = "all is there and fits"
    UNUSABLE = "something is missing, damaged or not known"
    COMMITTED = "the baton says commit"
    REVOKED = "the baton says revoked"
    ORPHANED = "the baton is at its end: the predecessor died standing still"
    LOST = "the other side is gone, or talks nonsense"
    LATE = "the time limit has passed"


class Action(Enum):
    """What a shell does, in order."""

    SAY_OFFER = "make the baton and offer"
    SAY_REFUSE = "refuse"
    COPY = "begin the copy"
    SEND_COPY = "send the copy"
    FREEZE = "stand still and export the state"
    SEND_BATCH = "send descriptors"
    SEND_STATE = "send the state"
    COMMIT = "write the commit into the baton"
    TAKE_BACK = "read the baton without waiting"
    REVOKE = "write the revocation into the baton"
    LEAVE = "close everything and end"
    SAY_READY = "say ready"
    KEEP_COPY = "check and keep the copy, and say so"
    SAY_ACK = "acknowledge"
    VERIFY = "check and restore"
    SAY_PREPARED = "say prepared"
    SERVE = "serve"
    SAY_ACTIVE = "say active"
    SAY_FAILED = "say why it gives up"


StateT = TypeVar("StateT", Old, New)


@dataclass(frozen=True, slots=True)
class Step(Generic[StateT]):
    """A transition: the next state, and what is done on the way."""

    to: StateT
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Row(Generic[StateT]):
    """What happens in one state: at certain events, and at any other; ``seconds`` is the time limit."""

    at: Mapping[Event, Step[StateT]]
    otherwise: Step[StateT]
    seconds: float


@dataclass(frozen=True, slots=True)
class Role(Generic[StateT]):
    """One side: where it starts and its rows. A state without a row is final."""

    start: StateT
    rows: Mapping[StateT, Row[StateT]]
    serving: frozenset[StateT] = field(default=frozenset())

    def step(self, state: StateT, event: Event) -> Step[StateT]:
        """What happens at an event."""
        row = self.rows[state]
        return row.at.get(event, row.otherwise)


_ROLL_BACK = Step(Old.SERVING, (Action.REVOKE, Action.SAY_REFUSE))
_GIVE_UP = Step(New.ENDED)

PREDECESSOR = Role(
    Old.LISTENING,
    {
        Old.LISTENING: Row(
            {Event.FITS: Step(Old.OFFERED, (Action.SAY_OFFER,))}, Step(Old.SERVING, (Action.SAY_REFUSE,)), 30.0
        ),
        Old.OFFERED: Row({Event.READY: Step(Old.COPYING, (Action.COPY,))}, _ROLL_BACK, 5.0),
        Old.COPYING: Row({Event.COPIED: Step(Old.HANDING, (Action.SEND_COPY,))}, _ROLL_BACK, 60.0),
        Old.HANDING: Row({Event.KEPT: Step(Old.SENDING, (Action.FREEZE, Action.SEND_BATCH))}, _ROLL_BACK, 60.0),
        Old.SENDING: Row(
            {
                Event.ACK: Step(Old.SENDING, (Action.SEND_BATCH,)),
                Event.LAST_ACK: Step(Old.JUDGED, (Action.SEND_STATE,)),
            },
            _ROLL_BACK,
            1.0,
        ),
        Old.JUDGED: Row({Event.PREPARED: Step(Old.COMMITTED, (Action.COMMIT,))}, _ROLL_BACK, 2.0),
        Old.COMMITTED: Row(
            {Event.ACTIVE: Step(Old.LEFT, (Action.LEAVE,))}, Step(Old.RECLAIMING, (Action.TAKE_BACK,)), 1.0
        ),
        Old.RECLAIMING: Row({Event.TAKEN_BACK: _ROLL_BACK}, Step(Old.LEFT, (Action.LEAVE,)), 0.0),
    },
    frozenset({Old.LISTENING, Old.OFFERED, Old.COPYING, Old.HANDING, Old.SERVING}),
)
SUCCESSOR = Role(
    New.GREETING,
    {
        New.GREETING: Row({Event.OFFER: Step(New.COLLECTING, (Action.SAY_READY,))}, _GIVE_UP, 5.0),
        New.COLLECTING: Row(
            {
                Event.EARLY: Step(New.COLLECTING, (Action.KEEP_COPY,)),
                Event.BATCH: Step(New.COLLECTING, (Action.SAY_ACK,)),
                Event.STATE: Step(New.VERIFYING, (Action.VERIFY,)),
                Event.UNUSABLE: Step(New.ENDED, (Action.SAY_FAILED,)),
            },
            _GIVE_UP,
            60.0,
        ),
        New.VERIFYING: Row(
            {Event.WHOLE: Step(New.PREPARED, (Action.SAY_PREPARED,))}, Step(New.ENDED, (Action.SAY_FAILED,)), 0.0
        ),
        New.PREPARED: Row(
            {
                Event.COMMITTED: Step(New.SERVING, (Action.SERVE, Action.SAY_ACTIVE)),
                Event.ORPHANED: Step(New.SERVING, (Action.SERVE,)),
            },
            _GIVE_UP,
            10.0,
        ),
    },
    frozenset({New.SERVING}),
)
