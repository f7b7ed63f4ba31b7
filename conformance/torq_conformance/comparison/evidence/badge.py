"""The verdict of a comparison as a badge: the JSON that an endpoint of shields.io takes."""

from __future__ import annotations

from collections import Counter

from ...exits import Exit
from ...files import json_text
from .report import Report


def badge(report: Report) -> bytes:
    """What stands on the badge: the level at which relays were compared, and what that came to."""
    counts = Counter(each.status.lower() for each in report.differences)
    counts |= Counter(stale=len(report.stale), expired=len(report.expired))
    said = [f"{counts[word]} {word}" for word in ("different", "flaky", "expired", "stale", "accepted") if counts[word]]
    word = report.word.lower()
    colours: dict[int | None, str] = {Exit.PASS: "brightgreen", Exit.FAIL: "red" if counts["different"] else "orange"}
    return json_text(
        {
            "schemaVersion": 1,
            "label": f"{report.domain.replace('_', ' ')} relay, {report.level}",
            "message": ", ".join(said if counts[word] else [word, *said]),
            "color": colours.get(report.exit_code, "lightgrey"),
            "isError": report.exit_code not in (Exit.PASS, None),
        }
    )
