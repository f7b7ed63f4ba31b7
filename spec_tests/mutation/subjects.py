"""What is mutated: the modules of two correct relays, and how each relay is started."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

from .operators import Mutant, mutants_of

UNCHANGED = "unchanged"
"""The name that mutates nothing."""
ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True, slots=True)
class Subject:
    """A module whose source is mutated, and the relay it is part of: ``specimen`` or ``engine``."""

    label: str
    module: str
    file: str
    relay: str

    @property
    def path(self) -> Path:
        """Where its source stands."""
        return ROOT / self.file


def _specimen(name: str) -> Subject:
    package = "torq_conformance.specimens.correct"
    return Subject(
        f"specimen.{name}", f"{package}.{name}", f"conformance/{package.replace('.', '/')}/{name}.py", "specimen"
    )


SUBJECTS = (
    *map(_specimen, ("doorway", "framing", "judging", "outbox", "relay")),
    Subject("engine.hub", "torq_engine.hub", "engine/torq_engine/hub.py", "engine"),
    Subject("engine.backlog", "torq_engine.backlog", "engine/torq_engine/backlog.py", "engine"),
    Subject("engine.server", "torq_engine.server", "engine/torq_engine/server.py", "engine"),
    Subject("protocol.framing", "torq_protocol.framing", "protocol/torq_protocol/framing.py", "engine"),
)


def subject_of(name: str) -> Subject:
    """The subject of a mutant's name. Raises SystemExit if there is none."""
    label = name.partition(":")[0]
    for subject in SUBJECTS:
        if subject.label == label:
            return subject
    raise SystemExit(f"no subject is called {label!r}: {', '.join(each.label for each in SUBJECTS)}")


@functools.cache
def mutants_in(subject: Subject) -> dict[str, Mutant]:
    """Every mutant of a subject by its name."""
    return {each.name: each for each in mutants_of(subject.path, subject.label)}


def find(name: str) -> Mutant:
    """The mutant of a name. Raises SystemExit if there is none: a line may have moved."""
    mutant = mutants_in(subject_of(name)).get(name)
    if mutant is None:
        raise SystemExit(f"no mutant is called {name!r}: python -m spec_tests.mutation --list names them all")
    return mutant
