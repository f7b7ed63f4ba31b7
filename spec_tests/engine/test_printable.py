"""Text of the operating system, shown: everybody can read it, and what is readable stays as it is."""

import json
import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from torq_engine.printable import as_json, printable


class Named(msgspec.Struct):
    names: list[str]
    by_name: dict[str, tuple[str, int]]


@given(st.binary())
def test_any_bytes_become_utf_8_and_what_is_utf_8_stays(name: bytes) -> None:
    shown = printable(os.fsdecode(name))
    assert shown.encode() == name.decode("utf-8", "backslashreplace").encode()


@given(st.lists(st.binary()), st.integers(0, 9))
def test_json_holds_any_names(names: list[bytes], number: int) -> None:
    texts = [os.fsdecode(name) for name in names]
    found = json.loads(as_json(Named(texts, {text: (text, number) for text in texts})).decode())
    shown = [printable(text) for text in texts]
    assert found == {"names": shown, "by_name": {text: [text, number] for text in shown}}


@pytest.mark.parametrize("value", ["signal", "größe", "", ["a", 1, None, True]])
def test_other_json_is_as_ever(value: object) -> None:
    assert as_json(value) == msgspec.json.encode(value)
