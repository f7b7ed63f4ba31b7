"""The HTML report in a real browser: no error, no request, nothing too wide, buttons that work, marks in bold."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from spec_tests.conformance import shown_comparisons, shown_runs
from torq_conformance.comparison.evidence.html import page as comparison_page
from torq_conformance.reports.html import page
from torq_conformance.reports.matrix import matrix_html

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NARROWEST = 500
"""The least width of a browser's window, in pixels."""
PROBE = """
<script>
window.errors = [];
window.addEventListener("error", function (event) { window.errors.push(String(event.message)); });
</script>
"""
ASK = """
<script>
function channels(colour) {
  var found = colour.match(/[0-9.e-]+/g).map(Number), scale = colour.startsWith("color(") ? 1 : 255;
  return {rgb: found.slice(0, 3).map(function (each) { return each / scale; }),
    alpha: found.length > 3 ? found[3] : 1};
}
function luminance(rgb) {
  var linear = rgb.map(function (each) {
    return each <= 0.04045 ? each / 12.92 : Math.pow((each + 0.055) / 1.055, 2.4); });
  return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}
function ground(element) {
  for (; element; element = element.parentElement) {
    var found = channels(getComputedStyle(element).backgroundColor);
    if (found.alpha === 1) { return found.rgb; }
  }
  return [1, 1, 1];
}
function faint() {
  return Array.from(document.querySelectorAll("body *:not(script):not(title):not(text.name)")).filter(function (each) {
    var own = Array.from(each.childNodes).some(function (node) {
      return node.nodeType === 3 && node.textContent.trim(); });
    if (!own) { return false; }
    var looks = getComputedStyle(each), colour = each.matches("svg *") ? looks.fill : looks.color;
    var pair = [luminance(channels(colour).rgb), luminance(ground(each))].sort(function (a, b) { return b - a; });
    return (pair[0] + 0.05) / (pair[1] + 0.05) < 4.5;
  }).map(function (each) { return each.outerHTML.slice(0, 80); });
}
window.addEventListener("load", function () {
  var shown = function () {
    return Array.from(document.querySelectorAll("tr[data-verdict]")).filter(function (row) {
      return getComputedStyle(row).display !== "none"; }).length; };
  var weights = function (query) { return Array.from(document.querySelectorAll(query)).map(function (text) {
    return getComputedStyle(text).fontWeight; }); };
  var answer = {all: shown()};
  var only = document.querySelector("button[data-only=PASS]");
  if (only) { only.click(); answer.passing = shown(); only.click(); answer.again = shown(); }
  answer.marked = weights("svg.sequence g.marked text:not(.step)");
  answer.plain = weights("svg.sequence g:not(.marked) text:not(.step)");
  document.querySelectorAll("details").forEach(function (each) { each.open = true; });
  answer.cut = Array.from(document.querySelectorAll("body *:not(.scroll):not(svg *)")).filter(function (each) {
    return each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).display !== "inline"; }).map(
    function (each) { return each.outerHTML.slice(0, 80); });
  answer.faint = faint();
  answer.width = innerWidth;
  answer.dark = matchMedia("(prefers-color-scheme: dark)").matches;
  answer.wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  answer.resources = performance.getEntriesByType("resource").length;
  answer.errors = window.errors;
  var copied = null;
  document.execCommand = function () { copied = document.activeElement.value; return true; };
  Object.defineProperty(navigator, "clipboard", {value: undefined});
  var button = document.querySelector("article button.copy");
  if (button) { button.click(); answer.copied = copied; answer.says = button.textContent; }
  var node = document.createElement("pre");
  node.id = "answer"; node.textContent = JSON.stringify(answer); document.body.appendChild(node);
});
</script>
"""


@pytest.fixture(scope="module")
def browser() -> str:
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine: the HTML reports are not looked at in a browser")
    return CHROMIUM


FRAMED = """<!doctype html>
<iframe id="page" src="page.html" style="border: 0; height: 900px; width: {width}px"></iframe>
<script>window.addEventListener("load", function () {{
  document.body.appendChild(document.getElementById("page").contentDocument.getElementById("answer").cloneNode(true));
}});</script>"""


def asked(browser: str, text: str, *, width: int, dark: bool = False) -> dict[str, object]:
    """What the page says of itself after its scripts have run. A width below 500 is that of a frame in a window.

    No window of a browser is narrower.
    """
    with tempfile.TemporaryDirectory(prefix="torq-") as name:
        folder = Path(name)
        path = folder / "page.html"
        path.write_text(text.replace("<head>", f"<head>{PROBE}").replace("</body>", f"{ASK}</body>"), "utf-8")
        frame = folder / "frame.html"
        frame.write_text(FRAMED.format(width=width), "utf-8")
        shown, said = _in_the_browser(
            folder, browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile",
            f"--window-size={max(width, NARROWEST)},900", "--virtual-time-budget=2000", "--dump-dom",
            "--allow-file-access-from-files", f"--blink-settings=preferredColorScheme={int(not dark)}",
            (frame if width < NARROWEST else path).as_uri(),
        )  # fmt: skip
    match = re.search(r'<pre id="answer">(.*?)</pre>', shown, re.DOTALL)
    assert match is not None, said[-2000:]
    answer: dict[str, object] = json.loads(match[1].replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    return answer


def _in_the_browser(folder: Path, *command: str) -> tuple[str, str]:
    """Its output and errors: files, since a pipe would stay open as long as any of the processes that it starts."""
    with (folder / "shown").open("wb") as shown, (folder / "said").open("wb") as said:
        process = subprocess.Popen(command, stdout=shown, stderr=said, start_new_session=True)
        try:
            process.wait(60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return (folder / "shown").read_text("utf-8"), (folder / "said").read_text("utf-8", "replace")


def test_the_report_in_a_browser(browser: str) -> None:
    report = shown_runs.report(shown_runs.HOSTILE)
    answer = asked(browser, page(report), width=1200)
    assert answer["errors"] == []
    assert answer["resources"] == 0
    assert (answer["all"], answer["passing"], answer["again"]) == (6, 1, 6)
    weights = {mark: answer[mark] for mark in ("marked", "plain")}
    assert isinstance(weights["marked"], list)
    assert set(weights["marked"]) == {"700"}
    assert isinstance(weights["plain"], list)
    assert "700" not in weights["plain"]
    assert int(str(answer["wide"])) <= 0
    first = report.failures[0].failure
    assert first is not None
    assert (answer["copied"], answer["says"]) == (first.replay, "copied")


def test_the_report_in_a_browser_as_narrow_as_a_phone(browser: str) -> None:
    report = shown_runs.report(f"{shown_runs.HOSTILE} {'x' * 300}")
    answer = asked(browser, page(report), width=500)
    assert answer["errors"] == []
    assert int(str(answer["wide"])) <= 0
    assert (answer["all"], answer["passing"], answer["again"]) == (6, 1, 6)


def test_without_scripts_no_button_is_offered_that_does_nothing(browser: str) -> None:
    bare = re.sub(r"<script>.*?</script>", "", page(shown_runs.report()), flags=re.DOTALL)
    looks = """<script>window.addEventListener("load", function () { var node = document.createElement("pre");
      node.id = "answer"; node.textContent = JSON.stringify({
      copies: Array.from(document.querySelectorAll("button.copy"),
        function (each) { return getComputedStyle(each).display; }),
      borders: Array.from(document.querySelectorAll("button[data-only]"),
        function (each) { return getComputedStyle(each).borderTopWidth; })});
      document.body.appendChild(node); });</script>"""
    answer = asked(browser, bare.replace("</head>", f"{looks}</head>"), width=900)
    assert set(map(str, listed(answer["copies"]))) == {"none"}
    assert set(map(str, listed(answer["borders"]))) == {"0px"}


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1400])
@pytest.mark.parametrize("name", ["report", "comparison", "matrix"])
def test_a_page_is_read_at_any_width_by_day_and_by_night(browser: str, name: str, width: int, dark: bool) -> None:
    long = f"my_relay --socket {{socket}} --name {'x' * 300}"
    report, comparison = shown_runs.report(long), shown_comparisons.report(long)
    texts = {"report": page(report), "comparison": comparison_page(comparison), "matrix": matrix_html([report, report])}
    answer = asked(browser, texts[name], width=width, dark=dark)
    assert answer["errors"] == []
    assert answer["dark"] is dark
    assert answer["width"] == width
    assert int(str(answer["wide"])) <= 0
    assert answer["cut"] == [], "what is wider than where it stands"
    assert answer["faint"] == [], "what has a contrast below 4.5 (AA)"


def listed(value: object) -> list[object]:
    assert isinstance(value, list)
    return value


def test_the_matrix_in_a_narrow_browser(browser: str) -> None:
    answer = asked(browser, matrix_html([shown_runs.report(), shown_runs.report(shown_runs.HOSTILE)]), width=700)
    assert answer["errors"] == []
    assert int(str(answer["wide"])) <= 0


@pytest.mark.parametrize("width", [1200, 500])
def test_a_comparison_in_a_browser(browser: str, width: int) -> None:
    no_nul = shown_runs.HOSTILE.replace("\x00", "")  # which no command line holds
    report = shown_comparisons.report(f"{no_nul} {'x' * 300}")
    answer = asked(browser, comparison_page(report), width=width)
    assert answer["errors"] == []
    assert answer["resources"] == 0
    assert int(str(answer["wide"])) <= 0
    by_programs = [each for each in report.evidence.values() if each.a is not None]
    assert listed(answer["marked"]) == ["700"] * 2 * len(by_programs), "where they part, once in each run"
    assert "700" not in listed(answer["plain"])
    first = report.evidence[report.differences[0].id]
    assert answer["copied"] == first.replay
