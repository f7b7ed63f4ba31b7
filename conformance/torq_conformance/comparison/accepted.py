"""Differences between two relays that a team has accepted, each with its reason, in a TOML file.

::

    [[difference]]
    id = "forwards:wrong-checksum"
    reason = "clients of ours leave the field 0"
    when = { checksum = "zero" }    # optional: accepted under these circumstances alone
    rate = "1 in 100"               # optional: accepted in at most so many runs of its program
    expires = 2027-03-01            # optional: from the day after it fails the gate
    level = "exact"                 # optional: expected at this level only

Facts:
- an id alone accepts what has this id: a difference whose smallest program has another cause has another one;
- ``when`` (:mod:`.circumstances`) accepts only what shows under it: what shows outside is a difference of its own,
  though its id be the same. ``program = "FILE"`` in its place accepts what shows under all that the program of that
  file has, and that program is played first.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

import msgspec

from ..errors import UsageError
from ..files import read_toml
from ..model.program import Program
from ..replay.record import check_playable
from .causes import CAUSES, FAULTY
from .circumstances import When, when_of
from .equivalence import EFFECTS
from .figures import COSTS, part_of
from .fixed import check_of, known_causes
from .topics import Level


class AcceptedDifference(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One accepted difference: its id as ``diff`` prints it, why it is accepted, and for what.

    ``program`` is that of ``file``. ``expires`` is the last day on which it is accepted.
    """

    id: str
    reason: str
    level: str = ""
    when: When = When()
    rate: str = ""
    expires: date | None = None
    program: Program | None = None
    file: str = ""

    @property
    def key(self) -> str:
        """What tells it from others of its id: the id, and for what the difference is accepted."""
        under = f"program {self.file}" if self.program else str(self.when)
        return f"{self.id} ({under})" if under else self.id

    @property
    def effect(self) -> str:
        """What B does."""
        return self.id.partition(":")[0]

    @property
    def cause(self) -> str:
        """What brings it about."""
        return self.id.partition(":")[2]

    def has_expired(self, today: date) -> bool:
        """Whether its last day is over."""
        return self.expires is not None and self.expires < today

    @property
    def most(self) -> float:
        """The greatest share of the runs of its program in which it may show."""
        least, _, runs = self.rate.partition(" in ")
        return int(least) / int(runs) if self.rate else 1.0


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    difference: tuple[dict[str, object], ...] = ()


class _Shown(msgspec.Struct, frozen=True):
    """A file with a program in it, of whatever kind."""

    program: Program


class _Recorded(msgspec.Struct, frozen=True):
    """A file of a difference, as ``diff`` keeps it."""

    played: _Shown


@dataclass(frozen=True, slots=True)
class Sorted:
    """Differences held against the accepted ones: keys that are accepted, and what never showed."""

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
    read: dict[str, AcceptedDifference] = {}
    for number, given in enumerate(read_toml(path, _File, "accepted differences").difference, start=1):
        try:
            entry = _entry_of(given, Path(name).parent)
            if entry.key in read:
                raise ValueError("it is listed twice; leave one of them out")
        except ValueError as error:
            which = f"difference {number} ({given['id']})" if "id" in given else f"difference {number}"
            raise UsageError(f"{name}: {which}: {error}") from error
        read[entry.key] = entry
    return tuple(read.values())


FIELDS = tuple(name for name in AcceptedDifference.__struct_fields__ if name != "file")


def _entry_of(given: Mapping[str, object], folder: Path) -> AcceptedDifference:
    """An entry as the file gives it. Raises ValueError with what is wrong in it, and what to write."""
    for name in given:
        if name not in FIELDS:
            raise ValueError(f"no entry has a field {name!r}; use {', '.join(FIELDS)}")
    identifier, level = _text(given, "id"), _text(given, "level")
    if not _is_difference(identifier):
        raise ValueError(f"{identifier!r} is no difference; use an id as the diff command prints it")
    if not _text(given, "reason").strip():
        raise ValueError('it has no reason; say why the difference is accepted: reason = "..."')
    if level not in ("", *(each.value for each in Level)):
        raise ValueError(f"it names level {level!r}; use exact or well-formed")
    when = given.get("when", {})
    if not isinstance(when, dict) or ("when" in given and not when):
        raise ValueError('`when` is no table of circumstances; write one such as when = { checksum = "zero" }')
    if ("when" in given or "program" in given) and (check_of(identifier) or part_of(identifier)):
        raise ValueError("what no program shows has no circumstances; leave `when` and `program` out")
    if "rate" in given and part_of(identifier):
        raise ValueError("what a figure costs has no rate, for it is measured once; leave `rate` out")
    if "when" in given and "program" in given:
        raise ValueError("it has both `when` and `program`; leave one of them out")
    return AcceptedDifference(
        id=identifier,
        reason=_text(given, "reason"),
        level=level,
        when=when_of(when),
        rate=_rate(given),
        expires=_expires(given),
        program=_program(folder / _text(given, "program")) if "program" in given else None,
        file=_text(given, "program"),
    )


def _is_difference(identifier: str) -> bool:
    """Whether a comparison may show a difference of this id."""
    effect, _, cause = identifier.partition(":")
    if effect == COSTS:
        return bool(part_of(identifier))
    return effect in EFFECTS and cause in (known_causes() if check_of(identifier) else {*CAUSES, *FAULTY})


def _text(given: Mapping[str, object], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r}; write it as text in quotes")
    return value


def _rate(given: Mapping[str, object]) -> str:
    rate = given.get("rate", "")
    found = re.fullmatch(r"(\d+) in (\d+)", rate) if isinstance(rate, str) else None
    if "rate" in given and not (found and 0 < int(found[1]) <= int(found[2])):
        raise ValueError(f'rate is {rate!r}; write in how many runs it may show, such as rate = "1 in 100"')
    return str(rate)


def _expires(given: Mapping[str, object]) -> date | None:
    expires = given.get("expires")
    if expires is not None and (not isinstance(expires, date) or isinstance(expires, datetime)):
        raise ValueError(f"expires is {expires!r}; write a date without quotes, such as expires = 2027-03-01")
    return expires


def _program(path: Path) -> Program:
    """The program in a file that a command wrote. Raises ValueError for what holds none that can be played."""
    program = _read(path)
    if program.in_words:
        raise ValueError(f"{path} is the account of a fixed check, which no program shows; leave `program` out")
    check_playable(program, 0, 0, path)
    return program


def _read(path: Path) -> Program:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(f"its program cannot be read: {error}; name a file beside this one") from error
    with contextlib.suppress(msgspec.MsgspecError):
        return msgspec.json.decode(data, type=Program)
    with contextlib.suppress(msgspec.MsgspecError):
        return msgspec.json.decode(data, type=_Shown).program
    with contextlib.suppress(msgspec.MsgspecError):
        return msgspec.json.decode(data, type=_Recorded).played.program
    raise ValueError(f"{path} holds no program; name a file that diff or run wrote")


def sort_out(
    found: Iterable[str],
    entries: Iterable[AcceptedDifference],
    level: Level,
    compared: Callable[[AcceptedDifference], bool] = lambda _: True,
) -> Sorted:
    """Which differences, by their ids or by the keys that they fell under, are accepted, and which never appeared.

    Only entries of this level count. One that was not ``compared`` is not stale.
    """
    names = list(dict.fromkeys(found))
    listed = {entry.key: entry for entry in entries if entry.level in ("", level.value)}
    return Sorted(
        accepted={name: listed[name] for name in names if name in listed},
        stale=[entry for key, entry in listed.items() if key not in names and compared(entry)],
    )
