"""How a play ends: what may still be under way comes, or is proven never to come.

Facts:
- first nobody sends anything, then the witness alone, then everybody: a frame that comes in the second or third part
  of this, together with what was sent in it, was held back;
- a relay that is merely slow brings the frame when it would have come anyhow, well before what followed it, or is seen
  to be computing;
- the fences of the third part prove what never came to be lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

from ..model.history import Sent
from ..model.legality import Fate
from ..model.owed import must_arrive
from .fences import ProgressTimeout
from .streams import WITNESS, Link, Patience
from .vitals import Vitals

SILENCE = 2.0
"""Seconds without any fence after which a relay counts as forwarding nothing more to a connection."""
HOLDING_PATIENCE = 1.0
"""Seconds that a relay gets to forward the last frame of each client while nobody sends anything."""
LEAST_OF_HOLDING = 0.1
"""Share of them that it always gets."""
MOST_OF_COMPUTING = 5.0
"""Times as long for a relay that is not waiting for anything."""
SERVING_PATIENCE = 0.5
"""Seconds that it gets then, while it serves the witness, before anything of the frame's own client follows."""
LEAST_SERVED = 4
"""Times that a relay must have served the witness meanwhile: one that is merely slow does not hold anything back."""
TOGETHER = 0.5
"""Share of the silence before it within which a fence comes behind the frame that it has pushed out."""
OVERTAKEN = 0.05
"""Seconds within which the frame comes behind the fence, where a relay lets what it held back come second."""
ORPHAN_PATIENCE = 0.3
"""Seconds that a relay gets to forward what is still missing after it has served everybody else."""

Missing = list[tuple[Link, Sent]]


class Ending(Vitals):
    """The part of a play behind its last step."""

    def _conclude(self) -> None:
        """The end of what was broken, the closing fences, and one more, behind which even a doubled frame has come."""
        self._thaw()
        self._resume_all()
        self._await_closing()
        missing = self._await_the_last() if self._rules.forwards else []
        concluded = self._fence_round(patience=SILENCE * self.patience.forwarding)
        if concluded:
            self._read_the_unread()
        else:
            self._fell_silent()
        if concluded and self._rules.forwards:
            witness = self._links[WITNESS]
            if witness.sending:
                self._begin_fence_of_the_witness()
                self._pump_until(lambda: self._proven([witness]), 0.05)
                for link in self._receivers():
                    link.peer.fenced_by.add(WITNESS)
        if self._rules.forwards:
            self._await_stragglers()
        for _ in self._links:
            self._pump(0)  # such as the end of one that nothing was due to any more
        for link, sent in missing:
            if sent.number in link.got:
                self._history.late.setdefault((link.peer.conn, sent.number), "its sender")
        self.patience.holds_back = self.patience.holds_back or bool(self._history.late)

    def _await_closing(self) -> None:
        """Wait for the end of the connections that the relay has to close, for the bytes they sent begin no frame."""
        if self._rules.on_framing_error != "close":
            return
        links = [self._links[conn] for conn in self._history.broken if conn in self._links]
        broken = [link.peer for link in links if link.reading]  # who does not read sees no end
        if any(peer.open for peer in broken):
            share = self.patience.closing
            met = self._pump_until(lambda: not any(peer.open for peer in broken), SILENCE * share)
            self.patience.closing = Patience.after(share, met=met)

    def _await_stragglers(self) -> None:
        """Wait for what no fence proves lost: frames of senders that have left or were closed, and overtaken ones."""
        if self._await(self._owed(), 0.0):
            share = min(self.patience.orphans, self.patience.forwarding)
            missing = self._await(self._owed(), ORPHAN_PATIENCE * share)
            self.patience.orphans = Patience.after(share, met=not missing)

    def _await_the_last(self) -> Missing:
        """Wait for the last frame of each client: those that did not come before anything else was sent.

        The fences behind it would push out what a relay holds back until more comes, of its client or of anybody.
        """
        share = min(self.patience.holding, self.patience.forwarding)
        if share < 1.0 and not self.patience.holds_back:  # it loses frames: what it holds back cannot be told apart
            return []
        silence = HOLDING_PATIENCE * max(share, LEAST_OF_HOLDING)
        missing = self._await_in_silence(list({sent.conn: sent for sent in self._owed()}.values()), silence)
        if not missing:
            return []
        self.patience.holding = Patience.after(share, met=False)
        pushed_out = self._push_out(missing, silence * TOGETHER)
        return pushed_out or self._await_beside_the_witness(missing, SERVING_PATIENCE * share)

    def _await_in_silence(self, frames: list[Sent], seconds: float) -> Missing:
        """Wait while nobody sends anything, and something comes or the relay computes; what has not come then."""
        timeout = ProgressTimeout(seconds, self._arrived)
        limit = time.monotonic() + seconds * MOST_OF_COMPUTING
        while missing := self._await(frames, seconds / 10):
            if timeout.expired() and (time.monotonic() > limit or not self._target.busy):
                break
        return missing

    def _push_out(self, missing: Missing, seconds: float) -> Missing:
        """Let the witness send one fence; what came with it, although it did not come before."""
        pushed_out: Missing = []
        if self._begin_fence_of_the_witness():
            witness = [self._links[WITNESS]]
            self._pump_until(lambda: len(_still(missing)) < len(missing) or self._proven(witness), SERVING_PATIENCE)
            if self._pump_until(lambda: self._proven(witness), seconds):
                self._pump_until(lambda: not _still(missing), OVERTAKEN)
                pushed_out = [(link, sent) for link, sent in missing if sent.number in link.got]
        for link, sent in pushed_out:
            self._history.late[link.peer.conn, sent.number] = "another client"
        return pushed_out

    def _await_beside_the_witness(self, missing: Missing, seconds: float) -> Missing:
        """Wait while the relay serves the witness; what has not come although it did so several times."""
        deadline, served, wait = time.monotonic() + seconds, 0, 0.02
        while _still(missing) and (served < LEAST_SERVED or time.monotonic() < deadline):
            if not self._serves_the_witness(deadline):
                break
            served += 1
            self._pump_until(lambda: not _still(missing), wait)
            wait = min(wait * 2, 0.3)
        return _still(missing) if served >= LEAST_SERVED else []

    def _begin_fence_of_the_witness(self) -> bool:
        """Write a new fence of the witness; False when it can write none."""
        self._keep_a_witness()
        self._void_fences([WITNESS])
        return self._fence(self._links[WITNESS])

    def _serves_the_witness(self, deadline: float) -> bool:
        """Whether a new fence of the witness comes to every receiver by a deadline, or shortly after it."""
        until, wait = max(time.monotonic() + 0.1, deadline), 0.02
        self._void_fences([WITNESS])
        while not self._proven([self._keep_a_witness()]):
            if time.monotonic() > until or not self._fence(self._links[WITNESS]):
                return False
            self._pump_until(lambda: self._proven([self._links[WITNESS]]), wait)
            wait = min(wait * 2, 0.3)
        return True

    def _owed(self) -> list[Sent]:
        """The frames that somebody may be owed."""
        return [sent for sent in self._history.sent if sent.certain and sent.fate is Fate.FORWARD]

    def _await(self, frames: Iterable[Sent], seconds: float) -> Missing:
        """Wait until frames have come to all who must get them; those that have not, and to whom."""
        owed = [
            (link, sent)
            for sent in frames
            for link in self._receivers()
            if sent.number not in link.got and must_arrive(sent, link.peer, self._history, self._rules)
        ]
        self._pump_until(lambda: not _still(owed), seconds)
        return _still(owed)


def _still(missing: Missing) -> Missing:
    """What has not come even now, to those that are still connected."""
    return [(link, sent) for link, sent in missing if link.peer.open and sent.number not in link.got]
