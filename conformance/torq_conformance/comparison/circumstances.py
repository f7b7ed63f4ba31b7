"""The circumstances under which a difference shows: conditions over a program, which all must hold.

::

    when = { checksum = "zero", size = "2049..2303", with = ["half-closed"] }

Facts:
- conditions on a frame are about the frame at which the difference shows. One that shows at no frame, such as a
  connection that is closed, has them where some frame of its program fulfils them all;
- a number may be given as it is, as a span of numbers with either end left open, or as a list of both; numbers above
  2^63 - 1 are written as text, for not every reader of TOML takes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import get_args

import msgspec

from torq_protocol.constants import HEADER_SIZE

from ..model.frames import Checksum, Frame
from ..model.program import Program
from ..model.rules import Rules
from ..model.steps import Connect, Write
from .causes import CAUSES, LEAST_SIZE, causes_in
from .equivalence import Difference

Fact = int | str
"""What is found in a program, or asked of it: a number, a span of numbers as text, or a word."""

OF_A_FRAME: dict[str, Callable[[Frame], Fact | None]] = {
    "checksum": lambda frame: frame.checksum,
    "bit": lambda frame: frame.bit if frame.checksum == "one-bit" else None,
    "domain": lambda frame: frame.domain,
    "version": lambda frame: frame.version,
    "source": lambda frame: frame.source,
    "flags": lambda frame: frame.flags,
    "sequence": lambda frame: frame.sequence,
    "timestamp": lambda frame: frame.timestamp,
    "announces": lambda frame: frame.claim,
    "size": lambda frame: frame.size,
}
"""What a condition on a frame is about: a field as the program gives it; None where it gives none."""
OF_A_PROGRAM: dict[str, Callable[[Program], Fact]] = {
    "clients": lambda program: sum(isinstance(step, Connect) for step in program.steps),
    "frames": lambda program: sum(len(step.content) for step in program.steps),
    "write": lambda program: max(
        (stop - start for step in program.steps if isinstance(step, Write) for start, stop in step.pieces()), default=0
    ),
}
"""What a condition on a program is about: its clients, its frames, the bytes of its largest write."""
WORDS: dict[str, tuple[str, ...]] = {"checksum": get_args(Checksum), "with": tuple(CAUSES)}
"""The circumstances that are words: how a checksum is, and the causes that a program must have, each of them."""
NAMES = (*OF_A_FRAME, *OF_A_PROGRAM, "with")
LARGEST_IN_TOML = 2**63 - 1
OF_ONE_CLIENT = ("closes", "keeps")
"""Effects on a connection, which its own bytes alone bring about."""


class When(msgspec.Struct, frozen=True):
    """Conditions which must all hold: of each circumstance what it may be; ``with`` lists what must be there."""

    conditions: tuple[tuple[str, tuple[Fact, ...]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.conditions)

    def __str__(self) -> str:
        return "; ".join(f"{name}: {', '.join(map(str, facts))}" for name, facts in self.conditions)

    def values(self, name: str) -> tuple[Fact, ...]:
        """What a circumstance may be; () for one that does not matter."""
        return dict(self.conditions).get(name, ())

    def holds(self, at: Circumstances, difference: Difference) -> bool:
        """Whether a difference shows under these conditions."""
        given = dict(self.conditions)
        of_frame = {name: facts for name, facts in given.items() if name in OF_A_FRAME}
        return (
            set(given.get("with", ())) <= set(at.causes(difference))
            and all(_is_among(OF_A_PROGRAM[name](at.program), given[name]) for name in OF_A_PROGRAM if name in given)
            and (not of_frame or any(_fits(frame, of_frame) for frame in at.frames(difference)))
        )

    def as_toml(self) -> dict[str, Fact | list[Fact]]:
        """The conditions as the file of accepted differences has them."""
        written = {name: [_in_toml(fact) for fact in facts] for name, facts in self.conditions}
        return {name: facts if name == "with" or len(facts) > 1 else facts[0] for name, facts in written.items()}


ALWAYS = When()
"""No condition."""


class Circumstances:
    """What there is in one program that may bring a difference about, each thing found out once."""

    def __init__(self, program: Program, strictest: Rules) -> None:
        self.program = program
        self._strictest = strictest
        self._numbered: dict[int, Frame] | None = None
        self._causes: dict[int | None, tuple[str, ...]] = {}

    def causes(self, difference: Difference) -> tuple[str, ...]:
        """What may have brought one difference about: a connection is closed or kept for its own bytes alone."""
        conn = difference.conn if difference.signature.effect in OF_ONE_CLIENT else None
        if conn not in self._causes:
            own = tuple(step for step in self.program.steps if conn is None or step.connection == conn)
            self._causes[conn] = tuple(causes_in(Program(self.program.domain, own), self._strictest))
        return self._causes[conn]

    def frames(self, difference: Difference) -> Iterable[Frame]:
        """The frame at which a difference shows; every frame that may have brought about one that shows at none."""
        if difference.signature.effect in OF_ONE_CLIENT:
            return dict.fromkeys(frame for _, _, conn, frame in self.program.frames() if conn == difference.conn)
        if self._numbered is None:
            self._numbered = {number: frame for number, _, _, frame in self.program.frames()}
        if difference.number is not None:
            return (self._numbered[difference.number],)
        return dict.fromkeys(self._numbered.values())

    def unusual(self, difference: Difference) -> tuple[Frame, list[str]] | None:
        """The frame that is unusual where a difference shows, and in which fields; None unless there is just one."""
        return self._unusual(self.frames(difference))

    @property
    def all_of_it(self) -> When:
        """The circumstances of the program itself: each of its causes, and the fields of its one unusual frame."""
        frame, fields = self._unusual(frame for _, _, _, frame in self.program.frames()) or (None, [])
        values = ((name, OF_A_FRAME[name](frame)) for name in fields if frame is not None)
        conditions = tuple((name, (value,)) for name, value in values if value is not None)
        return When((("with", tuple(causes_in(self.program, self._strictest))), *conditions))

    def _unusual(self, frames: Iterable[Frame]) -> tuple[Frame, list[str]] | None:
        usual = Frame(self._strictest.number)
        found = {frame: _unlike(frame, usual) for frame in frames}
        unusual = [(frame, fields) for frame, fields in found.items() if fields]
        return unusual[0] if len(unusual) == 1 else None


def when_of(given: Mapping[str, object]) -> When:
    """Conditions as a file gives them. Raises ValueError with what is wrong, and what to write."""
    conditions: list[tuple[str, tuple[Fact, ...]]] = []
    for name, value in given.items():
        if name not in NAMES:
            raise ValueError(f"`when` knows no {name!r}; use {', '.join(NAMES)}")
        facts = tuple(value) if isinstance(value, list) else (value,)
        if not facts:
            raise ValueError(f"`when` gives {name} no value; leave it out, or give one")
        conditions.append((name, tuple(_checked(name, fact) for fact in facts)))
    return When(tuple(conditions))


def _checked(name: str, fact: object) -> Fact:
    """A fact that a circumstance may have. Raises ValueError."""
    if name in WORDS:
        if fact not in WORDS[name]:
            raise ValueError(f"`when` gives {name} the value {fact!r}; use one of {', '.join(WORDS[name])}")
        return str(fact)
    if isinstance(fact, bool) or not isinstance(fact, int | str) or _span(fact) is None:
        raise ValueError(f'`when` gives {name} the value {fact!r}; use a number, or a span such as "64..128" or "64.."')
    return fact


def _span(fact: Fact) -> tuple[int, int | float] | None:
    """The least and the greatest number of a span, or of a single number; None for what is neither."""
    low, dots, high = str(fact).partition("..")
    if not all(each.strip().isdecimal() or (dots and not each.strip()) for each in (low, *([high] if dots else []))):
        return None
    if not dots:
        return int(low), int(low)
    if not (low.strip() or high.strip()):
        return None
    return int(low or 0), int(high) if high.strip() else float("inf")


def _is_among(value: Fact | None, facts: Iterable[Fact]) -> bool:
    if value is None:
        return False
    spans = (_span(fact) for fact in facts)
    if isinstance(value, str):
        return value in facts
    return any(span is not None and span[0] <= value <= span[1] for span in spans)


def _fits(frame: Frame, conditions: Mapping[str, tuple[Fact, ...]]) -> bool:
    return all(_is_among(OF_A_FRAME[name](frame), facts) for name, facts in conditions.items())


def _in_toml(fact: Fact) -> Fact:
    return str(fact) if isinstance(fact, int) and fact > LARGEST_IN_TOML else fact


def _unlike(frame: Frame, usual: Frame) -> list[str]:
    """The fields in which a frame is unlike a usual one. Its size is like that of any small one with a payload."""
    return [
        name
        for name, fact_of in OF_A_FRAME.items()
        if (
            not HEADER_SIZE < frame.size <= LEAST_SIZE
            if name == "size"
            else fact_of(frame) not in (None, fact_of(usual))
        )
    ]
