"""The kinds of steps that a program is made of. Each says all of itself that others ask.

A new kind of step takes three changes: its class here, with its place in :data:`Step`; the room ``play``, which plays
it; the rule in the room ``generation`` that writes it. Whoever narrates, draws, counts, stores or replays programs asks
the step (:class:`ProgramStep`), and knows no kinds.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise
from typing import ClassVar, Literal, NamedTuple

import msgspec

from ..counting import counted, inflected
from .frames import Frame, Item, Raw, connection_name, in_ranges, listed

Drawn = Literal["note", "point", "send"]
"""How a diagram draws a step: it concerns everybody, happens at one connection, or goes from there to the relay."""
Needs = Literal["sockets", "process", "restart", "successor"]
"""What plays a step: clients alone, the process of a relay that the suite has started, its start on a known path, or
that and a command that starts a successor."""
MOST_SIZES = 6
"""Writes whose sizes are listed; more are counted."""
MAX_PIECES = 4
"""Writes of one step that a diagram draws."""


class Place(NamedTuple):
    """Where a step stands in its program.

    ``position`` counts steps from 0, ``number`` is that of the first frame that the step sends, ``unsent`` the bytes
    that its connection has begun and not sent.
    """

    position: int
    number: int
    unsent: int


class Weight(NamedTuple):
    """How much of a step there is to read: items, writes, bytes that are sent."""

    items: int = 0
    writes: int = 0
    bytes: int = 0


class ProgramStep(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What every step says of itself. It says most by default: a kind needs words and, if it sends, its content.

    ``opens``: it opens its connection. ``sends``: it sends bytes. ``tallies`` names everything that the evidence of a
    run counts of it. ``said`` are the words of a kind that always has the same, ``label`` the shorter ones of its line
    in a diagram, if any.
    """

    drawn: ClassVar[Drawn] = "note"
    needs: ClassVar[Needs] = "sockets"
    opens: ClassVar[bool] = False
    sends: ClassVar[bool] = False
    tallies: ClassVar[tuple[str, ...]] = ()
    said: ClassVar[str] = ""
    label: ClassVar[str] = ""

    @property
    def connection(self) -> int | None:
        """The connection that it is about; None for a step that concerns everybody."""
        return None

    @property
    def content(self) -> tuple[Item, ...]:
        """What it sends, in order."""
        return ()

    @property
    def frames(self) -> tuple[Frame, ...]:
        """The frames of the program that it sends, in order."""
        return tuple(item for item in self.content if isinstance(item, Frame))

    @property
    def weight(self) -> Weight:
        """How much there is to read."""
        return Weight()

    def unsent(self, before: int) -> int:
        """The bytes that its connection has begun and not sent, when it is done; ``before`` it were so many."""
        return before

    def tally(self) -> Iterator[str]:
        """What the evidence counts of this one: names of ``tallies``, one as often as it counts."""
        yield from self.tallies

    def words(self, _: Place) -> str:
        """What happens, in one line."""
        return self.said

    def labels(self, place: Place) -> list[str]:
        """What a diagram writes at its lines, shorter than :meth:`words`."""
        return [self.label or self.words(place)]


class ClientStep(ProgramStep, frozen=True):
    """A step of one client: ``does`` is what that client does, as the rest of a sentence."""

    drawn: ClassVar[Drawn] = "point"

    conn: int

    @property
    def connection(self) -> int | None:
        return self.conn

    def does(self, _: Place) -> str:
        """What the client does, as the rest of a sentence."""
        return self.said

    def words(self, place: Place) -> str:
        return f"{connection_name(self.conn)} {self.does(place)}"

    def labels(self, place: Place) -> list[str]:
        return [self.label or self.does(place)]


class Connect(ClientStep, frozen=True, tag="connect"):
    """Open a connection and wait until the relay serves it; one that never ``reads`` cannot know when it is."""

    opens: ClassVar[bool] = True
    tallies: ClassVar[tuple[str, ...]] = ("stalls",)

    reads: bool = True

    def tally(self) -> Iterator[str]:
        yield from () if self.reads else self.tallies

    def does(self, _: Place) -> str:
        return "connects" if self.reads else "connects and never reads"

    def labels(self, _: Place) -> list[str]:
        return ["connects" if self.reads else "connects, never reads"]


class Write(ClientStep, frozen=True, tag="write", dict=True):
    """Send items in one write; or in several, cut before the byte offsets of ``cuts`` or every ``every`` bytes.

    ``stop`` sends the first bytes only; a later :class:`Finish` sends the rest. ``settle`` waits after each write
    until the relay has read it.
    """

    drawn: ClassVar[Drawn] = "send"
    sends: ClassVar[bool] = True
    tallies: ClassVar[tuple[str, ...]] = (
        "split writes",
        "coalesced writes",
        "concurrent writes",
        "unfinished frames",
        "garbage",
    )

    items: tuple[Item, ...]
    cuts: tuple[int, ...] = ()
    every: int = 0
    stop: int | None = None
    settle: bool = True

    @cached_property
    def whole(self) -> int:
        """Bytes of its items."""
        return sum(item.size for item in self.items)

    @property
    def size(self) -> int:
        """Bytes that are sent."""
        return self.whole if self.stop is None else min(self.stop, self.whole)

    def pieces(self) -> list[tuple[int, int]]:
        """(start, stop) of each write."""
        size = self.size
        cuts = range(self.every, size, self.every) if self.every else sorted(set(self.cuts))
        edges = [0, *(cut for cut in cuts if 0 < cut < size), size]
        return list(pairwise(edges))

    @property
    def content(self) -> tuple[Item, ...]:
        return self.items

    @property
    def weight(self) -> Weight:
        return Weight(len(self.items), len(self.pieces()), self.size)

    def unsent(self, _: int) -> int:
        return self.whole - self.size

    def tally(self) -> Iterator[str]:
        counts = (
            len(self.pieces()) > 1,
            len(self.items) > 1,
            not self.settle,
            self.stop is not None,
            sum(isinstance(item, Raw) for item in self.items),
        )
        for name, count in zip(self.tallies, counts, strict=True):
            yield from (name,) * count

    def does(self, place: Place) -> str:
        labels = self._labels_of_items(place)
        text = f"writes {listed([item.words(label) for item, label in zip(self.items, labels, strict=True)])}"
        if self.stop is not None:
            text += f", but only the first {self.size} of {self.whole} {inflected(self.whole, 'byte')}"
        sizes = [stop - start for start, stop in self.pieces()]
        if len(sizes) > 1:
            shown = listed([str(size) for size in sizes], most=MOST_SIZES)
            return f"{text}, in {len(sizes)} writes of {shown} {inflected(max(sizes), 'byte')}"
        return f"{text}, in one write" if len(self.items) > 1 else text

    def labels(self, place: Place) -> list[str]:
        numbers = iter(range(place.number, place.number + len(self.frames)))
        what = in_ranges(
            [
                (label, next(numbers) if isinstance(item, Frame) else None)
                for item, label in zip(self.items, self._labels_of_items(place), strict=True)
            ]
        )
        pieces = self.pieces()
        if len(pieces) <= 1:
            return [f"{what}: {self.size} of {self.whole} bytes" if self.size < self.whole else what]
        if len(pieces) <= MAX_PIECES:
            return [f"{what} [{start}:{stop}]" for start, stop in pieces]
        shown = [f"{what} [{start}:{stop}]" for start, stop in pieces[: MAX_PIECES - 1]]
        rest = pieces[MAX_PIECES - 1 :]
        return [*shown, f"{what} [{rest[0][0]}:{rest[-1][1]}] in {len(rest)} writes"]

    def _labels_of_items(self, place: Place) -> list[str]:
        name, number, labels = connection_name(self.conn), place.number, []
        for item in self.items:
            if isinstance(item, Frame):
                labels.append(f"{name}{number}")
                number += 1
            else:
                labels.append(f"{item.size} {inflected(item.size, 'byte')}, no frame")
        return labels


class Finish(ClientStep, frozen=True, tag="finish"):
    """Send the rest of a write that stopped short."""

    drawn: ClassVar[Drawn] = "send"
    sends: ClassVar[bool] = True
    said: ClassVar[str] = "writes the rest of what it began"

    def unsent(self, _: int) -> int:
        return 0

    def labels(self, place: Place) -> list[str]:
        return [f"the other {counted(place.unsent, 'byte')}"]


class Sync(ProgramStep, frozen=True, tag="sync"):
    """Wait until everything sent so far has arrived wherever it will."""

    tallies: ClassVar[tuple[str, ...]] = ("sync points",)
    said: ClassVar[str] = "everything sent so far has arrived"


class HalfClose(ClientStep, frozen=True, tag="half-close"):
    """Shut down the sending side of a connection; it goes on receiving."""

    tallies: ClassVar[tuple[str, ...]] = ("half-closes",)
    said: ClassVar[str] = "shuts down its sending side"
    label: ClassVar[str] = "ends its sending"


class Close(ClientStep, frozen=True, tag="close"):
    """Close a connection, politely or by reset."""

    tallies: ClassVar[tuple[str, ...]] = ("disconnects",)

    reset: bool = False

    def does(self, _: Place) -> str:
        return f"{'resets' if self.reset else 'closes'} its connection"

    def labels(self, _: Place) -> list[str]:
        return ["resets" if self.reset else "closes"]


class Idle(ProgramStep, frozen=True, tag="idle"):
    """All clients are silent for some milliseconds."""

    tallies: ClassVar[tuple[str, ...]] = ("idle periods",)

    milliseconds: int

    def words(self, _: Place) -> str:
        return f"nobody sends for {self.milliseconds} ms"


class Buffer(ClientStep, frozen=True, tag="buffer"):
    """The send buffer of a connection becomes ``size`` bytes, or the kernel's least: large writes arrive in pieces."""

    tallies: ClassVar[tuple[str, ...]] = ("small send buffers",)

    size: int

    def does(self, _: Place) -> str:
        return f"gets a send buffer of {counted(self.size, 'byte')} (SO_SNDBUF)"

    def labels(self, _: Place) -> list[str]:
        return [f"send buffer {self.size}"]


class Stall(ClientStep, frozen=True, tag="stall"):
    """A connection stops reading."""

    tallies: ClassVar[tuple[str, ...]] = ("stalls",)
    said: ClassVar[str] = "stops reading"


class Sip(ClientStep, frozen=True, tag="sip"):
    """A stalled connection reads at most ``size`` bytes."""

    size: int

    def does(self, _: Place) -> str:
        return f"reads at most {self.size} {inflected(self.size, 'byte')}"

    def labels(self, _: Place) -> list[str]:
        return [f"reads {self.size} {inflected(self.size, 'byte')}"]


class Resume(ClientStep, frozen=True, tag="resume"):
    """A stalled connection reads again."""

    said: ClassVar[str] = "reads again"


class Flood(ClientStep, frozen=True, tag="flood"):
    """Send a frame ``count`` times, no faster than those who read get it."""

    drawn: ClassVar[Drawn] = "send"
    sends: ClassVar[bool] = True
    tallies: ClassVar[tuple[str, ...]] = ("floods",)

    frame: Frame
    count: int

    @property
    def content(self) -> tuple[Item, ...]:
        return self.frames

    @property
    def frames(self) -> tuple[Frame, ...]:
        return (self.frame,) * self.count

    @property
    def weight(self) -> Weight:
        return Weight(1, 1, self.count * self.frame.size)

    def does(self, place: Place) -> str:
        described = self.frame.words(f"{connection_name(self.conn)}{place.number}")
        return f"sends {described} {self.count} {inflected(self.count, 'time')}, no faster than those who read get it"

    def labels(self, place: Place) -> list[str]:
        name = connection_name(self.conn)
        return [f"{name}{place.number} ... {name}{place.number + self.count - 1}"]


class Freeze(ProgramStep, frozen=True, tag="freeze"):
    """Stop the relay's process (SIGSTOP), where the suite has started it."""

    needs: ClassVar[Needs] = "process"
    tallies: ClassVar[tuple[str, ...]] = ("freezes",)
    said: ClassVar[str] = "the relay's process is stopped (SIGSTOP)"
    label: ClassVar[str] = "the relay is stopped (SIGSTOP)"


class Thaw(ProgramStep, frozen=True, tag="thaw"):
    """Let the relay's process go on (SIGCONT)."""

    needs: ClassVar[Needs] = "process"
    said: ClassVar[str] = "the relay's process goes on (SIGCONT)"
    label: ClassVar[str] = "the relay goes on (SIGCONT)"


class Kill(ProgramStep, frozen=True, tag="kill"):
    """Kill the relay (SIGKILL) and start it again on the same path; all connections are gone."""

    needs: ClassVar[Needs] = "restart"
    tallies: ClassVar[tuple[str, ...]] = ("kills",)
    said: ClassVar[str] = "the relay is killed (SIGKILL) and started again on the same path"
    label: ClassVar[str] = "the relay is killed and started again"


class Takeover(ProgramStep, frozen=True, tag="takeover"):
    """Start a successor beside the relay, and wait until it serves in the relay's place.

    ``halted`` stops both (SIGSTOP) as soon as the successor holds a socket of the relay: whatever follows meets a relay
    that nobody serves, until both go on (:class:`Thaw`).
    """

    needs: ClassVar[Needs] = "successor"
    tallies: ClassVar[tuple[str, ...]] = ("takeovers", "takeovers that are halted")

    halted: bool = False

    def tally(self) -> Iterator[str]:
        yield from self.tallies if self.halted else self.tallies[:1]

    def words(self, _: Place) -> str:
        if self.halted:
            return "a successor is started; as soon as it holds a socket of the relay both are stopped (SIGSTOP)"
        return "a successor is started and takes over"

    def labels(self, _: Place) -> list[str]:
        return ["a takeover, which is halted (SIGSTOP)" if self.halted else "a successor takes over"]


class FailedTakeover(ProgramStep, frozen=True, tag="failed-takeover"):
    """Start a successor and kill it (SIGKILL) ``milliseconds`` later, or that long after it ``holds`` a relay's socket.

    Where it serves by then it is not killed. Where it may have owned the relay's clients when it was killed, all are
    gone with it, and the relay is started again on the same path.
    """

    needs: ClassVar[Needs] = "successor"
    tallies: ClassVar[tuple[str, ...]] = ("failed takeovers", "successors killed within a takeover")

    milliseconds: int = 0
    holds: bool = False

    def tally(self) -> Iterator[str]:
        yield from self.tallies if self.holds else self.tallies[:1]

    def words(self, _: Place) -> str:
        return f"a successor is started and killed (SIGKILL) {self._moment}"

    def labels(self, _: Place) -> list[str]:
        return [f"a successor is killed {self._moment}"]

    @property
    def _moment(self) -> str:
        if self.holds:
            return (
                f"{self.milliseconds} ms after it holds a socket of the relay"
                if self.milliseconds
                else "as soon as it holds a socket of the relay"
            )
        return f"after {self.milliseconds} ms" if self.milliseconds else "at once"


class Act(ProgramStep, frozen=True, tag="act"):
    """What a check without a program of its own does, in words."""

    text: str

    def words(self, _: Place) -> str:
        return self.text


Step = (
    Connect
    | Write
    | Finish
    | Sync
    | HalfClose
    | Close
    | Idle
    | Buffer
    | Stall
    | Sip
    | Resume
    | Flood
    | Freeze
    | Thaw
    | Kill
    | Takeover
    | FailedTakeover
    | Act
)
