"""docs/client.md and docs/inspect.md: what they list is there, and the first lines do what they say."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest

import torq_protocol.client as client
from spec_tests.protocol.client.fake_relays import fake_relay, in_thread, read_all
from torq_protocol import RelayDomain
from torq_protocol.constants import SOCKET_PATHS
from torq_protocol.inspect.cli import _parser

DOCS = Path(__file__).parents[3] / "docs"


def test_the_guide_begins_with_ten_lines_that_publish_and_ten_that_consume(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```python \w+\.py\n(.*?)^```", (DOCS / "client.md").read_text("utf-8"), re.M | re.S)
    publish, consume = ([line for line in block.splitlines() if line] for block in blocks[:2])
    assert max(len(publish), len(consume)) <= 11
    once = partial(client.connect_blocking, reconnect=False)
    monkeypatch.setattr(client, "connect_blocking", once)
    with fake_relay() as relay:
        monkeypatch.setitem(SOCKET_PATHS, RelayDomain.MARKET_DATA, str(relay.path))
        exec("\n".join(publish), {})
        published = read_all(relay.accept())
        second = published[len(published) // 2 :]
        with in_thread(lambda: exec("\n".join(consume), {})), relay.accept() as connection:
            connection.sendall(published + second[:8] + (9).to_bytes(8, "little") + second[16:])
    assert capsys.readouterr().out.splitlines() == [
        "Connected",
        "BTC 45123.50000000 0.50000000",
        "BTC 45124.00000000 0.50000000",
        "6 messages are missing",
        "BTC 45124.00000000 0.50000000",
        "Lost",
    ]


def test_the_guide_names_every_error_and_event_and_nothing_that_is_not_there() -> None:
    text = (DOCS / "client.md").read_text("utf-8")
    named = set(re.findall(r"^\| `(\w+)` \|", text, re.M))
    errors = {name for name in client.__all__ if name.endswith("Error")} - {"ClientError"}
    assert named == errors | {"Connected", "Lost", "Reconnected", "GapSeen", "Refused"}


def test_the_page_of_the_inspector_names_every_option_and_no_other() -> None:
    text = (DOCS / "inspect.md").read_text("utf-8")
    known = {option for action in _parser()._actions for option in action.option_strings}
    seen = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    named = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", seen))
    assert named <= known
    wanted = {option for option in known if option.startswith("--")}
    wanted -= {"--help", "--version", "--verbose", "--quiet", "--count", "--color"}
    assert wanted <= named
