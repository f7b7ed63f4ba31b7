"""docs/client.md and docs/inspect.md: every example runs as it stands, and what they list is there."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import torq_protocol.client as client
from torq_protocol.inspect.cli import _parser

DOCS = Path(__file__).parents[3] / "docs"


def test_every_example_of_the_guide_gives_what_it_shows() -> None:
    failures, examples = doctest.testfile(str(DOCS / "client.md"), module_relative=False)
    assert examples >= 40
    assert failures == 0


def test_the_guide_names_every_error_and_event_and_nothing_that_is_not_there() -> None:
    text = (DOCS / "client.md").read_text("utf-8")
    named = set(re.findall(r"^\| `(\w+)` \|", text, re.M))
    errors = {name for name in client.__all__ if name.endswith("Error")} - {"ClientError"}
    assert named == errors | {"Connected", "Lost", "Reconnected", "GapSeen", "Refused"}


def test_the_page_of_the_inspector_names_every_option_and_no_other() -> None:
    text = (DOCS / "inspect.md").read_text("utf-8")
    known = {option for action in _parser()._actions for option in action.option_strings}
    named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text)) - {"-U"}
    assert named <= known
    wanted = {option for option in known if option.startswith("--")}
    wanted -= {"--help", "--version", "--verbose", "--quiet", "--count", "--color"}
    assert wanted <= named
