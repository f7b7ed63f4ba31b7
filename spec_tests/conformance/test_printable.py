"""What a relay is called or prints is seen, and does nothing, wherever it is shown."""

import re
import unicodedata
from xml.etree import ElementTree

from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from spec_tests.conformance import shown_runs
from torq_conformance.printable import visible
from torq_conformance.reports.html import page
from torq_conformance.reports.junit import junit
from torq_conformance.reports.markdown import block, code, markdown
from torq_conformance.reports.terminal import show_counterexample, show_first_screen

ESCAPE = "\x1b"
OVERRIDE = "\u202e"
LINE = f"{ESCAPE}[31m{OVERRIDE}<b>`` ``` \x00 tail"


@settings(max_examples=200)
@given(text=st.text(st.characters(codec=None)))
@example(text="\u2028\u202e\ufeff\x9b\x7f\r")
def test_nothing_unseen_is_left_but_line_ends_and_tabs(text: str) -> None:
    left = {char for char in visible(text) if unicodedata.category(char) in ("Cc", "Cs")}
    assert left <= {"\n", "\t"}
    assert not set(visible(text)) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


@given(text=st.text(st.characters(codec="ascii", min_codepoint=32, max_codepoint=126)))
@settings(max_examples=50)
def test_what_is_seen_stays_as_it_is(text: str) -> None:
    assert visible(text) == text


@settings(max_examples=100)
@given(lines=st.lists(st.text(st.sampled_from("`~ a\n"), max_size=12), max_size=4))
def test_a_block_of_markdown_ends_where_its_lines_end(lines: list[str]) -> None:
    first, *_, last = "\n".join(block(lines, "text")).splitlines()
    fence = first.removesuffix("text")
    assert last == fence
    assert all(fence not in line for line in lines)


@settings(max_examples=100)
@given(words=st.text(st.sampled_from("` a\n"), min_size=1, max_size=12))
def test_inline_code_of_markdown_ends_where_its_text_ends(words: str) -> None:
    shown = code(words)
    fence = re.match("`+", shown)
    assert fence is not None
    assert len(fence[0]) not in {len(run) for run in re.findall("`+", words)}
    assert "\n" not in shown


def test_no_report_and_no_screen_holds_an_escape_sequence_of_the_target() -> None:
    found = shown_runs.crash()
    found.history.remains = [LINE]
    result = shown_runs.results()[-1]
    result.counterexample = found
    report = shown_runs.report(f"relay {LINE}", shown=[result])
    out = Console(width=80, quiet=False)
    with out.capture() as captured:
        show_first_screen(out, shown_runs.plan(), f"relay {LINE}")
        show_counterexample(out, result, [("replay", LINE)])
    shown = captured.get()
    without_copies = re.sub('data-copy="[^"]*"', "", page(report))
    for text in (shown, without_copies, markdown(report), junit(report).decode()):
        assert ESCAPE not in text
        assert OVERRIDE not in text
        assert "\\x1b[31m\\u202e" in text
    assert "<b>``" not in page(report)


def test_what_is_left_of_a_dead_relay_stands_in_every_report() -> None:
    result = shown_runs.results()[-1]
    assert result.counterexample is not None
    result.counterexample.history.remains = ["it printed 'no space left'", "it printed 'giving up'"]
    report = shown_runs.report(shown=[result])
    for line in result.counterexample.history.remains:
        assert line in markdown(report).splitlines()
        assert line in page(report).replace("&#39;", "'")
        assert line in "".join(ElementTree.fromstring(junit(report)).itertext())
