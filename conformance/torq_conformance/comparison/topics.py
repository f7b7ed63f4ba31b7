"""What two relays are compared on by programs, topic by topic: the features that write them.

Facts:
- each requirement with a scenario is a topic: what a run plays to judge it is what two relays are compared on;
- a topic mixes only the features it needs, because one difference hides others;
- two features here bring about one kind of fault only, for a requirement whose scenario mixes them: every seed must
  find a difference that is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from hypothesis import strategies as st
from hypothesis.stateful import rule

from ..generation import features as f
from ..generation.machine import MAX_CONNECTIONS, ProgramMachine
from ..judging.scenarios import SCENARIOS, Scenario
from ..model.frames import Frame, Tlv
from ..model.program import Program
from ..model.rules import Rules
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
    """Programs about one thing, as a scenario writes them; ``name`` is the requirement that it judges, if any."""

    name: str
    scenario: Scenario
    level: Level = Level.WELL_FORMED

    def features(self, level: Level) -> tuple[type[ProgramMachine], ...]:
        """What writes its programs at a level: no frame that a relay may refuse where traffic must be well-formed."""
        given = self.scenario.features
        return given if level is Level.EXACT else tuple(each for each in given if each not in MALFORMED)

    def first(self, rules: Rules, level: Level) -> tuple[Program, ...]:
        """The programs that come before those that are drawn."""
        table = self.scenario.first if level is Level.EXACT or self.name not in MIXED else None
        return table(rules) if table else ()


MALFORMED: tuple[type[ProgramMachine], ...] = (f.ZeroChecksums,)
"""Features of scenarios for valid traffic whose frames a relay may refuse."""
MIXED = ("FWD-1", "FWD-3")
"""Requirements of valid traffic whose tables have frames that a relay may refuse."""
INVALID = ("FWD-3", "DOM-1", "DOM-2", "DOM-3", "DOM-4", "VAL-1", "VAL-2", "VAL-3", "VAL-4", "VAL-5", "VAL-6")
"""Requirements about frames that are not well-formed."""


def _topics() -> tuple[Topic, ...]:
    topics = [
        Topic(name, scenario, Level.EXACT if name in INVALID else Level.WELL_FORMED)
        for name, scenario in SCENARIOS.items()
    ]
    topics.append(Topic("sizes above the limit", Scenario((Oversized,), (), steps=6), Level.EXACT))
    topics.append(Topic("bytes that begin no frame", Scenario((Unframed,), (), steps=6), Level.EXACT))
    return tuple(sorted(topics, key=lambda each: each.scenario.cost))


TOPICS = _topics()
"""All topics, the cheapest first."""


def topics_of(level: Level) -> list[Topic]:
    """The topics of a level."""
    return [topic for topic in TOPICS if level is Level.EXACT or topic.level is Level.WELL_FORMED]
