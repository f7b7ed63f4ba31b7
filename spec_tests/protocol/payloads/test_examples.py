"""The examples of docs/payload_classes.md run as they stand."""

from __future__ import annotations

import doctest
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "payload_classes.md"


def test_every_example_of_the_page_gives_what_it_shows() -> None:
    failures, examples = doctest.testfile(str(PAGE), module_relative=False)
    assert examples >= 20
    assert failures == 0
