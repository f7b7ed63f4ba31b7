"""Oracles: what a history may not contain, each in linear time because every frame has a number of its own.

An oracle looks at what all legal histories have in common, never at one expected transcript. It yields findings in the
field's words (:class:`~torq_conformance.model.findings.Kind`), worded as :mod:`.wordings` says.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise, takewhile
from operator import attrgetter, le

from torq_protocol.constants import HEADER_SIZE, MAGIC_BYTES

from ..model import wire
from ..model.findings import Finding
from ..model.frames import connection_name
from ..model.history import History, Peer, Received, Sent
from ..model.legality import Fate
from ..model.owed import may_overflow, must_arrive
from ..model.rules import Rules
from . import wordings as w

Oracle = Callable[[History, Rules], Iterator[Finding]]


def _missing(history: History, rules: Rules) -> Iterator[tuple[Peer, Sent]]:
    """Every frame that a receiver lacks although no legal history lacks it there."""
    if not rules.forwards:
        return
    for receiver in history.peers.values():
        got = {received.number for received in receiver.received}
        for sent in history.sent:
            if sent.number not in got and must_arrive(sent, receiver, history, rules):
                yield receiver, sent


def _recognised(history: History) -> Iterator[tuple[Peer, Received, Sent]]:
    """Every frame of the program that came to somebody, with what was sent."""
    by_number = history.by_number()
    for receiver in history.peers.values():
        for received in receiver.received:
            if received.number is not None:
                yield receiver, received, by_number[received.number]


def lost(history: History, rules: Rules) -> Iterator[Finding]:
    """A valid frame that a joined connection never got, although what was sent after it has come out."""
    later = _Later(history)
    for receiver, sent in _missing(history, rules):
        step, sender = sent.step + 1, connection_name(sent.conn)
        came = later.that_came_to(receiver, sent)
        if sent.conn in receiver.fenced_by:
            yield w.LOST(frame=sent, step=step, receiver=receiver, sender=sender)
        elif came is not None:
            yield w.LOST_ALTHOUGH_LATER_CAME(frame=sent, step=step, receiver=receiver, sender=sender, later=str(came))
        elif later.any_sent(sent):
            yield w.LOST_IN_SILENCE(frame=sent, step=step, receiver=receiver, sender=sender)
        else:
            yield w.LOST_AS_THE_LAST(frame=sent, step=step, receiver=receiver, sender=sender)


class _Later:
    """What the sender of a frame sent after it, and what of that a receiver got."""

    def __init__(self, history: History) -> None:
        self._last_sent = {sent.conn: sent.number for sent in history.sent if sent.fate is Fate.FORWARD}
        self._last_got: dict[tuple[int, int], Sent] = {}
        for receiver, _, sent in _recognised(history):
            key = receiver.conn, sent.conn
            if key not in self._last_got or self._last_got[key].number < sent.number:
                self._last_got[key] = sent

    def that_came_to(self, receiver: Peer, sent: Sent) -> Sent | None:
        last = self._last_got.get((receiver.conn, sent.conn))
        return last if last is not None and last.number > sent.number else None

    def any_sent(self, sent: Sent) -> bool:
        return self._last_sent.get(sent.conn, -1) > sent.number


def held_back(history: History, _: Rules) -> Iterator[Finding]:
    """A frame that came only when something followed it: a relay that waits for more may wait for ever."""
    if not history.late:
        return
    for receiver, _received, sent in _recognised(history):
        follower = history.late.get((receiver.conn, sent.number))
        if follower is not None:
            yield w.HELD_BACK(frame=sent, step=sent.step + 1, receiver=receiver, follower=follower)


def unserved(history: History, rules: Rules) -> Iterator[Finding]:
    """A connection that was accepted but never served."""
    if not rules.forwards:
        return
    for peer in history.peers.values():
        if peer.joined is None and peer.open and peer.reads:
            yield w.UNSERVED(receiver=peer)
        elif peer.passed_over:
            yield w.PASSED_OVER(receiver=peer)


def duplicated(history: History, _: Rules) -> Iterator[Finding]:
    """A frame that a connection got more than once."""
    counts = Counter((receiver.conn, sent.number) for receiver, _, sent in _recognised(history))
    by_number = history.by_number()
    for (conn, number), count in counts.items():
        if count > 1:
            yield w.DUPLICATED(frame=by_number[number], receiver=history.peers[conn], count=count)


def altered(history: History, _: Rules) -> Iterator[Finding]:
    """A frame that nobody sent: changed on its way, or made of pieces."""
    for receiver in history.peers.values():
        for received in receiver.received:
            if received.number is None:
                yield _name_alteration(history, receiver, received)


def _name_alteration(history: History, receiver: Peer, received: Received) -> Finding:
    sequence = received.data[8:16]
    original = next((sent for sent in history.sent if sent.data[8:16] == sequence), None)
    if original is None:
        return w.NEVER_SENT(receiver=receiver, size=len(received.data))
    places = [i for i, (old, new) in enumerate(zip(original.data, received.data, strict=False)) if old != new]
    if not places:
        return w.RESIZED(frame=original, receiver=receiver, size=len(received.data), due=len(original.data))
    old, new = original.data[places[0]], received.data[places[0]]
    return w.ALTERED(frame=original, receiver=receiver, place=places[0], old=old, new=new)


def torn(history: History, _: Rules) -> Iterator[Finding]:
    """A stream that is no longer cut into frames: part of a frame, or pieces of several."""
    for receiver in history.peers.values():
        ended = [sent for sent in history.sent if not sent.whole]  # what a torn stream is likeliest to be about
        rest, size = receiver.rest[:16].hex(" "), len(receiver.rest)
        if receiver.torn:
            fence = ", a fence of the suite among them" if wire.FENCE_MARK in receiver.rest else ""
            whole = len(receiver.received)
            yield w.TORN(ended, receiver=receiver, whole=whole, size=size, rest=rest, with_fence=fence)
        elif receiver.rest and receiver.open and receiver.reads:  # who never reads has not waited for the rest
            if size < HEADER_SIZE or not receiver.rest.startswith(MAGIC_BYTES):
                yield w.INCOMPLETE(ended, receiver=receiver, size=size, rest=rest)
            else:
                announced = HEADER_SIZE + int.from_bytes(receiver.rest[24:28], "little")
                yield w.INCOMPLETE_BEHIND_ITS_HEADER(ended, receiver=receiver, size=size, announced=announced)


def joined_within_a_frame(history: History, rules: Rules) -> Iterator[Finding]:
    """A stream that begins with part of a frame: with what was sent before the connection was there.

    One that is torn later is torn by another fault.
    """
    fresh = {conn: peer for conn, peer in history.peers.items() if peer.joined is None and not peer.received}
    yield from torn(dataclasses.replace(history, peers=fresh), rules)


def _unending(history: History, receiver: Peer) -> Sent | None:
    """The frame that announces more than it has and stands where a receiver's stream is torn: it takes in the rest."""
    if len(receiver.rest) < HEADER_SIZE:
        return None
    breaking = (sent for sent in history.sent if sent.fate is Fate.BREAK and sent.whole)
    return next((sent for sent in breaking if receiver.rest.startswith(sent.data[:HEADER_SIZE])), None)


def mixed(history: History, _: Rules) -> Iterator[Finding]:
    """Bytes of one connection inside what another one sent."""
    for receiver in history.peers.values():
        strange = [received.data for received in receiver.received if received.number is None]
        rest = receiver.rest if _unending(history, receiver) is None else b""
        for data in (*strange, rest):
            inside = [sent for sent in history.sent if sent.data[8:28] in data]  # of whom a header stands there
            senders = sorted({sent.conn for sent in inside})
            if len(senders) > 1:
                names = " and ".join(map(connection_name, senders))
                yield w.MIXED(inside, receiver=receiver, size=len(data), senders=names)


def leaked(history: History, _: Rules) -> Iterator[Finding]:
    """A frame that had to be refused, yet reached somebody."""
    for receiver, _received, sent in _recognised(history):
        if sent.why is not None:
            yield w.LEAKED(frame=sent, reason=sent.why, receiver=receiver)
        elif not sent.whole:
            yield w.LEAKED_IN_PART(frame=sent, receiver=receiver)
    for receiver in history.peers.values():
        if (unending := _unending(history, receiver)) is not None and unending.why is not None:
            yield w.LEAKED(frame=unending, reason=unending.why, receiver=receiver)


def echoed_wrongly(history: History, rules: Rules) -> Iterator[Finding]:
    """A sender that got its own frame back although echo is off. (That it lacks one with echo on is a loss.)"""
    for receiver, _received, sent in _recognised(history):
        if not rules.echo and sent.conn == receiver.conn:
            yield w.ECHOED(frame=sent, receiver=receiver)


def echo_lost(history: History, rules: Rules) -> Iterator[Finding]:
    """A sender that did not get its own frame back although echo is on."""
    for receiver, sent in _missing(history, rules):
        if sent.conn == receiver.conn:
            yield w.ECHO_LOST(frame=sent, receiver=receiver)


def replayed(history: History, _: Rules) -> Iterator[Finding]:
    """A frame that reached a connection although another had got it before that connection existed."""
    latest = max((peer.connected for peer in history.peers.values()), default=0)
    first_seen: dict[int | None, int] = {}
    for peer in history.peers.values():
        for received in takewhile(lambda each: each.tick < latest, peer.received):
            first_seen[received.number] = min(received.tick, first_seen.get(received.number, received.tick))
    if first_seen:
        for peer, _received, sent in _recognised(history):
            if first_seen.get(sent.number, latest) < peer.connected:
                yield w.REPLAYED(frame=sent, receiver=peer)
    for peer in history.peers.values():
        for sequence in peer.old_fences[:1]:
            author = history.fences.get(sequence)
            whose = "an earlier program" if author is None else connection_name(author)
            yield w.FENCE_REPLAYED(receiver=peer, author=whose)


def _ordered_numbers(peer: Peer) -> list[int]:
    numbers = dict.fromkeys(map(attrgetter("number"), peer.received))
    numbers.pop(None, None)
    return list(numbers)


def _is_ascending(numbers: Sequence[int]) -> bool:
    return all(map(le, numbers, numbers[1:]))


def _orders(history: History) -> dict[tuple[int, ...], Peer]:
    """Each order in which frames came, with the first receiver that got it."""
    orders: dict[tuple[int, ...], Peer] = {}
    for peer in history.peers.values():
        orders.setdefault(tuple(_ordered_numbers(peer)), peer)
    return orders


def reordered_within_sender(history: History, _: Rules) -> Iterator[Finding]:
    """Frames of one sender in another order than sent."""
    by_number = history.by_number()
    for receiver in history.peers.values():
        latest: dict[int, Sent] = {}
        numbers = _ordered_numbers(receiver)
        if _is_ascending(numbers):
            continue
        for number in numbers:
            sent = by_number[number]
            before = latest.get(sent.conn)
            if before is not None and before.number > sent.number:
                sender = connection_name(sent.conn)
                yield w.REORDERED(frame=sent, other=before, receiver=receiver, sender=sender)
                break
            latest[sent.conn] = sent


def reordered_between_receivers(history: History, _: Rules) -> Iterator[Finding]:
    """Two receivers that got two frames in opposite orders."""
    by_number = history.by_number()
    orders = list(_orders(history).items())
    for index, (order, first) in enumerate(orders):
        places = {number: place for place, number in enumerate(order)}
        for other, second in orders[index + 1 :]:
            common = [number for number in other if number in places]
            for earlier, later in pairwise(common):
                if places[earlier] > places[later]:
                    a, b = by_number[earlier], by_number[later]
                    yield w.TWO_ORDERS(frame=a, other=b, receiver=first, other_receiver=second)
                    break


def causality_broken(history: History, _: Rules) -> Iterator[Finding]:
    """A frame that came before one which its sender had got before sending it."""
    sent_by: dict[int, list[Sent]] = {}
    for sent in history.sent:
        received = history.peers[sent.conn].received
        if received and received[0].tick <= sent.begun:  # it had got something before
            sent_by.setdefault(sent.conn, []).append(sent)
    if not sent_by:
        return
    by_number = history.by_number()
    for order, receiver in _orders(history).items():
        if _is_ascending([by_number[number].begun for number in order]):  # as written: no reply before what it answers
            continue
        places = {number: place for place, number in enumerate(order)}
        for author in (history.peers[conn] for conn in sent_by):
            seen = iter(author.received)
            following = next(seen, None)
            cause: tuple[int, int] | None = None
            for sent in sent_by[author.conn]:
                while following is not None and following.tick <= sent.begun:
                    place = places.get(following.number) if following.number is not None else None
                    if place is not None and (cause is None or place > cause[0]) and following.number is not None:
                        cause = (place, following.number)
                    following = next(seen, None)
                place = places.get(sent.number)
                if cause is not None and place is not None and place < cause[0]:
                    earlier = by_number[cause[1]]
                    yield w.CAUSE_LAST(frame=earlier, other=sent, receiver=receiver, sender=author.name)


def closed_unexpectedly(history: History, rules: Rules) -> Iterator[Finding]:
    """A connection that the relay closed without cause."""
    breakers = history.broken if rules.on_framing_error == "close" else ()
    for peer in history.peers.values():
        if peer.closed and not peer.left and peer.conn not in breakers and not _may_be_closed(peer, rules):
            yield w.CLOSED(receiver=peer, how=peer.closed)


def _may_be_closed(peer: Peer, rules: Rules) -> bool:
    """Whether the profile allows to disconnect a consumer that has read and then let its queue overflow (ISO-3)."""
    return rules.overflow != "drop_oldest" and peer.reads and any(may_overflow(stall, rules) for stall in peer.stalls)


def framing_error_ignored(history: History, rules: Rules) -> Iterator[Finding]:
    """A connection whose bytes cannot be framed any more, yet that the relay keeps although it closes such ones."""
    if rules.on_framing_error != "close":
        return
    for conn in history.broken:
        peer = history.peers.get(conn)
        if peer is not None and peer.open and not peer.half_closed:
            yield w.KEPT(receiver=peer)


def stuck(history: History, _: Rules) -> Iterator[Finding]:
    """A relay that stopped reading from a client."""
    if history.stuck:
        yield w.STUCK(how=history.stuck)


def crashed(history: History, _: Rules) -> Iterator[Finding]:
    """A relay that is gone."""
    if history.crash:
        yield w.CRASHED(how=history.crash)


def not_replaced(history: History, _: Rules) -> Iterator[Finding]:
    """A relay that no successor comes to replace, although nothing hinders it."""
    if history.not_replaced:
        yield w.NOT_REPLACED(how=history.not_replaced)
