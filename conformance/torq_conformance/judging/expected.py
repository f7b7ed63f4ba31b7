"""Failures that a team knows of and expects, in a TOML file that cannot go stale.

::

    [[expected]]
    id = "FRAME-1"
    kind = "lost"                # of the first contradiction; left out, it may be any
    reason = "tracked as RELAY-12; fixed in 2.4"
    known-flaky = false          # true: it may also pass

A listed requirement that passes, is not judged, or fails in another way fails the run. Lists of version 0.2 have
``message = "lost: ..."`` instead of a kind: what stands before its colon is the kind.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec
import tomli_w

from ..errors import UsageError
from ..files import read_toml
from ..model.findings import Finding, Kind
from ..model.requirements import requirements
from ..printable import visible
from .verdict import ENDED, Result, Verdict


class ExpectedFailure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, rename="kebab"):
    """One requirement that is known to fail, how ("" where it does not matter), and why."""

    id: str
    kind: str = ""
    reason: str = ""
    known_flaky: bool = False


class _Entry(ExpectedFailure, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    message: str = ""


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    expected: tuple[_Entry, ...] = ()


class Problem(NamedTuple):
    """What the list has against a run: the requirement, and what is wrong, as the rest of a sentence."""

    id: str
    what: str

    def __str__(self) -> str:
        return f"{self.id} {self.what}"


def load_expected(path: Path) -> tuple[ExpectedFailure, ...]:
    """Read a file of expected failures. Raises UsageError with what is wrong in it."""
    listed: dict[str, ExpectedFailure] = {}
    for entry in read_toml(path, _File, "expected failures").expected:
        kind = entry.kind or entry.message.partition(":")[0]
        if entry.id not in requirements():
            raise UsageError(f"{path}: no requirement is called {entry.id!r} (see torq-conformance --list)")
        if entry.id in listed:
            raise UsageError(f"{path}: {entry.id} is listed twice")
        if not entry.reason.strip():
            raise UsageError(f"{path}: {entry.id} has no reason; say why it is expected to fail")
        if kind and kind not in list(Kind):
            raise UsageError(f"{path}: {entry.id} names no kind of failure: {kind!r}; use one of {', '.join(Kind)}")
        listed[entry.id] = ExpectedFailure(entry.id, kind, entry.reason, entry.known_flaky)
    return tuple(listed.values())


class Expectations:
    """Holds results against what is expected of them; ``problems`` names what fails the run, each for a requirement."""

    def __init__(self, entries: Iterable[ExpectedFailure]) -> None:
        self._entries = {entry.id: entry for entry in entries}
        self.problems: list[Problem] = []

    def judge(self, result: Result) -> Result:
        """The result with the verdict that its entry gives it; the same result when it has no entry."""
        entry = self._entries.get(result.requirement.id)
        if entry is None:
            return result
        if result.verdict in (Verdict.FAIL, Verdict.FLAKY):
            return self._judge_failure(result, entry)
        if result.verdict is Verdict.PASS:
            if entry.known_flaky:
                return dataclasses.replace(result, reason=f"known to be flaky: {entry.reason}")
            self._object(entry, "passes although it is listed; take it out of the list")
            return dataclasses.replace(
                result, verdict=Verdict.UNEXPECTED_PASS, reason=f"listed as an expected failure: {entry.reason}"
            )
        if result.reason == ENDED:
            return result
        why = f"{result.verdict.value}: {result.reason}"
        self._object(entry, f"is listed but was not judged ({why}); judge it or take it out")
        return result

    def _judge_failure(self, result: Result, entry: ExpectedFailure) -> Result:
        seen = _first(result)
        if entry.kind and (seen is None or seen.kind != entry.kind):
            self._object(entry, f"fails otherwise than listed, which is {entry.kind!r}: {seen}")
            return dataclasses.replace(result, reason="it fails otherwise than listed")
        if result.verdict is Verdict.FLAKY and not entry.known_flaky:
            self._object(entry, "fails only sometimes; list it with known-flaky = true")
            return dataclasses.replace(result, reason="it is listed as failing always")
        return dataclasses.replace(result, verdict=Verdict.EXPECTED_FAIL, reason=entry.reason)

    def _object(self, entry: ExpectedFailure, what: str) -> None:
        self.problems.append(Problem(entry.id, what))

    def missing(self, judged: Iterable[str], *, partial: bool) -> list[Problem]:
        """Problems of listed requirements that the run did not have; none where it was told to leave some out."""
        if partial:
            return []
        absent = sorted(self._entries.keys() - set(judged))
        return [Problem(name, "is listed but was not part of the run; take it out of the list") for name in absent]


def _first(result: Result) -> Finding | None:
    """The contradiction whose kind the list names."""
    return next(iter(result.counterexample.findings), None) if result.counterexample is not None else None


def expected_text(results: Iterable[Result], old: Iterable[ExpectedFailure], *, partial: bool) -> str:
    """The list that the results of a run call for, with the reasons of the old one kept.

    Raises UsageError for a partial run: what it did not judge would be lost from the list.
    """
    if partial:
        raise UsageError(
            "--update-expected needs a whole run: without --section, --exclude, --shard and --fail-fast, "
            "and not interrupted"
        )
    listed = {entry.id: entry for entry in old}
    text = "# Failures that are known and expected; one that is listed and does not show fails the run.\n"
    for result in results:
        name, seen = result.requirement.id, _first(result)
        known = listed.get(name)
        if known is None and seen is not None:
            known = ExpectedFailure(name, seen.kind, f"seen when the list was written: {visible(str(seen))}")
        if known is None or (seen is None and not known.known_flaky):
            continue
        kind = seen.kind if seen is not None and known.kind else known.kind
        flaky = known.known_flaky or result.verdict is Verdict.FLAKY
        entry = msgspec.structs.replace(known, kind=kind, known_flaky=flaky)
        text += f"\n[[expected]]\n{tomli_w.dumps(msgspec.to_builtins(entry))}"
    return text
