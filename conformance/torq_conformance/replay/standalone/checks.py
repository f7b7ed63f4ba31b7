"""The checks of a replay script: what may not be after a run. A script gets those that its requirement needs."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations, pairwise

from .player import Run


def lost(run: Run) -> Iterator[str]:
    """A frame that a served client never got."""
    for client, entry in run.lacking():
        yield f"{client.name} never got {entry.name}, although it was served and stayed"


def held_back(run: Run) -> Iterator[str]:
    """A frame that came only when something followed it."""
    for client in run.readers():
        for name in client.order():
            if (client.name, name) in run.late:
                yield f"{client.name} got {name} only when a fence followed it"


def unserved(run: Run) -> Iterator[str]:
    """A client that got nothing at all."""
    for client in run.readers():
        if run.case.forwards and not client.joined and client.open:
            yield f"{client.name} got nothing at all"


def duplicated(run: Run) -> Iterator[str]:
    """A frame that came more than once."""
    for client in run.readers():
        names = [name for name, _, _ in client.received if name]
        yield from (
            f"{client.name} got {name} {names.count(name)} times" for name in client.order() if names.count(name) > 1
        )


def altered(run: Run) -> Iterator[str]:
    """A frame that nobody sent."""
    for client in run.readers():
        for name, data, _ in client.received:
            if not name:
                yield f"{client.name} got what nobody sent, {len(data)} B: {data[:48].hex(' ')}"


def torn(run: Run) -> Iterator[str]:
    """A stream that is no longer cut into frames."""
    for client in run.readers():
        if client.torn or (client.rest and client.open):
            yield f"{client.name} got what is no whole frame, {len(client.rest)} B: {client.rest[:48].hex(' ')}"


def leaked(run: Run) -> Iterator[str]:
    """A frame that had to be refused, yet reached somebody."""
    for client in run.readers():
        for name in client.order():
            entry = run.sent[name]
            if entry.fate != "forward" or not entry.whole:
                yield f"{client.name} got {name}, although {entry.why or 'it was never sent whole'}"


def echoed_wrongly(run: Run) -> Iterator[str]:
    """A sender that got its own frame although echo is off."""
    for client in run.readers():
        for name in client.order():
            if not run.case.echo and run.sent[name].sender == client.name:
                yield f"{client.name} got its own {name} back, although echo is off"


def replayed(run: Run) -> Iterator[str]:
    """A frame that others had got before its receiver connected."""
    first: dict[str, int] = {}
    for client in run.readers():
        for name, _, tick in client.received:
            first[name] = min(tick, first.get(name, tick))
    for client in run.readers():
        for name in client.order():
            if first[name] < client.connected:
                yield f"{client.name} got {name}, which others had got before {client.name} connected"
        for author in client.old_fences[:1]:
            yield f"{client.name} got a fence of {author}, which others had got before {client.name} connected"


def reordered_within_sender(run: Run) -> Iterator[str]:
    """Frames of one sender in another order than sent."""
    place = {name: number for number, name in enumerate(run.sent)}
    for client in run.readers():
        for one, other in combinations(client.order(), 2):
            if run.sent[one].sender == run.sent[other].sender and place[one] > place[other]:
                sender = run.sent[one].sender
                yield f"{client.name} saw {one} before {other}; {sender} sent them the other way round"
                break


def reordered_between_receivers(run: Run) -> Iterator[str]:
    """Two receivers that disagree on the order of two frames."""
    for first, second in combinations(run.readers(), 2):
        place = {name: number for number, name in enumerate(first.order())}
        for one, other in pairwise(name for name in second.order() if name in place):
            if place[one] > place[other]:
                yield f"{second.name} saw {one} before {other}, {first.name} saw {other} before {one}"
                break


def causality_broken(run: Run) -> Iterator[str]:
    """A frame that came before one which its sender had got before sending it."""
    for client in run.readers():
        for one, other in combinations(client.order(), 2):
            author = run.clients[run.sent[one].sender]
            if any(name == other and tick <= run.sent[one].begun for name, _, tick in author.received):
                yield f"{client.name} saw {one} before {other}; {author.name} had got {other} before it sent {one}"


def closed_unexpectedly(run: Run) -> Iterator[str]:
    """A connection that the relay closed without cause."""
    for client in run.readers():
        if client.closed and not client.left and not (run.case.closes and client.name in run.broken):
            yield f"the relay closed {client.name} ({client.closed})"


def framing_error_ignored(run: Run) -> Iterator[str]:
    """A connection that is kept although its bytes cannot be framed any more."""
    for client in run.readers():
        if run.case.closes and client.name in run.broken and client.open and not client.half_closed:
            yield f"{client.name} sent what begins no frame, and is still connected"


CHECKS = {
    check.__name__: check
    for check in (
        lost,
        held_back,
        unserved,
        duplicated,
        altered,
        torn,
        leaked,
        echoed_wrongly,
        replayed,
        reordered_within_sender,
        reordered_between_receivers,
        causality_broken,
        closed_unexpectedly,
        framing_error_ignored,
    )
}
"""The checks by the names of the oracles that they stand for."""
