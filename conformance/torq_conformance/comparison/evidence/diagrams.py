"""The runs of A and B of one program as two sequence diagrams, in which nothing is marked but where they part."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from ...judging.verdict import Counterexample
from ...model.findings import Finding, Kind
from ...model.frames import connection_name
from ...model.history import History
from ...reports.diagram import Diagram, Event
from ...reports.trace import diagram_of
from ..equivalence import Difference
from ..found import FoundDifference


def parted(found: FoundDifference) -> tuple[Diagram, Diagram]:
    """The diagram of A and that of B. What the difference is about is marked in both: what came, or that it did not."""
    difference = found.difference
    in_a = _drawn(found, found.history_a, difference.in_a)
    in_b = _drawn(found, found.history_b, difference.in_b)
    return _beside(in_a, in_b), _beside(in_b, in_a)


def _drawn(found: FoundDifference, history: History, said: str) -> Diagram:
    """One run; where nothing in it shows the difference, ``said`` stands behind the last event."""
    difference = found.difference
    looked_for = _looked_for(difference, history, said)
    clients = {connection_name(conn) for conn in looked_for.conns}
    drawn = diagram_of(Counterexample("", found.program, [looked_for], history))
    events = [
        msgspec.structs.replace(event, marked=event.marked and not event.step and _is_at(event, clients))
        for event in drawn.events
        if not (event.kind == "note" and event.label == said)
    ]
    if not any(event.marked for event in events):
        client = "".join(clients if len(clients) == 1 else ())
        at_client = client in drawn.columns
        events.append(Event("point" if at_client else "note", said, client if at_client else "", marked=True))
    return msgspec.structs.replace(drawn, events=tuple(events))


def _is_at(event: Event, clients: Collection[str]) -> bool:
    """Whether an event is at one of some clients; where none is named, all are meant."""
    return not clients or event.connection in clients


def _looked_for(difference: Difference, history: History, said: str) -> Finding:
    """What the difference is about as a finding of one run: a frame that never came is drawn as missing."""
    if difference.finding is not None:
        return Finding("difference", "", said, difference.finding.frames, difference.finding.conns)
    frames = tuple(sent.number for sent in history.sent if str(sent) == difference.frame)
    conns = () if difference.conn is None else (difference.conn,)
    received = [each.number for conn in conns if conn in history.peers for each in history.peers[conn].received]
    came = any(number in frames for number in received)
    return Finding(Kind.LOST if frames and not came else "difference", "", said, frames, conns)


def _beside(drawn: Diagram, other: Diagram) -> Diagram:
    """A diagram with what did not happen in it where it happened in the other one, behind the same step."""
    *before, last = drawn.events
    happens = any(event.marked and not _is_absence(event) for event in other.events)
    if not happens or not _is_absence(last) or any(event.marked for event in before):
        return drawn
    step = _step_before_mark(other.events)
    place = next((place for place, event in enumerate(before) if event.step > step), len(before))
    return msgspec.structs.replace(drawn, events=(*before[:place], last, *before[place:]))


def _is_absence(event: Event) -> bool:
    """Whether an event says what did not happen."""
    return event.marked and event.kind in ("missing", "point", "note")


def _step_before_mark(events: Sequence[Event]) -> int:
    """The last step before the first event that is marked; the last of all where none is."""
    place = next((place for place, event in enumerate(events) if event.marked), len(events))
    return max((event.step for event in events[:place]), default=0)
