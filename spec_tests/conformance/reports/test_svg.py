"""Sequence diagrams: every word stands inside the drawing."""

import re
from xml.etree import ElementTree

import pytest

from torq_conformance.reports.diagram import RELAY, Diagram, Event
from torq_conformance.reports.svg import CHARACTER, svg


@pytest.mark.parametrize("kind", ["note", "point"])
@pytest.mark.parametrize("clients", [1, 2, 4])
@pytest.mark.parametrize("length", [3, 40, 90])
def test_no_label_is_cut_off_by_the_edge(kind: str, clients: int, length: int) -> None:
    names = ["A", "B", "C", "D"][:clients]
    columns = (names[0], RELAY, *names[1:])
    label = "x" * length
    event = Event("note", label) if kind == "note" else Event("point", label, columns[-1 if clients > 1 else 0])
    drawing = ElementTree.fromstring(svg(Diagram(columns, (event,)), "a title"))
    text = next(each for each in drawing.iter("text") if each.text == label)
    start = float(text.attrib["x"])
    if text.attrib.get("text-anchor") == "middle":
        start -= length * CHARACTER / 2
    assert start >= 0
    assert start + length * CHARACTER <= float(drawing.attrib["width"])
    assert re.fullmatch(r"0 0 [\d.]+ [\d.]+", drawing.attrib["viewBox"])
