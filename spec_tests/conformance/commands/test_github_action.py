"""The composite GitHub actions: their scripts, run as a job would run them, and the pages that show how to use them."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import click
import pytest
import yaml  # type: ignore[import-untyped]  # ships no types

from spec_tests.conformance.judged_relays import specimen
from torq_conformance.cli import cli, command_names
from torq_conformance.comparison.evidence.formats import FORMATS
from torq_conformance.pytest_plugin import OPTIONS

ROOT = Path(__file__).parents[3]
ACTIONS = ROOT / ".github" / "actions"
NAMES = ("torq-conformance", "torq-equivalence")
GIVEN = {"GITHUB_RUN_NUMBER", "GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY", "GITHUB_REPOSITORY"}
"""Variables that every job has."""
CI = (ROOT / "docs" / "ci.md").read_text("utf-8")


def text_of(name: str) -> str:
    return (ACTIONS / name / "action.yml").read_text("utf-8")


def script(name: str, step: str) -> str:
    """The shell script of a step of an action."""
    [found] = [each["run"] for each in yaml.safe_load(text_of(name))["runs"]["steps"] if each["name"] == step]
    return str(found)


def run_script(name: str, step: str, given: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the script of a step as a runner does."""
    path = f"{given.get('PATH', '')}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", script(name, step)),
        env={**os.environ, **given, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.mark.parametrize(("relay", "code"), [("correct", 0), ("first-generic", 1)])
def test_the_script_of_the_action_judges_and_writes_its_reports(tmp_path: Path, relay: str, code: int) -> None:
    inputs = {
        "EXEC": specimen(relay, "signal"),
        "DOMAIN": "signal",
        "PROFILE": "reference",
        "SUCCESSOR": "{command} --takeover" if relay == "correct" else "",
        "SECTION": "FRAME-1,ORD-1",
        "EXPECTED": "",
        "MAX_EXAMPLES": "3",
        "TIME_BUDGET": "60s",
        "SEED": "",
        "WORKERS": "1",
        "SHARD": "1/2",
        "DATABASE": str(tmp_path / "database"),
        "REPORTS": str(tmp_path / "reports"),
        "GITHUB_RUN_NUMBER": "17",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    done = run_script("torq-conformance", "Judge the relay", inputs)
    assert done.returncode == code, done.stdout + done.stderr
    assert (tmp_path / "output").read_text() == f"exit-code={code}\n"
    assert "ORD-1" in (tmp_path / "summary").read_text()
    assert {each.name for each in (tmp_path / "reports").iterdir()} >= {"report.json", "report.xml", "report.html"}


def test_the_script_of_the_gate_compares_and_writes_its_reports(tmp_path: Path) -> None:
    accepted = tmp_path / "accepted.toml"
    accepted.write_text('[[difference]]\nid = "crashes:plain"\nreason = "it is not built yet"\n')
    inputs = {
        "BASELINE": specimen("correct", "signal"),
        "CANDIDATE": "false {socket}",
        "DOMAIN": "signal",
        "LEVEL": "well-formed",
        "ACCEPTED": "",
        "PROFILE": "",
        "BOUNDS": "memory=1.2 threads=2",
        "TIME_BUDGET": "20s",
        "MAX_EXAMPLES": "3",
        "SEED": "",
        "REPORTS": str(tmp_path / "reports"),
        "GITHUB_RUN_NUMBER": "17",
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    for more, code, word in (({}, 1, "DIFFERENT"), ({"ACCEPTED": str(accepted)}, 3, "ACCEPTED")):
        (tmp_path / "summary").unlink(missing_ok=True)
        (tmp_path / "output").unlink(missing_ok=True)
        done = run_script("torq-equivalence", "Compare the relays", inputs | more)
        assert done.returncode == code, done.stdout + done.stderr
        assert (tmp_path / "output").read_text() == f"exit-code={code}\n"
        assert f"{word} | `crashes:plain`" in (tmp_path / "summary").read_text()
    names = {str(each.relative_to(tmp_path / "reports")) for each in (tmp_path / "reports").rglob("*.*")}
    assert names == {
        "report.json", "report.xml", "report.html", "report.md", "badge.json",
        "failures/false/crashes-plain-signal.json",
    }  # fmt: skip
    report = json.loads((tmp_path / "reports" / "report.json").read_text())
    assert report["seed"] == 17
    assert "--bound memory=1.2 --bound threads=2" in report["command"]


GH = """#!/bin/sh
printf '%s\\n' "$*" >> "$CALLS"
case "$*" in *--paginate*) cat "$LISTED" ;; *) cat "$REPORTS/comment.md" ;; esac
"""


@pytest.mark.parametrize("listed", ["", "11\n42\n"])
def test_the_gate_writes_one_comment_and_the_next_time_over_it(tmp_path: Path, listed: str) -> None:
    (tmp_path / "gh").write_text(GH)
    (tmp_path / "gh").chmod(0o755)
    (tmp_path / "listed").write_text(listed)
    (tmp_path / "report.md").write_text("### DIFFERENT\n")
    given = {
        "GH_TOKEN": "t",
        "DOMAIN": "signal",
        "REPORTS": str(tmp_path),
        "PULL_REQUEST": "7",
        "GITHUB_REPOSITORY": "we/relay",
        "CALLS": str(tmp_path / "calls"),
        "LISTED": str(tmp_path / "listed"),
        "PATH": str(tmp_path),
    }
    done = run_script("torq-equivalence", "Write the comment", given)
    assert done.returncode == 0, done.stderr
    asked, written = (tmp_path / "calls").read_text().splitlines()
    assert asked.startswith("api --paginate repos/we/relay/issues/7/comments --jq .[] | select(")
    assert '(.body | startswith("<!-- torq-equivalence signal -->"))' in asked
    where = "PATCH repos/we/relay/issues/comments/42" if listed else "POST repos/we/relay/issues/7/comments"
    assert written == f"api --method {where} --field body=@{tmp_path}/comment.md"
    assert (tmp_path / "comment.md").read_text() == "<!-- torq-equivalence signal -->\n### DIFFERENT\n"
    (tmp_path / "report.md").unlink()
    assert run_script("torq-equivalence", "Write the comment", given).returncode == 0
    assert len((tmp_path / "calls").read_text().splitlines()) == 2, "without a report nothing is written"


@pytest.mark.parametrize("name", NAMES)
def test_every_input_of_an_action_is_used_and_every_variable_is_given(name: str) -> None:
    text, action = text_of(name), yaml.safe_load(text_of(name))
    assert set(action["inputs"]) == set(re.findall(r"inputs\.([a-z-]+)", text))
    for step in action["runs"]["steps"]:
        if "run" in step:
            local = set(re.findall(r"^\s*(?:for )?([a-z]+)(?:=| in )", step["run"], re.MULTILINE))
            used = set(re.findall(r"\$\{?([A-Za-z_]+)", step["run"])) - GIVEN - local - {"words"}
            assert used == set(step["env"]) - {"GH_TOKEN"}, step["name"]
            assert "${{" not in step["run"], "an input in a script could be a command"


def blocks(kind: str) -> list[str]:
    """The blocks of code of one kind on the page about CI."""
    return re.findall(rf"^```{kind}\n(.*?)^```", CI, re.MULTILINE | re.DOTALL)


def uses(value: object) -> Iterator[tuple[str, dict[str, object]]]:
    """Every step of a workflow that uses an action of ours, with what it gives."""
    if isinstance(value, dict):
        if "torq-" in str(value.get("uses", "")):
            yield str(value["uses"]).partition("@")[0].rpartition("/")[2], value.get("with", {})
        for each in value.values():
            yield from uses(each)
    elif isinstance(value, list):
        for each in value:
            yield from uses(each)


def test_the_workflows_of_the_page_give_what_the_actions_take() -> None:
    shown = [each for block in blocks("yaml") for each in uses(yaml.safe_load(block))]
    assert {name for name, _ in shown} == set(NAMES)
    for name, given in shown:
        declared = yaml.safe_load(text_of(name))["inputs"]
        assert given.keys() <= declared.keys()
        assert {key for key, about in declared.items() if about.get("required")} <= given.keys()
        if "comment" in given:
            assert "pull-requests: write" in CI


def lines() -> list[str]:
    """Every command line of the suite on the page."""
    whole = "\n".join((*blocks("yaml"), *blocks("sh")))
    scripts = re.sub(r"\\\n\s*", " ", whole)
    scripts = re.sub(r"- >\n((?:\s{6}.*\n)+)", lambda match: "- " + " ".join(match[1].split()) + "\n", scripts)
    return [line.strip().removeprefix("- ") for line in scripts.splitlines() if "torq-conformance " in line]


def test_every_option_that_the_page_names_is_there() -> None:
    checked = 0
    for line in lines():
        words = line.partition("torq-conformance ")[2].split()
        if words[0] not in command_names():
            continue
        command = cli.get_command(click.Context(cli), words[0])
        assert command is not None
        known = {option for each in command.params for option in each.opts}
        given = {word.partition("=")[0] for word in words if word.startswith("--")} - {"--socket"}
        assert given <= known, line
        checked += 1
        for form in re.findall(r"--report (\w+):", line):
            assert form in FORMATS
    assert checked == 5


def test_the_page_tells_to_install_what_it_takes() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    named = {name for group in re.findall(r"torq\[([a-z,]+)\]", CI) for name in group.split(",")}
    assert named <= extras.keys()
    of_pytest = CI.partition("## From pytest")[2].partition("\n## ")[0]
    assert "pip install 'torq[pytest]'" in of_pytest
    assert any(each.startswith("pytest>=") for each in extras["pytest"])
    assert "torq[conformance]" in extras["pytest"]
    known = {flag for flag, _ in OPTIONS.values()}
    assert set(re.findall(r"(--relay-\w+)", of_pytest)) <= known
