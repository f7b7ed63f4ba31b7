"""Writes a stored difference as one Python file that needs nothing but Python, as the script of a counterexample is."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap

from ...counting import counted
from ...replay.difference import DifferenceRecord, Played
from ...replay.script import (
    IMPORTS,
    NOT_STARTED,
    PACKAGE,
    WIDTH,
    import_lines,
    kinds,
    laid_out,
    plain,
    program_lines,
    quoted,
    run_lines,
    whole,
)
from ..replaying import Case
from .player import EXIT_CODES


def case_of(record: DifferenceRecord, played: Played) -> Case:
    """What a replay of a difference plays."""
    return Case(
        id=record.id,
        effect=played.effect,
        frames=played.frames,
        program=played.program,
        a=played.a,
        b=played.b,
        strictest=played.strictest,
        started=record.started,
    )


def script_for(record: DifferenceRecord, played: Played, name: str) -> str:
    """The text of the script of a difference that programs show; ``name`` is that of the record's file."""
    proof = record.runs_that_prove_it_gone is not None
    why = "as often as it showed, so many runs prove it gone" if proof else "it never showed again: runs prove nothing"
    lines = (
        *_head(record, name),
        IMPORTS,
        *run_lines(record.runs_worth_playing, why, proof=proof),
        *_case(record, played),
    )
    return whole(lines, f"{PACKAGE}.comparison.evidence.player")


def _head(record: DifferenceRecord, name: str) -> Iterator[str]:
    yield "#!/usr/bin/env python3"
    yield from wrap(f'"""{record.id}: {plain(record.text)}', WIDTH)
    yield ""
    yield f"Recorded as {plain(name)} from these relays, of which A is the norm:"
    yield f"- A: {plain(record.a)}"
    yield f"  {plain(record.in_a)}"
    yield f"- B: {plain(record.b)}"
    yield f"  {plain(record.in_b)}"
    copied = record.differs_in_copy_of_a
    yield f"B differed in {record.differs_in_b} of {counted(record.runs, 'run')}, a second copy of A in {copied}."
    yield ""
    yield "usage: python3 THIS_FILE --exec-a 'CMD {socket}' --exec-b 'CMD {socket}'   commands that start them"
    yield "       python3 THIS_FILE --target-a SOCKET --target-b SOCKET               relays that run already"
    yield f"Exit code: {EXIT_CODES}."
    yield "Needs Python 3.10 or newer and nothing else. The program stands below, its player at the end."
    yield '"""'
    yield ""


def _case(record: DifferenceRecord, played: Played) -> Iterator[str]:
    """The function that makes the case: its imports, the program step by step, and how each relay plays it."""
    rules = {"a": played.a, "b": played.b, "strictest": played.strictest}
    yield "def case():"
    yield '    """The program, the difference in it, and by which rules A and B play it and its faults are named."""'
    yield from import_lines([Case, *kinds((played.program, *rules.values()))])
    yield ""
    yield "    return Case("
    for text in (record.id, played.effect, played.frames):
        yield f"        {quoted(text)},"
    yield from program_lines(played.program)
    for name, each in rules.items():
        yield from laid_out(each, 8, f"{name}=", named=True)
    if not record.started:
        yield NOT_STARTED
    yield "    )"
