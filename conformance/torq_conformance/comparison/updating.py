"""The list of accepted differences that a comparison calls for."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import tomli_w

from ..errors import UsageError
from ..printable import visible
from .accepted import AcceptedDifference
from .circumstances import when_of
from .outcome import Entry, Outcome

HEAD = "# Differences that are accepted, and why; one that is listed and does not show fails the gate.\n"


def accepted_text(result: Outcome, found: Sequence[Entry], old: Sequence[AcceptedDifference]) -> str:
    """The list that accepts what a comparison found, as narrowly as that is known, and keeps old entries as they are.

    What does not show any more goes. Raises UsageError for a comparison that left something out for want of time: what
    it did not compare would be lost from the list.
    """
    if result.unfinished or not result.programs:
        raise UsageError("--update-accepted needs a whole comparison: give more --time-budget; the list is as it was")
    above = {each.listed: each for each in result.entries if each.status != "ACCEPTED"}
    stale = {each.key for each in result.stale}
    listed = {
        each.key: msgspec.structs.replace(each, rate=_rate(above[each.key]))
        if each.key in above and each.rate
        else each
        for each in old
        if each.key not in stale
    }
    for each in found:
        reason = f"seen when the list was written: {visible(each.text)}"
        when = when_of(each.when)
        entry = AcceptedDifference(each.id, reason, result.level.value, when=when, rate=_rate(each))
        if each.listed not in listed and each.id not in listed:
            listed.setdefault(entry.key, entry)
    return HEAD + "".join(map(_in_toml, listed.values()))


def _rate(seen: Entry) -> str:
    """In how many runs a difference may show that does not show in each; "" where it does."""
    return f"{max(seen.differs_in_b, 1)} in {seen.runs}" if seen.differs_in_b < seen.runs else ""


def _in_toml(entry: AcceptedDifference) -> str:
    fields = {"id": entry.id, "reason": entry.reason, "level": entry.level, "rate": entry.rate, "program": entry.file}
    written: dict[str, object] = {name: value for name, value in fields.items() if value}
    if entry.expires is not None:
        written["expires"] = entry.expires
    when = f"\n[difference.when]\n{tomli_w.dumps(entry.when.as_toml())}" if entry.when else ""
    return f"\n[[difference]]\n{tomli_w.dumps(written)}{when}"
