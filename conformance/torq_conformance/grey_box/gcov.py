"""What gcov's files say of a relay that was built with ``--coverage``.

Facts:
- such a relay writes its .gcda files when it ends, below the folder that GCOV_PREFIX names; a relay that is killed, or
  that SIGTERM ends by its default action, writes none;
- gcov wants the .gcno file of the build beside each, and says everything as JSON (``gcov --json-format``).
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ..errors import UsageError
from .feedback import GreyBox
from .reached import Missed, Reached, Share, shown_path

SYSTEM = Path("/usr")
"""Headers below it are not the relay's own code."""


class _Branch(msgspec.Struct):
    count: int
    throw: bool = False


class _Line(msgspec.Struct):
    line_number: int
    count: int
    branches: list[_Branch] = []


class _Function(msgspec.Struct):
    name: str
    execution_count: int


class _File(msgspec.Struct):
    file: str
    lines: list[_Line] = []
    functions: list[_Function] = []


class _Document(msgspec.Struct):
    current_working_directory: str
    files: list[_File] = []


def gcov_command() -> list[str]:
    """The command, which GCOV may name. Raises UsageError where there is none."""
    words = shlex.split(os.environ.get("GCOV", "gcov"))
    if not words or shutil.which(words[0]) is None:
        raise UsageError(
            "--coverage gcov needs the command gcov of the compiler that built the relay, and there is none; "
            "put it on PATH, or name it in the environment variable GCOV"
        )
    return words


def data_files(box: GreyBox) -> list[Path]:
    """The .gcda files that relays of a run have written."""
    return sorted(box.gcov_folder.rglob("*.gcda"))


def reached_by_gcov(box: GreyBox) -> Reached:
    """What all the files together say."""
    try:
        return _reached(list(_told(box)))
    except UsageError as error:
        return Reached(by="gcov", things={}, problem=str(error))


def _reached(told: list[tuple[str, _File]]) -> Reached:
    lines: dict[str, dict[int, bool]] = defaultdict(dict)
    branches: dict[str, dict[tuple[int, int], bool]] = defaultdict(dict)
    functions: dict[tuple[str, str], bool] = {}
    for path, file in told:
        for function in file.functions:
            functions[path, function.name] = functions.get((path, function.name), False) or function.execution_count > 0
        for line in file.lines:
            number = line.line_number
            lines[path][number] = lines[path].get(number, False) or line.count > 0
            for place, branch in enumerate(line.branches):
                key = number, place
                branches[path][key] = branches[path].get(key, False) or branch.count > 0
    never = [
        Missed(shown_path(path), tuple(sorted(n for n, met in found.items() if not met)))
        for path, found in lines.items()
    ]
    every_line = [met for found in lines.values() for met in found.values()]
    every_branch = [met for found in branches.values() for met in found.values()]
    named = (("branch", every_branch), ("line", every_line), ("function", list(functions.values())))
    return Reached(
        by="gcov",
        things={noun: Share(sum(met), len(met)) for noun, met in named},
        never=tuple(sorted((each for each in never if each.lines), key=lambda each: each.file)),
    )


def _told(box: GreyBox) -> Iterator[tuple[str, _File]]:
    """Each source file of the relay's own that the data is about, with its path."""
    data = data_files(box)
    for each in data:
        notes, beside = Path("/", each.relative_to(box.gcov_folder)).with_suffix(".gcno"), each.with_suffix(".gcno")
        if notes.exists() and not beside.exists():
            beside.symlink_to(notes)
    if not data:
        raise UsageError(
            "the relay wrote no .gcda file at its end; build it with --coverage, and let it exit at SIGTERM, or link "
            "torq_coverage.c (torq-conformance coverage-runtime), which writes them there"
        )
    command = [*gcov_command(), "--json-format", "--stdout", "--branch-probabilities", *map(str, data)]
    run = subprocess.run(  # noqa: S603 - the user names the command
        command, cwd=box.gcov_folder, capture_output=True, check=False
    )
    of = [each.resolve() for each in box.of]
    for document in run.stdout.splitlines():
        try:
            told = msgspec.json.decode(document, type=_Document)
        except msgspec.DecodeError as error:
            problem = run.stderr.decode(errors="replace").strip() or str(error)
            raise UsageError(
                f"gcov cannot read what the relay has written: {problem}; is it of the same compiler?"
            ) from error
        for file in told.files:
            path = Path(told.current_working_directory, file.file).resolve()
            wanted = any(path.is_relative_to(each) for each in of) if of else not path.is_relative_to(SYSTEM)
            if wanted:
                yield str(path), file
