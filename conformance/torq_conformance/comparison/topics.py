"""What two relays are compared on, topic by topic, and the features of programs that only a comparison needs.

Facts:
- a topic mixes only the features it needs, because one difference hides others;
- a feature here brings about one kind of fault only: every seed must find a difference that is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hypothesis import strategies as st
from hypothesis.stateful import rule

from ..generation import features as f
from ..generation.machine import MAX_CONNECTIONS, ProgramMachine
from ..model.frames import Frame, Tlv
from ..model.steps import Write


class Level(Enum):
    """Which inputs two relays are compared on."""

    EXACT = "exact"
    WELL_FORMED = "well-formed"


class Unframed(ProgramMachine):
    """Bytes that cannot begin a frame, after valid frames or alone."""

    @rule(kind=f.MANY_KINDS, before=st.integers(0, 2), shape=f.SHAPE)
    def send_text(self, kind: int, before: int, shape: f.Shape) -> None:
        if len(self.open) < MAX_CONNECTIONS:
            conn = self.connect()
            self.writers.remove(conn)
            kinds = f.bytes_without_magic(self.promise, self.padding_type())
            self.write(Write(conn, (*((self.own_frame(shape),) * before), kinds[kind % len(kinds)])))


class Oversized(ProgramMachine):
    """Headers that announce more than a relay takes, after valid frames or alone."""

    @rule(kind=f.MANY_KINDS, before=st.integers(0, 2), shape=f.SHAPE)
    def announce_too_much(self, kind: int, before: int, shape: f.Shape) -> None:
        if len(self.open) < MAX_CONNECTIONS:
            conn = self.connect()
            self.writers.remove(conn)
            claims = f.oversize_claims(self.promise)
            frame = Frame(self.promise.number, (Tlv(self.padding_type(), 8),), claim=claims[kind % len(claims)])
            self.write(Write(conn, (*((self.own_frame(shape),) * before), frame)))


@dataclass(frozen=True, slots=True)
class Topic:
    """Programs about one thing: the features that write them, and how long they are."""

    name: str
    features: tuple[type[ProgramMachine], ...]
    level: Level = Level.WELL_FORMED
    steps: int = 8
    share: float = 1.0


TOPICS: tuple[Topic, ...] = (
    Topic("single frames", (f.Traffic, f.Joins)),
    Topic("clients silent for a while", (f.Traffic, f.IdlePeriods), steps=4, share=0.1),
    Topic("concurrent writes", (f.ConcurrentWrites,)),
    Topic("frames without TLVs", (f.HeaderOnlyFrames,), steps=4),
    Topic("many TLVs", (f.ManyTlvs,), steps=4),
    Topic("coalesced frames", (f.CoalescedFrames,), steps=4, share=0.5),
    Topic("large frames", (f.LargeFrames,), steps=4, share=0.5),
    Topic("cut frames", (f.SplitWrites,), steps=6),
    Topic("interleaved writes", (f.Traffic, f.InterleavedWrites)),
    Topic("incomplete frames", (f.UnfinishedFrames, f.Joins)),
    Topic("leaving clients", (f.Traffic, f.Disconnects, f.Joins)),
    Topic("half-closing clients", (f.Traffic, f.HalfCloses)),
    Topic("replies", (f.CausalReplies,), steps=6, share=0.5),
    Topic("unusual headers", (f.UnusualHeaders,), Level.EXACT),
    Topic("foreign domains", (f.ForeignDomains,), Level.EXACT),
    Topic("foreign types", (f.Traffic, f.ForeignTypes), Level.EXACT),
    Topic("edges of the type ranges", (f.BoundaryTypes,), Level.EXACT),
    Topic("checksums", (f.WrongChecksums,), Level.EXACT),
    Topic("malformed TLVs", (f.MalformedTlvs,), Level.EXACT),
    Topic("version, source, sizes", (f.StrictFieldFaults,), Level.EXACT),
    Topic("sizes above the limit", (Oversized,), Level.EXACT, steps=6),
    Topic("garbage", (Unframed,), Level.EXACT, steps=6),
    Topic("hostile bytes", (f.Traffic, f.HostileBytes), Level.EXACT),
)


def topics_of(level: Level) -> list[Topic]:
    """The topics of a level."""
    return [topic for topic in TOPICS if level is Level.EXACT or topic.level is Level.WELL_FORMED]
