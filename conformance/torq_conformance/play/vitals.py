"""Whether the relay is alive, dead or hanging when a program ends, and what it leaves behind.

Facts:
- a relay that dies closes its connections one by one: one that has closed any is asked for a proof of life;
- a relay hangs when it takes new connections and serves none of them, though it has served before;
- a silence that was met before is waited for less long, until the relay is restarted.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..model.program import connection_name
from .faults import Faults
from .streams import LAST_BREATH, WITNESS, Patience

PROBE = -2
HANGING = 3.0
"""Seconds that a silent relay gets to serve two new connections before it is said to hang."""
LEAST_OF_HANGING = 0.05
"""Share of them that it always gets."""


class Vitals(Faults):
    """The part of a play that asks whether the relay is alive."""

    def _remains(self) -> Iterator[str]:
        """What is left of a dead relay: its last output, and the last bytes that each connection wrote."""
        for line in self._target.last_output(3).splitlines()[2:]:
            yield f"it printed {line.strip()[:160]!r}"
        for conn in self._history.peers:
            last = next((sent for sent in reversed(self._history.sent) if sent.conn == conn), None)
            if last is not None:
                cut = "" if last.whole else ", in part"
                yield f"the last frame of {connection_name(conn)} was {last}{cut}, ending in {last.data[-8:].hex(' ')}"

    def _crashed(self) -> bool:
        return bool(self._history.crash)

    def _seen_dead(self) -> str:
        """How the relay died, "" while it lives: its process is gone, or its listener takes no connection."""
        if any(peer.closed for peer in self._history.peers.values()) and not self._proven_alive():
            crash = self._target.crash(LAST_BREATH)
            if crash:
                return crash
        elif crash := self._target.crash(0.0 if self._links[WITNESS].sending else LAST_BREATH):
            return crash
        try:
            self._target.address.connect().close()
        except OSError as error:
            crash = self._target.crash(LAST_BREATH)
            return crash or f"the relay accepts no connection any more: {error.strerror or error}"
        return self._seen_hanging() if self.silent and self.served and self._rules.forwards else ""

    def _proven_alive(self) -> bool:
        """Whether the relay does anything after it has closed a connection: one that dies closes them one by one.

        A fence of the witness behind the closing proves it; where nobody is left to get it, a new pair of clients does.
        """
        witness = self._links[WITNESS]
        if self._receivers() and self._proven([witness]):
            return True
        if self._rules.forwards:
            return not self._seen_hanging()
        self._pump_until(lambda: not witness.sending, 0.005)
        return witness.sending

    def _seen_hanging(self) -> str:
        """How a relay that has served before hangs: of two new connections that both write, none gets anything."""
        pair = [link for link in (self._open(PROBE), self._open(PROBE - 1)) if link is not None]
        if len(pair) < 2:
            return self._history.crash

        def is_served() -> bool:
            return any(link.buffer or link.peer.joined is not None for link in pair)

        share = max(self.patience.hanging, LEAST_OF_HANGING)
        wait, deadline = 0.001, time.monotonic() + HANGING * share
        while not (served := is_served()):
            written = [self._fence(link) for link in pair]
            if time.monotonic() > deadline or not all(written):
                break
            self._pump_until(is_served, wait)
            wait = min(wait * 2, 0.2)
        self.patience.hanging = Patience.after(share, met=served)
        if served:
            return ""
        doing = f"; its process {self._target.doing}" if self._target.doing else ""
        return f"the relay hangs: it served before, and now takes connections and serves none of them{doing}"
