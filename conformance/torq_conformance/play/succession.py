"""Takeovers: a successor takes the relay's place under its clients, or is killed before it does (LIFE-3, LIFE-4).

Facts:
- what the two say to each other is theirs. That a successor serves is told by the relay's end while the successor runs;
- a socket that is handed over is the same one in both processes, so /proc tells how far a takeover has come, whatever
  the two say. Where they run by turns neither can go on without the other's answer: all that the suite does within a
  takeover it does at a moment that it has seen, and never at a guess;
- a takeover may give up, as for want of a processor, where the relay serves on: a successor gets several attempts;
- one that was halted may give up too, for who waits for it has time limits. All clients must be served all the same;
- a successor that holds all clients may own them: killed then, it takes them with it, and the relay ends with status 0.
  One that lacks any owns none, and a relay that ends by a signal or with an error has not handed over.
"""

from __future__ import annotations

import time

from .fences import Fences
from .state import WITNESS, State
from .streams import Streams
from .target import Target

ATTEMPTS = 5
"""Successors that are started for one step at most."""
LOOK_SECONDS = 0.001
"""The suite looks so often at what the two processes do."""


class Succession:
    """The takeovers of a play."""

    def __init__(self, state: State, target: Target, streams: Streams, fences: Fences) -> None:
        self._state = state
        self._target = target
        self._streams = streams
        self._fences = fences
        self._why = ""
        """Why the last successor did not come to serve."""

    def take_over(self, *, halted: bool) -> None:
        """Let a successor take over. ``halted`` stops both processes within the takeover, and returns."""
        self.settle()
        if not self._target.replaceable or self._state.history.crash:
            return
        for _ in range(ATTEMPTS):
            self._target.start_successor()
            if halted:
                self._halt()
                return
            if self._serves():
                return
        self._state.history.not_replaced = self._why

    def settle(self) -> None:
        """Let both processes go on, and wait for the end of a takeover that was halted."""
        self._target.thaw()
        if self._target.is_being_replaced:
            self._serves()

    def fail(self, seconds: float, *, holds: bool) -> bool:
        """Kill a successor, some seconds after its start, or after it ``holds`` a socket of the relay.

        Where it serves before that is seen, one more is started. False where the relay has ended with its successor,
        and may have: all its clients are gone.
        """
        for _ in range(ATTEMPTS if holds else 1):
            self.settle()
            if not self._target.replaceable or self._state.history.crash:
                return True
            self._target.start_successor()
            if holds and not self._halt():
                continue
            if seconds:
                self._target.thaw()
                self._streams.pump_for(seconds)
            self._target.halt_successor()
            if self._looked() is None:
                return self._kill()
            self._target.thaw()
        return True

    def _kill(self) -> bool:
        """Kill a successor that is halted; False where the relay has ended with it, and may have."""
        joined = [link for link in self._state.links.values() if link.peer.open and link.peer.joined is not None]
        may_own = self._target.handed_over > len(joined)  # them, and the socket that listens
        self._target.give_up_successor()
        self._target.thaw()
        if may_own and self._ends() == 0:
            return False
        self._state.history.successors_killed += 1
        return True

    def _looked(self) -> bool | None:
        """Whether the successor serves; None while neither that nor its end is seen."""
        replaced = self._target.look_at_successor()
        self._state.history.takeovers += bool(replaced)
        if replaced is False:
            self._why = self._target.end_of_successor
        return replaced

    def _halt(self) -> bool:
        """Whether both are stopped, and the successor holds a socket of the relay; else it serves, or has ended."""
        deadline = time.monotonic() + self._state.timing.succession_seconds
        while self._looked() is None:
            self._target.advance_takeover()
            if self._target.handed_over:
                return True
            if time.monotonic() > deadline:
                self._give_up()
            self._streams.pump(0)
        self._target.thaw()
        return False

    def _serves(self) -> bool:
        """Whether the successor comes to serve; whoever reads goes on reading meanwhile."""
        deadline = time.monotonic() + self._state.timing.succession_seconds
        while (replaced := self._looked()) is None:
            if time.monotonic() > deadline:
                self._give_up()
                return False
            self._streams.pump(LOOK_SECONDS)
        return replaced

    def _give_up(self) -> None:
        self._why = f"it neither serves nor ends within {self._state.timing.succession_seconds:.0f} s"
        self._target.give_up_successor()

    def _ends(self) -> int | None:
        """The exit status of a relay that may have handed over to a successor that is dead; None where it serves on."""
        timing, fences = self._state.timing, self._fences
        fences.void([WITNESS])
        if not fences.receivers():
            self._streams.pump_until(lambda: self._target.exit_status is not None, timing.last_breath_seconds)
            return self._target.exit_status
        deadline = time.monotonic() + timing.prompt_seconds
        self._streams.repeat_until(
            lambda: self._target.exit_status is not None or (bool(fences.receivers()) and fences.proven_of_witness()),
            lambda: time.monotonic() < deadline and (fences.write(self._state.links[WITNESS]) or True),
            first=0.01,
            most=0.2,
        )
        return self._target.exit_status
