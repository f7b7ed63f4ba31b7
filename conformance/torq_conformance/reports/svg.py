"""Sequence diagrams as inline SVG: lifelines, arrows, and what the contradiction is about in bold.

Facts: colours come from CSS classes of the page, so that light and dark both work; nothing refers to another file.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from .diagram import RELAY, Diagram, Event

ROW = 26
TOP = 44
MARGIN = 70
CHARACTER = 7.2
NOTE_OVERLAP = 30
"""How far the line under a note stands out beside the first and the last lifeline."""


def svg(diagram: Diagram, title: str) -> str:
    """The drawing as one ``<svg>`` element."""
    gap = _gap(diagram)
    places = {name: MARGIN + index * gap for index, name in enumerate(diagram.columns)}
    width = max(max(places.values()) + MARGIN + _overhang(diagram), _right_of_notes(diagram, places))
    height = TOP + ROW * len(diagram.events) + 16
    parts = [
        f'<svg class="sequence" viewBox="0 0 {width:.0f} {height}" width="{width:.0f}" height="{height}" role="img" '
        f'aria-label="{escape(title)}">',
        *_lifelines(places, height),
    ]
    for index, event in enumerate(diagram.events):
        parts += _event(event, places, TOP + ROW * index + ROW // 2)
    parts.append("</svg>")
    return "".join(parts)


def _gap(diagram: Diagram) -> float:
    arrows = [len(event.label) for event in diagram.events if event.kind in ("send", "receive", "missing")]
    return max(130.0, min(max((*arrows, 0)) * CHARACTER + 44, 330.0))


def _overhang(diagram: Diagram) -> float:
    """Room at the right for the words beside the last lifeline."""
    points = [len(event.label) for event in diagram.events if event.kind == "point"]
    return max(0.0, max((*points, 0)) * CHARACTER - MARGIN + 24)


def _right_of_notes(diagram: Diagram, places: dict[str, float]) -> float:
    """Where the longest note ends: one that is wider than the lifelines goes on at their right."""
    notes = [len(event.label) for event in diagram.events if event.kind == "note"]
    return min(places.values()) - NOTE_OVERLAP + max((*notes, 0)) * CHARACTER + 8


def _lifelines(places: dict[str, float], height: int) -> Iterator[str]:
    for name, x in places.items():
        kind = "relay" if name == RELAY else "client"
        half = max(20.0, len(name) * CHARACTER / 2 + 8)
        yield f'<line class="life" x1="{x}" y1="34" x2="{x}" y2="{height - 4}"/>'
        yield f'<rect class="{kind}" x="{x - half}" y="8" width="{half * 2}" height="26" rx="5"/>'
        yield f'<text class="name" x="{x}" y="26" text-anchor="middle">{escape(name)}</text>'


def _event(event: Event, places: dict[str, float], y: int) -> Iterator[str]:
    yield f'<g class="{event.kind}{" marked" if event.marked else ""}">'
    if event.step:
        yield f'<text class="step" x="8" y="{y + 4}">{event.step}</text>'
    if event.kind == "note":
        left, right = min(places.values()) - NOTE_OVERLAP, max(places.values()) + NOTE_OVERLAP
        yield f'<line class="across" x1="{left}" y1="{y + 7}" x2="{right}" y2="{y + 7}"/>'
        fits = len(event.label) * CHARACTER <= right - left
        where = f'x="{(left + right) / 2}" text-anchor="middle"' if fits else f'x="{left}"'
        yield f'<text {where} y="{y + 3}">{escape(event.label)}</text>'
    elif event.kind == "point":
        x = places[event.connection]
        yield f'<circle cx="{x}" cy="{y}" r="4"/><text x="{x + 10}" y="{y + 4}">{escape(event.label)}</text>'
    else:
        yield from _arrow(event, places, y)
    yield "</g>"


def _arrow(event: Event, places: dict[str, float], y: int) -> Iterator[str]:
    here, relay = places[event.connection], places[RELAY]
    source, goal = (here, relay) if event.kind == "send" else (relay, here)
    side = 1 if goal > source else -1
    if event.kind == "missing":
        goal -= side * 14
        end = goal
        yield f'<path class="head" d="M{goal - 5} {y}l10 10m0 -10l-10 10"/>'
    else:
        end = goal - side * 8
        yield f'<path class="tip" d="M{goal} {y + 5}l{-side * 9} -5v10z"/>'
    yield f'<line class="shaft" x1="{source}" y1="{y + 5}" x2="{end}" y2="{y + 5}"/>'
    yield f'<text x="{(source + goal) / 2}" y="{y}" text-anchor="middle">{escape(event.label)}</text>'
