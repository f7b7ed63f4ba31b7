"""What a counterexample showed, as a sequence diagram.

Facts:
- one column for each connection and one for the relay, which stands in the middle;
- the events are in the order in which the suite saw them; those that the contradiction is about are marked, because a
  picture alone misleads;
- a program may have a thousand connections or frames: what the contradiction is about is kept, the rest is counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, groupby

from ..counting import counted, inflected
from ..judging.verdict import Counterexample
from ..model.findings import Finding, Kind
from ..model.frames import Raw, connection_name, in_ranges
from ..model.history import History, Peer, Sent, Stalled
from ..model.program import Program
from ..model.steps import Close, Finish, HalfClose, Place, Resume, Stall, Step
from .diagram import RELAY, Diagram, Event

MAX_COLUMNS = 6
MAX_EVENTS = 40
MAX_RECEIPTS = 12
MAX_MISSING = 4
MAX_NOTE = 80

NEVER: dict[str, str] = {Kind.UNSERVED: "nothing at all", Kind.KEPT: "never closed"}
"""What a connection never got, by the kind of the contradiction."""

Timed = tuple[float, int, Event]
"""An event, its moment, and its place among those of the same moment."""


def diagram_of(counterexample: Counterexample) -> Diagram:
    """The sequence diagram of the run that a counterexample remembers."""
    program, history = counterexample.program, counterexample.history
    frames, peers = involved(counterexample.findings, history)
    drawn = _drawn_connections(program, history, frames, peers)
    names = [connection_name(conn) for conn in drawn]
    events = [
        event
        for event in _events(program, history, frames, peers, counterexample.findings)
        if not event.connection or event.connection in names
    ]
    half = (len(names) + 1) // 2
    total = sum(step.opens for step in program.steps)
    return Diagram(
        columns=(*names[:half], RELAY, *names[half:]),
        events=tuple(_abridged(list(_joined(events, {str(sent): sent.number for sent in history.sent})))),
        hidden_connections=max(0, total - len(names)),
    )


def involved(findings: list[Finding], history: History) -> tuple[set[int], set[int]]:
    """The numbers of the frames and of the connections that the findings name."""
    frames = {number for finding in findings for number in finding.frames}
    conns = {conn for finding in findings for conn in finding.conns}
    return frames & history.by_number().keys(), conns & history.peers.keys()


def _drawn_connections(program: Program, history: History, frames: set[int], peers: set[int]) -> list[int]:
    """The connections to draw: those the contradiction names, senders of its frames, then the others in order."""
    opened = program.connections
    senders = {sent.conn for sent in history.sent if sent.number in frames}
    first = [conn for conn in opened if conn in peers or conn in senders]
    rest = [conn for conn in opened if conn not in first]
    return sorted((first + rest)[:MAX_COLUMNS])


def _events(
    program: Program, history: History, frames: set[int], peers: set[int], findings: list[Finding]
) -> Iterator[Event]:
    """All events in order: steps and receipts merged by the moment at which the suite saw them."""
    timed = [
        *_steps(program, history, frames),
        *_receipts(history, frames, peers),
        *_resumed(program, history),
    ]
    events = [event for _, _, event in sorted(timed, key=lambda entry: entry[:2])]
    events += _missing(history, findings)
    events += [Event("note", said, marked=True) for said in (history.stuck, history.crash) if said]
    yield from events
    if findings and not any(event.marked for event in events):
        yield Event("note", _shortened(findings[0].seen), marked=True)


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_NOTE else f"{text[: MAX_NOTE - 4]} ..."


def _resumed(program: Program, history: History) -> Iterator[Timed]:
    """Who reads again only because the program is over."""
    for conn in program.stalled_to_the_end:
        peer = history.peers.get(conn)
        if peer is not None and peer.stalls and peer.stalls[-1].ended:
            yield peer.stalls[-1].ended, 0, Event("point", "reads again, all being sent", peer.name)


def _steps(program: Program, history: History, frames: set[int]) -> Iterator[Timed]:
    for (place, step), moment in zip(program.placed(), _moments(program, history), strict=True):
        for offset, event in enumerate(_step_events(step, place, frames)):
            yield moment, place.position * 100 + offset, event


def _moments(program: Program, history: History) -> list[float]:
    """When each step happened, as far as the history tells; a step that leaves no trace stands before the next one."""
    known: list[float | None] = []
    by_step: dict[int, Sent] = {}
    for sent in history.sent:
        by_step.setdefault(sent.step, sent)
    finished = {sent.conn: sent for sent in history.sent}
    stalls = _StallsInOrder(history)
    for position, step in enumerate(program.steps):
        moment: float | None = None
        if position in by_step:
            moment = by_step[position].begun
        elif step.opens and step.connection in history.peers:
            moment = history.peers[step.connection].connected
        elif isinstance(step, Finish) and step.conn in finished and finished[step.conn].tick:
            moment = finished[step.conn].tick - 0.5
        elif isinstance(step, Stall):
            moment = stalls.begun(step.conn)
        elif isinstance(step, Resume):
            moment = stalls.ended(step.conn)
        known.append(moment)
    last = max((received.tick for peer in history.peers.values() for received in peer.received), default=0)
    following: float = last + 0.5
    seen_known = False
    for position in range(len(known) - 1, -1, -1):
        if known[position] is None:
            step = program.steps[position]
            known[position] = following - 0.25 if seen_known else _trailing(step, program, position, history, following)
        else:
            seen_known = True
        following = min(following, known[position] or 0) if seen_known else following
    return list(accumulate((moment or 0 for moment in known), max))


class _StallsInOrder:
    """Which of a connection's stalls a step begins or ends; a step that changes nothing has none."""

    def __init__(self, history: History) -> None:
        self._to_come = {
            peer.conn: iter([stall for stall in peer.stalls if not stall.reading]) for peer in history.peers.values()
        }
        self._current: dict[int, Stalled] = {}

    def begun(self, conn: int) -> float | None:
        stall = None if conn in self._current else next(self._to_come.get(conn, iter(())), None)
        if stall is None:
            return None
        self._current[conn] = stall
        return stall.begun

    def ended(self, conn: int) -> float | None:
        stall = self._current.pop(conn, None)
        return stall.ended - 0.5 if stall and stall.ended else None


def _trailing(step: Step, program: Program, position: int, history: History, last: float) -> float:
    """When a step behind the last write happened: as early as what its connection received allows."""
    if not isinstance(step, Close | HalfClose):
        return last
    written = max((sent.tick for sent in history.sent if sent.step < position), default=0)
    peer = history.peers.get(step.conn)
    received = max((each.tick for each in peer.received), default=0) if peer and isinstance(step, Close) else 0
    return max(written, received) + 0.25


def _step_events(step: Step, place: Place, frames: set[int]) -> list[Event]:
    """The lines of a step; marked where it sends a frame of the contradiction, or what is no frame or a rest of one."""
    marked = (
        not frames.isdisjoint(range(place.number, place.number + len(step.frames)))
        or any(isinstance(item, Raw) for item in step.content)
        or (isinstance(step, Finish) and place.unsent > 0)
    )
    who = "" if step.connection is None else connection_name(step.connection)
    return [Event(step.drawn, label, who, place.position + 1, marked) for label in step.labels(place)]


def _receipts(history: History, frames: set[int], peers: set[int]) -> Iterator[Timed]:
    by_number = history.by_number()
    for peer in history.peers.values():
        if peer.conn < 0:
            continue
        for received in peer.received:
            if received.number is None:
                event = _strange(peer, f"{_bytes(received.data)} nobody sent")
            else:
                marked = received.number in frames and (not peers or peer.conn in peers)
                event = Event("receive", str(by_number[received.number]), peer.name, marked=marked)
            yield received.tick, 0, event
        yield from _ends(peer)


def _ends(peer: Peer) -> Iterator[Timed]:
    last = max((received.tick for received in peer.received), default=0)
    if peer.torn or peer.rest:
        yield max(last, peer.rest_at) + 0.1, 1, _strange(peer, f"{_bytes(peer.rest)}, no whole frame")
    if peer.closed and not peer.left:
        yield max(peer.closed_at + 0.5, last + 0.2), 2, _strange(peer, f"closed ({peer.closed})")


def _strange(peer: Peer, label: str) -> Event:
    """What a client got that no right relay would have sent."""
    return Event("receive", label, peer.name, marked=True)


def _bytes(data: bytes) -> str:
    return f"{len(data)} {inflected(len(data), 'byte')}"


def _missing(history: History, findings: list[Finding]) -> Iterator[Event]:
    """What never came, for each finding that says so; many frames that one receiver lacks are one event."""
    by_number = history.by_number()
    lacking: dict[int, set[int]] = {}
    for finding in findings:
        if finding.kind in (Kind.LOST, Kind.DROPPED):
            for conn in finding.conns:
                lacking.setdefault(conn, set()).update(by_number.keys() & set(finding.frames))
    for conn, numbers in lacking.items():
        names = [(str(by_number[number]), number) for number in sorted(numbers)]
        for label in [in_ranges(names)] if len(names) > MAX_MISSING else [name for name, _ in names]:
            yield Event("missing", f"{label} never came", connection_name(conn), marked=True)
    nothing = dict.fromkeys(
        (NEVER[finding.kind], connection_name(conn))
        for finding in findings
        if finding.kind in NEVER
        for conn in finding.conns
    )
    yield from (Event("missing", label, name, marked=True) for label, name in nothing)


def _joined(events: list[Event], numbers: dict[str, int]) -> Iterator[Event]:
    """Long runs of receipts that the contradiction is not about, as one event for each receiver.

    ``numbers`` are those of the frames, by their labels.
    """
    for plain, run in groupby(events, key=lambda event: event.kind == "receive" and not event.marked):
        receipts = list(run)
        if not plain or len(receipts) <= MAX_RECEIPTS:
            yield from receipts
            continue
        for name in dict.fromkeys(event.connection for event in receipts):
            got = [(event.label, numbers.get(event.label)) for event in receipts if event.connection == name]
            yield Event("receive", in_ranges(got), name)


def _abridged(events: list[Event]) -> Iterator[Event]:
    """At most some forty events: the marked ones and their neighbours first; what is left out is counted."""
    if len(events) <= MAX_EVENTS:
        yield from events
        return
    marked = [place for place, event in enumerate(events) if event.marked]
    kept: set[int] = {*marked[: MAX_EVENTS // 4], *marked[-MAX_EVENTS // 4 :]}
    for place in (*range(6), *(near for at in tuple(kept) for near in (at - 1, at + 1)), *range(len(events))):
        if len(kept) >= MAX_EVENTS:
            break
        if 0 <= place < len(events):
            kept.add(place)
    for shown, run in groupby(enumerate(events), key=lambda each: each[0] in kept):
        part = [event for _, event in run]
        yield from part if shown else [Event("note", f"... {counted(len(part), 'more event')} ...")]
