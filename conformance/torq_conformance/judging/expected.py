"""Failures that a team knows of and expects, in a TOML file that cannot go stale.

::

    [[expected]]
    id = "FRAME-1"
    message = "lost:"            # how what is seen begins; "" allows anything
    reason = "tracked as RELAY-12; fixed in 2.4"
    known-flaky = false          # true: it may also pass

A listed requirement that passes, is not judged, or fails with another message fails the run.
"""

from __future__ import annotations

import dataclasses
import json
import tomllib
from collections.abc import Iterable
from pathlib import Path

import msgspec

from ..errors import UsageError
from ..model.requirements import requirements
from .verdict import Result, Verdict


class ExpectedFailure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="kebab"):
    """One requirement that is known to fail, how, and why."""

    id: str
    reason: str
    message: str = ""
    known_flaky: bool = False


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    expected: tuple[ExpectedFailure, ...] = ()


def load_expected(path: Path) -> tuple[ExpectedFailure, ...]:
    """Read a file of expected failures. Raises UsageError with what is wrong in it."""
    try:
        entries = msgspec.convert(tomllib.loads(path.read_text("utf-8")), _File).expected
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the expected failures {path}: {error}") from error
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise UsageError(f"{path} is no file of expected failures: {error}") from error
    seen: set[str] = set()
    for entry in entries:
        if entry.id not in requirements():
            raise UsageError(f"{path}: no requirement is called {entry.id!r} (see torq-conformance --list)")
        if entry.id in seen:
            raise UsageError(f"{path}: {entry.id} is listed twice")
        if not entry.reason.strip():
            raise UsageError(f"{path}: {entry.id} has no reason; say why it is expected to fail")
        seen.add(entry.id)
    return entries


class Expectations:
    """Holds results against what is expected of them; ``problems`` names what fails the run, each in a sentence."""

    def __init__(self, entries: Iterable[ExpectedFailure]) -> None:
        self._entries = {entry.id: entry for entry in entries}
        self.problems: list[str] = []

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
            self.problems.append(f"{entry.id} passes although it is listed; take it out of the list")
            return dataclasses.replace(
                result, verdict=Verdict.UNEXPECTED_PASS, reason=f"listed as an expected failure: {entry.reason}"
            )
        why = f"{result.verdict.value}: {result.reason}"
        self.problems.append(f"{entry.id} is listed but was not judged ({why}); judge it or take it out")
        return result

    def _judge_failure(self, result: Result, entry: ExpectedFailure) -> Result:
        seen = message_of(result)
        if not seen.startswith(entry.message):
            self.problems.append(f"{entry.id} fails otherwise than listed: {seen!r} does not begin {entry.message!r}")
            return dataclasses.replace(result, reason="it fails otherwise than listed")
        if result.verdict is Verdict.FLAKY and not entry.known_flaky:
            self.problems.append(f"{entry.id} fails only sometimes; list it with known-flaky = true")
            return dataclasses.replace(result, reason="it is listed as failing always")
        return dataclasses.replace(result, verdict=Verdict.EXPECTED_FAIL, reason=entry.reason)

    def missing(self, judged: Iterable[str], *, partial: bool) -> list[str]:
        """Problems of listed requirements that the run did not have; none where it was told to leave some out."""
        if partial:
            return []
        absent = sorted(self._entries.keys() - set(judged))
        return [f"{name} is listed but was not part of the run; take it out of the list" for name in absent]


def message_of(result: Result) -> str:
    """How a failure is described in the list: the first contradiction, such as ``lost: expected frame A0 ...``."""
    shown = result.counterexample
    return str(shown.findings[0]) if shown is not None and shown.findings else ""


def expected_text(results: Iterable[Result], old: Iterable[ExpectedFailure], *, partial: bool) -> str:
    """The list that the results of a run call for, with the reasons of the old one kept.

    Raises UsageError for a partial run: what it did not judge would be lost from the list.
    """
    if partial:
        raise UsageError(
            "--update-expected needs a whole run: without --section, --exclude or --shard, and not interrupted"
        )
    reasons = {entry.id: entry for entry in old}
    parts = []
    for result in results:
        known = reasons.get(result.requirement.id)
        message = message_of(result)
        flaky = result.verdict is Verdict.FLAKY or (known is not None and known.known_flaky)
        failed = result.counterexample is not None
        if not failed and not (flaky and known is not None):
            continue
        kept = (
            known.message
            if known is not None and message.startswith(known.message)
            else f"{message.partition(':')[0]}:"
        )
        reason = known.reason if known is not None else f"seen when the list was written: {message}"
        parts.append(
            f"[[expected]]\nid = {json.dumps(result.requirement.id)}\nmessage = {json.dumps(kept)}\n"
            f"reason = {json.dumps(reason)}\n" + ("known-flaky = true\n" if flaky else "")
        )
    head = "# Failures that are known and expected; one that is listed and does not show fails the run.\n\n"
    return head + "\n".join(parts)
