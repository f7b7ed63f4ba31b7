"""What the pages show runs: their commands, programs and files."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from .called import run
from .reading import blocks, name_of, pages

PAGES = [page for page in pages() if any(block.language not in {"text", "mermaid"} for block in blocks(page))]
MOST_NOT_RUN = {
    "CI does it": 2,
    "GitHub or GitLab does it": 4,
    "a test of the dissector does it": 1,
    "an excerpt of a module": 1,
    "fetches from the network": 1,
    "needs root, and changes the machine": 2,
    "opens a window": 1,
    "takes relays built for coverage, which the tests of the grey box build": 1,
}
"""How many blocks are not run, by the reason that their page gives. Run one more rather than raise these."""


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_shows_runs_and_gives_what_it_shows(page: Path) -> None:
    result = run(page)
    assert result.returncode == 0, result.stdout + result.stderr


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    reasons = Counter(block.not_run for page in pages() for block in blocks(page) if block.not_run)
    print(*sorted(reasons.items()), sep="\n")
    assert reasons == MOST_NOT_RUN
