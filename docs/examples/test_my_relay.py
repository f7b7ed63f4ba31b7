"""A team's own tests of its relay: requirements of the specification, and a rule and an oracle of its own.

pytest docs/examples --relay-exec 'signal_relay --socket {socket}' --relay-domain signal
"""

from collections.abc import Iterator

from hypothesis import strategies as st
from hypothesis.stateful import rule

from torq_conformance.testing import (
    Connect,
    Finding,
    Frame,
    History,
    RelayStateMachine,
    RelayUnderTest,
    Rules,
    Tlv,
    Write,
    features,
    oracles,
)

URGENT = 0x80


def urgent_frames_come_through(history: History, rules: Rules) -> Iterator[Finding]:
    """An oracle: what is flagged urgent reaches every client that was there, whatever else is lost."""
    for sent in history.sent:
        if not (sent.frame.flags & URGENT and sent.certain):
            continue
        for peer in history.peers.values():
            there = peer.open and peer.joined is not None and peer.joined <= sent.begun
            if there and peer.conn >= 0 and all(received.number != sent.number for received in peer.received):
                yield Finding("lost", f"the urgent frame {sent} at {peer.name}", "it never came")


class UrgentTraffic(RelayStateMachine, features.Traffic, features.Joins):
    """Urgent frames come through, whatever else is sent."""

    oracles = (urgent_frames_come_through, oracles.torn)

    @rule(pick=features.PICK, flags=st.sampled_from((URGENT, URGENT | 1)))
    def send_urgent(self, pick: int, flags: int) -> None:
        conn = self.writer(pick)
        if conn is not None:
            self.write(Write(conn, (Frame(self.promise.number, (Tlv(self.padding_type(), 8),), flags=flags),)))


def test_urgent_frames_come_through(relay_target: RelayUnderTest) -> None:
    result = relay_target.check(UrgentTraffic, max_examples=20)
    assert result.exercised > 0


def test_the_relay_keeps_the_specification(relay_target: RelayUnderTest) -> None:
    relay_target.hold_to("FRAME-1", "ORD-1", "DOM-1", max_examples=10)


def test_one_frame_reaches_the_other_client(relay_target: RelayUnderTest) -> None:
    frame = Frame(relay_target.rules.number)
    history = relay_target.play([Connect(0), Connect(1), Write(0, (frame,))])
    assert [received.number for received in history.peers[1].received] == [0]
