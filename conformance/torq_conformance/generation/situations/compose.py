"""The program of a situation: its clients come into their states, the frame is written, and everybody goes on.

Facts:
- connection 0 sends the frame, connection 1 is the receiver whose state the situation names, the next ones are in the
  same state where it says so, the others talk or listen; who leaves, who joins and who stands by come besides;
- what a situation adds to the plainest program is one step, or a few, at one place: so a failing program shrinks to
  what matters.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from torq_protocol.constants import HEADER_SIZE

from ...model.frames import Frame, Item
from ...model.program import Program
from ...model.rules import Rules
from ...model.steps import (
    Buffer,
    Close,
    Connect,
    Finish,
    Flood,
    Freeze,
    HalfClose,
    Resume,
    Sip,
    Stall,
    Step,
    Sync,
    Thaw,
    Write,
)
from ..features.tables import ABOVE_A_READ_BYTES, own, sized
from .dimensions import Situation
from .frames import item_of
from .possible import FRAMING_ERRORS, GONE, MANY_CLIENTS, NOT_READING

SENDER, RECEIVER = 0, 1
BACKLOG_VALUE = 9_000
"""Bytes of the value in each frame of a backlog."""
BATCH_VALUE = 40
LEAST_BESIDE_A_VALUE = HEADER_SIZE + 5
"""Bytes of a frame besides its value: the headers of frame and TLV."""
BEGUN_BYTES = 20
"""Bytes of a frame that is begun and not finished."""
HALF_CLOSED = ("has half-closed", "half-closed with a backlog")
LEAST_AT_THE_BRIM = 12
"""Frames of a backlog that every socket holds."""
LONGEST_SIP = 20_000
"""Bytes."""
LARGE_ONE_OF = 3
"""Of so many clients beside the sender, one sends more than fits into a read."""
LEFT_FRAMES = 12
"""Frames before the last one of such a leaver."""
LEFT_VALUES = (8, 8, 300, 12_000)
"""Bytes of the value in the frame that a leaver leaves unfinished: another each time."""


def program_of(situations: Sequence[Situation], rules: Rules, seed: int) -> Program:
    """The program of one situation, or of several of the same great age, which come one after the other on one stream.

    ``seed`` decides what their values leave open.
    """
    first, *others = (_Scene(each, rules, random.Random(f"{seed} {each.places}")) for each in situations)
    first.begin()
    for scene in (first, *others):
        scene.steps = first.steps
        scene.meet()
    first.go_on()
    return Program(rules.domain, tuple(first.steps))


@dataclass(slots=True)
class _Scene:
    situation: Situation
    rules: Rules
    chance: random.Random
    steps: list[Step] = field(default_factory=list)

    def begin(self) -> None:
        """Bring everybody into their states."""
        self._enter()
        self._carry()
        self._fall_behind()

    @property
    def _clients(self) -> int:
        return self.situation["connections"].number

    @property
    def _leaver(self) -> int:
        return self._clients

    @property
    def _bystander(self) -> int:
        return self._clients + 1

    def _small(self) -> Frame:
        return own(self.rules)

    def _own(self, value: int) -> Frame:
        """A valid frame whose value has so many bytes, or as many as the limit for frames leaves room for."""
        return own(self.rules, min(value, self.rules.max_message_size - LEAST_BESIDE_A_VALUE))

    def _send(self, conn: int, *, settle: bool = True) -> None:
        self.steps.append(Write(conn, (self._small(),), settle=settle))

    def _enter(self) -> None:
        """Everybody connects."""
        situation, late = self.situation, self.situation["sender"].name == "came late"
        if not late:
            self.steps.append(Connect(SENDER, reads=situation["sender"].name != "only sends"))
        never = situation["receiver"].name == "never reads"
        self.steps += [Connect(conn, reads=not (never and conn in self._alike)) for conn in range(1, self._clients)]
        if not situation.is_plain("leaver") and not self._visits:
            self.steps.append(Connect(self._leaver))
        if situation["bystander"].name == "another stalls":
            self.steps.append(Connect(self._bystander))
        if late:
            self._send(RECEIVER)
            self.steps.append(Connect(SENDER))

    def _carry(self) -> None:
        """The connections carry frames, and the sender leaves its beginning behind."""
        age, state = self.situation["age"].number, self.situation["sender"].name
        if age:
            frame = own(self.rules, BATCH_VALUE)
            self.steps.append(Flood(SENDER, frame, age) if age > 1 else Write(SENDER, (frame,)))
        if state == "had one refused":
            self.steps.append(Write(SENDER, (Frame(self.rules.number % 3 + 1, self._small().tlvs),)))
        elif state == "paused before":
            self.steps.append(Write(SENDER, (self._small(),), stop=BEGUN_BYTES))
            self._send(RECEIVER)
            self.steps.append(Finish(SENDER))

    def _fall_behind(self) -> None:
        """The receiver, and whoever stands by, come into their states."""
        receiver, bystander = self.situation["receiver"], self.situation["bystander"]
        if receiver.name in HALF_CLOSED:
            self.steps += map(HalfClose, self._alike)
        if receiver.name == "is within a frame":
            self.steps += [Write(conn, (self._small(),), stop=receiver.number) for conn in self._alike]
        self.steps += map(Stall, self._stalled)
        behind = receiver.number if receiver.name in NOT_READING else 0
        if receiver.name == "is at the brim":
            behind = self.chance.randint(LEAST_AT_THE_BRIM, behind)
        waiting = max(behind, bystander.number)
        if waiting:
            self.steps.append(Flood(SENDER, self._own(BACKLOG_VALUE), waiting))
        if receiver.name == "reads again":
            self.steps += map(Resume, self._alike)

    @property
    def _visits(self) -> bool:
        """Whether the leaver comes and goes while the relay is frozen, as in every other such situation.

        It has left before it is accepted.
        """
        if self.situation["bystander"].name != "relay frozen" or self.situation.is_plain("leaver"):
            return False
        return sum(self.situation.places) % 2 == 1

    @property
    def _alike(self) -> list[int]:
        """The receiver, and those in the same state."""
        return [RECEIVER, *range(2, 2 + self.situation["likewise"].number)]

    @property
    def _stalled(self) -> list[int]:
        """Those who stop reading for a while."""
        situation = self.situation
        late = self._alike if situation["receiver"].name in NOT_READING else []
        sender = [SENDER] * (situation["sender"].name == "does not read")
        return [*late, *sender, *([self._bystander] * (situation["bystander"].name == "another stalls"))]

    def meet(self) -> None:
        """The frame is written, as often as the situation says."""
        for time in range(self.situation["repeats"].number):
            self._meet_once(time)

    def _meet_once(self, time: int) -> None:
        """The frame is written, with what happens at the same time. Who joins or leaves is somebody else each time."""
        situation = self.situation
        talkers = range(self._clients - 1, self._clients - situation["senders"].number, -1)
        frozen = situation["bystander"].name == "relay frozen"
        comes = [] if situation.is_plain("leaver") else [Connect(self._leaver + 2 * time, reads=not self._visits)]
        if time and not self._visits:
            self.steps += comes
        if situation["cut"].name == "small send buffer":
            self.steps.append(Buffer(SENDER, situation["cut"].number))
        if frozen:
            self.steps.append(Freeze())
        if self._visits:
            self.steps += comes
        self._leave(time)
        paused = situation["cut"].name.startswith("pause")
        for conn in talkers:
            self.steps.append(self._begun(conn) if paused else Write(conn, (self._small(),), settle=False))
        joins = [Connect(self._bystander + 2 * time)] * (situation["bystander"].name == "another joins")
        self.steps += [] if paused else joins
        self._sip()
        self._write(settle=not frozen and situation["sender"].name not in GONE)
        self._sip()
        if paused:  # whoever talks is within a frame too, and ends it before the sender, the last one first
            self.steps += joins
            self._talk_meanwhile()
            self.steps += map(Finish, reversed(talkers))
            self.steps.append(Finish(SENDER))
        for conn in talkers:
            self._send(conn, settle=False)
        self._end_of_sender()
        if frozen:
            self.steps.append(Thaw())

    def _begun(self, conn: int) -> Write:
        """Somebody begins a frame: a small one, or one that needs several reads."""
        if self._clients >= MANY_CLIENTS or self.chance.randrange(LARGE_ONE_OF):
            return Write(conn, (self._small(),), stop=BEGUN_BYTES)
        large = self._large(ABOVE_A_READ_BYTES)
        return Write(conn, (large,), stop=self.chance.randrange(HEADER_SIZE, large.size))

    def _talk_meanwhile(self) -> None:
        """Somebody writes a whole frame while others are begun."""
        if self.situation["receiver"].name not in (*HALF_CLOSED, "is within a frame"):
            self._send(RECEIVER)

    def _sip(self) -> None:
        """The receiver reads a little, if that is how it reads."""
        if self.situation["receiver"].name == "reads in sips":
            self.steps += [Sip(conn, self.chance.randint(1, LONGEST_SIP)) for conn in self._alike]

    def _leave(self, time: int) -> None:
        """Another client sends a frame, or a part of one, and leaves."""
        leaver, conn = self.situation["leaver"], self._leaver + 2 * time
        if self.situation.is_plain("leaver"):
            return
        frame, within = self._small(), None
        if "in header" in leaver.name:
            within = self.chance.randrange(1, HEADER_SIZE)
        elif "in payload" in leaver.name:
            frame = self._own(self.chance.choice(LEFT_VALUES))
            within = self.chance.randrange(HEADER_SIZE, frame.size)
        if self._clients < MANY_CLIENTS and self.chance.randrange(LARGE_ONE_OF) == 0:
            before = min(LEFT_FRAMES, max(1, self.rules.most_frames // 2))
            self.steps.append(Write(conn, (self._own(BACKLOG_VALUE),) * before, settle=False))
        self.steps.append(Write(conn, (frame,), stop=within, settle=False))
        if leaver.name.startswith("half-closes"):
            self.steps.append(HalfClose(conn))
            if self.situation["bystander"].name != "relay frozen":
                self.steps.append(Sync())
        self.steps.append(Close(conn, reset=leaver.name.startswith("resets")))

    def _write(self, *, settle: bool) -> None:
        item = item_of(self.situation, self.rules, self.chance)
        before, behind = self._company(item)
        cut, start = self.situation["cut"], sum(each.size for each in before)
        offset = {"in the middle": item.size // 2, "before last byte": item.size - 1}.get(cut.name, cut.number)
        if cut.name == "pause in payload":
            offset = self.chance.randrange(HEADER_SIZE, item.size)
        items = (*before, item, *behind)
        match cut.name:
            case "whole" | "small send buffer":
                self.steps.append(Write(SENDER, items, settle=settle))
            case "in 7 bytes":
                self.steps.append(Write(SENDER, items, every=cut.number, settle=settle))
            case name if name.startswith("pause"):
                self.steps.append(Write(SENDER, items, stop=start + offset))
            case _:
                self.steps.append(Write(SENDER, items, cuts=(start + offset,), settle=settle))

    def _company(self, item: Item) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
        """What stands before the frame in its write, and behind it."""
        one, company = self._small(), self.situation["company"]
        match company.name:
            case "behind one":
                return (one,), ()
            case "before one":
                return (), (one,)
            case "between two":
                return (one,), (one,)
            case "twice":
                return (), (item,)
            case "behind a batch":
                return (own(self.rules, BATCH_VALUE),) * self.chance.randint(2, company.number), ()
            case "behind a large one":
                return (self._large(company.number),), (one,)
            case "before a large one":
                return (one,), (self._large(company.number), one)
        return (), ()

    def _large(self, size: int) -> Frame:
        return sized(self.rules, min(size, self.rules.max_message_size))

    def _end_of_sender(self) -> None:
        match self.situation["sender"].name:
            case "half-closes behind it":
                self.steps.append(HalfClose(SENDER))
            case "closes behind it":
                self.steps.append(Close(SENDER))
            case "resets behind it":
                self.steps.append(Close(SENDER, reset=True))

    def go_on(self) -> None:
        """Whoever stopped goes on, and those who still may send one frame more."""
        situation = self.situation
        receiver = situation["receiver"].name
        if receiver == "is within a frame":
            self.steps += map(Finish, self._alike)
        self.steps += map(Resume, reversed(self._stalled))
        self.steps.append(Sync())
        if situation["sender"].name not in GONE and situation["defect"].name not in FRAMING_ERRORS:
            self._send(SENDER)
        if receiver not in HALF_CLOSED:
            self._send(RECEIVER)
