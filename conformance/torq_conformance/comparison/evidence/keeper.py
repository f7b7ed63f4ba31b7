"""Keeps each difference of a comparison as a file that can be replayed, as soon as it is found."""

from __future__ import annotations

import contextlib
from pathlib import Path

from ... import files
from ...errors import UsageError
from ...model.profile import Profile, rules_for
from ...model.program import Program
from ...model.rules import Domain
from ...printable import encodable
from ...replay.difference import Checked, DifferenceRecord, Played, difference_file
from ...replay.record import ADVICE, folder_name
from ..course import Course
from ..figures import part_of
from ..outcome import Entry, gravest


class DifferenceKeeper:
    """Writes a file for each difference into the folder of relay B, and takes away what another one has explained.

    ``rules`` are those by which A and B play programs, and those by which every fault of a frame has a name;
    ``profile`` is what fixed checks are played under. They are those of the specification until more is known.
    """

    def __init__(self, folder: Path, a: str, b: str, domain: Domain, seed: int) -> None:
        self._parent, self._folder = folder, folder / folder_name(b)
        self._a, self._b, self._domain, self._seed = a, b, domain, seed
        self._written: dict[Path, DifferenceRecord] = {}
        self._unsaved: dict[Path, str] = {}
        self.profile = Profile(name="reference")
        self.rules = (rules_for(self.profile, domain),) * 3

    def path(self, identifier: str) -> Path:
        """The file of a difference."""
        return self._folder / difference_file(identifier, self._domain)

    def keep(self, course: Course) -> None:
        """Write what is new, or has changed, and remove what is no difference any more."""
        kept = [entry for entry in gravest(course.entries) if not part_of(entry.id)]  # a figure is measured again
        records = {self.path(entry.listed): self.record_of(course, entry) for entry in kept}
        for path, record in records.items():
            if self._written.get(path) == record:
                continue
            self._unsaved.pop(path, None)
            try:
                for folder in (self._parent, self._folder):
                    files.make_folder(folder, ADVICE)
                files.replace(path, files.json_text(record), advice=ADVICE)
                self._written[path] = record
            except UsageError as error:  # a difference is told whether there is room for its file or not
                self._unsaved[path] = str(error)
        for path in self._written.keys() - records.keys():
            del self._written[path]
            with contextlib.suppress(OSError):
                path.unlink()

    @property
    def unsaved(self) -> list[str]:
        """Why files do not stand as they should, one line each."""
        return list(self._unsaved.values())

    def record_of(self, course: Course, entry: Entry) -> DifferenceRecord:
        """What the file of a difference holds."""
        found, by_check = course.shown_by_programs(entry), course.by_checks.get(entry.id)
        played = checked = None
        if by_check is not None:
            breaks = by_check.of_b > by_check.of_a
            checked = Checked(by_check.requirement, by_check.kind, breaks, self.profile)
        elif found is not None:
            played = Played(found.signature.effect, found.program, *self.rules, found.signature.frames)
        else:  # relay B has not started
            played = Played(entry.id.partition(":")[0], Program(self._domain, ()), *self.rules)
        return DifferenceRecord(
            id=entry.id,
            text=entry.text,
            in_a=entry.in_a,
            in_b=entry.in_b,
            a=encodable(self._a),
            b=encodable(self._b),
            domain=self._domain,
            seed=self._seed,
            differs_in_b=entry.differs_in_b,
            differs_in_copy_of_a=entry.differs_in_copy_of_a,
            runs=entry.runs,
            played=played,
            checked=checked,
        )
