"""Plays a program against a relay over real sockets, in one thread, and records what was seen.

A play is one :class:`.State`, handed to eight parts; each part uses those before it, and none those after it:
:mod:`.target` (the relay and its process), :mod:`.recorder` (the history), :mod:`.streams` (sockets), :mod:`.fences`
(proofs of what has arrived), :mod:`.clients` and :mod:`.sending` (what the steps of a program do), :mod:`.succession`
(takeovers), :mod:`.vitals` (whether the relay is alive) and :mod:`.ending` (what may still arrive).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from itertools import groupby
from typing import assert_never

from ..errors import CutShortError, TargetError
from ..model import steps
from ..model.history import History
from ..model.program import Program
from ..model.rules import Rules
from ..model.steps import Place, Step
from ..model.timing import Timing
from .clients import Clients
from .ending import Ending
from .fences import Fences
from .limit import Limit
from .recorder import Recorder
from .sending import Sending
from .state import WITNESS, Patience, State
from .streams import Streams
from .succession import Succession
from .target import Target
from .vitals import Vitals


class Executor:
    """Plays programs against one target, and remembers which waits the relay has used up.

    ``timing`` is that of the target unless another is given.
    """

    def __init__(
        self, target: Target, rules: Rules, patience: Patience | None = None, *, timing: Timing | None = None
    ) -> None:
        self._target = target
        self._rules = rules
        self._patience = patience or Patience()
        self._timing = timing or target.timing
        self._served = False
        self.deadline = math.inf
        """The moment of the monotonic clock at which a play gives up floods and silences."""
        self.limit = Limit()
        """When it gives up whatever it does; another thread may move it."""

    def play(self, program: Program) -> History:
        """Play a program to its end.

        Raises TargetError when no relay answers at all, CutShortError when the deadline leaves no time for a flood or a
        silence, or the end comes.
        """
        state = State(self._rules, self._timing, self._patience, self.deadline, self.limit, self._served)
        state.play = self._target.plays
        try:
            _Play(self._target, state).run(program)
        finally:
            self._target.thaw()
            if self._target.is_being_replaced:  # the play was cut short: nobody can say who will serve
                self._target.restart()
            for link in state.links.values():
                link.sock.close()
            self._served = state.served
            self._target.count(len(state.links))
            if not state.silent:
                self._patience.forwarding = 1.0
        return state.history

    def restart(self, *, patient: bool) -> None:
        """Go on with a fresh relay, where the target can give one; ``patient`` gives it whole waits again."""
        self._target.restart()
        self._served = False
        if patient:
            self._patience = Patience(holding=self._patience.holding, holds_back=self._patience.holds_back)


class _Play:
    """One play of one program: the parts, put together."""

    def __init__(self, target: Target, state: State) -> None:
        recorder = Recorder(state)
        self._target, self._state = target, state
        self._streams = Streams(state, target, recorder)
        self._fences = Fences(state, target, recorder, self._streams)
        self._clients = Clients(state, target, self._streams, self._fences)
        self._sending = Sending(state, recorder, self._streams, self._fences)
        self._succession = Succession(state, target, self._streams, self._fences)
        self._vitals = Vitals(state, target, self._streams, self._fences)
        self._ending = Ending(state, target, self._streams, self._fences, self._clients)

    def run(self, program: Program) -> None:
        """Play the steps, then what follows the last of them."""
        state, history = self._state, self._state.history
        self._clients.connect_witness()
        if self._crashed():
            return
        for connect, row in groupby(program.placed(), lambda placed: isinstance(placed[1], steps.Connect)):
            if self._crashed():
                break
            if connect:
                state.tick += 1
                self._clients.connect([step for _, step in row if isinstance(step, steps.Connect)])
            else:
                self._play_row(row)
        self._succession.settle()
        self._ending.conclude()
        state.served = state.served or any(link.peer.joined is not None for link in state.links.values())
        for link in state.links.values():
            if link.peer.conn != WITNESS and not link.peer.left:
                link.peer.rest = bytes(link.buffer)
        history.crash = history.crash or self._vitals.cause_of_death()
        if history.crash:
            history.remains = list(self._vitals.remains())

    def _crashed(self) -> bool:
        return bool(self._state.history.crash)

    def _play_row(self, row: Iterable[tuple[Place, Step]]) -> None:
        for place, step in row:
            self._state.tick += 1
            self._play(step, place.position, place.number)
            if self._crashed():
                break

    def _play(self, step: Step, position: int, first: int) -> None:
        """Play one step; ``first`` is the number of its first frame. Clients connect by whole rows."""
        match step:
            case steps.HalfClose():
                self._clients.half_close(step.conn)
            case steps.Close():
                self._clients.leave(step.conn, reset=step.reset)
            case steps.Stall():
                self._clients.stall(step.conn)
            case steps.Sip():
                self._clients.sip(step.conn, step.size)
            case steps.Resume():
                self._clients.resume(step.conn)
            case steps.Buffer():
                self._sending.set_buffer(step.conn, step.size)
            case steps.Write():
                self._sending.write(step, position, first)
            case steps.Finish():
                self._sending.finish(step.conn)
            case steps.Flood():
                self._sending.flood(step, position, first)
            case steps.Sync():
                self._fences.round(self._state.timing.sync_seconds)
            case steps.Idle():
                self._idle(step.milliseconds / 1000)
            case steps.Freeze():
                self._succession.settle()
                self._target.freeze()
            case steps.Thaw():
                self._succession.settle()
            case steps.Kill():
                self._succession.settle()
                self._kill()
            case steps.Takeover():
                self._succession.take_over(halted=step.halted)
            case steps.FailedTakeover():
                if not self._succession.fail(step.milliseconds / 1000, holds=step.holds):
                    self._kill()
            case steps.Connect() | steps.Act():  # by its row; by a person, or a fixed check
                pass
            case _:
                assert_never(step)

    def _idle(self, seconds: float) -> None:
        if time.monotonic() + seconds > self._state.deadline:
            raise CutShortError(f"no time was left for a silence of {seconds:g} s")
        self._streams.pump_for(seconds)

    def _kill(self) -> None:
        if not self._target.revivable:
            return
        self._clients.leave_all()
        try:
            self._target.revive()
        except TargetError as error:
            self._state.history.crash = f"killed and started again on the same path, it does not serve: {error}"
        else:
            self._clients.connect_witness()
