"""Whether the relay is alive, dead or hanging when a program ends, and what it leaves.

Facts:
- a relay that dies closes its connections one by one: a relay that has closed any is asked for a proof of life;
- a relay hangs when it takes new connections and serves none of them, though it has served before;
- a relay that hung before gets less time, until the suite restarts it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from ..impediments import tell
from ..model.frames import connection_name
from .fences import Fences
from .state import WITNESS, State
from .streams import Streams
from .target import Target

PROBES = (-2, -3)
"""The connections of the two clients that ask a silent relay for a sign of life."""


class Vitals:
    """Asks whether the relay is alive."""

    def __init__(self, state: State, target: Target, streams: Streams, fences: Fences) -> None:
        self._state = state
        self._target = target
        self._streams = streams
        self._fences = fences

    def remains(self) -> Iterator[str]:
        """What a dead relay leaves: its last output, and the last bytes that each connection wrote."""
        history = self._state.history
        for line in self._target.last_output(3):
            yield f"it printed {line.strip()[:160]!r}"
        for conn in history.peers:
            last = next((sent for sent in reversed(history.sent) if sent.conn == conn), None)
            if last is not None:
                cut = "" if last.whole else ", in part"
                yield f"the last frame of {connection_name(conn)} was {last}{cut}, ending in {last.data[-8:].hex(' ')}"

    def cause_of_death(self) -> str:
        """How the relay died or hangs, "" while it lives: its process is gone, or it takes or serves no connection."""
        state, last_breath = self._state, self._state.timing.last_breath_seconds
        if any(peer.closed for peer in state.history.peers.values()) and not self._is_proven_alive():
            crash = self._target.crash(last_breath)
        else:
            crash = self._target.crash(0.0 if state.links[WITNESS].sending else last_breath)
        if crash:
            return crash
        try:
            self._target.connect().close()
        except OSError as error:
            tell(error, "to connect a client")
            crash = self._target.crash(last_breath)
            return crash or f"the relay accepts no connection any more: {error.strerror or error}"
        return self._hanging() if state.silent and state.served and state.rules.forwards else ""

    def _is_proven_alive(self) -> bool:
        """Whether the relay does anything after it has closed a connection.

        A fence of the witness after the closing proves it; where no receiver is left, a new pair of clients does.
        """
        witness = self._state.links[WITNESS]
        if self._fences.receivers() and self._fences.proven(witness):
            return True
        if self._state.rules.forwards:
            return not self._hanging()
        self._streams.pump_until(lambda: not witness.sending, self._state.timing.last_end_seconds)
        return witness.sending

    def _hanging(self) -> str:
        """How the relay hangs, or died meanwhile: of two new connections that both write, none gets anything."""
        state, timing = self._state, self._state.timing
        pair = [link for link in map(self._streams.open, PROBES) if link is not None]
        if len(pair) < len(PROBES):
            return state.history.crash
        share = max(state.patience.hanging, timing.hanging_least_share)
        deadline = time.monotonic() + timing.hanging_seconds * share
        served = self._streams.repeat_until(
            lambda: any(link.buffer or link.peer.joined is not None for link in pair),
            lambda: all(list(map(self._fences.write, pair))) and time.monotonic() <= deadline,
            first=0.001,
            most=0.2,
        )
        state.patience.hanging = state.share_after(share, met=served)
        if served:
            return ""
        doing = f"; its process {self._target.doing}" if self._target.doing else ""
        return f"the relay hangs: it served before, and now takes connections and serves none of them{doing}"
