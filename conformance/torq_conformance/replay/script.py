"""Writes a stored counterexample as one Python file that needs nothing but Python.

The file shows the program as it would be written by hand, each step in words, and what was expected and seen. It
carries the suite's own player and oracles as an archive in text (:mod:`.bundle`).
"""

from __future__ import annotations

import base64
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import groupby
from textwrap import wrap

import msgspec

from ..counting import counted
from ..exits import Exit
from ..judging.replaying import Case
from ..judging.scenarios import SCENARIOS
from ..model.frames import MOST_LISTED, connection_name
from ..model.legality import Fate, fates_of
from ..model.program import Program
from ..model.requirements import requirements
from ..model.rules import Rules
from ..oracles.traffic import Oracle
from ..reports.narrate import closing_words, witness_words
from . import bundle
from .player import EXIT_CODES
from .record import Record, runs_that_prove_a_fix, runs_worth_playing

PACKAGE = __package__.partition(".")[0]
WIDTH = 110
MAX_PIECE = 64
"""Characters of a text in one line: 32 bytes in hexadecimal."""
MIN_REPEATS = 4
"""Times that a value stands in a row from which on it is written once."""
IMPORTS = """import base64
import os
import sys
import tempfile
import traceback
"""
MAIN = '''def main():
    """Unpack the player, which is imported whole, and play. An error of the script itself is no fault of a relay."""
    try:
        with tempfile.TemporaryDirectory() as folder:
            player = os.path.join(folder, "player.zip")
            with open(player, "wb") as file:
                file.write(base64.b64decode(PLAYER))
            sys.path.insert(0, player)
            import {package}.replay.older_python
            from {player} import main as play

            return play(case(), runs=RUNS, proof=PROOF)
    except Exception:
        print("cannot judge: an error of the script itself", file=sys.stderr)
        traceback.print_exc()
        return {error}
'''


def script_for(record: Record, name: str) -> str:
    """The text of the script; ``name`` is that of the record's file."""
    oracles = SCENARIOS[record.requirement].judges
    lines = (*_head(record, name), IMPORTS, *_runs(record), *_case(record, oracles))
    return whole(lines, f"{PACKAGE}.replay.player", *(oracle.__module__ for oracle in oracles))


def whole(lines: Iterable[str], player: str, *modules: str) -> str:
    """A script: lines that end with its function ``case``, then what plays that, with all that it imports.

    ``player`` is the module that plays it, ``modules`` are others that the case needs.
    """
    entries = {f"{PACKAGE}.replay.older_python", player, *modules}
    text = base64.encodebytes(bundle.archive(entries)).decode("ascii")
    return "\n".join(
        (
            *lines,
            "\n",
            f"{MAIN.format(package=PACKAGE, player=player, error=int(Exit.USAGE))}\n",
            "# A zip in base64: the modules of the suite that play and judge the program.",
            f'PLAYER = """\n{text}"""\n',
            'if __name__ == "__main__":',
            "    sys.exit(main())\n",
        )
    )


def _head(record: Record, name: str) -> Iterator[str]:
    requirement = requirements()[record.requirement]
    yield "#!/usr/bin/env python3"
    yield from wrap(f'"""{requirement.id} [{requirement.level}]: {plain(requirement.text)}', WIDTH)
    yield ""
    yield f"Recorded as {plain(name)} from: {plain(record.target)}"
    yield f"There {record.failures} of {counted(record.runs, 'run')} failed. What was expected and what was seen:"
    for finding in record.findings[:10]:
        yield f"- {finding.kind}: expected {plain(finding.expected)};"
        yield f"  seen: {plain(finding.seen)}"
    yield ""
    yield "usage: python3 THIS_FILE SOCKET                  a relay that runs: a socket path, or tcp:HOST:PORT"
    yield "       python3 THIS_FILE --exec 'CMD {socket}'   a command that starts one"
    yield f"Exit code: {EXIT_CODES}."
    yield "Needs Python 3.10 or newer and nothing else. The program stands below, its player at the end."
    yield '"""'
    yield ""


def _runs(record: Record) -> Iterator[str]:
    proof = runs_that_prove_a_fix(record) is not None
    why = (
        "as often as it failed, so many passes prove a fix" if proof else "it never failed again: passes prove nothing"
    )
    yield from run_lines(runs_worth_playing(record), why, proof=proof)


def run_lines(runs: int, why: str, *, proof: bool) -> Iterator[str]:
    """How often the script plays its program, and whether so many passes are a ``proof``, with the reason."""
    yield f"RUNS = {runs}"
    yield f"PROOF = {proof}  # {why}\n\n"


def plain(text: str) -> str:
    """Text that cannot end the docstring it stands in."""
    return text.replace("\\", "/").replace('"""', "'''")


def _case(record: Record, oracles: tuple[Oracle, ...]) -> Iterator[str]:
    """The function that makes the case: its imports, the program step by step, the rules, the oracles."""
    yield "def case():"
    yield '    """The program, what the relay promises, and what may not be seen."""'
    yield from import_lines([*oracles, Case, *kinds((record.program, record.rules))])
    yield ""
    yield "    return Case("
    yield f"        {quoted(record.requirement)},"
    yield from program_lines(record.program, record.rules)
    yield from laid_out(record.rules, 8, named=True)
    yield f"        ({', '.join(oracle.__name__ for oracle in oracles)}),"
    if not record.started:
        yield NOT_STARTED
    yield "    )"


NOT_STARTED = "        started=False,  # it was found on a relay whose process nothing was done to"


def import_lines(used: Iterable[Oracle | type]) -> Iterator[str]:
    """The imports of what a case is made of."""
    modules = defaultdict(set)
    for each in used:
        modules[each.__module__].add(each.__name__)
    for module, names in sorted(modules.items()):
        yield from _import(module, sorted(names))


def program_lines(program: Program, rules: Rules | None = None) -> Iterator[str]:
    """The program, step by step; with ``rules``, also what must become of the frames that may not be forwarded."""
    yield "        Program("
    yield f"            {quoted(program.domain)},"
    yield "            ("
    yield from _steps(program, rules)
    yield "            ),"
    yield "        ),"


def _import(module: str, names: list[str]) -> Iterator[str]:
    line = f"    from {module} import {', '.join(names)}"
    if len(line) <= WIDTH:
        yield line
    else:
        yield f"    from {module} import ("
        yield from (f"        {name}," for name in names)
        yield "    )"


def kinds(value: object) -> set[type]:
    """The classes that a value is written with."""
    if isinstance(value, tuple):
        return set().union(*map(kinds, value))
    if isinstance(value, msgspec.Struct):
        return {type(value)}.union(*(kinds(getattr(value, field)) for field in value.__struct_fields__))
    return set()


def _steps(program: Program, rules: Rules | None) -> Iterator[str]:
    """Each step, behind its words and what must become of its frames."""
    indent = 16
    fates = fates_of(program, rules) if rules is not None else {}
    yield from _comment(witness_words(program), indent)
    for place, step in program.placed():
        yield from _comment(f"{place.position + 1}. {step.words(place)}", indent)
        numbers = range(place.number, place.number + len(step.frames))
        refused = [number for number in numbers if number in fates and fates[number][0] is not Fate.FORWARD]
        for number in refused[:MOST_LISTED]:
            fate, why = fates[number]
            label = f"{connection_name(step.connection or 0)}{number}"
            yield from _comment(f"The relay has to {_DUTY[fate]} frame {label}, because {why}.", indent)
        if len(refused) > MOST_LISTED:
            yield from _comment(f"The same holds for {counted(len(refused) - MOST_LISTED, 'more frame')}.", indent)
        yield from laid_out(step, indent)
    yield from _comment(closing_words(program), indent)


_DUTY = {Fate.REFUSE: "refuse", Fate.BREAK: "stop reading frames of this connection at"}


def _comment(text: str, indent: int) -> Iterator[str]:
    for line in wrap(text, WIDTH - indent - 2, break_on_hyphens=False):
        yield f"{' ' * indent}# {line}"


Part = tuple[str, object, str]
"""A value inside another one, with what stands before and behind it."""


def laid_out(value: object, indent: int, before: str = "", after: str = ",", *, named: bool = False) -> Iterator[str]:
    """A value as Python text, in one line where it fits, else each of its parts in lines of its own."""
    opening, parts, closing = _parts(value, named=named)
    line = f"{' ' * indent}{before}{python_text(value, named=named)}{after}"
    if len(line) <= WIDTH or not parts:
        yield line
        return
    yield f"{' ' * indent}{before}{opening}"
    for part_before, part, part_after in parts:
        yield from laid_out(part, indent + 4, part_before, part_after)
    yield f"{' ' * indent}{closing}{after}"


def python_text(value: object, *, named: bool = False) -> str:
    """A value of the model as the Python expression that makes it; ``named``: with the names of all fields."""
    opening, parts, closing = _parts(value, named=named)
    inside = " ".join(f"{before}{python_text(part)}{after}" for before, part, after in parts)
    single = isinstance(value, tuple) and len(parts) == 1
    return f"{opening}{inside if single else inside.removesuffix(',')}{closing}"


def _parts(value: object, *, named: bool = False) -> tuple[str, list[Part], str]:
    """(opening, parts, closing) of a value; a plain one has no parts. ``named``: every field by its name."""
    if isinstance(value, msgspec.Struct):
        return f"{type(value).__name__}(", list(_fields(value, named=named)), ")"
    if isinstance(value, tuple):
        return "(", list(_items(value)), ")"
    if isinstance(value, str):
        return _parts_of_text(value) if len(value) > MAX_PIECE else (quoted(value), [], "")
    return repr(value), [], ""


def _fields(value: msgspec.Struct, *, named: bool) -> Iterator[Part]:
    """The fields that differ from their defaults: by position as long as none is left out, then by name."""
    for field in msgspec.structs.fields(value):
        given = getattr(value, field.name)
        if not field.required and given == field.default:
            named = True
        else:
            yield f"{field.name}=" if named else "", given, ","


def _items(values: tuple[object, ...]) -> Iterator[Part]:
    for _, group in groupby(values):
        equal = list(group)
        if len(equal) >= MIN_REPEATS:
            yield "*[", equal[0], f"] * {len(equal)},"
        else:
            yield from (("", each, ",") for each in equal)


def _parts_of_text(text: str) -> tuple[str, list[Part], str]:
    """A long text: what it repeats, or pieces that Python joins."""
    period = (text + text).find(text, 1)
    period += period * (period % 2)  # two digits are a byte
    if len(text) >= MIN_REPEATS * period and period <= MAX_PIECE:
        return f"{quoted(text[:period])} * {len(text) // period}", [], ""
    pieces = (text[start : start + MAX_PIECE] for start in range(0, len(text), MAX_PIECE))
    return "(", [("", piece, "") for piece in pieces], ")"


def quoted(text: str) -> str:
    """A text as Python has it."""
    return json.dumps(text, ensure_ascii=False)
