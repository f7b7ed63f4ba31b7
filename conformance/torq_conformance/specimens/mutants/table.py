"""The table of mutants: what each is called, what should catch it, and which part of the relay it replaces."""

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from torq_conformance.specimens.correct.doorway import Doorway
from torq_conformance.specimens.correct.framing import Framer
from torq_conformance.specimens.correct.judging import Judge
from torq_conformance.specimens.correct.outbox import Outbox
from torq_conformance.specimens.correct.relay import Relay

Part = type[Doorway] | type[Framer] | type[Judge] | type[Outbox] | type[Relay]
PartT = TypeVar("PartT", bound=Part)


class Mutant(NamedTuple):
    """One row of the table.

    `catches`: the requirements that it breaks, the nearest first. `domains`: where it shows. `arguments`: what the
    relay must be started with, besides, for it to show. `part`: the class that stands in for the correct one.
    `needs_root`: it shows only to who may give a directory to another user.
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


def relay_with(part: Part) -> type[Relay]:
    """The correct relay with one part replaced."""
    if issubclass(part, Relay):
        return part
    slot = next(base for base in (Doorway, Framer, Judge, Outbox) if issubclass(part, base))
    return type(part.__name__, (Relay,), {f"{slot.__name__.lower()}_part": part})
