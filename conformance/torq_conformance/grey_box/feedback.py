"""What the relays of a run reach, as feedback after each program, and as bytes that a report is made of.

Facts:
- the protocol is plain, so that any language can take part: the suite makes a file of :data:`MAP_BYTES` bytes and names
  it in :data:`MAP`; whatever the relay reaches (a line, branch or edge) sets a byte of it, always the same one;
- who knows what there is to be reached writes it as a row of the table of :data:`THINGS`: the number of its first byte,
  how many nameless edges begin there, the lines (``3 4 7``) and branches (``4>7``) behind them, and the file, with tabs
  between; a first byte below 0 says that the map had no room for the file;
- each process of the suite has a map of its own for the relays that it starts, for their programs must not mix; what
  they have reached together stands in files that all of them share;
- no variable is called TORQ_..., which the reference relay would read as a setting.
"""

from __future__ import annotations

import functools
import mmap
import os
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from ..errors import ImpededError
from ..model.program import Program

Kind = Literal["python", "map", "gcov"]
KINDS: dict[Kind, str] = {
    "python": "a relay in Python, as it is",
    "map": "one that sets bytes of CONFORMANCE_COVERAGE_MAP, such as C, C++ and Rust with sanitizer coverage",
    "gcov": "one built with --coverage (says what was never reached, guides nothing)",
}
"""How a relay may tell what it reaches."""
MAP = "CONFORMANCE_COVERAGE_MAP"
THINGS = "CONFORMANCE_COVERAGE_THINGS"
OF = "CONFORMANCE_COVERAGE_OF"
MAP_BYTES = 1 << 16
PART_BYTES = 256
"""The map is looked through in parts: most hold nothing."""
DEAR_SECONDS = 0.25
DEAR_BYTES = 1_000_000
"""A program that takes as long, or sends as much, is not varied: cheap ones reach more in the same time."""
_NOTHING = bytes(PART_BYTES)
_RUNS = re.compile(rb"[^\0]+")


class Kept(NamedTuple):
    """A program that reached something which none before had reached, and what that was."""

    program: Program
    reached: frozenset[int]


class _Stored(msgspec.Struct, frozen=True):
    """One line of the file of kept programs."""

    program: Program
    reached: list[int]


@dataclass(frozen=True, slots=True)
class GreyBox:
    """How the relays of a run tell what they reach, and the run's private ``folder`` for it.

    ``of`` are the files and folders that count; none: whatever is the relay's own. ``given`` is the map of a relay that
    runs already.
    """

    folder: Path
    kinds: tuple[Kind, ...]
    of: tuple[Path, ...] = ()
    given: Path | None = None

    def prepare(self) -> None:
        """Make the files that all processes of the run share."""
        size = self.given.stat().st_size if self.given else MAP_BYTES
        for name in ("elsewhere", "exploring"):
            _make(self.folder / name, size)
        for name in ("things", "kept"):
            (self.folder / name).touch()
        hook = self.folder / "python"
        hook.mkdir()
        (hook / "sitecustomize.py").write_bytes(files(__package__).joinpath("python_hook.py").read_bytes())
        self.gcov_folder.mkdir()

    @property
    def guides(self) -> bool:
        """Whether the relay tells what it reaches while it runs."""
        return self.kinds != ("gcov",)

    @property
    def map(self) -> Path:
        """The map of the relays that this process starts."""
        return self.given or self.folder / f"map.{os.getpid()}"

    def maps(self) -> list[Path]:
        """The maps of all processes of the run."""
        return [self.given] if self.given else list(self.folder.glob("map.*"))

    @property
    def gcov_folder(self) -> Path:
        """Where relays write their .gcda files."""
        return self.folder / "gcov"

    def environment(self) -> Mapping[str, str]:
        """What the environment of a relay that this process starts has besides; the map that it names is there then."""
        if not self.map.exists():
            _make(self.map)
        found = {MAP: str(self.map), THINGS: str(self.folder / "things")}
        if "python" in self.kinds:
            paths = (str(self.folder / "python"), os.environ.get("PYTHONPATH", ""))
            found["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
            found[OF] = os.pathsep.join(str(each.resolve()) for each in self.of)
        if "gcov" in self.kinds:
            found["GCOV_PREFIX"] = str(self.gcov_folder)
        return found

    def kept(self) -> list[Program]:
        """The programs that the processes of the run have kept so far."""
        lines = (self.folder / "kept").read_bytes().splitlines()
        return [msgspec.json.decode(line, type=_Stored).program for line in lines]

    def feedback(self) -> Feedback:
        """The feedback of this process."""
        return _feedback(self, os.getpid())


@functools.cache
def _feedback(box: GreyBox, _: int) -> Feedback:
    return Feedback(box)


def _make(path: Path, size: int = MAP_BYTES) -> None:
    try:
        path.write_bytes(bytes(size))
    except OSError as error:
        raise ImpededError(f"no room for the map of what the relay reaches: {error.strerror}; set TMPDIR") from error


def _opened(path: Path) -> mmap.mmap:
    with path.open("r+b") as file:
        return mmap.mmap(file.fileno(), 0)


class Feedback:
    """What the relays of this process reach. ``exploring``: programs are played for what they reach.

    To these is new what none of them in this process has reached: what a long program reached by chance needs a small
    one too, and each process goes on from what another has found.
    """

    def __init__(self, box: GreyBox) -> None:
        box.environment()
        self._map = _opened(box.map)
        self._shared = {False: _opened(box.folder / "elsewhere"), True: _opened(box.folder / "exploring")}
        self._noted: dict[bool, set[int]] = {False: set(), True: set()}
        self._kept = box.folder / "kept"
        self._read = 0
        self.exploring = False

    def collect(self) -> frozenset[int]:
        """Take from the map what was reached since the last time, and note it; what of it is new."""
        return self._note(self._take())

    def notice(self, program: Program, began: float) -> Kept | None:
        """Note what a program has reached that began at a moment; keep it for others if any of that is new."""
        new = self.collect()
        if not new:
            return None
        kept = Kept(program, new)
        if time.monotonic() - began < DEAR_SECONDS and program.weight[-1] < DEAR_BYTES:
            self.keep(kept)
        return kept

    def everything(self) -> frozenset[int]:
        """All that was reached since the last time, new or not, which is noted too."""
        reached = self._take()
        self._note(reached)
        return reached

    def forget(self, reached: frozenset[int]) -> None:
        """Let this be new again to who explores: a better program may reach it."""
        self._noted[True] -= reached

    def keep(self, kept: Kept) -> None:
        """Hand a program to all processes of the run."""
        line = msgspec.json.encode(_Stored(kept.program, sorted(kept.reached))) + b"\n"
        with self._kept.open("ab", buffering=0) as file:
            file.write(line)

    def kept(self) -> list[Kept]:
        """The programs that some process of the run has kept since this one asked last."""
        with self._kept.open("rb") as file:
            file.seek(self._read)
            lines = file.read()
        whole = lines.rfind(b"\n") + 1
        self._read += whole
        stored = [msgspec.json.decode(line, type=_Stored) for line in lines[:whole].splitlines()]
        return [Kept(each.program, frozenset(each.reached)) for each in stored]

    @property
    def touched(self) -> bool:
        """Whether any relay of the run has ever reached anything."""
        self.collect()
        return any(_RUNS.search(self._shared[each]) is not None for each in (False, True))

    def _take(self) -> frozenset[int]:
        """What was reached since the last time. Only bytes that were read are cleared: none gets lost."""
        reached: set[int] = set()
        whole = self._map[:]
        for part in range(0, len(whole), PART_BYTES):
            bytes_of_part = whole[part : part + PART_BYTES]
            if bytes_of_part == _NOTHING:
                continue
            for run in _RUNS.finditer(bytes_of_part):
                start, stop = part + run.start(), part + run.end()
                self._map[start:stop] = bytes(stop - start)
                reached.update(range(start, stop))
        return frozenset(reached)

    def _note(self, reached: frozenset[int]) -> frozenset[int]:
        here, there = self._shared[self.exploring], self._shared[not self.exploring]
        fresh = reached - self._noted[self.exploring]
        new = frozenset(place for place in fresh if self.exploring or not (here[place] or there[place]))
        for place in fresh:
            here[place] = 1
        self._noted[self.exploring].update(fresh)
        return new
