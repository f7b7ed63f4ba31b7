"""``docs/pictures/matrix.svg``: the outcomes of ``docs/matrix.json`` for who looks and does not read.

A row for each requirement, a cell for each relay that was judged in full, with its sign, and a square for each mutant
that this requirement found first.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from itertools import groupby
from xml.sax.saxutils import escape

from spec_tests.matrix import Matrix, Relay, Specimen, load
from torq_conformance.model.requirements import Requirement, requirements, sections
from torq_conformance.reports.model import VERDICTS

PICTURE = "pictures/matrix.svg"
"""The file, seen from the page."""
ROW = 19
CELL = 22
SQUARE = 13
NAMES = 130
"""The room above the rows for the names of the relays, in pixels."""
LABEL = 66
HALF = 545
"""The width of half of the picture: the rows stand in two columns."""
SLANT = 40
STYLE = """
text { font: 12px system-ui, sans-serif; fill: var(--ink); }
.name { fill: var(--soft); }
.section { font-weight: 600; }
.sign { text-anchor: middle; font-weight: 600; }
.thin-pass.sign { font-size: 9px; }
.ground { fill: var(--paper); }
.cell { fill: var(--tone, none); fill-opacity: 0.32; stroke: var(--tone, none); }
.fail.cell, .flaky.cell { fill-opacity: 1; }
.fail.sign, .flaky.sign { fill: var(--paper); }
.thin-pass.cell, .unknown.cell, .unsupported.cell { fill-opacity: 0.08; stroke-dasharray: 3 2; }
"""


def picture(matrix: Matrix | None = None) -> str:
    """The picture as an SVG file that asks for no other."""
    matrix = matrix or load()
    found = {name: [each for each in matrix.mutants if _row_of(each) == name] for name in requirements()}
    judged = [
        each for name, each in requirements().items()
        if found[name] or any(name in relay.judged for relay in matrix.relays)
    ]  # fmt: skip
    blocks = [list(members) for _, members in groupby(judged, key=lambda each: each.section)]
    left, right = _halves(blocks)
    height = NAMES + ROW * max(map(_rows, (left, right))) + 3 * ROW
    colours = files("torq_conformance.reports").joinpath("templates", "colours.css").read_text("utf-8")
    title = told(matrix)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * HALF} {height}"'
        f' width="{2 * HALF}" height="{height}"'
        f' role="img" aria-label="{title}">',
        f"<title>{title}</title>",
        f"<style>\n{colours}{STYLE}</style>",
        f'<rect class="ground" width="{2 * HALF}" height="{height}"/>',
    ]
    for place, half in enumerate((left, right)):
        lines += (f'<g transform="translate({place * HALF + 12} 0)">', *_half(matrix, half, found), "</g>")
    return "\n".join([*lines, *_legend(height), "</svg>"]) + "\n"


def told(matrix: Matrix) -> str:
    """The picture in words."""
    missed = sum(bool(each.missed) for each in matrix.mutants)
    return f"Requirements by {len(matrix.relays)} relays and {len(matrix.mutants)} mutants, of which {missed} survive"


def _row_of(mutant: Specimen) -> str:
    """The requirement that found a mutant, or the first one that should have."""
    return next(iter(mutant.killed_by or mutant.missed[0].expected))


def _rows(blocks: list[list[Requirement]]) -> int:
    return sum(map(len, blocks)) + len(blocks)


def _halves(blocks: list[list[Requirement]]) -> tuple[list[list[Requirement]], list[list[Requirement]]]:
    """The sections in two columns of rows, as equal as they can be."""
    cut = min(range(len(blocks) + 1), key=lambda at: abs(_rows(blocks[:at]) - _rows(blocks[at:])))
    return blocks[:cut], blocks[cut:]


def _half(matrix: Matrix, blocks: list[list[Requirement]], found: dict[str, list[Specimen]]) -> Iterator[str]:
    for place, relay in enumerate(matrix.relays):
        x = LABEL + CELL * place + CELL / 2
        yield f'<text class="name" transform="translate({x} {NAMES - 8}) rotate(-{SLANT})">{escape(relay.name)}</text>'
    squares = LABEL + CELL * len(matrix.relays) + 16
    yield f'<text class="name" x="{squares + 60}" y="{NAMES - 8}">mutants that it finds</text>'
    y = NAMES
    for block in blocks:
        section = block[0].section
        yield f'<text class="section" x="0" y="{y + 14}">{section}: {escape(sections()[section].title)}</text>'
        y += ROW
        for requirement in block:
            yield f'<text x="0" y="{y + 14}">{requirement.id}</text>'
            for place, relay in enumerate(matrix.relays):
                yield from _cell(relay, requirement, LABEL + CELL * place, y)
            for place, mutant in enumerate(found[requirement.id]):
                yield from _square(mutant, squares + SQUARE * place, y)
            y += ROW


def _cell(relay: Relay, requirement: Requirement, x: float, y: float) -> Iterator[str]:
    judged = relay.judged.get(requirement.id)
    if judged is not None:
        yield from _signed(judged.word.lower().replace(" ", "-"), VERDICTS[judged.word].sign, x, y)


def _signed(style: str, sign: str, x: float, y: float) -> Iterator[str]:
    yield f'<rect class="cell {style}" x="{x + 1}" y="{y + 1}" width="{CELL - 3}" height="{ROW - 3}" rx="3"/>'
    yield f'<text class="sign {style}" x="{x + CELL / 2 - 0.5}" y="{y + 13.5}">{sign}</text>'


def _square(mutant: Specimen, x: float, y: float) -> Iterator[str]:
    style = "fail" if mutant.missed else "expected-fail"
    yield (
        f'<rect class="cell {style}" x="{x}" y="{y + 4}" width="{SQUARE - 3}" height="{SQUARE - 3}" rx="2">'
        f"<title>{escape(mutant.name)}</title></rect>"
    )
    if mutant.missed:
        yield f'<text class="sign fail" x="{x + SQUARE / 2 - 1.5}" y="{y + 13}">!</text>'


def _legend(height: float) -> Iterator[str]:
    """What the signs say, in the last line."""
    x, y = 12.0, height - 1.5 * ROW
    for word, look in VERDICTS.items():
        if word not in ("UNEXPECTED-PASS", "EXPECTED-FAIL"):  # which need a list of expected failures
            yield from _signed(word.lower().replace(" ", "-"), look.sign, x, y)
            yield f'<text x="{x + CELL + 3}" y="{y + 14}">{word}</text>'
            x += CELL + 30 + 7.5 * len(word)
    yield f'<rect class="cell expected-fail" x="{x}" y="{y + 4}" width="{SQUARE - 3}" height="{SQUARE - 3}" rx="2"/>'
    yield f'<text x="{x + SQUARE + 3}" y="{y + 14}">a mutant, found by the requirement of its row</text>'
