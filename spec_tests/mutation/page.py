"""``docs/mutation.md``: the score of the mechanical mutants, and what is known of each survivor."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from spec_tests.matrix import lines
from torq_conformance.reports.markdown import cell

from .judging import LONG, SHORT, Outcome
from .subjects import ROOT

PAGE = ROOT / "docs" / "mutation.md"
RESULTS = PAGE.with_suffix(".json")
TRIAGE = Path(__file__).with_name("triage.toml")
KINDS = ("equivalent", "gap", "killed-since")


class Results(msgspec.Struct, frozen=True):
    """What a campaign saw: of ``total`` mutants a sample was drawn, and ``outcomes`` are of those judged so far."""

    seed: int
    sample: int
    total: int
    date: str
    seconds: int
    outcomes: tuple[Outcome, ...]


class Verdict(msgspec.Struct, frozen=True):
    """What is known of a survivor: its kind, and the reason or what the suite lacks."""

    kind: str
    why: str


def load() -> Results:
    """The outcomes so far; none before the first campaign."""
    if not RESULTS.exists():
        return Results(0, 0, 0, "", 0, ())
    return msgspec.json.decode(RESULTS.read_bytes(), type=Results)


def encoded(results: Results) -> bytes:
    """The outcomes as JSON, a line for each mutant."""
    fields = (f'"{name}": {lines(getattr(results, name))}' for name in results.__struct_fields__)
    return ("{\n" + ",\n".join(fields) + "\n}\n").encode()


def triage() -> dict[str, Verdict]:
    """The verdicts on survivors by the mutant's name. Raises ValueError for a kind that there is not."""
    table = tomllib.loads(TRIAGE.read_text("utf-8"))
    found = {name: msgspec.convert(value, Verdict) for name, value in table.items()}
    wrong = [name for name, each in found.items() if each.kind not in KINDS or not each.why]
    if wrong:
        raise ValueError(f"{TRIAGE.name}: a kind of {', '.join(KINDS)} and a reason are needed: {', '.join(wrong)}")
    return found


def page(results: Results, verdicts: dict[str, Verdict]) -> str:
    """The page as Markdown."""
    return "\n".join(_lines(results, verdicts)) + "\n"


def _lines(results: Results, verdicts: dict[str, Verdict]) -> Iterator[str]:
    killed = [each for each in results.outcomes if each.killed_by]
    alive = [each for each in results.outcomes if not each.killed_by]
    kinds = {each.name: _kind(each, verdicts) for each in alive}
    equivalent = sum(kind == "equivalent" for kind in kinds.values())
    waiting = sum(each.effort == SHORT.name and kinds[each.name] != "equivalent" for each in alive)
    judged = len(results.outcomes) - equivalent
    yield from (
        "# Mutants that a machine made",
        "",
        "Written by `make mutation`. The source of two correct relays (the specimen in Python; hub, backlog,",
        "framing and server of the engine, interpreted) is changed in one place, and the suite judges the relay.",
        "",
        f"- **{len(results.outcomes)} of {results.total} mutants were judged**: of a sample of {results.sample}, drawn "
        f"with seed {results.seed}; {results.date}, {results.seconds} s.",
        f"- **Score {len(killed)} of {judged}, {100 * len(killed) / max(judged, 1):.1f} %**: {len(killed)} killed, "
        f"{len(alive)} survivors of which {equivalent} are equivalent and do not count.",
        f"- Of the survivors that count, {waiting} had the short budget only ({SHORT.seconds} s, {SHORT.max_examples} "
        f"programs for each requirement); the long one is {LONG.seconds} s in each of {LONG.domains} domains.",
        "- A relay that does not start (`start`) or hangs (`hang`) is killed.",
        "",
        "| subject | judged | killed | survive | equivalent among them |",
        "|-|-:|-:|-:|-:|",
    )
    for label, count in sorted(Counter(map(_subject, results.outcomes)).items()):
        survivors = [each for each in alive if _subject(each) == label]
        same = sum(kinds[each.name] == "equivalent" for each in survivors)
        yield f"| {label} | {count} | {count - len(survivors)} | {len(survivors)} | {same} |"
    yield from ("", "| killed by | mutants |", "|-|-:|")
    for name, count in Counter(each.killed_by for each in killed).most_common():
        yield f"| {name} | {count} |"
    yield from ("", "## Survivors", "", "| mutant | change | budget | kind | why |", "|-|-|-|-|-|")
    for each in alive:
        why = verdicts[each.name].why if each.name in verdicts else ""
        yield f"| {each.name} | `{cell(each.change)}` | {each.effort} | {kinds[each.name]} | {cell(why)} |"


def _subject(outcome: Outcome) -> str:
    return outcome.name.partition(":")[0]


def _kind(outcome: Outcome, verdicts: dict[str, Verdict]) -> str:
    return verdicts[outcome.name].kind if outcome.name in verdicts else "not triaged"
