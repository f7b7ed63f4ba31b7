"""Differences between two relays that a team has accepted, each with its reason, in a TOML file.

::

    [[difference]]
    id = "forwards:foreign-domain"
    reason = "the legacy relay filters nothing; clients filter for themselves"
    level = "exact"          # optional: expected at this level only
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec

from ..errors import UsageError
from ..files import read_toml
from .equivalence import CAUSES, EFFECTS, FAULTY
from .figures import Figure
from .fixed import known_causes
from .topics import Level


class AcceptedDifference(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One accepted difference: its id as ``diff`` prints it, and why it is accepted."""

    id: str
    reason: str
    level: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    difference: tuple[AcceptedDifference, ...] = ()


@dataclass(frozen=True, slots=True)
class Sorted:
    """Differences held against the accepted ones: ids that are accepted, and what never showed."""

    accepted: dict[str, AcceptedDifference]
    stale: list[AcceptedDifference]


def built_in_lists() -> list[str]:
    """Names of the lists that come with the suite: what the historical relays are known to differ in."""
    folder = resources.files(__package__).joinpath("accepted_differences")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_accepted(name: str) -> tuple[AcceptedDifference, ...]:
    """Read a list by name, or a file of accepted differences. Raises UsageError with what is wrong in it."""
    path: Traversable = Path(name)
    if name in built_in_lists():
        path = resources.files(__package__).joinpath("accepted_differences", f"{name}.toml")
    entries = read_toml(path, _File, "accepted differences").difference
    causes = {*CAUSES, *FAULTY, *known_causes(), *Figure}
    seen: set[str] = set()
    for entry in entries:
        effect, _, cause = entry.id.partition(":")
        if effect not in EFFECTS or cause not in causes:
            raise UsageError(f"{name}: {entry.id!r} is no difference; use an id as the diff command prints it")
        if entry.id in seen:
            raise UsageError(f"{name}: {entry.id!r} is listed twice")
        if not entry.reason.strip():
            raise UsageError(f"{name}: {entry.id!r} has no reason; say why the difference is accepted")
        if entry.level not in ("", *(level.value for level in Level)):
            raise UsageError(f"{name}: {entry.id!r} names level {entry.level!r}; use exact or well-formed")
        seen.add(entry.id)
    return entries


def sort_out(
    found: Iterable[str],
    entries: Iterable[AcceptedDifference],
    level: Level,
    compared: Callable[[AcceptedDifference], bool] = lambda _: True,
) -> Sorted:
    """Which differences are accepted, and which accepted ones of this level did not appear.

    One that was not ``compared`` is not stale.
    """
    ids = list(dict.fromkeys(found))
    listed = {entry.id: entry for entry in entries if entry.level in ("", level.value)}
    return Sorted(
        accepted={name: listed[name] for name in ids if name in listed},
        stale=[entry for name, entry in listed.items() if name not in ids and compared(entry)],
    )
