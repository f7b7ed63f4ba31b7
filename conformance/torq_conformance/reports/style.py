"""How the HTML pages look, and the few lines of script in them."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --ink: #1d2430; --paper: #fff; --soft: #5b6675; --line: #d8dee6; --pane: #f5f7fa;
  --bad: #c62828; --good: #1b7f3b; --warn: #8a5a00; --flaky: #8e24aa; --note: #0b6b8a; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e8ee; --paper: #14181f; --soft: #9aa6b5; --line: #333c49;
  --pane: #1d232d; --bad: #ff7b72; --good: #56c271; --warn: #e0b050; --flaky: #d28be0; --note: #5cc0de; } }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 0 auto;
  max-width: 1180px; padding: 1.5rem; }
h1 { font-size: 1.5rem; line-height: 1.3; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2rem 0 .6rem; }
h3 { margin: 0 0 .4rem; }
small, .stable, footer, .rate { color: var(--soft); font-weight: normal; }
.stable { font: 12px ui-monospace, monospace; }
a { color: var(--note); }
dd a, td.id { white-space: nowrap; }
code, pre { font: 13px/1.5 ui-monospace, monospace; }
pre { background: var(--pane); padding: .8rem; overflow-x: auto; }
code.line { background: var(--pane); padding: .15rem .4rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .15rem 1rem; margin: .8rem 0; }
dt { color: var(--soft); } dd { margin: 0; }
.conclusion, .problem { border-left: 5px solid var(--warn); padding: .5rem .9rem; background: var(--pane);
  margin: .6rem 0; color: var(--ink); overflow-wrap: anywhere; }
.conclusion { font-size: 1.1rem; font-weight: 600; }
.conclusion.pass { border-color: var(--good); } .conclusion.fail, .problem { border-color: var(--bad); }
.thin { color: var(--warn); margin: 0; }
button { font: inherit; color: inherit; background: var(--pane); border: 1px solid var(--line); border-radius: 5px;
  cursor: pointer; padding: .05rem .5rem; }
button.on { outline: 2px solid var(--ink); }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
tr.section th { padding-top: 1rem; color: var(--soft); }
.verdicts td:nth-child(2), .verdicts td:nth-child(3) { white-space: nowrap; }
.verdicts td:nth-child(4) { width: 45%; } .verdicts td:nth-child(5) { width: 35%; }
tr:target td { background: var(--pane); }
ul { margin: .4rem 0; padding-left: 1.3rem; }
li, dd, td, .contradiction { overflow-wrap: anywhere; }
html:not(.scripted) button { background: none; border: 0; padding: 0 .5rem 0 0; cursor: default; }
html:not(.scripted) button.copy { display: none; }
tr.hidden { display: none; }
.verdict { font-weight: 600; white-space: nowrap; }
.pass { color: var(--good); } .fail, .unexpected-pass { color: var(--bad); }
.flaky { color: var(--flaky); } .unknown { color: var(--warn); } .unsupported { color: var(--soft); }
.expected-fail { color: var(--note); }
article { border: 1px solid var(--line); border-radius: 8px; padding: 1rem; margin: 1rem 0; }
article:target { border-color: var(--bad); }
.contradiction { font-size: 1.05rem; }
.scroll { overflow-x: auto; }
svg text { font: 12px ui-monospace, monospace; fill: var(--ink); }
svg.sequence text:not(.name) { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
svg .life { stroke: var(--line); stroke-width: 2; }
svg rect.client { fill: var(--pane); stroke: var(--soft); } svg rect.relay { fill: var(--ink); }
svg text.name { font-weight: 600; } svg rect.relay + text.name { fill: var(--paper); }
svg .step { fill: var(--soft); }
svg .shaft { stroke: var(--soft); stroke-width: 1.4; } svg .tip { fill: var(--soft); }
svg .across { stroke: var(--line); stroke-dasharray: 2 3; } svg circle { fill: var(--soft); }
svg .missing .shaft { stroke-dasharray: 5 4; } svg .head { stroke: var(--soft); stroke-width: 2; fill: none; }
svg .marked text { font-weight: 700; fill: var(--bad); } svg .marked .step { fill: var(--bad); }
svg .marked .shaft, svg .marked .head { stroke: var(--bad); stroke-width: 2.6; }
svg .marked .tip, svg .marked circle { fill: var(--bad); }
svg .bar { fill: var(--good); } svg .bar.fail, svg .bar.unexpected-pass { fill: var(--bad); }
svg .bar.flaky { fill: var(--flaky); } svg .bar.unknown { fill: var(--warn); }
svg .bar.expected-fail { fill: var(--note); }
svg .bar.unsupported { fill: var(--soft); }
table.matrix td { text-align: center; } table.matrix td.id, table.matrix td.text { text-align: left; }
table.matrix td.text { min-width: 20rem; }
table.matrix th.relay { text-align: center; overflow-wrap: anywhere; min-width: 7rem; }
table.brief th.relay { min-width: 1.6rem; padding: 0.3rem; vertical-align: bottom; }
table.brief th.relay span { writing-mode: vertical-rl; transform: rotate(180deg); white-space: nowrap; }
table.brief td { padding-left: 0.3rem; padding-right: 0.3rem; }
@media (max-width: 700px) {
  body { padding: .8rem; }
  dl { display: block; } dt { margin-top: .4rem; }
  article { padding: .7rem; } pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  .verdicts, .verdicts tbody, .relays, .relays tbody { display: block; }
  .verdicts thead, .relays thead { display: none; }
  .relays tr { display: block; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .relays td { display: block; border: 0; padding: 0; } .relays td:first-child { font-weight: 600; }
  table.matrix td.text { min-width: 10rem; }
  .relays td[data-name]::before { content: attr(data-name) " "; color: var(--soft); }
  .verdicts tr { display: flex; flex-wrap: wrap; padding: .5rem 0; border-bottom: 1px solid var(--line); }
  .verdicts tr.hidden { display: none; }
  .verdicts td, .verdicts th { border: 0; padding: 0 .8rem 0 0; }
  .verdicts td.id { font-weight: 600; }
  .verdicts td:nth-child(4), .verdicts td:nth-child(5) { width: 100%; padding: .2rem 0 0; }
  .verdicts td:nth-child(5) { color: var(--soft); }
}
@media print {
  :root { color-scheme: light; --ink: #000; --paper: #fff; --soft: #444; --line: #bbb; --pane: #f2f2f2; --bad: #b00020;
    --good: #135c2b; --warn: #6b4500; --flaky: #6a1b7a; --note: #094f66; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  button.copy, summary::marker { display: none; }
  button { background: none; border: 0; }
  details::details-content { content-visibility: visible; block-size: auto; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  svg { max-width: 100%; height: auto; } .scroll { overflow: visible; }
  tr, svg, .contradiction { break-inside: avoid; } h2, h3, tr.section { break-after: avoid; }
}
"""

SCRIPT = """
document.documentElement.classList.add("scripted");
document.querySelectorAll("button.copy").forEach(function (button) {
  button.addEventListener("click", function () {
    var text = button.dataset.copy;
    function done() { button.textContent = "copied"; setTimeout(function () { button.textContent = "copy"; }, 1500); }
    function byHand() {
      var area = document.createElement("textarea");
      area.value = text; document.body.appendChild(area); area.select(); document.execCommand("copy"); area.remove();
      done();
    }
    if (navigator.clipboard) { navigator.clipboard.writeText(text).then(done, byHand); } else { byHand(); }
  });
});
document.querySelectorAll("button[data-only]").forEach(function (button) {
  button.addEventListener("click", function () {
    var on = button.classList.toggle("on");
    document.querySelectorAll("button[data-only]").forEach(function (other) {
      if (other !== button) { other.classList.remove("on"); }
    });
    document.querySelectorAll("tr[data-verdict]").forEach(function (row) {
      row.classList.toggle("hidden", on && row.dataset.verdict !== button.dataset.only);
    });
  });
});
"""
