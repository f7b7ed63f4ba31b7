"""Tells the suite which lines and branches of a Python relay are reached. It runs in the relay, as ``sitecustomize``.

Facts:
- it stands alone: the relay's Python is any from 3.9 on, and knows no package of the suite;
- a line is a line with code; a branch is a line with a conditional jump together with a line that it can go on to, or
  the end of its function (0). Code that is compiled to machine code runs without lines and is not seen;
- what exists in a file is told once, in one row of the table of things (:mod:`.feedback`), by whoever sees the file
  first: every other process of the run sets the bytes that this row names;
- whatever fails here, the relay runs as it would without.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import sys
import threading
from types import CodeType, FrameType
from typing import Any

ME = "sitecustomize"
HERE = os.path.dirname(os.path.abspath(__file__))
LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
ELSEWHERE = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)
END = 0
SHIFT = 24
"""A branch is one number: the line that it begins at, so many bits to the left, and the line that it goes to."""
Bytes = dict[int, int]
"""The byte of the map for each line, or for each branch."""
Steps = dict[int, tuple[int, ...]]
"""The bytes for each step from line to line, of those that were taken."""
Table = tuple[Bytes, Bytes, Steps]


class Reached:
    """Sets the bytes of what is reached in the files that count."""

    def __init__(self, path: str, things: str, of: list[str]) -> None:
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)
        self.things = things
        self.of = of
        self.tables: dict[str, Table | None] = {}
        self.known: dict[str, Table] = {}
        self.read, self.next = 0, 0
        self.learn_from_others()

    def learn_from_others(self) -> None:
        """Read the rows of files that came since."""
        with open(self.things, encoding="utf-8", errors="surrogateescape") as file:
            file.seek(self.read)
            for row in file:
                start, edges, lines, branches, path = row.rstrip("\n").split("\t")
                if int(start) < 0:
                    self.known[path] = {}, {}, {}
                    continue
                at = int(start) + int(edges)
                numbers = [int(each) for each in lines.split()]
                pairs = [each.split(">") for each in branches.split()]
                at_branches = at + len(numbers)
                self.known[path] = (
                    {line: at + place for place, line in enumerate(numbers)},
                    {(int(a) << SHIFT) | int(b): at_branches + place for place, (a, b) in enumerate(pairs)},
                    {},
                )
                self.next = max(self.next, at_branches + len(pairs))
            self.read = file.tell()

    def counts(self, path: str) -> bool:
        """Whether a file is the relay's own, or one of those that were asked for."""
        if self.of:
            return any(path == each or path.startswith(each + os.sep) for each in self.of)
        return not (path.startswith((LIBRARY, HERE)) or any(each in path for each in ELSEWHERE))

    def learn(self, code: CodeType) -> Table | None:
        """The bytes of a file, when the first of its code runs; None where it does not count."""
        name = code.co_filename
        self.tables[name] = None  # while it is learnt, too
        path = os.path.abspath(name)
        if name.startswith("<") or "\t" in path or "\n" in path or not self.counts(path):
            return None
        if path not in self.known:
            lines, branches = things_of(code)
            with open(self.things, "a", encoding="utf-8", errors="surrogateescape") as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # closing the file ends it
                self.learn_from_others()
                if path not in self.known:
                    size = len(lines) + len(branches)
                    first = self.next if self.next + size <= len(self.map) else -1
                    pairs = " ".join(f"{start}>{stop}" for start, stop in branches)
                    file.write(f"{first}\t0\t{' '.join(map(str, lines))}\t{pairs}\t{path}\n")
                    file.flush()
                    self.learn_from_others()
        self.tables[name] = self.known[path]
        return self.known[path]

    def enter(self, frame: FrameType, event: str, arg: object) -> Any:
        """Trace a function that is called, or a generator that goes on, where it counts."""
        code = frame.f_code
        try:
            table = self.tables[code.co_filename]
        except KeyError:
            table = self.learn(code)
        if table is None:
            return None
        reached, lines, branches, steps = self.map, table[0], table[1], table[2]
        before = frame.f_lineno if code.co_flags & PAUSING else END

        def trace(frame: FrameType, event: str, arg: Any) -> Any:
            nonlocal before
            if event == "line":
                line = frame.f_lineno
                step = before << SHIFT | line
                if step in steps:
                    for each in steps[step]:
                        reached[each] = 1
                else:
                    met = (lines.get(line), branches.get(step))
                    steps[step] = tuple([each for each in met if each is not None])
                    for each in steps[step]:
                        reached[each] = 1
                before = line
            elif event == "return":
                branch = before << SHIFT | END
                if branch in branches and not (code.co_flags & PAUSING and code.co_code[frame.f_lasti] == YIELD):
                    reached[branches[branch]] = 1
            elif event == "exception" and arg[0] not in (StopIteration, StopAsyncIteration):
                before = END  # no branch leads from here to a handler, or out of the function
            return trace

        return trace


PAUSING = 0x20 | 0x80 | 0x200
"""The flags of generators, coroutines and asynchronous generators."""
YIELD = -1
"""The opcode that pauses; known where something counts."""


def things_of(module: CodeType) -> tuple[list[int], list[tuple[int, int]]]:
    """The lines with code of a module, and its branches: from a line, to a line or the end of the function."""
    import dis

    global YIELD
    YIELD = dis.opmap["YIELD_VALUE"]
    lines: set[int] = set()
    branches: set[tuple[int, int]] = set()
    waiting = [module]
    while waiting:
        code = waiting.pop()
        waiting += [each for each in code.co_consts if isinstance(each, CodeType)]
        add_things_of(code, list(dis.get_instructions(code)), dict(dis.findlinestarts(code)), lines, branches)
    return sorted(lines), sorted(branches)


def add_things_of(
    code: CodeType, instructions: list[Any], starts: dict[int, Any], lines: set[int], branches: set[tuple[int, int]]
) -> None:
    """The lines and branches of one function, class or module."""
    line_at: dict[int, int] = {}
    current = 0
    for each in instructions:
        current = starts.get(each.offset, current) or 0
        line_at[each.offset] = current
    lines.update(line for line in line_at.values() if line > 0)
    conditional: set[int] = set()
    follows: dict[int, set[int]] = {}
    for place, each in enumerate(instructions):
        line, name = line_at[each.offset], each.opname
        after = follows.setdefault(line, set())
        if name in ("RETURN_VALUE", "RETURN_CONST"):
            after.add(END)
            continue
        if name.startswith("RERAISE") or name == "RAISE_VARARGS":
            continue
        targets = []
        jumps = "JUMP" in name or name == "FOR_ITER"
        may_fall = not jumps or "IF" in name or name == "FOR_ITER"
        if jumps:
            targets.append(each.argval)
            if may_fall and instructions[place - 1].opname != "WITH_EXCEPT_START":  # whether it swallows an exception
                conditional.add(line)
        if may_fall and place + 1 < len(instructions):
            targets.append(instructions[place + 1].offset)
        after.update(line_at[target] for target in targets if line_at.get(target, line) not in (line, 0))
    for line in conditional:
        if line > 0 and len(follows[line]) > 1:
            branches.update((line, to) for to in follows[line])


def follow_with_the_own() -> None:
    """Run the ``sitecustomize`` that would have run without this one, on the path that the relay had."""
    mine = sys.modules.pop(ME, None)
    sys.path[:] = [each for each in sys.path if os.path.abspath(each) != HERE]
    try:
        __import__(ME)
    except ImportError as error:
        if error.name != ME:
            raise
    finally:
        if ME not in sys.modules and mine is not None:
            sys.modules[ME] = mine


def install() -> None:
    """Trace this thread and those to come."""
    of = [each for each in os.environ.get("CONFORMANCE_COVERAGE_OF", "").split(os.pathsep) if each]
    reached = Reached(os.environ["CONFORMANCE_COVERAGE_MAP"], os.environ["CONFORMANCE_COVERAGE_THINGS"], of)
    threading.settrace(reached.enter)
    sys.settrace(reached.enter)


if __name__ == ME:
    try:
        install()
    except Exception as error:
        sys.stderr.write(f"torq-conformance is not told what is reached: {error!r}\n")
    follow_with_the_own()
