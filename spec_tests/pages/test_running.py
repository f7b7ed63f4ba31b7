"""A page that is wrong is told with its line; what is shown is compared, and figures are patterns."""

from __future__ import annotations

from pathlib import Path

import pytest

from .called import run
from .matching import matches
from .reading import PageError, blocks, commands


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "```sh\ntrue\ntorq-relay check-config --no-such x\n```\n",
            ("page.md:3: torq-relay", "ended with 2", "--no-such"),
        ),
        ("```console\n$ echo one two\none three\n```\n", ("page.md:2: echo", "printed something else", "one two")),
        ("```sh\necho here\n```\n\n```text\nthere\n```\n", ("page.md:2: echo here", "here", "there")),
        ("```sh\nfalse | cat\n```\n", ("page.md:2: false", "ended with 1, not 0")),
        ("```sh\ntrue  # exit code 2\n```\n", ("page.md:2: true", "ended with 0, not 2")),
        ("```console\n$ no-such-command &\n```\n", ("page.md:2: no-such", "not found")),
        ("```python\nprint(1 / 0)\n```\n", ("page.md:2:", "ZeroDivisionError")),
        ("```python\n>>> 1 + 1\n3\n\n```\n", ("page.md:2:", "Expected:\n    3\nGot:\n    2")),
        ("```toml x.toml\na = \n```\n", ("page.md:2:", "Invalid value")),
        ("```toml x.toml\na = 1\n```\n", ("page.md:1:", "x.toml is used by no command")),
        ("```json\n{\n```\n", ("page.md:2:", "Expecting")),
    ],
)
def test_a_page_that_is_wrong_is_told_with_line_command_and_output(
    tmp_path: Path, text: str, said: tuple[str, ...]
) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, "utf-8")
    result = run(page)
    assert result.returncode == 1
    assert all(part in result.stdout for part in said), result.stdout + result.stderr


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("```\ntorq-relay\n```\n", "page.md:1: a block of no language"),
        ("```shell\ntorq-relay\n```\n", "page.md:1: a block of shell"),
        ("Do:\n\n    torq-relay\n", "page.md:3: code by indentation"),
        ("```sh\ntrue\n", "page.md:1: without an end"),
        ("<!-- takes long -->\n```sh\ntrue\n```\n", "page.md:2: takes 'long'"),
    ],
)
def test_a_block_that_would_escape_is_refused(tmp_path: Path, text: str, said: str) -> None:
    page = tmp_path / "page.md"
    page.write_text(text, "utf-8")
    with pytest.raises(PageError, match=said):
        blocks(page)


def test_a_block_builds_on_those_above_it_and_what_goes_on_is_ended(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- given\nmkdir here; cd here; export WHO=me\n-->\n\n```python say.py\nimport sys\nprint(sys.argv[1])\n```\n"
        "```console\n$ python say.py \\\n  $WHO; pwd\nme\n...here\n"
        "$ market_data_relay --socket /tmp/torq/m.sock    # Ctrl-C ends it\n... listening ...\n"
        "$ test -S /tmp/torq/m.sock\n```\n",
        "utf-8",
    )
    result = run(page)
    assert result.returncode == 0, result.stdout
    assert "3 blocks" in result.stdout
    assert [command.line for command in commands(blocks(page)[2])] == [10, 14, 16]


def test_figures_are_patterns_and_dots_are_anything() -> None:
    assert matches("took 1.5 ms, torq 0.2.0 (compiled)\n", "took 12 ms, torq 0.3.0 (interpreted)\n", whole=True)
    assert matches("a\n...\nz\n", "a\nb\nc\nz\n", whole=True)
    assert not matches("a\n", "a\nb\n", whole=True)
    assert matches("a\n", "a\nb\n", whole=False)
    assert not matches("took 1.5 ms\n", "took no ms\n", whole=True)
