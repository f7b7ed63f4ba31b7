"""A disk under the audit log that fails, or is no more, at any one of the log's steps (as ALICE and its kin try it).

Facts:
- it stands in the place of ``os`` in the log's module and does what is asked in a real directory. It counts the steps,
  and does to the one that it is told to what the :class:`Fault` says;
- a process that dies leaves all that it wrote. A machine that dies leaves of each file what was forced to disk, and of
  what was not any beginning, whatever the other files got; a name in a directory that was not forced to disk may be
  missing. One write to the seal is less than a sector, and is made or not;
- an fsync that fails has forced nothing to disk, and the next one does not make up for it.
"""

from __future__ import annotations

import errno
import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class Death(BaseException):
    """The process is no more: nothing of it runs after this."""


class Fault(Enum):
    """What happens at a step."""

    NONE = "nothing"
    ERROR = "it fails"
    ERRORS = "it fails, and all of its kind after it"
    SHORT = "half of a write is made, the rest fails"
    BEFORE = "the process dies before it"
    AFTER = "the process dies after it"
    WITHIN = "the process dies with half of a write made"


@dataclass(slots=True)
class _File:
    """What a file may hold after the machine died: any of ``contents``, the last of which it holds now."""

    contents: list[bytes] = field(default_factory=lambda: [b""])
    lasting_name: bool = False
    synced_in_vain: bool = False


class FailingDisk:
    """``os`` as far as the audit log uses it."""

    def __init__(self, fault: Fault = Fault.NONE, step: int = -1) -> None:
        self.steps: list[str] = []
        self._fault = fault
        self._step = step
        self._failing = ""
        self.died = False
        self._directory = Path()
        self._lasting_directory = False
        self._open: dict[int, str] = {}
        self._files: dict[str, _File] = {}

    def __getattr__(self, name: str) -> object:
        assert name.isupper() or name in ("strerror", "fstat"), f"a call of the log that no fault is tried at: {name}"
        return getattr(os, name)

    def give_back(self) -> None:
        """Close what a dead process left open."""
        for descriptor in list(self._open):
            os.close(descriptor)
        self._open.clear()

    def remains(self) -> Iterator[Mapping[str, bytes]]:
        """All that a machine which dies now may leave in the directory, by file name."""
        choices: list[list[tuple[str, bytes] | None]] = []
        for name, file in self._files.items():
            kept: list[tuple[str, bytes] | None] = [(name, content) for content in dict.fromkeys(file.contents)]
            choices.append(kept if file.lasting_name else [None, *kept])
        if not self._lasting_directory:
            yield {}
        for found in itertools.product(*choices):
            yield dict(each for each in found if each is not None)

    # The calls

    def makedirs(self, path: Path, mode: int, *, exist_ok: bool) -> None:
        with self._at("makedirs"):
            self._directory, self._lasting_directory = path, path.exists()
            os.makedirs(path, mode, exist_ok=exist_ok)

    def open(self, path: str | Path, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        with self._at("open"):
            descriptor = os.open(path, flags, mode, dir_fd=dir_fd)
            name = str(path)
            self._open[descriptor] = name
            if dir_fd is not None and name not in self._files:
                before = (self._directory / name).read_bytes()
                self._files[name] = _File([before], lasting_name=bool(before))
            return descriptor

    def close(self, descriptor: int) -> None:
        self._open.pop(descriptor)
        os.close(descriptor)  # it is closed, whatever the system says
        with self._at("close"):
            pass

    def write(self, descriptor: int, data: bytearray) -> int:
        with self._at("write", halves=True) as halved:
            part = data[: len(data) // 2] if halved else data
            written = os.write(descriptor, part)
            self._append(self._files[self._open[descriptor]], bytes(part))
        return written

    def pwrite(self, descriptor: int, data: bytes, offset: int) -> int:
        with self._at("pwrite"):
            file = self._files[self._open[descriptor]]
            file.contents.append(data + file.contents[-1][len(data) :])
            return os.pwrite(descriptor, data, offset)

    def fsync(self, descriptor: int) -> None:
        name = self._open[descriptor]
        try:
            with self._at("fsync"):
                if name == str(self._directory):
                    for file in self._files.values():
                        file.lasting_name = True
                elif name == str(self._directory.parent):
                    self._lasting_directory = True
                elif not self._files[name].synced_in_vain:
                    del self._files[name].contents[:-1]
        except OSError:
            if name in self._files:
                self._files[name].synced_in_vain = True
            raise

    def truncate(self, path: Path, size: int) -> None:
        with self._at("truncate"):
            file = self._files.setdefault(path.name, _File([path.read_bytes()], lasting_name=True))
            os.truncate(path, size)
            file.contents.append(path.read_bytes())

    def ftruncate(self, descriptor: int, size: int) -> None:
        with self._at("ftruncate"):
            os.ftruncate(descriptor, size)
            self._files[self._open[descriptor]].contents.append(b"")

    @staticmethod
    def _append(file: _File, data: bytes) -> None:
        whole = file.contents[-1]
        file.contents += [whole + data[: len(data) // 2], whole + bytes(len(data)), whole + data]

    def _at(self, kind: str, *, halves: bool = False) -> _Step:
        return _Step(self, kind, halves)


class _Step:
    """One call: what its fault does before and after it; entered, whether it is done by half."""

    def __init__(self, disk: FailingDisk, kind: str, halves: bool) -> None:
        self._disk = disk
        self._kind = kind
        self._fault = Fault.NONE
        if disk.died:
            raise Death
        if len(disk.steps) == disk._step:
            self._fault = disk._fault
        self._halved = halves and self._fault in (Fault.SHORT, Fault.WITHIN)
        disk.steps.append(kind)

    def __enter__(self) -> bool:
        disk = self._disk
        if self._fault is Fault.BEFORE:
            self._die()
        if self._fault in (Fault.ERROR, Fault.ERRORS) or self._kind == disk._failing:
            if self._fault is Fault.ERRORS:
                disk._failing = self._kind
            self._fault = Fault.NONE
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return self._halved

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if self._fault is Fault.SHORT and self._halved:
            self._disk._failing = self._kind
        if self._fault is Fault.AFTER or (self._fault is Fault.WITHIN and self._halved):
            self._die()

    def _die(self) -> None:
        self._disk.died = True
        raise Death


def left_behind(directory: Path, files: Mapping[str, bytes]) -> Path:
    """A directory with these files."""
    directory.mkdir(parents=True)
    for name, content in files.items():
        (directory / name).write_bytes(content)
    return directory


def contents(directory: Path) -> dict[str, bytes]:
    """The files of a directory; none where there is none."""
    with suppress(FileNotFoundError):
        return {path.name: path.read_bytes() for path in sorted(directory.iterdir())}
    return {}
