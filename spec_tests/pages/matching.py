"""Whether a command printed what a page shows: figures are patterns, ``...`` stands for anything."""

from __future__ import annotations

import re

_FIGURE = re.compile(r"\d+(?:[.,: ]\d+)*")
_SPECIAL = re.compile(
    rf"(?P<figure>{_FIGURE.pattern})|(?P<rest>\.\.\.)|(?P<build>\((?:compiled|interpreted)\))|(?P<space>[ \t]+)"
)
_ANY = {
    "figure": _FIGURE.pattern,
    "rest": r".*",
    "build": r"\((?:compiled|interpreted)\)",
    "space": r"[ \t]+",
}


def pattern_of(shown: str) -> re.Pattern[str]:
    """What matches all that ``shown`` may mean: other figures, ``...`` for any rest, alone in a line for any lines."""
    return re.compile("".join(_line(line) for line in shown.splitlines() if line.strip()))


def matches(shown: str, printed: str, *, whole: bool) -> bool:
    """Whether ``printed`` is ``shown``; ``whole`` leaves no line over."""
    lines = "".join(f"{line.rstrip()}\n" for line in printed.splitlines() if line.strip())
    pattern = pattern_of(shown)
    return bool(pattern.fullmatch(lines) if whole else pattern.match(lines))


def _line(line: str) -> str:
    if line.strip() == "...":
        return r"(?:.*\n)*?"
    parts, end = [], 0
    for special in _SPECIAL.finditer(line.rstrip()):
        parts += [re.escape(line[end : special.start()]), _ANY[str(special.lastgroup)]]
        end = special.end()
    return "".join([*parts, re.escape(line.rstrip()[end:]), r"\n"])
