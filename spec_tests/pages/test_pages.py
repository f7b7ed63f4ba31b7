"""What the pages show runs: their commands, programs and files; and a page that is wrong is told with its line."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from spec_tests.pages.matching import matches
from spec_tests.pages.reading import ROOT, PageError, blocks, commands, name_of, pages

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


def run(page: Path) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-m", "spec_tests.pages", "--quick", str(page))
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_shows_runs_and_gives_what_it_shows(page: Path) -> None:
    result = run(page)
    assert result.returncode == 0, result.stdout + result.stderr


def test_few_blocks_are_not_run_and_each_says_why() -> None:
    reasons = Counter(block.not_run for page in pages() for block in blocks(page) if block.not_run)
    print(*sorted(reasons.items()), sep="\n")
    assert reasons == MOST_NOT_RUN


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
