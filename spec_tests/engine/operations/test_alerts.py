"""The alerts for Prometheus: of metrics that there are, and silent about publishers that never read (ISO-7)."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # ships no types

from torq_engine.accounting import REFUSAL_LABELS, CloseReason, DropReason

from ..frames import frame
from ..relays import happened
from .services import operating
from .test_operators import UNIX, samples

RULES = Path(__file__).parents[3] / "docs" / "prometheus" / "torq-relay.rules.yml"
_SELECTOR = re.compile(r'\b(torq_relay_\w+)(?:\{reason(=~|!=|=)"([^"]*)"\})?')
_REASONS = {reason.label for reason in (*DropReason, *CloseReason)} | set(REFUSAL_LABELS.values())
PROMTOOL = pytest.mark.skipif(shutil.which("promtool") is None, reason="no promtool on the PATH")


def rules() -> list[dict[str, str]]:
    [group] = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    found: list[dict[str, str]] = group["rules"]
    return found


def selected(expression: str, values: dict[str, float]) -> dict[str, float]:
    """The samples that an expression looks at."""
    found = {}
    for name, operator, wanted in _SELECTOR.findall(expression):
        for sample, value in values.items():
            metric, _, reason = sample.removesuffix("}").partition("{")
            named = re.fullmatch(wanted, reason) is not None
            if metric == name and (not operator or named is (operator != "!=")):
                found[sample] = value
    return found


async def test_alerts_look_at_exported_metrics_and_existing_reasons_only() -> None:
    async with operating("execution", UNIX) as running:
        exported = await samples(running)
    assert len({rule["alert"] for rule in rules()}) == len(rules()) > 10
    for rule in rules():
        names = set(re.findall(r"torq_relay_\w+", rule["expr"]))
        assert names or rule["expr"] == 'up{job="torq-relay"} == 0', rule
        assert names <= {sample.partition("{")[0] for sample in exported}, rule
        for _, operator, wanted in _SELECTOR.findall(rule["expr"]):
            assert not operator or set(wanted.split("|")) <= _REASONS, rule
            assert not operator or operator == "!=" or selected(rule["expr"], exported), rule


async def test_iso_7_no_alert_sees_a_publisher_that_never_reads_though_its_frames_are_dropped() -> None:
    text = "queue_bytes = 5000\nsend_buffer_bytes = 4608\nfirst_read_grace = 0\n" + UNIX
    async with operating(text=text) as running:
        publisher, witness = await running.join(), await running.join()
        await publisher.send(frame())
        await witness.frames(1)
        before = await samples(running)
        hub = running.service.server.hub
        while not hub.totals().dropped_frames[DropReason.NEVER_READ] > 100:
            received = hub.totals().received_frames
            await publisher.send(frame(bytes(1000)))
            await happened(lambda: hub.totals().received_frames > received)  # noqa: B023 - awaited in this very turn
            await witness.frames(1)
        after = await samples(running)
    changed = {name for name in after if after[name] != before[name]}
    assert "torq_relay_dropped_frames_total{never-read}" in changed
    for rule in rules():
        seen = {name: value for name, value in selected(rule["expr"], after).items() if name in changed}
        assert seen.keys() <= {"torq_relay_held_bytes"}, rule
        assert seen.get("torq_relay_held_bytes", 0) < 0.1 * after["torq_relay_max_held_bytes"]


@PROMTOOL
def test_promtool_takes_the_rules_and_fires_them_when_it_should(tmp_path: Path) -> None:
    dropped = 'torq_relay_dropped_frames_total{instance="x",relay="signal",reason'
    fires = {
        "exp_labels": {"severity": "warning", "relay": "signal", "instance": "x"},
        "exp_annotations": {
            "summary": "signal relay drops 10 frames/s for slow consumers",
            "description": "The log says who, and so does torq-relay ctl connections --sort dropped.",
        },
    }
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": f'{dropped}="{reason}"}}', "values": "0+600x10"}],
            "alert_rule_test": [{"eval_time": "8m", "alertname": "TorqFramesDropped", "exp_alerts": alerts}],
        }
        for reason, alerts in (("queue-full", [fires]), ("never-read", []), ("closed", []), ("own-echo", []))
    ]
    path = tmp_path / "test.yml"
    path.write_text(json.dumps({"rule_files": [str(RULES)], "tests": tests}), encoding="utf-8")
    for words in (["check", "rules", str(RULES)], ["test", "rules", str(path)]):
        ended = subprocess.run(["promtool", *words], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stdout + ended.stderr
