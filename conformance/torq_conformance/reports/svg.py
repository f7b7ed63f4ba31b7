"""Sequence diagrams as inline SVG: lifelines, arrows, and the events of the contradiction in bold.

Facts: colours come from CSS classes of the page, so that light and dark both work; nothing refers to another file.
"""

from __future__ import annotations

from markupsafe import Markup

from .diagram import RELAY, Diagram
from .rendering import render

MARGIN = 70
CHARACTER = 7.2
NOTE_OVERLAP = 30
"""How far the line under a note stands out beside the first and the last lifeline."""


def svg(diagram: Diagram, title: str) -> Markup:
    """The drawing as one ``<svg>`` element."""
    arrows = _longest(diagram, "send", "receive", "missing")
    gap = max(130.0, min(arrows + 44, 330.0))
    places = {name: MARGIN + index * gap for index, name in enumerate(diagram.columns)}
    beside_the_last = max(MARGIN, _longest(diagram, "point") + 24)
    right_of_notes = MARGIN - NOTE_OVERLAP + _longest(diagram, "note") + 8
    drawn = render(
        "sequence.svg.j2",
        title=title,
        events=diagram.events,
        places=places,
        relay=RELAY,
        overlap=NOTE_OVERLAP,
        width=round(max(max(places.values()) + beside_the_last, right_of_notes)),
        width_of=width_of,
    )
    return Markup(drawn)  # noqa: S704 - the template escapes every text


def width_of(text: str) -> float:
    """How wide a text is drawn."""
    return len(text) * CHARACTER


def _longest(diagram: Diagram, *kinds: str) -> float:
    """The width of the longest label of these kinds of events."""
    return max((width_of(event.label) for event in diagram.events if event.kind in kinds), default=0.0)
