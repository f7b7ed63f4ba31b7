"""How much of the relay's own code a run has reached, and what it never reached: plain data for every report.

Facts: no figure stands here that is not known. A map alone says how much was reached, and not of how much.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from ..counting import counted, grouped
from .feedback import GreyBox, Kind

END = 0
"""The line that a branch goes to which leaves its function."""


class Share(msgspec.Struct, frozen=True):
    """How many of some things were reached; ``of`` None: nobody knows how many there are."""

    reached: int
    of: int | None = None

    def words(self, noun: str) -> str:
        """Such as ``412 of 450 branches``, or ``97 edges``."""
        plural = f"{noun}es" if noun.endswith("ch") else f"{noun}s"
        if self.of is None:
            return counted(self.reached, noun, plural)
        return f"{grouped(self.reached)} of {counted(self.of, noun, plural)}"


class Missed(msgspec.Struct, frozen=True):
    """What was never reached in a file: ``lines``, and ``branches`` (from, to; 0: out of the function) of others."""

    file: str
    lines: tuple[int, ...]
    branches: tuple[tuple[int, int], ...] = ()

    @property
    def words(self) -> str:
        """Such as ``broadcast.py:88-91, 120, 130->135``."""
        branches = [f"{start}->{stop if stop != END else 'end'}" for start, stop in self.branches]
        return f"{self.file}:{', '.join((*_ranges(self.lines), *branches))}"


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """What of the relay's code was reached, as it was told in the way ``by``.

    ``things`` are shares by their noun: line, branch, edge, function. ``explored`` programs were played for what they
    reach, ``kept`` of all programs reached something new, ``by_explored_only`` lines, branches or edges no others.
    ``never`` is what was never reached; ``unseen`` are compiled modules among the files, of which nothing is seen.
    ``problem`` says why nothing is known.
    """

    by: Kind
    things: dict[str, Share]
    explored: int = 0
    kept: int = 0
    by_explored_only: int | None = None
    never: tuple[Missed, ...] = ()
    unseen: tuple[str, ...] = ()
    problem: str = ""

    @property
    def figures(self) -> str:
        """All but the places, in one line."""
        if self.problem:
            return f"relay's code ({self.by}): not known: {self.problem}"
        shares = ", ".join(share.words(noun) for noun, share in self.things.items())
        parts = [f"relay's code ({self.by}): {shares} reached"]
        if self.by_explored_only is not None:
            parts.append(f"{grouped(self.by_explored_only)} of these by explored programs only")
            parts.append(f"{counted(self.kept, 'program')} kept, {grouped(self.explored)} explored")
        if self.unseen:
            parts.append(f"not seen, for it is compiled: {', '.join(self.unseen)}")
        return "; ".join(parts)

    @property
    def all_words(self) -> str:
        """All of it in one line."""
        never = "; ".join(each.words for each in self.never)
        return f"{self.figures}; never reached: {never}" if never else self.figures


def _ranges(lines: Sequence[int]) -> Iterator[str]:
    """Lines in their order as ranges, such as ``88-91``."""
    start = before = None
    for line in lines:
        if before is None or line != before + 1:
            if start is not None:
                yield _range(start, before)
            start = line
        before = line
    if start is not None:
        yield _range(start, before)


def _range(start: int, stop: int | None) -> str:
    return str(start) if stop in (None, start) else f"{start}-{stop}"


class Thing(NamedTuple):
    """A row of the table of things: what can be reached in a file, and the number of its first byte."""

    start: int
    edges: int
    lines: tuple[int, ...]
    branches: tuple[tuple[int, int], ...]
    file: str

    @classmethod
    def of_row(cls, row: str) -> Thing:
        start, edges, lines, branches, file = row.rstrip("\n").split("\t")
        pairs = (each.split(">") for each in branches.split())
        return cls(
            int(start),
            int(edges),
            tuple(map(int, lines.split())),
            tuple((int(first), int(second)) for first, second in pairs),
            file,
        )


def reached_by_map(box: GreyBox, explored: int) -> Reached:
    """What the maps of a run have told: what was noted, and what relays have reached since."""
    elsewhere, exploring = (bytearray((box.folder / name).read_bytes()) for name in ("elsewhere", "exploring"))
    for late in box.maps():
        for place, reached in enumerate(late.read_bytes()):
            elsewhere[place] |= reached
    places = {place for place, (one, other) in enumerate(zip(elsewhere, exploring, strict=True)) if one or other}
    rows = (box.folder / "things").read_text("utf-8", "surrogateescape").splitlines()
    table = [Thing.of_row(row) for row in rows]
    lines, branches, edges, never = [0, 0], [0, 0], [0, 0], []
    for thing in table:
        met = thing.start >= 0
        at = thing.start + thing.edges
        missed_lines = [line for place, line in enumerate(thing.lines, at) if not (met and place in places)]
        missed_branches = [
            branch
            for place, branch in enumerate(thing.branches, at + len(thing.lines))
            if not (met and place in places)
        ]
        for share, of, missed in (
            (lines, len(thing.lines), len(missed_lines)),
            (branches, len(thing.branches), len(missed_branches)),
            (edges, thing.edges, thing.edges - sum(place in places for place in range(thing.start, at))),
        ):
            share[0] += of - missed
            share[1] += of
        told = tuple(each for each in missed_branches if each[0] not in missed_lines)
        if missed_lines or told:
            never.append(Missed(shown_path(thing.file), tuple(missed_lines), told))
    if not table:
        things = {"edge": Share(len(places))}
    else:
        named = (("branch", branches), ("line", lines), ("edge", edges))
        things = {noun: Share(*share) for noun, share in named if share[1]}
    return Reached(
        by="python" if "python" in box.kinds else "map",
        things=things,
        explored=explored,
        kept=(box.folder / "kept").read_bytes().count(b"\n"),
        by_explored_only=sum(bool(exploring[place] and not elsewhere[place]) for place in places),
        never=tuple(never),
        unseen=tuple(_compiled_beside(thing.file for thing in table if thing.lines)),
    )


def shown_path(file: str) -> str:
    """A path as a report names it: from the current folder where it is below, else whole."""
    near = os.path.relpath(file)
    return file if near.startswith(os.pardir) else near


def _compiled_beside(paths: Iterable[str]) -> list[str]:
    """The compiled modules in the packages that the traced files are of, which run in the place of their source."""
    folders = sorted({Path(path).parent for path in paths if (Path(path).parent / "__init__.py").exists()})
    return [shown_path(str(each)).split(".")[0] for folder in folders for each in sorted(folder.glob("*.so"))]
