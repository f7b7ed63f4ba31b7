"""Features of relays that are replaced: takeovers, and successors that are killed (LIFE-3, LIFE-4).

Facts:
- a takeover takes as long as a process needs to start, so a program has few of them;
- what a relay has to hand over is made by the other features of a scenario, and by backlogs that no socket holds.
"""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import rule

from ...model.frames import Frame, Tlv
from ...model.rules import Rules
from ...model.steps import (
    Close,
    FailedTakeover,
    Flood,
    HalfClose,
    Idle,
    Resume,
    Sip,
    Stall,
    Sync,
    Takeover,
    Thaw,
    Write,
)
from ..machine import MAX_CONNECTIONS, PICK, ProgramMachine

MAX_TAKEOVERS = 2
"""Successors of one program, at most."""
BACKLOG_VALUE = 1_400
BACKLOG_FRAMES = 400
"""Frames with a value of so many bytes: more than a socket holds, far fewer than a queue."""
MOMENTS = (0, 1, 2, 5, 10, 20, 50, 100, 150, 200, 300)
"""Milliseconds after its start at which a successor is killed: at once, anywhere in its start, when it serves."""
MOMENTS_WITHIN = (0, 0, 1, 2, 5)
"""Milliseconds after it has got the first socket."""


def backlog_of(rules: Rules) -> int:
    """Frames of a backlog: half of what a queue holds at most, for what overflows is about other requirements."""
    return max(1, min(BACKLOG_FRAMES, rules.most_frames // 2, rules.most_bytes // (BACKLOG_VALUE + 100) // 2))


class SmallBacklogs(ProgramMachine):
    """Consumers that stall and have frames waiting for them, one of these partly sent; they read again."""

    cells: ClassVar[tuple[str, ...]] = ("stalls",)

    def __init__(self) -> None:
        super().__init__()
        self.stalled: list[int] = []

    @rule(pick=PICK)
    def stall(self, pick: int) -> None:
        candidates = [conn for conn in self.writers if conn not in self.stalled]
        if len(candidates) > 1 and not self.has(Flood):
            conn = candidates[pick % len(candidates)]
            self.stalled.append(conn)
            self.writers.remove(conn)
            count = backlog_of(self.promise)
            frame = Frame(self.promise.number, (Tlv(self.padding_type(), BACKLOG_VALUE),))
            self.steps += [Stall(conn), Flood(self.writers[pick % len(self.writers)], frame, count)]

    @rule(pick=PICK, size=st.sampled_from((1, 33, 1_000, 100_000)))
    def sip(self, pick: int, size: int) -> None:
        if self.stalled:
            self.steps.append(Sip(self.stalled[pick % len(self.stalled)], size))

    @rule(pick=PICK)
    def resume(self, pick: int) -> None:
        if self.stalled:
            conn = self.stalled.pop(pick % len(self.stalled))
            self.steps.append(Resume(conn))
            self.writers.append(conn)


class Takeovers(SmallBacklogs):
    """Successors that take over, also while clients write, join, half-close and leave that nobody serves meanwhile."""

    cells = ("stalls", "takeovers", "takeovers that are halted")

    def may_replace(self) -> bool:
        """Whether the program may have another successor."""
        return sum(isinstance(step, Takeover | FailedTakeover) for step in self.steps) < MAX_TAKEOVERS

    @rule()
    def take_over(self) -> None:
        if self.may_replace():
            self.steps.append(Takeover())
            self.every_client_sends()

    @rule(
        picks=st.lists(PICK, min_size=1, max_size=4),
        joins=st.booleans(),
        half_closes=st.booleans(),
        leaves=st.booleans(),
        resumes=st.booleans(),
    )
    def act_while_nobody_serves(
        self, picks: list[int], joins: bool, half_closes: bool, leaves: bool, resumes: bool
    ) -> None:
        if not self.may_replace():
            return
        self.steps.append(Takeover(halted=True))
        for pick in picks:
            if (conn := self.writer(pick)) is not None:
                self.write(Write(conn, (self.own_frame(((0, 8),)),), settle=False))
        if half_closes and len(self.writers) > 1:
            conn = self.writers.pop(picks[0] % len(self.writers))
            self.steps.append(HalfClose(conn))
        if leaves and len(self.open) > 2 and len(self.writers) > 1:
            conn = self.writers.pop(picks[-1] % len(self.writers))
            self.open.remove(conn)
            self.steps.append(Close(conn))
        if resumes:
            self.resume(picks[0])
            self.steps.append(Idle(1))
        if joins and len(self.open) < MAX_CONNECTIONS:
            self.connect()
        self.steps += [Thaw(), Sync()]
        self.every_client_sends()

    def ensure(self) -> None:
        if self.lacks("takeovers that are halted"):
            self.act_while_nobody_serves([self.random_pick(), self.random_pick()], True, False, False, False)
        if not self.has(Takeover):
            self.take_over()
        super().ensure()


class FailedTakeovers(ProgramMachine):
    """Successors that are killed at any moment; the relay serves on, and one that comes later takes over."""

    cells = ("failed takeovers", "successors killed within a takeover")

    def may_fail(self) -> bool:
        """Whether the program may have another successor."""
        return sum(isinstance(step, FailedTakeover) for step in self.steps) < MAX_TAKEOVERS

    @rule(moment=st.sampled_from(MOMENTS))
    def kill_successor(self, moment: int) -> None:
        if self.may_fail():
            self.steps.append(FailedTakeover(moment))
            self.every_client_sends()

    @rule(moment=st.sampled_from(MOMENTS_WITHIN))
    def kill_successor_within_takeover(self, moment: int) -> None:
        if self.may_fail():
            self.steps.append(FailedTakeover(moment, holds=True))
            self.every_client_sends()

    def ensure(self) -> None:
        if self.lacks("successors killed within a takeover"):
            self.kill_successor_within_takeover(0)
        if not self.has(FailedTakeover):
            self.kill_successor(self.random.choice(MOMENTS))
        self.steps.append(Takeover())
        self.every_client_sends()
        super().ensure()
