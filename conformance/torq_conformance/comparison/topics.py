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

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import rule

from torq_protocol.constants import HEADER_SIZE

from ..generation import features as f
from ..generation.features.tables import own
from ..generation.machine import MAX_CONNECTIONS, ProgramMachine
from ..judging.scenarios import SCENARIOS, Scenario
from ..model.frames import Frame, Item, Tlv
from ..model.legality import free_type
from ..model.program import Program
from ..model.rules import Rules
from ..model.steps import Connect, Finish, Idle, Resume, Stall, Sync, Write


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


GUESTS = 16
"""Clients of one program that each send the beginning of something and wait."""
MOST_BEGUN = 40
"""Bytes of such a beginning at most: a header, and some of what follows it."""


def begun(rules: Rules) -> tuple[Program, ...]:
    """Clients that send one byte more each of what is no frame, or too large a one, and wait for the answer.

    No requirement says after which byte a relay closes; two relays that close after different ones differ.
    """
    tlv_type = free_type(rules)
    least, *_, most = f.oversize_claims(rules)
    claims = (Frame(rules.number, (Tlv(tlv_type, 8),), claim=claim) for claim in (least, most))
    items: list[Item] = [*f.bytes_without_magic(rules, tlv_type), *claims]
    beginnings = [(item, stop) for item in items for stop in range(1, min(item.size, MOST_BEGUN) + 1)]
    writes = [Write(0, (item, own(rules)), stop=stop) for item, stop in beginnings]
    together = max(1, min(GUESTS, rules.max_connections - 3)) if rules.max_connections else GUESTS
    programs = []
    for start in range(0, len(writes), together):
        guests = dict(enumerate(writes[start : start + together], 2))
        joins = (Connect(0), Connect(1), *map(Connect, guests))
        sends = (msgspec.structs.replace(write, conn=conn) for conn, write in guests.items())
        programs.append(Program(rules.domain, (*joins, *sends, Write(0, (own(rules),)))))
    return tuple(programs)


def begun_and_left(rules: Rules) -> tuple[Program, ...]:
    """Clients that begin a frame, wait, and send the rest of it.

    A relay may have a limit for that; whether it has one, and which, no requirement says.
    """
    if rules.idle_seconds > MOST_IDLE:
        return ()
    frame = own(rules)
    stops = {2: 1, 3: HEADER_SIZE - 1, 4: HEADER_SIZE, 5: frame.size - 1}
    joins = (Connect(0), Connect(1), *map(Connect, stops))
    begins = (Write(conn, (frame,), stop=stop) for conn, stop in stops.items())
    wait = Idle(round(rules.idle_seconds * 1000))
    return (Program(rules.domain, (*joins, *begins, wait, *map(Finish, stops), Write(0, (frame,)))),)


MOST_IDLE = 10.0
"""Seconds of silence that a comparison waits for."""
READS = 18_000
"""Reads that wait for one client: more than the 16 384 that a relay is known to keep, however small they are."""


def small_reads_behind(rules: Rules) -> tuple[Program, ...]:
    """A client that does not read for a while, and a frame for each read of the relay.

    A queue that is bounded by reads holds few bytes then; the programs of the requirements send many frames at once.
    """
    if rules.most_frames < READS:
        return ()
    frame = Frame(rules.number)
    alone = Write(0, (frame,) * READS, every=frame.size)
    return (Program(rules.domain, (Connect(0), Connect(1), Stall(1), alone, Resume(1), Sync())),)


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
        if not scenario.replaced
    ]
    topics.append(Topic("sizes above the limit", Scenario((Oversized,), (), steps=6), Level.EXACT))
    topics.append(Topic("bytes that begin no frame", Scenario((Unframed,), (), steps=6, first=begun), Level.EXACT))
    topics.append(Topic("frames begun and left", Scenario((f.Traffic,), (), steps=4, cost=10, first=begun_and_left)))
    topics.append(Topic("small reads behind", Scenario((f.Backlogs,), (), steps=4, cost=20, first=small_reads_behind)))
    return tuple(sorted(topics, key=lambda each: each.scenario.cost))


TOPICS = _topics()
"""All topics, the cheapest first."""
HEADER_FIELDS = Topic("header fields", Scenario((f.Traffic,), (), first=f.header_field_values))
"""What FWD-3 is about in frames that are well-formed: flags, sequences, timestamps and sources that none may judge."""


def topics_of(level: Level) -> list[Topic]:
    """The topics of a level."""
    if level is Level.EXACT:
        return list(TOPICS)
    return [*(topic for topic in TOPICS if topic.level is Level.WELL_FORMED), HEADER_FIELDS]
