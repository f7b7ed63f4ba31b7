"""The verdict of a comparison as a badge: the JSON that an endpoint of shields.io takes."""

from __future__ import annotations

from collections import Counter

from ...files import json_text
from .report import Report

COLOURS = {"EQUIVALENT": "brightgreen", "DIFFERENT": "red", "FLAKY": "orange", "STALE": "orange"}
"""The colour of a verdict that begins with a word; any other is grey."""

FAILING = ("DIFFERENT", "FLAKY", "STALE")
"""Words of verdicts that the counts say too."""


def badge(report: Report) -> bytes:
    """What stands on the badge: the level at which relays were compared, and what that came to."""
    counts = Counter(each.status.lower() for each in report.differences)
    counts["stale"] = len(report.stale)
    said = [f"{counts[word]} {word}" for word in ("different", "flaky", "stale", "accepted") if counts[word]]
    words = said if report.word in FAILING else [report.word.lower(), *said]
    return json_text(
        {
            "schemaVersion": 1,
            "label": f"{report.domain.replace('_', ' ')} relay, {report.level}",
            "message": ", ".join(words),
            "color": COLOURS.get(report.word, "lightgrey"),
            "isError": report.exit_code not in (0, None),
        }
    )
