"""What a right relay owes a connection: the frames that no legal history lacks there.

The executor waits for them, and oracles say which of them did not come.
"""

from .history import History, Peer, Sent, Stalled
from .legality import Fate
from .rules import Rules


def must_arrive(sent: Sent, receiver: Peer, history: History, rules: Rules) -> bool:
    """Whether no legal history lacks this frame at this receiver."""
    return (
        sent.fate is Fate.FORWARD
        and (rules.echo or sent.conn != receiver.conn)
        and is_decided(sent, receiver, history, rules)
        and not may_be_dropped(sent, receiver, history, rules)
    )


def is_decided(sent: Sent, receiver: Peer, history: History, rules: Rules) -> bool:
    """Whether no race decides what becomes of this frame at this receiver, be it due there or not."""
    sender = history.peers[sent.conn]
    ended = sent.conn in history.broken and rules.on_framing_error == "close"
    return (
        sent.certain
        and (sender.open or sender.left or ended)
        and receiver.open
        and not receiver.torn
        and receiver.joined is not None
        and receiver.joined <= sent.begun
        and (not ended or sender is not receiver)
    )


def may_be_dropped(sent: Sent, receiver: Peer, history: History, rules: Rules) -> bool:
    """Whether the receiver did not read meanwhile, and more waited for it, or for all, than may be held (ISO-2)."""
    return any(
        sent.tick >= stall.begun
        and not (stall.ended and sent.begun > stall.ended)
        and (may_overflow(stall, rules) or waiting(history) > rules.total_queue_bytes)
        for stall in receiver.stalls
    )


def waiting(history: History) -> int:
    """At most so many bytes waited for all together, counted once for each who did not read."""
    return sum(stall.bytes for peer in history.peers.values() for stall in peer.stalls)


def may_overflow(stall: Stalled, rules: Rules) -> bool:
    """Whether a queue may have been too small for what waited: whatever the sockets held waited in none."""
    return stall.frames > rules.most_frames or stall.bytes > rules.most_bytes
