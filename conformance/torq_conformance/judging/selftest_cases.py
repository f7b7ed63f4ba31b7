"""The cases of the self-test: a relay known to be right under several settings, and the mutants, each with one fault.

Facts:
- the relays are specimens, run as processes by their command; the suite imports nothing of theirs;
- a mutant names the requirements that its fault breaks;
- the profile of a case says what its relay was started with (``--no-echo``, ``--overflow`` ...): only the fault shows.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from itertools import pairwise

import msgspec

from ..errors import ConformanceError, UsageError
from ..model.profile import Profile, load_profile
from ..model.requirements import DOMAIN_NAMES

DEFAULT_EXAMPLES = 100
DEFAULT_BUDGET = 300.0
"""What a run gets that is told nothing: programs for each requirement, and seconds for all of them."""
SHARE_OF_THE_RIGHT = 10
"""How many times fewer programs the right relay gets: every requirement judges it, a mutant only those it names."""
GOOD = "correct"
SMALL_BOUNDS = ("--queue-frames", "10000", "--queue-bytes", "67108864")
"""Bounds of queues that are overflowed often: every mutant has them, and the right relay in all settings but one."""
GOOD_ARGUMENTS: tuple[tuple[str, ...], ...] = (
    (),
    SMALL_BOUNDS,
    ("--zero-checksum", "refuse"),
    ("--no-echo",),
    ("--overflow", "disconnect"),
    ("--overflow", "backpressure"),
    ("--on-framing-error", "resync"),
    ("--max-connections", "8"),
    ("--queue-frames", "50", "--queue-bytes", "100000"),
    ("--queue-frames", "16", "--max-message-size", "4096"),
    ("--queue-frames", "50", "--queue-bytes", "100000", "--overflow", "disconnect"),
)
"""The settings under which the relay known to be right is judged."""


class Mutant(msgspec.Struct, frozen=True):
    """A seeded fault, as the specimens list it; ``family`` is the fault by kind that it varies, if any."""

    name: str
    catches: tuple[str, ...]
    domains: tuple[str, ...]
    arguments: tuple[str, ...]
    text: str
    needs_root: bool = False
    family: str = ""


class Effort(msgspec.Struct, frozen=True):
    """What each relay is judged with: the seed, the programs for a requirement, the seconds of a run over all."""

    seed: int
    max_examples: int = DEFAULT_EXAMPLES
    time_budget: float = DEFAULT_BUDGET


class Case(msgspec.Struct, frozen=True):
    """One relay to judge: a mutant, or the relay known to be right (``mutant`` None).

    ``bounds`` are those of its queues unless its arguments say otherwise.
    """

    domain: str
    arguments: tuple[str, ...]
    mutant: Mutant | None
    effort: Effort
    bounds: tuple[str, ...] = ()

    @property
    def started_with(self) -> tuple[str, ...]:
        """All options of the relay."""
        return (*self.bounds, *self.arguments)

    @property
    def name(self) -> str:
        """The mutant's name, or what the right relay was started with."""
        return self.mutant.name if self.mutant else " ".join((GOOD, *self.arguments))


def listed_mutants() -> list[Mutant]:
    """The mutants that the specimens offer. Raises ConformanceError when they cannot be listed."""
    command = (sys.executable, "-m", "torq_conformance.specimens", "--list-mutants", "--json")
    try:
        done = subprocess.run(command, capture_output=True, check=True, timeout=60)  # noqa: S603 - our own command
        return msgspec.json.decode(done.stdout, type=list[Mutant])
    except (OSError, subprocess.SubprocessError, msgspec.DecodeError) as error:
        raise ConformanceError(f"cannot list the mutants: {error}; try torq-specimen --list-mutants") from error


def chosen_mutants(names: Iterable[str], limit: int | None, *, by_kind: bool = False) -> list[Mutant]:
    """The mutants of these names, at most ``limit``; without names all that this user can run. Raises UsageError.

    Without names the faults ``by_kind`` are those, or are not among them.
    """
    known = {mutant.name: mutant for mutant in listed_mutants()}
    wanted = list(names)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise UsageError(f"no mutant is called {', '.join(unknown)}; torq-specimen --list-mutants names them all")
    able = (mutant for mutant in known.values() if not mutant.needs_root or os.geteuid() == 0)
    shown = [mutant.name for mutant in able if bool(mutant.family) == by_kind]
    return [known[name] for name in wanted or shown][:limit]


def right_cases(effort: Effort, *, domain: str | None = None) -> Iterator[Case]:
    """The right relay in every domain and setting."""
    domains = (domain,) if domain else DOMAIN_NAMES
    less = msgspec.structs.replace(effort, max_examples=max(1, effort.max_examples // SHARE_OF_THE_RIGHT))
    for arguments in GOOD_ARGUMENTS:
        for name in domains if not arguments else domains[:1]:
            yield Case(name, arguments, None, less, () if not arguments else SMALL_BOUNDS)


def mutant_cases(mutants: Iterable[Mutant], effort: Effort, *, domain: str | None = None) -> Iterator[Case]:
    """Every mutant in a domain where it shows."""
    for mutant in mutants:
        where = mutant.domains if domain is None else tuple(name for name in mutant.domains if name == domain)
        if where:
            name = "signal" if "signal" in where else where[0]
            yield Case(name, mutant.arguments, mutant, effort, SMALL_BOUNDS)


def repeated(chosen: Iterable[Case], times: int) -> list[Case]:
    """Each case with each of ``times`` seeds, which count up from that of its effort: all cases of one seed first."""
    once = list(chosen)
    return [
        msgspec.structs.replace(case, effort=msgspec.structs.replace(case.effort, seed=case.effort.seed + turn))
        for turn in range(times)
        for case in once
    ]


def profile_of(arguments: tuple[str, ...]) -> Profile:
    """The profile of specimens, changed by what a specimen was started with: its options have the names of settings."""
    said: dict[str, object] = {"echo": False} if "--no-echo" in arguments else {}
    for option, value in pairwise(arguments):
        name = option.removeprefix("--").replace("-", "_")
        if option.startswith("--") and name in Profile.__struct_fields__:
            said[name] = value
    return msgspec.convert(msgspec.structs.asdict(load_profile("specimen")) | said, Profile, strict=False)
