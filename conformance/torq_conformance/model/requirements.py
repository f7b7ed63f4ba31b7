"""The requirements of a relay as data, read from ``requirements.toml``: ids, levels, texts, notes, terms, settings."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib import resources
from typing import Literal

import msgspec

from ..errors import UsageError

DOMAIN_NAMES = ("market_data", "signal", "execution")
Level = Literal["MUST", "SHOULD", "FIGURE"]
Original = Literal["LM", "LS", "GC"]
ORIGINALS: dict[Original, str] = {
    "LM": "the legacy market data relay",
    "LS": "the legacy signal or execution relay",
    "GC": "the first generic engine",
}


class Requirement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One numbered requirement: what a relay must do, why, which relays it binds, and which originals differ.

    ``notes`` are sentences that answer what an implementer asks: what counts, what is left free, what is judged.
    """

    id: str
    level: Level
    text: str
    why: str = ""
    domains: tuple[str, ...] = DOMAIN_NAMES
    differ: tuple[Original, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def section(self) -> str:
        """The letters before the number, such as ``FRAME``."""
        return self.id.partition("-")[0]

    def binds(self, domain: str) -> bool:
        """Whether the relay of this domain has to hold the requirement."""
        return domain in self.domains


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group of requirements."""

    title: str


class Term(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A word that the requirements use, and what it means."""

    name: str
    means: str


class Setting(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A setting of a relay: its values, unit and default, and the requirements that it is about.

    ``unset`` says what holds where there is no one default. ``profile`` is False for a relay's own settings, which no
    profile of the suite has.
    """

    name: str
    values: str
    meaning: str
    unit: str = ""
    default: bool | int | float | str | None = None
    unset: str = ""
    serves: tuple[str, ...] = ()
    profile: bool = True


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    arrival: tuple[str, ...]
    term: tuple[Term, ...]
    setting: tuple[Setting, ...]
    sections: dict[str, Section]
    requirement: tuple[Requirement, ...]


@cache
def _load() -> _File:
    text = resources.files(__package__).joinpath("requirements.toml").read_text("utf-8")
    return msgspec.convert(tomllib.loads(text), _File)


def requirements() -> dict[str, Requirement]:
    """Every requirement by id, in the order of the specification."""
    return {requirement.id: requirement for requirement in _load().requirement}


def sections() -> dict[str, Section]:
    """Every section by its letters, in the order of the specification."""
    return _load().sections


def settings() -> tuple[Setting, ...]:
    """Every setting that the requirements speak of: those of profiles first, then a relay's own."""
    return _load().setting


def select(include: Iterable[str], exclude: Iterable[str]) -> list[Requirement]:
    """The requirements that sections and ids name; all of them when ``include`` is empty.

    Raises UsageError for a name that matches nothing, with the nearest names that do.
    """
    known = requirements()
    wanted = _expand(include) or set(known)
    return [known[name] for name in known if name in wanted - _expand(exclude)]


def _expand(names: Iterable[str]) -> set[str]:
    known = requirements()
    found: set[str] = set()
    for name in names:
        upper = name.strip().upper()
        matching = {key for key in known if upper in (key, known[key].section)}
        if not matching:
            near = difflib.get_close_matches(upper, [*known, *sections()], n=3, cutoff=0.4)
            hint = f"; did you mean {', '.join(near)}?" if near else ""
            raise UsageError(f"no section or requirement is called {name!r}{hint} (see torq-conformance --list)")
        found |= matching
    return found
