"""The one sentence that the terminal ends with and every report begins with: may this relay be believed to conform?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from enum import StrEnum

from ..counting import counted
from ..exits import Exit
from ..model.requirements import Requirement
from .model import LEVELS, THIN_PASS, Judgement


class RunVerdict(StrEnum):
    """How a run came out: the word that its conclusion begins with."""

    PASS = "PASS"  # noqa: S105 - a verdict, not a password
    FAIL = "FAIL"
    UNKNOWN = "UNKNOWN"
    INCOMPLETE = "INCOMPLETE"
    NOTHING_JUDGED = "NOTHING JUDGED"


MEANINGS = {
    Exit.PASS: "every MUST that was judged holds",
    Exit.FAIL: "something fails or is flaky",
    Exit.USAGE: "wrong usage, no target, or an error of the suite itself",
    Exit.UNKNOWN: "a MUST could not be judged",
    Exit.INTERRUPTED: "the run was interrupted",
    Exit.TERMINATED: "the run was told to end",
}
"""What each exit code of a run says."""
BROKEN = ("FAIL", "FLAKY")
"""Verdicts against the relay; UNEXPECTED-PASS, which fails a run as well, is against the list."""
ALWAYS_SAID = ("PASS", "FAIL", "UNKNOWN")
"""Verdicts that the conclusion counts even where there are none."""
BY_GRAVITY = ("FAIL", "UNEXPECTED-PASS", "PASS", "EXPECTED-FAIL", "UNKNOWN", "UNSUPPORTED")
"""The order of a headline."""
NOT_AS_LISTED = "the list of expected failures does not fit what was seen"
FAILS_AS_LISTED = "every MUST that was judged holds, or fails as listed"
NOTHING_FAILS = "nothing was judged"


def conclusion(
    judgements: Sequence[Judgement],
    exit_code: int | None,
    stop_reason: str = "",
    left_out: Sequence[Requirement] = (),
    unbound: Collection[str] = (),
) -> str:
    """Pass or fail, how many requirements of each level hold, fail and could not be judged, and the exit code.

    ``exit_code`` is None while the run goes on. ``left_out`` are the requirements that bind the relay and that the run
    was not asked about. ``unbound`` are the ids that the run was asked about although they do not bind the relay: they
    are counted apart, so that judged and left out requirements make the same total in every run of a domain.
    """
    verdict = run_verdict(judgements, exit_code, stop_reason)
    unknown = _unknown(verdict)
    parts = []
    for level in LEVELS:
        verdicts = Counter[str](each.word for each in judgements if each.level == level and each.id not in unbound)
        if verdicts:
            counts = _counts(verdicts, unknown)
            said = [words for name, (count, words) in counts.items() if count or name in ALWAYS_SAID]
            parts.append(f"of {verdicts.total()} {level} {', '.join(said)}")
    missing = Counter[str](each.level for each in left_out)
    if missing:
        parts.append(f"{_by_level(missing)} left out of the run")
    foreign = Counter[str](each.level for each in judgements if each.id in unbound)
    if foreign:
        parts.append(f"{_by_level(foreign)} {'binds' if foreign.total() == 1 else 'bind'} other domains only")
    if exit_code is not None:
        parts.append(f"exit code {int(exit_code)}: {_meaning(judgements, Exit(exit_code))}")
    return f"{verdict}{f' ({stop_reason})' if stop_reason else ''}: {'; '.join(parts)}."


def headline(judgements: Sequence[Judgement], exit_code: int | None, stop_reason: str = "") -> str:
    """How many requirements fail, hold and were not judged, what needs attention first; none with a count of zero."""
    counts = _counts(
        Counter(each.word for each in judgements), _unknown(run_verdict(judgements, exit_code, stop_reason))
    )
    said = [counts[name][1] for name in BY_GRAVITY if counts[name][0]]
    return f"{f'{stop_reason}; ' if stop_reason else ''}of {counted(len(judgements), 'requirement')} {', '.join(said)}"


def _unknown(verdict: RunVerdict) -> str:
    return "were not judged" if verdict is RunVerdict.INCOMPLETE else "could not be judged"


def run_verdict(judgements: Sequence[Judgement], exit_code: int | None, stop_reason: str = "") -> RunVerdict:
    """How a run came out; ``exit_code`` and ``stop_reason`` as for :func:`conclusion`."""
    if stop_reason or exit_code not in (Exit.PASS, Exit.FAIL, Exit.UNKNOWN):
        return RunVerdict.INCOMPLETE
    if exit_code == Exit.UNKNOWN and _nothing_judged(judgements):
        return RunVerdict.NOTHING_JUDGED
    return RunVerdict[Exit(exit_code).name]


def _counts(verdicts: Counter[str], unknown: str) -> dict[str, tuple[int, str]]:
    """How many requirements got each verdict, as a number and in words."""
    flaky, thin = verdicts["FLAKY"], verdicts[THIN_PASS]
    told = {
        "PASS": (verdicts["PASS"] + thin, "holds", "hold", f" ({thin} thin)" if thin else ""),
        "FAIL": (verdicts["FAIL"] + flaky, "fails", "fail", f" ({flaky} of them not every time)" if flaky else ""),
        "UNKNOWN": (verdicts["UNKNOWN"], unknown.replace("were", "was"), unknown, ""),
        "UNEXPECTED-PASS": (
            verdicts["UNEXPECTED-PASS"], "holds though listed as failing", "hold though listed as failing", "",
        ),
        "EXPECTED-FAIL": (verdicts["EXPECTED-FAIL"], "fails as listed", "fail as listed", ""),
        "UNSUPPORTED": (verdicts["UNSUPPORTED"], "is unsupported", "are unsupported", ""),
    }  # fmt: skip
    return {
        verdict: (count, f"{count} {one if count == 1 else more}{besides}")
        for verdict, (count, one, more, besides) in told.items()
    }


def _by_level(counts: Counter[str]) -> str:
    return " and ".join(f"{count} {level}" for level, count in counts.items())


def _meaning(judgements: Sequence[Judgement], code: Exit) -> str:
    if code is Exit.FAIL and not any(each.verdict in BROKEN for each in judgements):
        return NOT_AS_LISTED
    if code is Exit.UNKNOWN and _nothing_judged(judgements):
        return NOTHING_FAILS
    if code is Exit.PASS and any(each.verdict == "EXPECTED-FAIL" for each in judgements):
        return FAILS_AS_LISTED
    return MEANINGS[code]


def _nothing_judged(judgements: Sequence[Judgement]) -> bool:
    return all(each.verdict in ("UNSUPPORTED", "UNKNOWN") for each in judgements)
