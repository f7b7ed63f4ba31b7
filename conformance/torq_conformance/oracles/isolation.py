"""Oracles about stalled consumers: what may happen to them, and what may not happen to the other clients.

Facts:
- while a connection is stalled, frames wait for it in the sockets and in the relay's queue; only when more wait than
  the queue may hold (ISO-2) can one of them legally be missing, or the connection be closed, as the profile says;
- the sockets' own buffers are allowed for generously, so that only a certain overflow is called one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from statistics import median

from ..counting import counted
from ..model.findings import Finding
from ..model.frames import FENCE_BYTES
from ..model.history import History, Peer, Sent, Stalled
from ..model.legality import Fate
from ..model.owed import waiting
from ..model.rules import Rules
from . import wordings as w

DELAY_FLOOR = 0.03
"""Seconds below which no delay is called one."""
DELAY_FLOOR_UNCOMPARED = 0.2
"""The same where nothing was sent after the stall: a machine that has become busy looks like a delay."""
DELAY_FACTOR = 8.0
"""The others' traffic counts as delayed when it becomes this many times slower beside a stalled consumer."""
HELD_UP = 2.5
"""Seconds from which on the last part alone is a delay: nothing went on then, until the consumer read again."""
ENOUGH_PARTS = 4
"""Parts of floods that are needed on both sides of a comparison of delays."""


def overflowed(stall: Stalled, rules: Rules, apart: Sequence[int] = ()) -> bool:
    """Whether more waited during a stall than the relay's queue holds, for certain; without frames of sizes ``apart``.

    Under backpressure it may take no more than that, so there what was sent counts.
    """
    sent_counts = rules.overflow == "backpressure" and not stall.reading
    frames = (stall.frames if sent_counts else stall.forwarded_frames) - len(apart)
    size = (stall.bytes if sent_counts else stall.forwarded_bytes) - sum(apart)
    if frames <= 0:
        return False
    in_sockets = rules.socket_bytes / (size / frames)
    return frames > rules.most_frames + in_sockets or size > rules.most_bytes + rules.socket_bytes


def _bound(rules: Rules) -> dict[str, str]:
    """How much the relay's queue for one consumer holds, as a fact."""
    in_bytes = counted(rules.most_bytes, "byte")
    return {"bound": f"{counted(rules.queue_frames, 'frame')} or {in_bytes}" if rules.queue_frames else in_bytes}


def _of_others(peer: Peer, history: History) -> Iterator[Sent]:
    """Frames of the other connections that the relay had to take and to forward."""
    for sent in history.sent:
        if sent.fate is Fate.FORWARD and sent.certain and sent.conn != peer.conn:
            yield sent


def _during(peer: Peer, stall: Stalled, history: History) -> Iterator[Sent]:
    """Those of them that had to be queued for a connection during one of its stalls."""
    for sent in _of_others(peer, history):
        if sent.begun >= stall.begun and not (stall.ended and sent.begun > stall.ended):
            yield sent


def _beside(peer: Peer, stall: Stalled, history: History) -> list[int]:
    """The sizes of the frames that may have waited beside those: its own, and what the relay need not have read."""
    return [
        len(sent.data)
        for sent in history.sent
        if sent.fate is Fate.FORWARD and sent.begun >= stall.begun and not (sent.certain and sent.conn != peer.conn)
    ]


def _forwarded_during(peer: Peer, stall: Stalled, history: History, rules: Rules) -> Iterator[Sent]:
    """Those of them that somebody else got: with echo at least their sender does. The others were lost before that."""
    got = {received.number for other in history.peers.values() if other is not peer for received in other.received}
    for sent in _during(peer, stall, history):
        if not rules.echo or sent.number in got:
            yield sent


def _overflows(history: History, rules: Rules) -> Iterator[tuple[Peer, Stalled]]:
    for peer in history.peers.values():
        if peer.reads and not peer.left:
            for stall in peer.stalls:
                if overflowed(stall, rules):
                    yield peer, stall


def delayed(history: History, rules: Rules) -> Iterator[Finding]:
    """Traffic of the others that became slow while a consumer did not read."""
    if rules.overflow == "backpressure":
        return
    behind = [each.of_a_part for each in history.delays if each.stalled]
    places = [place for place, each in enumerate(history.delays) if each.stalled]
    if len(behind) < ENOUGH_PARTS:
        return
    free = [each.of_a_part for each in history.delays[: places[0]] if not each.stalled]
    again = [each.of_a_part for each in history.delays[places[-1] :] if not each.stalled]
    if len(free) < ENOUGH_PARTS:
        return
    compared = len(again) >= ENOUGH_PARTS
    usual = max(median(free), median(again) if compared else 0.0)
    slow = median(behind[-max(ENOUGH_PARTS, len(behind) // 3) :])
    if compared and history.delays[places[-1]].seconds > HELD_UP:
        slow = history.delays[places[-1]].seconds
    if slow > max(DELAY_FLOOR if compared else DELAY_FLOOR_UNCOMPARED, usual * DELAY_FACTOR):
        sides = "before and after" if compared else "before"
        yield w.DELAYED(slow_ms=slow * 1000, usual_ms=usual * 1000, compared_with=sides)


def unbounded(history: History, rules: Rules) -> Iterator[Finding]:
    """Everything that was sent during a stall came in the end: more was held than the queue may hold."""
    for peer, stall in _overflows(history, rules):
        if peer.open:
            got = {received.number for received in peer.received}
            held = list(_during(peer, stall, history))
            if (
                held
                and overflowed(stall, rules, _beside(peer, stall, history))
                and all(sent.number in got for sent in held)
            ):
                size = rules.socket_bytes
                yield w.UNBOUNDED(frame=held[0], receiver=peer, count=len(held), socket_bytes=size, **_bound(rules))


def overflow_policy_broken(history: History, rules: Rules) -> Iterator[Finding]:
    """Past the bound something else happened than the profile says."""
    for peer, stall in _overflows(history, rules):
        if rules.overflow != "drop_oldest":
            if not peer.closed and _certainly_seen_to_read(peer, stall, rules):
                yield w.KEPT_PAST_ITS_BOUND(receiver=peer, **_bound(rules))
        elif peer.closed:
            yield w.CLOSED_PAST_ITS_BOUND(receiver=peer, how=peer.closed, **_bound(rules))
        elif _only_frames(peer) and waiting(history) <= rules.total_queue_bytes:
            yield from _newest_dropped(peer, stall, history, rules)


def _newest_dropped(peer: Peer, stall: Stalled, history: History, rules: Rules) -> Iterator[Finding]:
    """The newest frame that waited, or others of the newest, are missing."""
    held = {sent.number: sent for sent in _forwarded_during(peer, stall, history, rules)}
    came = held.keys() & {received.number for received in peer.received}
    fences = _fences_during(peer, stall, history)
    kept = _certainly_kept(held, fences, rules)
    displaced = fences >= max(1, rules.most_frames // 2)
    newest = held[max(held)] if held and not displaced else None
    if newest is not None and newest.number not in came and len(newest.data) <= rules.most_bytes // 4:
        yield w.NEWEST_DROPPED(frame=newest, receiver=peer, sent=len(held), came=len(came), **_bound(rules))
    elif missing := kept - came:
        first, more = held[min(missing)], len(missing) - 1
        yield w.TOO_MANY_DROPPED(frame=first, receiver=peer, kept=len(kept), missing=more, **_bound(rules))


def _certainly_seen_to_read(peer: Peer, stall: Stalled, rules: Rules) -> bool:
    """Whether the relay has every reason to think that it reads, however it looks for that (ISO-7).

    The consumer has read more than twice what its socket holds, and has read again after its socket was full.
    """
    read = sum(len(received.data) for received in peer.received if received.tick < stall.begun)
    before = [each for each in peer.stalls if not each.reading and 0 < each.ended <= stall.begun]
    return read > 2 * rules.socket_bytes and any(each.bytes > rules.socket_bytes for each in before)


def _only_frames(peer: Peer) -> bool:
    """Whether all that came is frames: what seems dropped may be among torn or altered bytes (ISO-4)."""
    return not peer.torn and not peer.rest and all(received.number is not None for received in peer.received)


def _fences_during(peer: Peer, stall: Stalled, history: History) -> int:
    """At most so many fences of the suite waited among the frames; each may have followed them all."""
    return max(0, stall.frames - sum(1 for _ in _during(peer, stall, history)))


def _certainly_kept(held: dict[int, Sent], fences: int, rules: Rules) -> set[int]:
    """The newest frames that fill half of a queue: however many a relay drops at once, these it must keep.

    In the same queue wait fences, and a frame that is partly sent, as large as any.
    """
    frames = rules.most_frames // 2 - fences - 1
    newest = sorted(held.values(), key=lambda sent: sent.number, reverse=True)[: max(0, frames)]
    largest = max((len(sent.data) for sent in held.values()), default=0)
    most = rules.most_bytes // 2 - fences * FENCE_BYTES - largest
    filled = accumulate(len(sent.data) for sent in newest)
    return {sent.number for sent, size in zip(newest, filled, strict=True) if size <= most}


def not_resumed(history: History, rules: Rules) -> Iterator[Finding]:
    """A consumer that reads again, yet gets nothing newer."""
    if rules.overflow != "drop_oldest":
        return
    for peer, stall in _overflows(history, rules):
        if peer.open and not peer.torn and stall.ended:
            got = {received.number for received in peer.received}
            later = [sent for sent in history.sent if sent.begun > stall.ended]
            newest = {sent.number for sent in later[-max(1, rules.most_frames // 2) :]}  # its queue may still be full
            owed = (sent for sent in _of_others(peer, history) if sent.number in newest)
            missing = next((sent for sent in owed if sent.number not in got), None)
            if missing is not None:
                yield w.LOST_AFTER_A_STALL(frame=missing, receiver=peer)
                continue
            held = {sent.number: sent for sent in _during(peer, stall, history)}
            if _certainly_kept(held, _fences_during(peer, stall, history), rules) and not got.intersection(held):
                yield w.NOTHING_AFTER_A_STALL(receiver=peer)
