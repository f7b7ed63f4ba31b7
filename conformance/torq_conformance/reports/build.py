"""Makes the report of a run from its plan and its results."""

from __future__ import annotations

import hashlib
import os
import platform
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version

import msgspec

from ..counting import counted
from ..grey_box.figures import reached_in
from ..judging.expected import Problem
from ..judging.meeting import coverage
from ..judging.plan import Plan
from ..judging.verdict import Counterexample, Meeting, Result, Verdict
from ..model.profile import Profile, rules_for
from ..model.program import Program
from ..model.requirements import Requirement, requirements, sections
from ..model.steps import Act
from ..printable import encodable
from .conclusion import conclusion
from .judged_files import judged_files
from .model import REPORT_MINOR, Contradiction, Failure, Judgement, Report, Tool
from .narrate import evidence, narrate, prose, upper_bound
from .thin import thin
from .trace import diagram_of

MAX_STEPS = 200
MAX_CONTRADICTIONS = 20
_PRIVATE = re.compile(r"\S*/torq-\w{8}/(?:relay\w*\.sock)?")


@dataclass(frozen=True, slots=True)
class Setting:
    """The target of a run, its command line, and the lines that replay its failures."""

    target: str
    command: str
    started: str
    file_of: Callable[[str], str]
    replay_of: Callable[[Counterexample], str]


@dataclass(slots=True)
class Entry:
    """The result of one requirement, as far as the run has come; its judgement is made once."""

    requirement: Requirement
    began: float = 0.0
    result: Result | None = None
    suspect: Counterexample | None = None
    judgement: Judgement | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How far a run has come; ``final`` where it has ended, whole or not."""

    seconds: float
    complete: bool = False
    reason: str = ""
    exit_code: int | None = None
    problems: tuple[Problem, ...] = ()
    final: bool = False


def build(plan: Plan, setting: Setting, entries: Iterable[Entry], ending: Ending, meeting: Meeting) -> Report:
    """The report on a run, finished or not: what was not judged is UNKNOWN, with the reason."""
    judgements = tuple(_judgement(entry, setting, ending) for entry in entries)
    totals = meeting.evidence.copy()
    for judgement in judgements:
        totals.update(judgement.evidence)
    counts = Counter(judgement.verdict for judgement in judgements)
    left_out = not_asked(plan)
    titles = {letters: section.title for letters, section in sections().items()}
    return Report(
        tool=Tool("torq-conformance", version("torq")),
        state="complete" if ending.complete else "incomplete",
        stop_reason=ending.reason,
        exit_code=ending.exit_code,
        started=setting.started,
        seconds=round(ending.seconds, 3),
        target=encodable(setting.target),
        command=encodable(setting.command),
        domain=plan.domain,
        profile=plan.profile.name,
        profile_description=plan.profile.description,
        seed=plan.seed,
        max_examples=plan.max_examples,
        time_budget_seconds=plan.time_budget,
        counts={verdict.value: counts[verdict.value] for verdict in Verdict if counts[verdict.value]},
        programs=totals["programs"],
        frames=totals["frames"],
        bytes=totals["bytes"],
        sections={judgement.section: titles[judgement.section] for judgement in judgements},
        judgements=judgements,
        minor=REPORT_MINOR,
        conclusion=conclusion(judgements, ending.exit_code, ending.reason, left_out, not_binding(plan)),
        problems=tuple(map(str, ending.problems)),
        problem_ids=tuple(problem.id for problem in ending.problems),
        left_out=tuple(requirement.id for requirement in left_out),
        departures=departures(plan),
        files={encodable(word): digest for word, digest in judged_files(setting.target).items()},
        machine=machine(),
        coverage=coverage(plan, meeting),
        reached=reached_in(plan.grey_box, meeting.explored) if plan.grey_box is not None and ending.final else (),
    )


def not_asked(plan: Plan) -> list[Requirement]:
    """The requirements that bind a relay of the domain and that the plan leaves out; benchmarks measure the figures."""
    asked = {requirement.id for requirement in plan.requirements}
    binding = (each for each in requirements().values() if each.binds(plan.domain) and each.level != "FIGURE")
    return [requirement for requirement in binding if requirement.id not in asked]


def not_binding(plan: Plan) -> frozenset[str]:
    """The ids that a run was asked about by name although they bind relays of other domains only."""
    return frozenset(requirement.id for requirement in plan.requirements if not requirement.binds(plan.domain))


def departures(plan: Plan) -> dict[str, str]:
    """The settings in which the profile differs from the domain's defaults, each with both values."""
    asked = msgspec.structs.asdict(plan.rules)
    usual = msgspec.structs.asdict(rules_for(Profile(name="defaults"), plan.domain))
    return {
        name: f"{_setting(asked[name])}, by default {_setting(usual[name])}"
        for name in sorted(asked)
        if asked[name] != usual[name]
    }


def _setting(value: object) -> str:
    return msgspec.json.encode(value).decode().strip('"')


def machine() -> str:
    """The machine that the suite runs on: verdicts on limits and resources hold on this machine."""
    cores = counted(len(os.sched_getaffinity(0)), "core")
    return f"{platform.system()} {platform.release()} {platform.machine()}, {cores}, Python {platform.python_version()}"


def _judgement(entry: Entry, setting: Setting, ending: Ending) -> Judgement:
    if entry.result is None:
        return _judge(entry, setting, ending)
    if entry.judgement is None:
        entry.judgement = _judge(entry, setting, ending)
    return entry.judgement


def _judge(entry: Entry, setting: Setting, ending: Ending) -> Judgement:
    requirement, result = entry.requirement, entry.result
    if result is None and entry.suspect is not None:
        result = Result(requirement, Verdict.FAIL, "seen once; the run ended before it was confirmed and shrunk")
        result.counterexample = entry.suspect
    if result is None:
        result = Result(requirement, Verdict.UNKNOWN, ending.reason or "not judged yet")
    shown = result.counterexample
    return Judgement(
        id=requirement.id,
        section=requirement.section,
        level=requirement.level,
        text=requirement.text,
        verdict=result.verdict.value,
        words=evidence(result),
        reason=result.reason,
        exercised=result.exercised,
        bound=round(upper_bound(result.exercised), 6) if result.verdict is Verdict.PASS and result.exercised else None,
        evidence={name: count for name, count in sorted(result.evidence.items()) if count},
        began=round(entry.began, 3),
        seconds=round(result.seconds, 3),
        failure=_failure(shown, setting) if shown is not None else None,
        thin=tuple(thin(result)),
        lacks=result.lacks.value,
    )


def _failure(shown: Counterexample, setting: Setting) -> Failure:
    steps = tuple(narrate(shown.program, shown.history, shown.findings))
    if len(steps) > MAX_STEPS:
        steps = (*steps[:MAX_STEPS], f"... {counted(len(steps) - MAX_STEPS, 'more line')}")
    return Failure(
        id=failure_id(shown.requirement, shown.program),
        failures=shown.failures,
        runs=shown.runs,
        prose=prose(shown),
        steps=steps,
        contradictions=tuple(map(Contradiction.of, shown.findings[:MAX_CONTRADICTIONS])),
        diagram=diagram_of(shown),
        program=shown.program,
        file=encodable(setting.file_of(shown.requirement)),
        replay=encodable(setting.replay_of(shown)),
        last_output="\n".join(shown.history.remains),
        served_before=shown.served_before,
        minimal=shown.minimal,
    )


def failure_id(requirement: str, program: Program) -> str:
    """The stable name of a failure: its requirement and a digest of its program, such as ``FRAME-1-5f2c9a01b3de``.

    What a fixed check did names the private folder of its run, which is another in each: it counts for nothing here.
    """
    steps = tuple(Act(_PRIVATE.sub("/", step.text)) if isinstance(step, Act) else step for step in program.steps)
    same = msgspec.structs.replace(program, steps=steps)
    digest = hashlib.sha256(msgspec.json.encode(same, order="deterministic")).hexdigest()
    return f"{requirement}-{digest[:12]}"
