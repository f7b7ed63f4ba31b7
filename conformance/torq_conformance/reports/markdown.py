"""The report as Markdown, for a pull request or a wiki: verdicts by section, then each failure with its diagram."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..printable import visible
from .mermaid import mermaid
from .model import Failure, Report
from .rendering import render


def markdown(report: Report) -> str:
    """The whole page."""
    return render(
        "report.md.j2",
        report=report,
        cell=cell,
        text=text,
        code=code,
        block=lambda lines, kind="": "\n".join(block(lines, kind)),
        mermaid=mermaid,
        seen=_seen,
    )


def cell(words: str) -> str:
    """Text that is safe in a cell of a table."""
    return visible(words).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def text(words: str) -> str:
    """Words of others as plain text: no element, link, emphasis or line break."""
    return re.sub(r"([\\`*\[\]|])", r"\\\1", visible(words).replace("\n", " ")).replace("<", "&lt;")


def code(words: str) -> str:
    """Text as inline code, whatever backticks it holds."""
    shown = visible(words).replace("\n", " ")
    fence = "`" * (_longest_run(shown) + 1)
    space = " " if shown.startswith("`") or shown.endswith("`") else ""
    return f"{fence}{space}{shown}{space}{fence}"


def block(lines: Iterable[str], kind: str = "") -> Iterator[str]:
    """Lines as a block of code, whatever backticks they hold."""
    shown = [visible(line) for line in lines]
    fence = "`" * max(3, _longest_run("\n".join(shown)) + 1)
    yield f"{fence}{kind}"
    yield from shown
    yield fence


def _longest_run(words: str) -> int:
    return max((len(run) for run in re.findall("`+", words)), default=0)


def _seen(failure: Failure) -> Iterator[str]:
    """The steps, the contradictions, and the last output of a dead relay."""
    yield from failure.steps
    yield ""
    yield from (each.words for each in failure.contradictions)
    if failure.last_output:
        yield ""
        yield from failure.last_output.splitlines()
