"""The dimensions of a situation: what a relay can meet, written down once, in ``dimensions.toml``.

Facts:
- the first value of each dimension is its plain one;
- each dimension has a value that goes with every value of the others: so values which go with one another in pairs are
  part of some situation, and the number of possible combinations is known exactly;
- which values do not go together is said in :mod:`.possible`, with reasons.
"""

from __future__ import annotations

from functools import cache
from importlib import resources

import msgspec


class Value(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One value of a dimension, and why it is one.

    ``number`` is what its name says, ``about`` are the requirements that it is about; a ``dear`` one shares its program
    with others, a ``deep`` one takes too long for every run.
    """

    name: str
    why: str
    about: tuple[str, ...] = ()
    number: int = 0
    dear: bool = False
    deep: bool = False


class Dimension(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing in which situations differ; its first value is the plain one.

    Of an ``ordered`` one each value is plainer than those behind it.
    """

    name: str
    about: str
    values: tuple[Value, ...]
    ordered: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    dimension: tuple[Dimension, ...]


@cache
def dimensions() -> tuple[Dimension, ...]:
    """All dimensions, in the order of the file."""
    text = resources.files(__package__).joinpath("dimensions.toml").read_bytes()
    return msgspec.toml.decode(text, type=_File).dimension


@cache
def plain(name: str) -> Value:
    """The plain value of a dimension. Raises KeyError for a name that none has."""
    return dimensions()[_indexes()[name]].values[0]


class Situation(msgspec.Struct, frozen=True):
    """One value of each dimension, by its place among the values."""

    places: tuple[int, ...]

    def __getitem__(self, name: str) -> Value:
        """The value of a dimension. Raises KeyError for a name that none has."""
        index = _indexes()[name]
        return dimensions()[index].values[self.places[index]]

    def is_plain(self, name: str) -> bool:
        """Whether the value of a dimension is the plain one."""
        return self.places[_indexes()[name]] == 0

    @property
    def about(self) -> list[str]:
        """The requirements that its values are about, those of what is special and wrong with the frame first."""
        ordered = sorted(dimensions(), key=lambda each: (self.is_plain(each.name), each.name != "defect"))
        return list(dict.fromkeys(name for each in ordered for name in self[each.name].about))

    @property
    def words(self) -> str:
        """The values that are not plain, such as ``cut: whole; senders: 9``."""
        return "; ".join(
            f"{each.name}: {self[each.name].name}" for each in dimensions() if not self.is_plain(each.name)
        )


@cache
def _indexes() -> dict[str, int]:
    return {dimension.name: index for index, dimension in enumerate(dimensions())}
