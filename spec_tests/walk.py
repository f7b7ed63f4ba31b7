"""The walk in ``docs/conformance.md``: one fixed program of FRAME-1, played on the first generic engine.

The page holds the text. Each block under a line ``<!-- walk: NAME -->`` is output of the suite and is written here.
"""

from __future__ import annotations

import contextlib
import inspect
import io
import re
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

from click.testing import CliRunner

from torq_conformance.commands.replay import command as replay
from torq_conformance.counting import counted
from torq_conformance.generation.fixed_programs import FixedProgram, fixed_programs
from torq_conformance.judging.plan import Observer, Plan
from torq_conformance.judging.runner import judge_all
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.judging.verdict import Counterexample, Result
from torq_conformance.model.frames import connection_name
from torq_conformance.model.history import History
from torq_conformance.model.legality import Fate
from torq_conformance.model.profile import load_profile, rules_for
from torq_conformance.model.requirements import requirements
from torq_conformance.model.rules import Rules
from torq_conformance.play.state import WITNESS
from torq_conformance.play.target import SpawnedTarget
from torq_conformance.replay.record import FailureKeeper
from torq_conformance.reports.ascii import draw
from torq_conformance.reports.mermaid import mermaid
from torq_conformance.reports.narrate import narrate
from torq_conformance.reports.terminal import console, show_counterexample
from torq_conformance.reports.trace import diagram_of

PAGE = "docs/conformance.md"
REQUIREMENT = requirements()["FRAME-1"]
TITLE = "a frame cut just before and just after the end of its header"
FAULTY = "torq-specimen first-generic --socket {socket}"
CORRECT = "torq-specimen correct --domain signal --socket {socket}"
BLOCK = re.compile(r"(<!-- walk: ([a-z]+) -->\n\n```[a-z]*\n).*?(^```$)", re.DOTALL | re.MULTILINE)


@dataclass
class Failures(Observer):
    """Keeps every failing program that the search reports, each smaller than the one before, and the verdict."""

    seen: list[Counterexample] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    def failed(self, counterexample: Counterexample) -> None:
        self.seen.append(counterexample)

    def finished(self, result: Result) -> None:
        self.results.append(result)


def page(root: Path) -> str:
    """The page with each block of the walk as the suite writes it now. Raises ValueError when a block is missing."""
    texts = walked().blocks
    text = (root / PAGE).read_text("utf-8")
    names = [found[2] for found in BLOCK.finditer(text)]
    if names != list(texts):
        raise ValueError(f"{PAGE} has the blocks {', '.join(names)}; the walk writes {', '.join(texts)}")
    return BLOCK.sub(lambda found: f"{found[1]}{texts[found[2]]}\n{found[3]}", text)


class Walked(NamedTuple):
    """The text of each block, in the order of the page; the verdict, and the line that replays its failure."""

    blocks: dict[str, str]
    result: Result
    line: str


@cache
def walked() -> Walked:
    """Play the program on relays of its own, for some seconds."""
    fixed = next(each for each in fixed_programs(REQUIREMENT.id) if each.title == TITLE)
    plan = _plan(fixed)
    failures = Failures()
    with tempfile.TemporaryDirectory() as folder:
        keeper = FailureKeeper(plan, FAULTY, Path(folder))
        with SpawnedTarget(FAULTY, plan.domain) as target:
            judge_all(plan, target, failures)
        [result] = failures.results
        keeper.finished(result)
        file = keeper.path(REQUIREMENT.id)
        replayed = [_replayed(file, command) for command in (FAULTY, CORRECT)]
        line = f"torq-conformance replay torq-failures/{file.relative_to(folder)} --exec '{FAULTY}'"
    first, last = failures.seen[0], result.counterexample
    if last is None:
        raise ValueError(f"{FAULTY} holds {REQUIREMENT.id}")
    blocks = {
        "requirement": f"{REQUIREMENT.id} [{REQUIREMENT.level}] {REQUIREMENT.text}",
        "program": _source(fixed),
        "steps": "\n".join(narrate(first.program, first.history)),
        "history": "\n".join(_history(first.history)),
        "oracles": "\n".join(_oracles(first, plan.rules)),
        "picture": "\n".join(line.text for line in draw(diagram_of(first))),
        "shrinking": "\n".join(f"{n}. {'; '.join(each.program.words())}" for n, each in enumerate(failures.seen)),
        "report": _report(result, line),
        "diagram": "\n".join(mermaid(diagram_of(last))),
        "replay": "\n".join(replayed),
    }
    return Walked(blocks, result, line)


def _plan(fixed: FixedProgram) -> Plan:
    """A run of one requirement that begins with this program, with time for every step of the walk."""
    profile = load_profile("reference")
    return Plan(
        domain="signal",
        profile=profile,
        requirements=[REQUIREMENT],
        max_examples=1,
        seed=1,
        time_budget=600.0,
        confirm_seconds=60.0,
        shrink_seconds=60.0,
        remembered={REQUIREMENT.id: (fixed.program(rules_for(profile, "signal")),)},
    )


def _source(fixed: FixedProgram) -> str:
    """The entry of the list of fixed programs that adds this one."""
    lines = Path(inspect.getfile(FixedProgram)).read_text("utf-8").splitlines()
    title = next(number for number, line in enumerate(lines) if f'"{fixed.title}"' in line)
    begin = max(number for number in range(title) if lines[number] == "    FixedProgram(")
    end = lines.index("    ),", title)
    return inspect.cleandoc("\n".join(lines[begin : end + 1]))


def _history(history: History) -> Iterator[str]:
    """What was recorded of each frame and of each connection."""
    for sent in history.sent:
        duty = "must be forwarded" if sent.fate is Fate.FORWARD else "must be refused"
        yield f"sent      {sent} by {connection_name(sent.conn)}: {len(sent.data)} bytes, {duty}"
    for peer in history.peers.values():
        fences = " and ".join(connection_name(conn) for conn in sorted(peer.fenced_by) if conn != WITNESS)
        state = "still connected" if peer.open else f"closed ({peer.closed})"
        yield f"received  {peer.name}: {counted(len(peer.received), 'frame')}, fences of {fences or 'nobody'}; {state}"


def _oracles(shown: Counterexample, rules: Rules) -> Iterator[str]:
    """What each oracle of the requirement says of a history."""
    for oracle in SCENARIOS[REQUIREMENT.id].oracles:
        said = [f"expected {each.expected}; seen: {each.seen}" for each in oracle(shown.history, rules)]
        yield f"{oracle.__name__:<20} {said[0] if said else 'nothing'}"


def _report(result: Result, line: str) -> str:
    """The failure as a terminal shows it."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        if result.counterexample is not None:
            result.counterexample.served_before = ""
        show_counterexample(console(), result, [("replay", line)])
    return "\n".join(each.rstrip() for each in out.getvalue().strip("\n").splitlines())


def _replayed(file: Path, command: str) -> str:
    """The last line of a replay."""
    shown = CliRunner().invoke(replay, [str(file), "--exec", command], standalone_mode=False)
    return shown.output.strip().splitlines()[-1]
