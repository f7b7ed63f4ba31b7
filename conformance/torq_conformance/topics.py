"""What two relays are compared on, topic by topic, and the features of programs that only a comparison needs.

Facts:
- a topic mixes only the features it needs, because one difference hides others;
- a feature here brings about in one rule what takes several rules of :mod:`~torq_conformance.machine`, or only one
  kind of fault: a difference that is there must be found whatever the seed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hypothesis import strategies as st
from hypothesis.stateful import rule

from torq_protocol.constants import HEADER_SIZE

from . import machine as m
from .program import Finish, Frame, Raw, Tlv, Write


class Level(Enum):
    """Which inputs two relays are compared on."""

    EXACT = "exact"
    WELL_FORMED = "well-formed"


class Interleaved(m.ProgramMachine):
    """A frame of one client that is begun, overtaken by a frame of another, and finished."""

    @rule(pick=m.PICK, other=m.PICK, shape=m.SHAPE, stop=st.integers(1, 80))
    def overtake(self, pick: int, other: int, shape: m.Shape, stop: int) -> None:
        conn, rival = self.writer(pick), self.writer(other)
        frame = self.own_frame(shape)
        if conn is not None and rival is not None and conn != rival and stop < frame.size:
            self.write(Write(conn, (frame,), stop=stop))
            self.write(Write(rival, (frame,)))
            self.steps.append(Finish(conn))


class Unframed(m.ProgramMachine):
    """Bytes that cannot begin a frame, behind valid frames or alone."""

    @rule(kind=st.integers(0, 3), before=st.integers(0, 2), shape=m.SHAPE)
    def send_text(self, kind: int, before: int, shape: m.Shape) -> None:
        if len(self.open) < m.MAX_CONNECTIONS:
            conn = self.connect()
            self.writers.remove(conn)
            garbage = (b"hello\n" * 12, bytes(64), b"\xde\xad\xbe\xef" + bytes(60), b"\xef\xbe\xad\xdf" + bytes(60))
            self.write(Write(conn, (*((self.own_frame(shape),) * before), Raw(garbage[kind].hex()))))


class Oversized(m.ProgramMachine):
    """Headers that announce more than a relay takes, behind valid frames or alone."""

    @rule(above=st.sampled_from((1, 2**20, 2**30, 2**32 - 1)), before=st.integers(0, 2), shape=m.SHAPE)
    def announce_too_much(self, above: int, before: int, shape: m.Shape) -> None:
        if len(self.open) < m.MAX_CONNECTIONS:
            conn = self.connect()
            self.writers.remove(conn)
            claim = min(self.promise.max_message_size - HEADER_SIZE + above, 2**32 - 1)
            frame = Frame(self.promise.number, (Tlv(self.padding_type(), 8),), claim=claim)
            self.write(Write(conn, (*((self.own_frame(shape),) * before), frame)))


@dataclass(frozen=True, slots=True)
class Topic:
    """Programs about one thing: the features that write them, and how long they are."""

    name: str
    features: tuple[type[m.ProgramMachine], ...]
    level: Level = Level.WELL_FORMED
    steps: int = 8
    share: float = 1.0


TOPICS: tuple[Topic, ...] = (
    Topic("single frames", (m.Traffic, m.Joins)),
    Topic("clients silent for a while", (m.Traffic, m.Idles), steps=4, share=0.1),
    Topic("writes at once", (m.Rush,)),
    Topic("frames without TLVs", (m.HeaderOnly,), steps=4),
    Topic("many TLVs", (m.ManyTlvs,), steps=4),
    Topic("coalesced frames", (m.Batches,), steps=4, share=0.5),
    Topic("large frames", (m.BigFrames,), steps=4, share=0.5),
    Topic("cut frames", (m.Cuts,), steps=6),
    Topic("interleaved writes", (m.Traffic, m.Interleaving, Interleaved)),
    Topic("incomplete frames", (m.Incomplete, m.Joins)),
    Topic("leaving clients", (m.Traffic, m.Leaves, m.Joins)),
    Topic("half-closing clients", (m.Traffic, m.HalfCloses)),
    Topic("replies", (m.Replies,), steps=6, share=0.5),
    Topic("unusual headers", (m.UnusualHeaders,), Level.EXACT),
    Topic("foreign domains", (m.Foreign,), Level.EXACT),
    Topic("foreign types", (m.Traffic, m.ForeignTypes), Level.EXACT),
    Topic("edges of the type ranges", (m.EdgeTypes,), Level.EXACT),
    Topic("checksums", (m.Checksums,), Level.EXACT),
    Topic("malformed TLVs", (m.Malformed,), Level.EXACT),
    Topic("version, source, sizes", (m.Strictness,), Level.EXACT),
    Topic("sizes above the limit", (Oversized,), Level.EXACT, steps=6),
    Topic("garbage", (Unframed,), Level.EXACT, steps=6),
    Topic("hostile bytes", (m.Traffic, m.Hostility), Level.EXACT),
)


def topics_of(level: Level) -> list[Topic]:
    """The topics of a level."""
    return [topic for topic in TOPICS if level is Level.EXACT or topic.level is Level.WELL_FORMED]
