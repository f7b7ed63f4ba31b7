"""The report of a run as data. Every other form is made from it; its JSON Schema is published in docs/schemas.

Facts:
- ids are stable: a requirement's is that of the specification, a failure's follows from its program alone, so that two
  runs that find the same minimal program name it alike;
- ``version`` rises when a field goes or changes its meaning: a reader of another version refuses the file. ``minor``
  rises when a field is added: readers pass over what they do not know, and what came later has a default, so that
  reports of every minor version are read.
"""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Literal, NamedTuple

import msgspec

from ..counting import counted, failing_runs, grouped
from ..errors import UsageError
from ..generation.situations.coverage import Coverage
from ..grey_box.reached import Reached
from ..model.findings import Finding
from ..model.program import Program
from .diagram import Diagram

FORMAT = "torq-conformance report"
REPORT_MINOR = 4
"""1 added ``conclusion``, ``problems``, ``thin``, ``left_out``, ``departures``, ``files`` and ``machine``; 2
``problem_ids``, ``lacks`` and ``facts``; 3 ``coverage``; 4 ``reached``."""

State = Literal["complete", "incomplete"]
VerdictName = Literal["PASS", "FAIL", "FLAKY", "UNKNOWN", "UNSUPPORTED", "EXPECTED-FAIL", "UNEXPECTED-PASS"]
LEVELS = ("MUST", "SHOULD", "FIGURE")
FAILING = ("FAIL", "FLAKY", "UNEXPECTED-PASS")
"""Verdicts that make a run exit with 1."""


class Look(NamedTuple):
    """What a verdict says of a requirement, and how formats show it.

    ``colour`` is its style on a terminal, ``mark`` stands in Markdown, ``sign`` in a table of many relays.
    """

    meaning: str
    colour: str
    mark: str
    sign: str


THIN_PASS = "THIN PASS"  # noqa: S105 - a verdict, not a password
"""What is said of a PASS that rests on little."""
VERDICTS: dict[str, Look] = {
    "FAIL": Look("a program shows it broken every time", "bold red", "❌", "✗"),
    "FLAKY": Look("a program shows it broken some of the time", "bold magenta", "⚠️", "~"),
    "UNEXPECTED-PASS": Look("listed as failing, yet holds", "bold red", "❗", "!"),
    "EXPECTED-FAIL": Look("listed as failing, and fails", "cyan", "☑️", "(✗)"),
    "UNKNOWN": Look("not exercised", "yellow", "❔", "?"),
    "UNSUPPORTED": Look("not promised by the relay's profile, or not visible from outside", "dim", "➖", "–"),
    THIN_PASS: Look("no program showed it broken, but few could have", "yellow", "🟡", "(✓)"),
    "PASS": Look("no program showed it broken", "green", "✅", "✓"),
}
"""What is said of requirements, what needs attention first: their verdicts, and :data:`THIN_PASS`."""


class Contradiction(msgspec.Struct, frozen=True):
    """One contradiction: its kind, the expected behaviour, the observed behaviour, and the facts of both."""

    kind: str
    expected: str
    seen: str
    facts: dict[str, str | int | float] = {}

    @classmethod
    def of(cls, finding: Finding) -> Contradiction:
        """A finding as files keep it."""
        return cls(finding.kind, finding.expected, finding.seen, dict(finding.facts))

    @property
    def words(self) -> str:
        """The contradiction in one line."""
        return f"{self.kind}: expected {self.expected}; seen: {self.seen}"


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A counterexample: the smallest program found, what it shows and how often, and the line that replays it.

    ``minimal`` is False where the shrink budget ended before it was known that nothing more can be taken away.
    """

    id: str
    failures: int
    runs: int
    prose: str
    steps: tuple[str, ...]
    contradictions: tuple[Contradiction, ...]
    diagram: Diagram
    program: Program
    file: str
    replay: str
    last_output: str = ""
    served_before: str = ""
    minimal: bool = True

    @property
    def rate(self) -> str:
        """How often it fails, in words."""
        return failing_runs(self.failures, self.runs, self.served_before)


class ThinCell(msgspec.Struct, frozen=True):
    """A case that the programs of a requirement could have used and hardly did: how often, in how many programs."""

    name: str
    count: int
    programs: int

    @property
    def words(self) -> str:
        """The cell in words, such as ``freezes: 3 in 100 programs``."""
        return f"{self.name}: {grouped(self.count)} in {counted(self.programs, 'program')}"


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one requirement and its evidence. Times in seconds since the start of the run.

    ``bound`` is the rate of failing programs that a PASS rules out with 95 % confidence; ``thin`` are the cases that
    hardly any program was about, so that the PASS rests on little; ``lacks`` is what more of would judge more.
    """

    id: str
    section: str
    level: str
    text: str
    verdict: VerdictName
    words: str
    reason: str = ""
    exercised: int = 0
    bound: float | None = None
    evidence: dict[str, int] = {}
    began: float = 0.0
    seconds: float = 0.0
    failure: Failure | None = None
    thin: tuple[ThinCell, ...] = ()
    lacks: Literal["", "time", "programs"] = ""

    @property
    def word(self) -> str:
        """What is said of the requirement, as a key of :data:`VERDICTS`."""
        return THIN_PASS if self.thin else self.verdict


class Tool(msgspec.Struct, frozen=True):
    """The program that wrote the report."""

    name: str
    version: str


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A run: the target, the settings and the judgements.

    ``conclusion`` is the sentence that the terminal ends with. ``stop_reason`` says why an incomplete run ended;
    ``problems`` are what the list of expected failures has against it, ``problem_ids`` the requirement of each;
    ``left_out`` are the requirements that bind a
    relay of the domain and that the run was not asked about; ``departures`` are the settings that the profile
    promises otherwise than a relay of the domain does by default, ``files`` the digests (SHA-256, the first 16 digits)
    of the files that stand in the target's command, and ``machine`` is what the suite ran on. ``coverage`` is how much
    of what a relay can meet was played; None where the run played no situations. ``reached`` is what of the relay's own
    code was reached, by each way in which it told.
    """

    tool: Tool
    state: State
    stop_reason: str
    exit_code: int | None
    started: str
    seconds: float
    target: str
    command: str
    domain: str
    profile: str
    profile_description: str
    seed: int
    max_examples: int
    time_budget_seconds: float
    counts: dict[str, int]
    programs: int
    frames: int
    bytes: int
    sections: dict[str, str]
    judgements: tuple[Judgement, ...]
    format: Literal["torq-conformance report"] = "torq-conformance report"
    version: Literal[1] = 1
    minor: int = 0
    conclusion: str = ""
    problems: tuple[str, ...] = ()
    problem_ids: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    departures: dict[str, str] = {}
    files: dict[str, str] = {}
    machine: str = ""
    coverage: Coverage | None = None
    reached: tuple[Reached, ...] = ()

    def by_id(self) -> dict[str, Judgement]:
        """The judgements by requirement."""
        return {judgement.id: judgement for judgement in self.judgements}

    @property
    def by_section(self) -> list[tuple[str, str, list[Judgement]]]:
        """Each section of the specification: its id, its title, and the judgements on its requirements."""
        grouped_by = groupby(self.judgements, key=lambda judgement: judgement.section)
        return [(section, self.sections[section], list(members)) for section, members in grouped_by]

    @property
    def failures(self) -> list[Judgement]:
        """The judgements with a counterexample, in the order of the specification."""
        return [judgement for judgement in self.judgements if judgement.failure is not None]

    @property
    def attention(self) -> list[tuple[str, list[Judgement]]]:
        """The requirements that a reader must look at before deciding, by reason."""
        by_verdict: list[tuple[str, tuple[str, ...], str]] = [
            (f"{level} that fail", ("FAIL", "FLAKY"), level) for level in LEVELS
        ]
        by_verdict += [("fail as listed", ("EXPECTED-FAIL",), ""), ("hold though listed", ("UNEXPECTED-PASS",), "")]
        by_verdict.append(("not judged", ("UNKNOWN", "UNSUPPORTED"), ""))
        found = [
            (name, [each for each in self.judgements if each.verdict in verdicts and level in ("", each.level)])
            for name, verdicts, level in by_verdict
        ]
        return [(name, judgements) for name, judgements in (*found, ("thin", self.thin)) if judgements]

    @property
    def thin(self) -> list[Judgement]:
        """The judgements whose PASS rests on little."""
        return [judgement for judgement in self.judgements if judgement.thin]

    @property
    def said(self) -> dict[str, int]:
        """How many requirements got each word of :data:`VERDICTS`, what needs attention first."""
        counts = Counter(judgement.word for judgement in self.judgements)
        return {word: counts[word] for word in VERDICTS if counts[word]}

    @property
    def verdict_line(self) -> str:
        """The counts in words, such as ``2 FAIL, 4 THIN PASS, 30 PASS``."""
        return ", ".join(f"{count} {word}" for word, count in self.said.items())


def load_report(path: Path) -> Report:
    """Read a JSON report. Raises UsageError with what is wrong with the file."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Report)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no JSON report of this suite ({error}); --report json:FILE writes one") from error
