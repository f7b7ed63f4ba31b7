"""The report as one HTML file that needs nothing else: no other file, no network."""

from __future__ import annotations

from .conclusion import run_verdict
from .model import Report
from .narrate import witness_words
from .rendering import render
from .svg import svg


def page(report: Report) -> str:
    """The report as a page."""
    return render(
        "report.html.j2",
        report=report,
        verdict=run_verdict(report.judgements, report.exit_code, report.stop_reason),
        svg=svg,
        witness_words=witness_words,
    )
