"""What the parts of a play share: plain data.

Facts:
- a relay that has used up a wait gets less the next time, for its silence has been proven; each kind of waiting learns
  for itself;
- ``tick`` orders what happens: it counts steps, arrivals and ends of writes, never time.
"""

from __future__ import annotations

import math
import socket
from dataclasses import dataclass, field

from ..model.history import History, Peer, Sent, Stalled
from ..model.rules import Rules
from ..model.timing import Timing
from .limit import Limit

Ends = list[tuple[int, Sent]]
"""Frames of a write, each with the offset at which it ends there."""
FENCES_FROM = 1 << 32
"""The sequence that no fence has: theirs are above."""
WITNESS = -1
"""The connection that belongs to no client of the program: it fences when nobody else can."""


@dataclass(slots=True)
class Patience:
    """The share, from 1 downwards, that is left of each kind of waiting for what a relay owes.

    ``holding`` is waiting for what nothing follows (``holds_back`` says that this was found to arrive only when
    something follows), ``joining`` for a new connection to be served, ``forwarding`` for fences, ``closing`` for the
    end of a broken connection, ``orphans`` for what is missing at the end, ``reading`` for the relay to read what was
    written, ``rests`` for the rest of a frame that has begun to come, ``hanging`` for any sign of life of a relay that
    has fallen silent.
    """

    holding: float = 1.0
    holds_back: bool = False
    joining: float = 1.0
    forwarding: float = 1.0
    closing: float = 1.0
    orphans: float = 1.0
    reading: float = 1.0
    rests: float = 1.0
    hanging: float = 1.0


@dataclass(slots=True, eq=False)
class Link:
    """The suite's end of a connection; ``sending`` and ``reading`` say what its client still does.

    ``buffer`` holds the bytes after the last whole frame, ``got`` the numbers of the program's frames that have
    arrived. ``awaited_frames`` and ``awaited_bytes`` are the most that may be under way to it, since the tick
    ``awaited_since``; ``overload`` is the time in which that is more than the relay's queue holds. ``unfinished`` is
    the rest of a write that stopped short, with the frames that end in it. ``wrote`` says that the client has sent
    anything, ``under_way`` that it has done so since its fences were proof.
    """

    sock: socket.socket
    peer: Peer
    buffer: bytearray = field(default_factory=bytearray)
    sending: bool = True
    reading: bool = True
    latest_fence: int = 0
    own_fence: int = 0
    got: set[int] = field(default_factory=set)
    awaited_frames: int = 0
    awaited_bytes: int = 0
    awaited_since: int = 0
    overload: Stalled | None = None
    unfinished: tuple[bytes, Ends] | None = None
    wrote: bool = False
    under_way: bool = False
    tcp: bool = field(init=False)

    def __post_init__(self) -> None:
        self.tcp = self.sock.family != socket.AF_UNIX


@dataclass(slots=True)
class State:
    """One play of one program.

    ``deadline`` is the moment of the monotonic clock at which it gives up floods and silences, ``limit`` says when it
    gives up whatever it does. ``served`` says that the relay has served anybody, in this play or before;
    ``silent`` that it has used up a wait for fences in this play. ``sequence`` is the last that a frame was given,
    ``fence`` that of a fence: what the frames of a program are on the wire does not depend on how often the suite
    had to ask. ``play`` is the number of the play on its relay.
    """

    rules: Rules
    timing: Timing
    patience: Patience
    deadline: float = math.inf
    limit: Limit = field(default_factory=Limit)
    served: bool = False
    silent: bool = False
    history: History = field(default_factory=History)
    links: dict[int, Link] = field(default_factory=dict)
    sequence: int = 0
    fence: int = FENCES_FROM
    play: int = 0
    tick: int = 0

    def share_after(self, share: float, *, met: bool) -> float:
        """The share of a wait that is left after the relay has met it, or used it up."""
        return 1.0 if met else max(share * self.timing.used_up_share, self.timing.least_share)

    def fall_silent(self) -> None:
        """Note that the relay has used up a whole wait for a fence: later ones are shorter."""
        self.silent = True
        self.patience.forwarding = self.share_after(self.patience.forwarding, met=False)
