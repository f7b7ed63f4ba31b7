"""What a played program showed: every frame sent and received, in the order the suite saw it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from .frames import Frame, connection_name
from .legality import Fate, Reason


@dataclass(slots=True)
class Sent:
    """A frame of the program that was written, whole or in part. ``begun`` is the moment its write
    began, ``tick`` the moment it ended.

    ``certain`` says that the relay must take it: false where the write failed, or its sender left by a reset.
    """

    number: int
    step: int
    conn: int
    frame: Frame
    data: bytes
    fate: Fate
    why: Reason | None
    begun: int
    tick: int = 0
    whole: bool = False
    certain: bool = False

    def __str__(self) -> str:
        return f"{connection_name(self.conn)}{self.number}"


@dataclass(slots=True)
class Received:
    """A whole frame that a connection got: a frame of the program, or bytes that nobody sent (``number`` None)."""

    number: int | None
    data: bytes
    tick: int


@dataclass(slots=True)
class Stalled:
    """A time in which a connection did not read: its moments, and what others (and it) sent meanwhile.

    ``forwarded_frames`` and ``forwarded_bytes`` are what the relay had certainly dealt with before the end. Where it
    was ``reading``, it read, but more was under way to it than its queue holds.
    """

    begun: int
    ended: int = 0
    frames: int = 0
    bytes: int = 0
    forwarded_frames: int = 0
    forwarded_bytes: int = 0
    reading: bool = False


@dataclass(slots=True)
class Peer:
    """One connection of the program as the suite saw it; ``rest_at`` is the moment at which the bytes behind its last
    whole frame began to come. ``passed_over`` says that others were served, and it was not, for as long as it may take.
    """

    conn: int
    connected: int
    joined: int | None = None
    passed_over: bool = False
    received: list[Received] = field(default_factory=list)
    rest: bytes = b""
    rest_at: int = 0
    torn: bool = False
    closed: str = ""
    closed_at: int = 0
    left: bool = False
    half_closed: bool = False
    fenced_by: set[int] = field(default_factory=set)
    old_fences: list[int] = field(default_factory=list)
    reads: bool = True
    stalls: list[Stalled] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The letter of the connection."""
        return connection_name(self.conn)

    def __str__(self) -> str:
        return self.name

    @property
    def open(self) -> bool:
        """Whether it still stands: neither side has closed it."""
        return not self.left and not self.closed


class Delay(NamedTuple):
    """How many seconds a part of a flood took, whether somebody was stalled meanwhile, and how large it was.

    A usual one has the size 1.0; a frame that is larger is a part of its own.
    """

    stalled: bool
    seconds: float
    size: float = 1.0

    @property
    def of_a_part(self) -> float:
        """The seconds for as many bytes as a part has: a larger frame takes longer by itself."""
        return self.seconds / max(1.0, self.size)


@dataclass(slots=True)
class History:
    """All that one run of a program showed.

    ``fences`` names the connection that wrote each fence, by sequence; ``broken`` the connections that sent bytes which
    begin no frame. ``delays`` tells of each part of a flood how long it took to reach those who read. ``remains`` is
    what is left of a dead relay: its last output, the last bytes of each connection. ``late`` are the frames, as
    (receiver, number), that came only when something followed them, with the one who sent that. ``takeovers``
    counts them; ``not_replaced`` says why none came about that was to; ``successors_killed`` counts the successors that
    were killed and left the relay alone.
    """

    sent: list[Sent] = field(default_factory=list)
    peers: dict[int, Peer] = field(default_factory=dict)
    fences: dict[int, int] = field(default_factory=dict)
    delays: list[Delay] = field(default_factory=list)
    broken: set[int] = field(default_factory=set)
    stuck: str = ""
    crash: str = ""
    remains: list[str] = field(default_factory=list)
    late: dict[tuple[int, int], str] = field(default_factory=dict)
    not_replaced: str = ""
    takeovers: int = 0
    successors_killed: int = 0

    def by_number(self) -> dict[int, Sent]:
        """The frames by their place in the program."""
        return {sent.number: sent for sent in self.sent}
