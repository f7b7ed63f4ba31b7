"""The table of mutants: the name of each, the requirements that catch it, and the part of the relay that it replaces.

A fault of one expression is a row with `replacing`; a fault with state or statements is a class. A fault with a number
in it, such as the size from which on it shows, is a class that `mutants` enters once for each variant: values for
attributes of the class.
"""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations
from types import MappingProxyType
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

from torq_conformance.specimens.correct.audit import Audit
from torq_conformance.specimens.correct.counters import Counters
from torq_conformance.specimens.correct.doorway import Doorway
from torq_conformance.specimens.correct.framing import Framer
from torq_conformance.specimens.correct.judging import Judge
from torq_conformance.specimens.correct.outbox import Outbox
from torq_conformance.specimens.correct.relay import Relay
from torq_conformance.specimens.correct.takeover import Takeover

Part = (
    type[Doorway]
    | type[Framer]
    | type[Judge]
    | type[Outbox]
    | type[Counters]
    | type[Audit]
    | type[Takeover]
    | type[Relay]
)
PartT = TypeVar("PartT", bound=Part)
OwnerT = TypeVar("OwnerT", bound=Doorway | Framer | Judge | Outbox | Counters | Audit | Takeover | Relay)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Value = int | float | str
Values = Mapping[str, Value]
Method = Callable[Concatenate[OwnerT, Arguments], Result]


class Mutant(NamedTuple):
    """One row of the table.

    `catches`: the requirements that it breaks, the nearest first. `domains`: the domains where it shows. `arguments`:
    options that the relay needs for the fault to show. `part`: the class that replaces the correct part.
    `needs_root`: the fault shows only to a user that may give a directory to another user. `family`: the fault that the
    row is a variant of, "" where it has none; `values`: those in which the fault may vary, as they are here.
    """

    name: str
    catches: tuple[str, ...]
    domains: tuple[str, ...]
    arguments: tuple[str, ...]
    text: str
    part: Part
    needs_root: bool = False
    family: str = ""
    values: Values = MappingProxyType({})


ALL_DOMAINS = ("market_data", "signal", "execution")
TABLE: dict[str, Mutant] = {}


def mutant(
    name: str,
    catches: str,
    text: str,
    domains: str = " ".join(ALL_DOMAINS),
    arguments: str = "",
    *,
    needs_root: bool = False,
) -> Callable[[PartT], PartT]:
    """Enter the decorated part in the table; the lists are words separated by blanks."""

    def enter(part: PartT) -> PartT:
        assert name not in TABLE
        broken, where, needed = (tuple(words.split()) for words in (catches, domains, arguments))
        TABLE[name] = Mutant(name, broken, where, needed, text, part, needs_root)
        return part

    return enter


def mutants(
    name: str,
    catches: str,
    text: str,
    domains: str = " ".join(ALL_DOMAINS),
    arguments: str = "",
    *,
    variants: Sequence[Values],
) -> Callable[[PartT], PartT]:
    """Enter the decorated part as it stands and with the values of each variant; `text` may show `{values}`.

    A variant is called NAME:ATTRIBUTE=VALUE:... . `find` takes such a name with other values, too.
    """

    def enter(part: PartT) -> PartT:
        names = dict.fromkeys(attribute for variant in variants for attribute in variant)
        values = {attribute: getattr(part, attribute) for attribute in names}
        mutant(name, catches, text, domains, arguments)(part)
        base = TABLE[name]._replace(family=name, values=values)
        for variant in ({}, *variants):
            row = varied(base, variant)
            assert not variant or row.name not in TABLE
            TABLE[row.name] = row
        return part

    return enter


def varied(base: Mutant, variant: Values) -> Mutant:
    """A fault with other values."""
    name = ":".join((base.family, *(f"{attribute}={value}" for attribute, value in variant.items())))
    part = type(base.part.__name__, (base.part,), {**variant, "__module__": base.part.__module__})
    values = {**base.values, **variant}
    return base._replace(name=name, text=base.text.format_map(values), part=part, values=values)


def parsed(base: Mutant, words: Sequence[str]) -> dict[str, Value]:
    """The values in ATTRIBUTE=VALUE, each of the type that it has in the fault. Raises ValueError for what is none."""
    values: dict[str, Value] = {}
    for attribute, _, value in (word.partition("=") for word in words):
        if attribute not in base.values:
            raise ValueError(f"{base.name} does not vary in {attribute!r} but in {', '.join(base.values) or 'nothing'}")
        values[attribute] = type(base.values[attribute])(value)
    return values


def replacing(right: Method[OwnerT, Arguments, Result], wrong: Method[OwnerT, Arguments, Result]) -> type[OwnerT]:
    """The part that defines the method `right`, with `wrong` in its place: a fault that is one expression."""
    owner: type[OwnerT] = getattr(sys.modules[right.__module__], right.__qualname__.partition(".")[0])
    return type(owner.__name__, (owner,), {right.__name__: wrong, "__module__": wrong.__module__})


def relay_with(*parts: Part) -> type[Relay]:
    """The correct relay with parts replaced: one fault for each. Raises ValueError where one would hide another."""
    parts = tuple(dict.fromkeys(parts))
    relay: type[Relay] = _joined([part for part in parts if issubclass(part, Relay)], Relay)
    slots: dict[str, Part] = {}
    for right in (Doorway, Framer, Judge, Outbox, Counters, Audit, Takeover):
        slot = f"{right.__name__.lower()}_part"
        wrong = [part for part in parts if issubclass(part, right)]
        if wrong:
            slots[slot] = _joined(wrong, getattr(relay, slot))
    return type(relay.__name__, (relay,), slots) if slots else relay


def _joined(wrong: Sequence[type[OwnerT]], right: type[OwnerT]) -> type[OwnerT]:
    """A part with every fault of these; ``right`` is the part without them."""
    lines = [[each for each in part.__mro__ if not issubclass(right, each)] for part in wrong]
    for first, second in combinations(lines, 2):
        _require_both_show(set(first) - set(second), set(second) - set(first))
    bases = [part for part in wrong if not any(part is not each and issubclass(each, part) for each in wrong)]
    if not issubclass(bases[0] if bases else right, right):
        bases.append(right)
    return type(bases[0].__name__, tuple(bases), {}) if len(bases) > 1 else bases[0] if bases else right


def _require_both_show(first: Iterable[type], second: Iterable[type]) -> None:
    """Raises ValueError where a fault replaces a method or a value that another one has, and does not ask for it."""
    for part in first:
        for name, ours in vars(part).items():
            goes_on = "__class__" in getattr(getattr(ours, "__code__", None), "co_freevars", ())  # it calls super()
            if not name.startswith("__") and not goes_on and any(name in vars(other) for other in second):
                raise ValueError(f"both change {name!r}: the first would hide the second")
