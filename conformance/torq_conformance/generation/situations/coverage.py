"""How much of what a relay can meet a run has played: of all combinations of two values, and of three.

Facts: only what was played counts; a combination that values exclude, or a profile, is none of those that are possible.
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import msgspec

from ...counting import counted, grouped
from .covering import Combinations, names
from .dimensions import Situation
from .possible import Possible

MOST_NAMED = 4
"""Values that are named among those of which most is missing."""


class Coverage(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has met: situations ``played``, and combinations of ``of`` possible ones.

    ``cut_short`` says why no more were played, if they were to be. ``missing`` are the values of which most pairs are
    missing, with their number; ``left_out`` are values that no situation of the run has, with the reason.
    """

    played: int
    pairs: int
    pairs_of: int
    triples: int
    triples_of: int
    cut_short: str = ""
    missing: dict[str, int] = {}
    left_out: dict[str, str] = {}

    @property
    def words(self) -> str:
        """All of it in one line."""
        shares = (
            f"2-way {_share(self.pairs, self.pairs_of)} of {counted(self.pairs_of, 'pair')}",
            f"3-way {_share(self.triples, self.triples_of)} of {grouped(self.triples_of)}",
        )
        missing = [f"{name} ({counted(number, 'pair')})" for name, number in self.missing.items()]
        reasons: dict[str, list[str]] = {}
        for name, reason in self.left_out.items():
            reasons.setdefault(reason, []).append(name)
        missing += [f"{', '.join(names)} ({reason})" for reason, names in reasons.items()]
        thin = f"; thin: {', '.join(missing)}" if missing else ""
        played = counted(self.played, "situation") + (f", then {self.cut_short}" if self.cut_short else "")
        return f"{played}: {', '.join(shares)}{thin}"


def _share(met: int, of: int) -> str:
    """A share in percent, which is 100 only where nothing is missing."""
    return f"{met * 100 // of} %"


@lru_cache(maxsize=4)
def covered(possible: Possible, played: tuple[Situation, ...], cut_short: str = "") -> Coverage:
    """The coverage of a run that played these situations, of what is possible for its relay."""
    pairs, triples = Combinations(possible, 2), Combinations(possible, 3)
    for situation in played:
        pairs.meet(situation)
        triples.meet(situation)
    known = names()
    missing = Counter(": ".join(known[number]) for pair in pairs.unmet() for number in pair)
    return Coverage(
        played=len(played),
        pairs=pairs.met,
        pairs_of=pairs.of,
        triples=triples.met,
        triples_of=triples.of,
        cut_short=cut_short,
        missing=dict(missing.most_common(MOST_NAMED)),
        left_out=possible.lacks,
    )
