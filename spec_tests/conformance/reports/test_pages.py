"""The HTML pages as a reader meets them: valid, safe, what failed first, no colour that alone says something."""

import re
from importlib.resources import files
from itertools import product

import html5lib
import msgspec
import pytest

from spec_tests.conformance import shown_comparisons, shown_runs
from spec_tests.conformance.reports.test_formats import Page
from torq_conformance.comparison.evidence.html import page as comparison_page
from torq_conformance.comparison.evidence.words import LOOKS
from torq_conformance.judging.verdict import Counterexample, Result, Verdict
from torq_conformance.model.findings import Finding, Kind
from torq_conformance.model.history import History
from torq_conformance.model.program import Program
from torq_conformance.model.requirements import requirements
from torq_conformance.model.steps import Connect
from torq_conformance.reports.html import UNFOLDED, page
from torq_conformance.reports.markdown import markdown
from torq_conformance.reports.matrix import matrix_html
from torq_conformance.reports.model import VERDICTS, Report

SCRIPT = "<script>alert('crash')</script>"
NO_NUL = shown_runs.HOSTILE.replace("\x00", "")  # which no command line holds


def crashed() -> Report:
    """The report on a relay that prints markup as it dies, and on a check of it that failed."""
    finding = Finding(Kind.CRASHED, "the relay to go on serving", f"it died: {SCRIPT}")
    history = History(crash=f"it died: {SCRIPT}", remains=[f"its last output: {SCRIPT}"])
    died = Counterexample("VAL-6", Program("signal", (Connect(0),)), [finding], history, 20, 20)
    results = [Result(requirements()["VAL-6"], Verdict.FAIL, counterexample=died)]
    results += [Result(requirements()["LIFE-1"], Verdict.FAIL, counterexample=shown_runs.failed_check())]
    return shown_runs.report(shown=results)


def pages() -> dict[str, str]:
    reports = [shown_runs.report(), shown_runs.report(shown_runs.HOSTILE), crashed()]
    shown = {f"report {place}": page(each) for place, each in enumerate(reports)}
    stopped = msgspec.structs.replace(reports[0], state="incomplete", stop_reason="why", exit_code=None)
    shown |= {"stopped": page(stopped), "nothing": page(shown_runs.report(shown=[]))}
    comparisons = [
        shown_comparisons.report(),
        shown_comparisons.report(NO_NUL),
        shown_comparisons.report(stopped="why"),
    ]
    shown |= {f"comparison {place}": comparison_page(each) for place, each in enumerate(comparisons)}
    return shown | {"matrix": matrix_html(reports), "brief matrix": matrix_html(reports * 2)}


@pytest.mark.parametrize("name", pages())
def test_a_page_is_html_without_an_error_that_a_browser_would_have_to_mend(name: str) -> None:
    parser = html5lib.HTMLParser()
    parser.parse(re.sub(r' data-copy="[^"]*"', "", pages()[name]))  # a line for a shell, with what HTML cannot hold
    assert parser.errors == []


def test_what_a_dying_relay_prints_is_shown_and_is_no_element() -> None:
    report = crashed()
    text = page(report)
    assert SCRIPT not in text
    assert Page(text).tags.count("script") == 1
    escaped = "&lt;script&gt;alert(&#39;crash&#39;)&lt;/script&gt;"
    assert text.count(escaped) >= 3, "the contradiction, its picture and what is left of the relay"
    code = re.compile(r"^(`{3,})\w*\n.*?^\1$", re.DOTALL | re.MULTILINE)
    assert SCRIPT in markdown(report)
    assert SCRIPT not in code.sub("", markdown(report))


def test_the_strip_has_a_cell_for_each_requirement_that_says_its_verdict_without_colour() -> None:
    report = shown_runs.report()
    cells = re.findall(
        r'<a class="cell ([a-z-]+)" href="#([^"]+)" title="(\S+) ([^":]+): [^"]+">\d+<b>(.+?)</b>', page(report)
    )
    assert [(name, word) for _, _, name, word, _ in cells] == [(each.id, each.word) for each in report.judgements]
    for style, place, name, word, sign in cells:
        assert (style, sign) == (word.lower().replace(" ", "-"), VERDICTS[word].sign)
        assert place == (name if report.by_id()[name].failure else f"{name}-row")
    for looks in (VERDICTS, LOOKS):
        said = {word: look.sign for word, look in looks.items() if word not in ("MEASURED", "SAME")}
        assert len(set(said.values())) == len(said)


def test_the_strip_of_a_comparison_has_a_cell_for_each_topic_check_and_figure() -> None:
    report = shown_comparisons.report()
    titles = re.findall(r'<a class="cell [a-z-]+" href="#[^"]+" title="([^"]+)">', comparison_page(report))
    assert sorted(title.partition(": ")[0] for title in titles) == sorted(each.name for each in report.compared)


def test_failures_come_first_the_worst_unfolded() -> None:
    known = requirements()
    listed = Result(known["FWD-1"], Verdict.EXPECTED_FAIL, "listed", counterexample=shown_runs.lost_frame())
    flaky = Result(known["ORD-2"], Verdict.FLAKY, counterexample=shown_runs.two_orders())
    should = Result(known["CONN-2"], Verdict.FAIL, counterexample=shown_runs.failed_check("CONN-2"))
    must = Result(known["VAL-6"], Verdict.FAIL, counterexample=shown_runs.crash())
    text = page(shown_runs.report(shown=[listed, flaky, should, must]))
    shown = re.findall(
        r'<article>\n<details( open)?>\n<summary><h3><span class="verdict [a-z-]+">\S+</span> (\S+)', text
    )
    assert [name for _, name in shown] == ["VAL-6", "CONN-2", "ORD-2", "FWD-1"]
    assert [bool(unfolded) for unfolded, _ in shown] == [True] * UNFOLDED + [False]
    assert text.index("<h2>Failures</h2>") < text.index("<h2>Verdicts</h2>") < text.index("<h2>The run</h2>")


def test_differences_that_are_not_accepted_come_first() -> None:
    text = comparison_page(shown_comparisons.report())
    words = re.findall(r'<summary><h3><span class="verdict [a-z-]+">(\S+)</span>', text)
    assert words == ["DIFFERENT"] * 5 + ["ACCEPTED"]
    assert text.index("<h2>Differences</h2>") < text.index("<h2>What was compared</h2>")


def test_what_links_lead_to_lies_within_what_is_folded_so_that_a_browser_unfolds_it() -> None:
    text = page(shown_runs.report())
    for name in ("FWD-1", "ORD-2", "VAL-6"):
        assert f'</summary>\n<div id="{name}">' in text


CSS = files("torq_conformance.reports").joinpath("templates", "colours.css").read_text("utf-8")
SCHEMES = {
    name: dict(re.findall(r"--([a-z]+): (#[0-9a-f]+);", block))
    for name, block in zip(("light", "dark", "paper"), re.findall(r":root \{(.*?)\}", CSS, re.DOTALL), strict=True)
}


def channels(colour: str) -> list[float]:
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    return [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]


def luminance(colour: list[float]) -> float:
    linear = [each / 12.92 if each <= 0.04045 else ((each + 0.055) / 1.055) ** 2.4 for each in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: list[float], second: list[float]) -> float:
    """The contrast of two colours, as WCAG defines it; AA asks for 4.5."""
    light, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


TONES = ("bad", "good", "thin", "warn", "flaky", "note")


@pytest.mark.parametrize(("scheme", "tone"), [*product(SCHEMES, (*TONES, "ink", "soft"))])
def test_every_colour_is_read_on_what_it_stands_on(scheme: str, tone: str) -> None:
    colours = {name: channels(colour) for name, colour in SCHEMES[scheme].items()}
    for ground in ("paper", "pane"):
        assert contrast(colours[tone], colours[ground]) >= 4.5
    tinted = [0.32 * own + 0.68 * paper for own, paper in zip(colours[tone], colours["paper"], strict=True)]
    if tone in TONES:
        assert contrast(colours["ink"], tinted) >= 4.5


def test_each_word_that_a_page_says_has_a_tone() -> None:
    for word in (*VERDICTS, *LOOKS, "INCOMPLETE", "NOTHING JUDGED"):
        assert re.search(rf"\.{word.lower().replace(' ', '-')}\b", CSS), word
