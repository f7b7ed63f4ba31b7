"""How a play ends: what may still be under way arrives, or is proven never to arrive.

Facts:
- first nobody sends anything, then the witness alone, then everybody: a frame that arrives in the second or third part
  of this, together with what was sent in it, was held back;
- a relay that is merely slow brings the frame when it would have brought it anyhow, well before what followed it, or is
  seen to be computing;
- the fences of the third part prove that what is missing then is lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from ..model.history import Sent
from ..model.legality import Fate
from ..model.owed import must_arrive
from .clients import Clients
from .fences import Fences
from .state import WITNESS, Link, State
from .streams import Streams
from .target import Target

LEAST_SERVED = 4
"""Times that a relay serves the witness before a missing frame counts as held back: a slow relay serves it less."""

Missing = list[tuple[Link, Sent]]


class Ending:
    """The part of a play that follows its last step."""

    def __init__(self, state: State, target: Target, streams: Streams, fences: Fences, clients: Clients) -> None:
        self._state = state
        self._target = target
        self._streams = streams
        self._fences = fences
        self._clients = clients

    def conclude(self) -> None:
        """Wait for the end of broken connections, then for all that is owed."""
        state = self._state
        self._target.thaw()
        self._clients.resume_all()
        self._await_closing()
        missing = self._await_the_last() if state.rules.forwards else []
        if self._fences.round(state.timing.silence_seconds):
            self._clients.see_closed()
            if state.rules.forwards:
                self._await_doubled()
        else:
            state.fall_silent()
        if state.rules.forwards:
            self._await_stragglers()
            self._await_rests()
        for _ in state.links:
            self._streams.pump(0)  # such as the end of a connection that nothing was due to any more
        for link, sent in missing:
            if sent.number in link.got:
                state.history.late.setdefault((link.peer.conn, sent.number), "its sender")
        state.patience.holds_back = state.patience.holds_back or bool(state.history.late)

    def _await_closing(self) -> None:
        """Wait for the end of the connections that the relay has to close, for the bytes they sent begin no frame."""
        state = self._state
        if state.rules.on_framing_error != "close":
            return
        links = [state.links[conn] for conn in state.history.broken if conn in state.links]
        broken = [link.peer for link in links if link.reading]  # a client that does not read sees no end
        if any(peer.open for peer in broken):
            share = state.patience.closing
            met = self._streams.pump_until(
                lambda: not any(peer.open for peer in broken), state.timing.silence_seconds * share
            )
            state.patience.closing = state.share_after(share, met=met)

    def _await_doubled(self) -> None:
        """Wait for one more fence of the witness: even a doubled frame has arrived before it."""
        if self._state.links[WITNESS].sending:
            self._fences.write_of_witness()
            self._streams.pump_until(self._fences.proven_of_witness, self._state.timing.doubled_seconds)
            for link in self._fences.receivers():
                link.peer.fenced_by.add(WITNESS)

    def _await_stragglers(self) -> None:
        """Wait for what no fence proves lost: frames of senders that have left or were closed, and overtaken ones."""
        state = self._state
        if self._await(self._owed(), 0.0):
            share = min(state.patience.orphans, state.patience.forwarding)
            missing = self._await(self._owed(), state.timing.orphan_seconds * share)
            state.patience.orphans = state.share_after(share, met=not missing)

    def _await_rests(self) -> None:
        """Wait for the rest of frames that have begun to come: a slow relay is no torn stream."""
        state = self._state
        if not self._rests():
            return
        timeout = self._fences.timeout(state.timing.silence_seconds * state.patience.rests)
        while self._rests() and not timeout.expired():
            self._streams.pump_until(lambda: not self._rests(), state.timing.quiet_seconds)
        state.patience.rests = state.share_after(state.patience.rests, met=not self._rests())

    def _rests(self) -> bool:
        return any(link.buffer for link in self._fences.receivers())

    def _await_the_last(self) -> Missing:
        """Wait for the last frame of each client: those that did not arrive before anything else was sent.

        The fences after it would push out what a relay holds back until more comes, of its client or of anybody.
        """
        state, timing = self._state, self._state.timing
        share = min(state.patience.holding, state.patience.forwarding)
        if share < 1.0 and not state.patience.holds_back:  # it loses frames: nobody could tell what it holds back
            return []
        silence = timing.holding_seconds * max(share, timing.holding_least_share)
        missing = self._await_in_silence(list({sent.conn: sent for sent in self._owed()}.values()), silence)
        if not missing:
            return []
        state.patience.holding = state.share_after(share, met=False)
        pushed_out = self._push_out(missing, silence * timing.together_share)
        return pushed_out or self._await_beside_the_witness(missing, timing.serving_seconds * share)

    def _await_in_silence(self, frames: list[Sent], seconds: float) -> Missing:
        """Wait while nobody sends anything, and something arrives or the relay computes; what has not arrived then."""
        timeout = self._fences.timeout(seconds)
        limit = time.monotonic() + seconds * self._state.timing.computing_factor
        while missing := self._await(frames, seconds / 10):
            if timeout.expired() and (time.monotonic() > limit or not self._target.busy):
                break
        return missing

    def _push_out(self, missing: Missing, seconds: float) -> Missing:
        """Let the witness send one fence; what came with it, although it did not come before."""
        timing, proven = self._state.timing, self._fences.proven_of_witness
        pushed_out: Missing = []
        if self._fences.write_of_witness():
            self._streams.pump_until(lambda: len(_still(missing)) < len(missing) or proven(), timing.serving_seconds)
            if self._streams.pump_until(proven, seconds):
                self._streams.pump_until(lambda: not _still(missing), timing.overtaken_seconds)
                pushed_out = [(link, sent) for link, sent in missing if sent.number in link.got]
        for link, sent in pushed_out:
            self._state.history.late[link.peer.conn, sent.number] = "another client"
        return pushed_out

    def _await_beside_the_witness(self, missing: Missing, seconds: float) -> Missing:
        """Wait while the relay serves the witness; what has not arrived although it did so several times."""
        deadline, served = time.monotonic() + seconds, 0

        def serve() -> bool:
            nonlocal served
            if (served >= LEAST_SERVED and time.monotonic() >= deadline) or not self._serves_the_witness(deadline):
                return False
            served += 1
            return True

        self._streams.repeat_until(lambda: not _still(missing), serve, first=0.02, most=0.3)
        return _still(missing) if served >= LEAST_SERVED else []

    def _serves_the_witness(self, deadline: float) -> bool:
        """Whether a new fence of the witness arrives at every receiver by a deadline, or shortly after it."""
        until = max(time.monotonic() + self._state.timing.serving_grace_seconds, deadline)
        self._fences.void([WITNESS])
        return self._streams.repeat_until(
            lambda: self._fences.proven(self._fences.witness()),
            lambda: time.monotonic() <= until and self._fences.write(self._state.links[WITNESS]),
            first=0.02,
            most=0.3,
        )

    def _owed(self) -> list[Sent]:
        """The frames that some client may be owed."""
        return [sent for sent in self._state.history.sent if sent.certain and sent.fate is Fate.FORWARD]

    def _await(self, frames: Iterable[Sent], seconds: float) -> Missing:
        """Wait until frames have arrived at every client that must get them; those that have not, and where."""
        state = self._state
        owed = [
            (link, sent)
            for sent in frames
            for link in self._fences.receivers()
            if sent.number not in link.got and must_arrive(sent, link.peer, state.history, state.rules)
        ]
        self._streams.pump_until(lambda: not _still(owed), seconds)
        return _still(owed)


def _still(missing: Missing) -> Missing:
    """What has not arrived even now, at those that are still connected."""
    return [(link, sent) for link, sent in missing if link.peer.open and sent.number not in link.got]
