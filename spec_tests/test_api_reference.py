"""The API reference is whole, up to date, and its examples run."""

from __future__ import annotations

import doctest
import inspect
from pathlib import Path

import pytest

from torq_protocol import PAYLOAD_CLASSES, Payload

from . import api_reference

ROOT = Path(__file__).resolve().parent.parent
PAGES = api_reference.pages()


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_what_the_sources_say(name: str) -> None:
    assert (ROOT / name).read_text("utf-8") == PAGES[name](ROOT), "run: make generate"


@pytest.mark.parametrize("page", api_reference.MODULES)
def test_every_example_of_a_page_gives_what_it_shows(page: str) -> None:
    path = ROOT / api_reference.FOLDER / f"{page}.md"
    failures, examples = doctest.testfile(str(path), module_relative=False)
    assert examples >= 4
    assert failures == 0


def test_every_public_name_is_documented_once_with_its_purpose() -> None:
    found = [
        (name, page, node, text)
        for page in api_reference.MODULES
        for _, name, node, text in api_reference.documented(ROOT, page)
    ]
    names = [name for name, *_ in found]
    assert sorted(names) == sorted(set(names))
    assert api_reference.public_names(ROOT) <= set(names)


def test_every_link_leads_to_a_page() -> None:
    for path in (ROOT / api_reference.FOLDER).glob("*.md"):
        head = path.read_text("utf-8").partition(api_reference.MARK)[0]
        for target in api_reference.links(head):
            assert (path.parent / target).exists(), f"{path.name} leads to {target}"


@pytest.mark.parametrize("payload", PAYLOAD_CLASSES.values(), ids=lambda payload: payload.__name__)
def test_every_field_of_a_payload_is_in_its_entry(payload: type[Payload]) -> None:
    page = (ROOT / api_reference.FOLDER / "payloads.md").read_text("utf-8")
    entry = page.partition(f"### {payload.__name__}\n")[2].partition("\n### ")[0]
    missing = [name for name in inspect.signature(payload).parameters if f"\n- `{name}: " not in entry]
    assert missing == []
