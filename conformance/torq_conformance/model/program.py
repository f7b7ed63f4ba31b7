"""Programs: what the clients of a run do, as plain data that can be stored, replayed, shrunk and read.

A program is a list of steps (:mod:`.steps`) over numbered connections, which send frames and other bytes
(:mod:`.frames`).
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from .frames import Frame
from .rules import Domain
from .steps import Act, Close, Connect, Kill, Place, Resume, Stall, Step

FORMAT_VERSION = 1


class Program(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Steps against a relay of one domain."""

    domain: Domain
    steps: tuple[Step, ...]
    version: int = FORMAT_VERSION

    def placed(self) -> Iterator[tuple[Place, Step]]:
        """Each step with its place."""
        number = 0
        unsent: dict[int | None, int] = {}
        for position, step in enumerate(self.steps):
            before = unsent.get(step.connection, 0)
            yield Place(position, number, before), step
            number += len(step.frames)
            unsent[step.connection] = step.unsent(before)

    def words(self) -> Iterator[str]:
        """Each step in words, in one line."""
        return (step.words(place) for place, step in self.placed())

    def frames(self) -> Iterator[tuple[int, int, int, Frame]]:
        """(number, step, connection, frame) of every frame in the order of the program."""
        for place, step in self.placed():
            if step.connection is not None:
                for number, frame in enumerate(step.frames, place.number):
                    yield number, place.position, step.connection, frame

    @property
    def connections(self) -> list[int]:
        """The connections that it opens, in the order in which it opens them first."""
        return list(dict.fromkeys(step.connection for step in self.steps if step.opens and step.connection is not None))

    @property
    def stalled_to_the_end(self) -> list[int]:
        """The connections that it leaves stalled; all of them read again when it is over."""
        stalled: set[int] = set()
        for step in self.steps:
            match step:
                case Stall(conn=conn):
                    stalled.add(conn)
                case Resume(conn=conn) | Close(conn=conn) | Connect(conn=conn):
                    stalled.discard(conn)
                case Kill():
                    stalled.clear()
        return sorted(stalled)

    @property
    def in_words(self) -> bool:
        """Whether it is the account of a fixed check, which can be read and done again but not played."""
        return bool(self.steps) and all(isinstance(step, Act) for step in self.steps)

    @property
    def weight(self) -> tuple[int, int, int, int]:
        """How much there is to read: steps, items, writes, bytes. Smaller is simpler."""
        weights = [step.weight for step in self.steps]
        return (
            len(self.steps),
            sum(each.items for each in weights),
            sum(each.writes for each in weights),
            sum(each.bytes for each in weights),
        )
