"""The table of mutants: the name of each, the requirements that catch it, and the part of the relay that it replaces.

A fault of one expression is a row with `replacing`; a fault with state or statements is a class."""

import sys
from collections.abc import Callable
from typing import Concatenate, NamedTuple, ParamSpec, TypeVar

from torq_conformance.specimens.correct.audit import Audit
from torq_conformance.specimens.correct.counters import Counters
from torq_conformance.specimens.correct.doorway import Doorway
from torq_conformance.specimens.correct.framing import Framer
from torq_conformance.specimens.correct.judging import Judge
from torq_conformance.specimens.correct.outbox import Outbox
from torq_conformance.specimens.correct.relay import Relay

Part = type[Doorway] | type[Framer] | type[Judge] | type[Outbox] | type[Counters] | type[Audit] | type[Relay]
PartT = TypeVar("PartT", bound=Part)
OwnerT = TypeVar("OwnerT", bound=Doorway | Framer | Judge | Outbox | Counters | Audit | Relay)
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Method = Callable[Concatenate[OwnerT, Arguments], Result]


class Mutant(NamedTuple):
    """One row of the table.

    `catches`: the requirements that it breaks, the nearest first. `domains`: the domains where it shows. `arguments`:
    options that the relay needs for the fault to show. `part`: the class that replaces the correct part.
    `needs_root`: the fault shows only to a user that may give a directory to another user.
    """

    name: str
    catches: tuple[str, ...]
    domains: tuple[str, ...]
    arguments: tuple[str, ...]
    text: str
    part: Part
    needs_root: bool = False


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


def replacing(right: Method[OwnerT, Arguments, Result], wrong: Method[OwnerT, Arguments, Result]) -> type[OwnerT]:
    """The part that defines the method `right`, with `wrong` in its place: a fault that is one expression."""
    owner: type[OwnerT] = getattr(sys.modules[right.__module__], right.__qualname__.partition(".")[0])
    return type(owner.__name__, (owner,), {right.__name__: wrong, "__module__": wrong.__module__})


def relay_with(part: Part) -> type[Relay]:
    """The correct relay with one part replaced."""
    if issubclass(part, Relay):
        return part
    slot = next(base for base in (Doorway, Framer, Judge, Outbox, Counters, Audit) if issubclass(part, base))
    return type(part.__name__, (Relay,), {f"{slot.__name__.lower()}_part": part})
