"""Oracles: what a history may not contain, each in linear time because every frame has a number of its own.

An oracle looks at what all legal histories have in common, never at one expected transcript. It yields findings in the
field's words: lost, duplicated, altered, leaked, reordered, torn, closed, stuck, crashed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from torq_protocol.constants import HEADER_SIZE, MAGIC_BYTES

from ..counting import counted
from ..model import wire
from ..model.history import History, Peer, Received, Sent
from ..model.legality import Fate
from ..model.owed import may_overflow, must_arrive
from ..model.program import connection_name
from ..model.rules import Rules


@dataclass(frozen=True, slots=True)
class Finding:
    """One contradiction between a history and a requirement: its kind, and what was expected and seen.

    ``frames`` and ``conns`` are the numbers of the frames and of the connections that it is about, ``proof`` why what
    did not come never will; two findings are the same when they say the same.
    """

    kind: str
    expected: str
    seen: str
    frames: tuple[int, ...] = field(default=(), compare=False)
    conns: tuple[int, ...] = field(default=(), compare=False)
    proof: str = field(default="", compare=False)

    def __str__(self) -> str:
        return f"{self.kind}: expected {self.expected}; seen {self.seen}"


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
    for receiver, sent in _missing(history, rules):
        proof = (
            f"a later fence of {connection_name(sent.conn)} arrived"
            if sent.conn in receiver.fenced_by
            else f"nothing that {connection_name(sent.conn)} sent after it arrived either"
        )
        yield Finding(
            "lost",
            f"frame {sent} of step {sent.step + 1} at {receiver.name}",
            f"it never came; {proof}",
            frames=(sent.number,),
            conns=(receiver.conn,),
            proof=proof,
        )


def held_back(history: History, _: Rules) -> Iterator[Finding]:
    """A frame that came only when something followed it: a relay that waits for more may wait for ever."""
    for receiver, _received, sent in _recognised(history):
        follower = history.late.get((receiver.conn, sent.number))
        if follower is not None:
            owed = f"frame {sent} of step {sent.step + 1} at {receiver.name}, although nothing follows it"
            seen = f"it came only when a fence of {follower} followed"
            yield Finding("held back", owed, seen, frames=(sent.number,), conns=(receiver.conn,))


def unserved(history: History, rules: Rules) -> Iterator[Finding]:
    """A connection that was accepted but never served."""
    if not rules.forwards:
        return
    for peer in history.peers.values():
        if peer.joined is None and peer.open and peer.reads:
            yield Finding(
                "unserved", f"{peer.name} to get what others send", "it got nothing at all", conns=(peer.conn,)
            )
        elif peer.passed_over:
            seen = "it got nothing while others did, before it had sent something itself"
            yield Finding("unserved", f"{peer.name} to get what others send", seen, conns=(peer.conn,))


def duplicated(history: History, _: Rules) -> Iterator[Finding]:
    """A frame that a connection got more than once."""
    counts = Counter((receiver.conn, sent.number) for receiver, _, sent in _recognised(history))
    by_number = history.by_number()
    for (conn, number), count in counts.items():
        if count > 1:
            yield Finding(
                "duplicated",
                f"frame {by_number[number]} once at {connection_name(conn)}",
                f"it came {count} times",
                frames=(number,),
                conns=(conn,),
            )


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
        return Finding(
            "altered",
            f"{receiver.name} to get frames that were sent",
            f"{len(received.data)} bytes came that nobody sent",
            conns=(receiver.conn,),
        )
    places = [i for i, (old, new) in enumerate(zip(original.data, received.data, strict=False)) if old != new]
    where = (
        f"byte {places[0]} is {received.data[places[0]]:#04x}, not {original.data[places[0]]:#04x}"
        if places
        else f"{len(received.data)} bytes came instead of {len(original.data)}"
    )
    return Finding(
        "altered",
        f"frame {original} byte for byte at {receiver.name}",
        where,
        frames=(original.number,),
        conns=(receiver.conn,),
    )


def torn(history: History, _: Rules) -> Iterator[Finding]:
    """A stream that is no longer cut into frames: part of a frame, or pieces of several."""
    for receiver in history.peers.values():
        if receiver.torn:
            after = ", a fence of the suite among them" if wire.FENCE_MARK in receiver.rest else ""
            whole = counted(len(receiver.received), "whole frame")
            rest = counted(len(receiver.rest), "byte that begins", "bytes that begin")
            yield Finding(
                "torn",
                f"whole frames at {receiver.name}",
                f"behind {whole} came {rest} no frame ({receiver.rest[:16].hex(' ')}){after}",
                frames=_ended_in(history),
                conns=(receiver.conn,),
            )
        elif receiver.rest and receiver.open:
            last = counted(len(receiver.rest), "byte is", "bytes are")
            yield Finding(
                "torn",
                f"whole frames at {receiver.name}",
                f"the last {last} an incomplete frame ({_announced(receiver.rest)})",
                frames=_ended_in(history),
                conns=(receiver.conn,),
            )


def _ended_in(history: History) -> tuple[int, ...]:
    """The frames that were written only in part: what a torn stream is likeliest to be about."""
    return tuple(sent.number for sent in history.sent if not sent.whole)


def _announced(rest: bytes) -> str:
    if len(rest) < HEADER_SIZE or not rest.startswith(MAGIC_BYTES):
        return rest[:16].hex(" ")
    return f"its header announces {HEADER_SIZE + int.from_bytes(rest[24:28], 'little')} bytes"


def mixed(history: History, _: Rules) -> Iterator[Finding]:
    """Bytes of one connection inside what another one sent."""
    for receiver in history.peers.values():
        strange = [received.data for received in receiver.received if received.number is None]
        for data in (*strange, receiver.rest):
            inside = _senders_inside(data, history)
            if len(inside) > 1:
                yield Finding(
                    "mixed",
                    f"bytes of each sender apart at {receiver.name}",
                    f"{len(data)} bytes in which those of {' and '.join(map(connection_name, inside))} mix",
                    frames=tuple(sent.number for sent in history.sent if sent.data[8:28] in data),
                    conns=(receiver.conn,),
                )


def _senders_inside(data: bytes, history: History) -> list[int]:
    """The connections of which a header, or the part of one that was sent first, stands in some bytes."""
    return sorted({sent.conn for sent in history.sent if sent.data[8:28] in data})


def leaked(history: History, _: Rules) -> Iterator[Finding]:
    """A frame that had to be refused, yet reached somebody."""
    for receiver, _received, sent in _recognised(history):
        if sent.fate is not Fate.FORWARD:
            expected, seen = f"frame {sent} nowhere, because {sent.why}", f"it came to {receiver.name}"
        elif not sent.whole:
            expected, seen = f"nothing of frame {sent}, which was never sent whole", f"it came to {receiver.name}"
        else:
            continue
        yield Finding("leaked", expected, seen, frames=(sent.number,), conns=(receiver.conn,))


def echoed_wrongly(history: History, rules: Rules) -> Iterator[Finding]:
    """A sender that got its own frame back although echo is off. (That it lacks one with echo on is a loss.)"""
    for receiver, _received, sent in _recognised(history):
        if not rules.echo and sent.conn == receiver.conn:
            expected, seen = f"no frame of its own at {receiver.name}", f"{sent} came back"
            yield Finding("echoed", expected, seen, frames=(sent.number,), conns=(receiver.conn,))


def echo_lost(history: History, rules: Rules) -> Iterator[Finding]:
    """A sender that did not get its own frame back although echo is on."""
    for receiver, sent in _missing(history, rules):
        if sent.conn == receiver.conn:
            yield Finding(
                "lost",
                f"frame {sent} back at its sender {receiver.name}",
                "it never came",
                frames=(sent.number,),
                conns=(receiver.conn,),
            )


def replayed(history: History, _: Rules) -> Iterator[Finding]:
    """A frame that reached a connection although another had got it before that connection existed."""
    first_seen: dict[int, int] = {}
    for _peer, received, sent in _recognised(history):
        first_seen[sent.number] = min(received.tick, first_seen.get(sent.number, received.tick))
    for peer, _received, sent in _recognised(history):
        if first_seen[sent.number] < peer.connected:
            yield Finding(
                "replayed",
                f"only frames sent after {peer.name} joined",
                f"frame {sent}, which others had got before {peer.name} connected, came as well",
                frames=(sent.number,),
                conns=(peer.conn,),
            )
    for peer in history.peers.values():
        for sequence in peer.old_fences[:1]:
            author = history.fences.get(sequence)
            whose = "of an earlier program" if author is None else f"of {connection_name(author)}"
            seen = f"a fence {whose}, which others had got before {peer.name} connected, came as well"
            yield Finding("replayed", f"only frames sent after {peer.name} joined", seen, conns=(peer.conn,))


def _ordered_numbers(peer: Peer) -> list[int]:
    return list(dict.fromkeys(received.number for received in peer.received if received.number is not None))


def reordered_within_sender(history: History, _: Rules) -> Iterator[Finding]:
    """Frames of one sender in another order than sent."""
    by_number = history.by_number()
    for receiver in history.peers.values():
        latest: dict[int, Sent] = {}
        for number in _ordered_numbers(receiver):
            sent = by_number[number]
            before = latest.get(sent.conn)
            if before is not None and before.number > sent.number:
                yield Finding(
                    "reordered",
                    f"{sent} before {before} at {receiver.name}, because {connection_name(sent.conn)} sent them so",
                    f"{before} came first",
                    frames=(sent.number, before.number),
                    conns=(receiver.conn,),
                )
                break
            latest[sent.conn] = sent


def reordered_between_receivers(history: History, _: Rules) -> Iterator[Finding]:
    """Two receivers that got two frames in opposite orders."""
    by_number = history.by_number()
    orders = [(peer, _ordered_numbers(peer)) for peer in history.peers.values() if peer.received]
    for index, (first, order) in enumerate(orders):
        places = {number: place for place, number in enumerate(order)}
        for second, other in orders[index + 1 :]:
            common = [number for number in other if number in places]
            for earlier, later in pairwise(common):
                if places[earlier] > places[later]:
                    a, b = by_number[earlier], by_number[later]
                    yield Finding(
                        "reordered",
                        "one order of all frames at every receiver",
                        f"{second.name} saw {a} before {b}, {first.name} saw {b} before {a}",
                        frames=(earlier, later),
                        conns=(first.conn, second.conn),
                    )
                    break


def causality_broken(history: History, _: Rules) -> Iterator[Finding]:
    """A frame that came before one which its sender had got before sending it."""
    by_number = history.by_number()
    for receiver in history.peers.values():
        places = {number: place for place, number in enumerate(_ordered_numbers(receiver))}
        for author in history.peers.values():
            seen = iter(author.received)
            following = next(seen, None)
            cause: tuple[int, int] | None = None
            for sent in (entry for entry in history.sent if entry.conn == author.conn):
                while following is not None and following.tick <= sent.begun:
                    place = places.get(following.number) if following.number is not None else None
                    if place is not None and (cause is None or place > cause[0]) and following.number is not None:
                        cause = (place, following.number)
                    following = next(seen, None)
                place = places.get(sent.number)
                if cause is not None and place is not None and place < cause[0]:
                    yield Finding(
                        "reordered",
                        f"{by_number[cause[1]]} before {sent} at {receiver.name}, "
                        f"because {author.name} had got the one before it sent the other",
                        f"{sent} came first",
                        frames=(cause[1], sent.number),
                        conns=(receiver.conn,),
                    )


def closed_unexpectedly(history: History, rules: Rules) -> Iterator[Finding]:
    """A connection that the relay closed without cause."""
    breakers = history.broken if rules.on_framing_error == "close" else ()
    for peer in history.peers.values():
        if peer.closed and not peer.left and peer.conn not in breakers and not _may_be_closed(peer, rules):
            yield Finding(
                "closed", f"{peer.name} to stay connected", f"the relay closed it ({peer.closed})", conns=(peer.conn,)
            )


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
            yield Finding(
                "kept", f"{peer.name} to be closed after its framing error", "it stays connected", conns=(conn,)
            )


def stuck(history: History, _: Rules) -> Iterator[Finding]:
    """A relay that stopped reading from a client."""
    if history.stuck:
        yield Finding("stuck", "the relay to go on reading", history.stuck)


def crashed(history: History, _: Rules) -> Iterator[Finding]:
    """A relay that is gone."""
    if history.crash:
        yield Finding("crashed", "the relay to go on serving", history.crash)
