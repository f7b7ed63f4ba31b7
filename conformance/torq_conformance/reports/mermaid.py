"""Sequence diagrams in Mermaid's notation, for pages and comments that draw it themselves."""

from __future__ import annotations

from collections.abc import Iterator

from .diagram import RELAY, Diagram, Event


def mermaid(diagram: Diagram) -> Iterator[str]:
    """The lines of a ``sequenceDiagram``; the events of the contradiction stand in a coloured box."""
    yield "sequenceDiagram"
    for name in diagram.columns:
        yield f"  participant {name}"
    first, last = diagram.columns[0], diagram.columns[-1]
    for event in diagram.events:
        lines = list(_lines(event, first, last))
        if event.marked:
            yield "  rect rgb(255, 225, 225)"
            yield from (f"    {line}" for line in lines)
            yield "  end"
        else:
            yield from (f"  {line}" for line in lines)


def _lines(event: Event, first: str, last: str) -> Iterator[str]:
    label = _safe(f"{event.step}: {event.label}" if event.step else event.label)
    match event.kind:
        case "send":
            yield f"{event.connection}->>{RELAY}: {label}"
        case "receive":
            yield f"{RELAY}->>{event.connection}: {label}"
        case "missing":
            yield f"{RELAY}--x{event.connection}: {label}"
        case "point":
            yield f"Note over {event.connection}: {label}"
        case "note":
            yield f"Note over {first},{last}: {label}"


def _safe(text: str) -> str:
    """Text without the characters that end a Mermaid statement."""
    return text.translate(_ENTITIES)


_ENTITIES = str.maketrans({"#": "#35;", ";": "#59;", "<": "#lt;", ">": "#gt;", "\n": " ", "\r": " "})
