"""Sequence diagrams as text: columns of lifelines, arrows to and from the relay, marked events with a star."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..counting import counted
from .diagram import RELAY, Diagram, Event

LEFT = 9
MIN_GAP = 16
MAX_GAP = 38
MAX_WIDTH = 110


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the drawing, and whether the contradiction is about it."""

    text: str
    marked: bool = False


def draw(diagram: Diagram) -> Iterator[Line]:
    """The lines of the drawing, at most some 110 characters wide."""
    gap = _gap(diagram)
    places = {name: LEFT + index * gap + 4 for index, name in enumerate(diagram.columns)}
    width = max(places.values()) + 1
    yield Line(_heads(places, width).rstrip())
    for event in diagram.events:
        yield Line(_draw_event(event, places, width).rstrip(), event.marked)
    if diagram.hidden_connections:
        yield Line(f"{'':<{LEFT}}({counted(diagram.hidden_connections, 'more connection')} not drawn)")


def _gap(diagram: Diagram) -> int:
    labels = [len(event.label) for event in diagram.events if event.kind in ("send", "receive", "missing")]
    wanted = max((*labels, 0)) + 10
    room = (MAX_WIDTH - LEFT) // max(len(diagram.columns) - 1, 1)
    return max(MIN_GAP, min(wanted, MAX_GAP, room))


def _heads(places: dict[str, int], width: int) -> str:
    line = [" "] * (width + len(RELAY))
    for name, place in places.items():
        start = place - len(name) // 2
        line[start : start + len(name)] = name
    return "".join(line)


def _draw_event(event: Event, places: dict[str, int], width: int) -> str:
    line = [" "] * width
    for place in places.values():
        line[place] = "|"
    line[:LEFT] = f"{'*' if event.marked else ' '}{event.step or '':>4}    "[:LEFT]
    if event.kind == "note":
        return "".join(line[:LEFT]) + f"--- {event.label} ".ljust(max(width - LEFT, 4), "-")
    here = places[event.connection]
    if event.kind == "point":
        return _write(line, here, "o " + event.label)
    relay = places[RELAY]
    source, goal = (here, relay) if event.kind == "send" else (relay, here)
    return _arrow(line, source, goal, event)


def _write(line: list[str], place: int, text: str) -> str:
    line += [" "] * max(0, place + len(text) - len(line))
    line[place : place + len(text)] = text
    return "".join(line)


def _arrow(line: list[str], source: int, goal: int, event: Event) -> str:
    low, high = min(source, goal) + 1, max(source, goal)
    shaft = "=" if event.marked and event.kind != "missing" else "-"
    head = "x" if event.kind == "missing" else ">" if goal > source else "<"
    body = [shaft] * (high - low)
    if event.kind == "missing":
        body[::2] = " " * len(body[::2])
    body[-1 if goal > source else 0] = head
    room = high - low - 4
    label = event.label if len(event.label) <= room else event.label[: max(room - 3, 0)] + "..."
    text = f" {label} "
    start = (len(body) - len(text)) // 2
    body[start : start + len(text)] = text
    line[low:high] = body
    return "".join(line)
