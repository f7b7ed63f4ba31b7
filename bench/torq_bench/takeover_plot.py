"""How long frames take around a takeover, as a picture: median and p99 by the moment at which they were sent."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from statistics import median

_FIRST, _LAST, _STEP = -100, 150, 5
"""Milliseconds from the moment at which the relay stands still."""
_LOWEST, _HIGHEST = 0.1, 1000.0
"""Milliseconds of latency: one decade after the other."""
_WIDTH, _HEIGHT, _LEFT, _TOP, _RIGHT, _BOTTOM = 860, 360, 60, 30, 20, 45
_STYLE = """
svg { color: #1f2328; background: #ffffff; font: 12px sans-serif }
text { fill: currentColor } .grid { stroke: #d1d9e0 } .still { stroke: #6e7781; stroke-dasharray: 4 4 }
polyline { fill: none; stroke-width: 2 } .median { stroke: #0969da } .p99 { stroke: #bc4c00 }
text.median { fill: #0969da; stroke: none } text.p99 { fill: #bc4c00; stroke: none }
@media (prefers-color-scheme: dark) {
  svg { color: #e6edf3; background: #0d1117 } .grid { stroke: #30363d } .median { stroke: #58a6ff }
  .p99 { stroke: #f0883e } text.median { fill: #58a6ff } text.p99 { fill: #f0883e }
}
"""


def part(ordered: Sequence[float], share: float) -> float:
    """The value below which a share of ascending ones lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def drawn(latencies: Iterable[tuple[float, float]]) -> str:
    """The picture, of (seconds from the moment at which the relay stood still, seconds of latency)."""
    bins: dict[int, list[float]] = {}
    for moment, latency in latencies:
        place = math.floor(1000 * moment / _STEP) * _STEP
        if _FIRST <= place < _LAST:
            bins.setdefault(place, []).append(1000 * latency)
    title = "Latency of frames around a takeover: median and p99, by when they were sent"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
        f' role="img" aria-label="{title}">',
        f"<title>{title}</title>",
        f"<style>{_STYLE}</style>",
        *_axes(),
    ]
    for name, value in (("median", median), ("p99", lambda found: part(sorted(found), 0.99))):
        points = [(_x(place + _STEP / 2), _y(value(bins[place]))) for place in sorted(bins)]
        lines.append(f'<polyline class="{name}" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}"/>')
        if points:
            lines.append(f'<text class="{name}" x="{_WIDTH - _RIGHT - 50}" y="{points[-1][1] - 6:.1f}">{name}</text>')
    return "\n".join([*lines, "</svg>"]) + "\n"


def _axes() -> Iterable[str]:
    latency = _LOWEST
    while latency <= _HIGHEST:
        y = _y(latency)
        yield f'<line class="grid" x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}"/>'
        yield f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{latency:g} ms</text>'
        latency = round(latency * 10, 3)
    for moment in range(_FIRST, _LAST + 1, 50):
        x = _x(moment)
        kind = "still" if moment == 0 else "grid"
        yield f'<line class="{kind}" x1="{x:.1f}" y1="{_TOP}" x2="{x:.1f}" y2="{_HEIGHT - _BOTTOM}"/>'
        yield f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{moment:+d} ms</text>'
    yield f'<text x="{_x(0):.1f}" y="{_TOP - 10}" text-anchor="middle">the relay stands still</text>'
    yield f'<text x="{(_WIDTH + _LEFT) / 2:.0f}" y="{_HEIGHT - 8}" text-anchor="middle">when a frame was sent</text>'


def _x(moment: float) -> float:
    return _LEFT + (moment - _FIRST) / (_LAST - _FIRST) * (_WIDTH - _LEFT - _RIGHT)


def _y(latency: float) -> float:
    share = math.log(min(max(latency, _LOWEST), _HIGHEST) / _LOWEST) / math.log(_HIGHEST / _LOWEST)
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)
