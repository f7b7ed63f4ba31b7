"""Writes a stored counterexample as one Python file that needs nothing but Python.

The file holds the bytes in hexadecimal, what was expected and seen as comments, and a copy of the player and the checks
of :mod:`~torq_conformance.replay.standalone`.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections import defaultdict
from collections.abc import Iterator
from importlib import resources
from textwrap import wrap

from torq_protocol.constants import HEADER_SIZE

from ..counting import counted
from ..errors import UsageError
from ..judging.scenarios import SCENARIOS
from ..model.legality import fates_of, fence_type
from ..model.program import (
    Buffer,
    Close,
    Connect,
    Finish,
    HalfClose,
    Idle,
    Program,
    Raw,
    Step,
    Sync,
    Write,
    connection_name,
    encode_frame,
)
from ..model.requirements import requirements
from ..reports.narrate import describe_steps, frames_in
from .record import Record, runs_that_prove_a_fix
from .standalone.checks import CHECKS

ALWAYS = ("stuck", "crashed")
"""Oracles that the script's player has built in."""
COVERED = {"mixed": "altered", "echo_lost": "lost"}
"""Oracles whose every finding another check of the script makes too."""
WIDTH = 100
MIN_REPEATS = 4


def script_for(record: Record, name: str) -> str:
    """The text of the script. Raises UsageError when a script with only sockets cannot show this failure."""
    checks = _checks(record)
    head = "\n".join(_head(record, name))
    data = "\n".join(_data(record))
    imports, player = _merged("case.py", "player.py", "checks.py")
    judged = "\n\n".join(inspect.getsource(CHECKS[check]) for check in checks)
    end = f"""if __name__ == "__main__":
    sys.exit(main(CASE, ({" ".join(f"{check}," for check in checks)}), sys.argv[1:]))
"""
    return f"{head}\nfrom __future__ import annotations\n\n{imports}\n\n{player}\n\n{judged}\n\n{data}\n\n{end}"


def _merged(*names: str) -> tuple[str, str]:
    """(imports from the standard library, code) of the modules of the player; of the checks the imports only."""
    plain: set[str] = set()
    parts: defaultdict[str, set[str]] = defaultdict(set)
    bodies: list[str] = []
    for name in names:
        text = resources.files(f"{__package__}.standalone").joinpath(name).read_text("utf-8")
        nodes = ast.parse(text).body
        for node in nodes:
            if isinstance(node, ast.Import):
                plain |= {each.name for each in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level and node.module != "__future__":
                parts[str(node.module)] |= {each.name for each in node.names}
        last = max(node.end_lineno or 0 for node in nodes if isinstance(node, ast.Import | ast.ImportFrom))
        if name != "checks.py":
            bodies.append("\n".join(text.splitlines()[last:]).strip())
    lines = [f"import {name}" for name in sorted(plain)]
    lines += [f"from {module} import {', '.join(sorted(parts[module]))}" for module in sorted(parts)]
    return "\n".join(lines), re.sub(r"  # type: ignore\[.*", "", "\n\n\n".join(bodies))


def _checks(record: Record) -> tuple[str, ...]:
    wanted = [oracle.__name__ for oracle in SCENARIOS[record.requirement].oracles if oracle.__name__ not in ALWAYS]
    checks = dict.fromkeys(COVERED.get(oracle, oracle) for oracle in wanted)
    strange = [check for check in checks if check not in CHECKS]
    kinds = {type(step).__name__.lower() for step in record.program.steps if not isinstance(step, _PLAYED)}
    if any(isinstance(step, Connect) and not step.reads for step in record.program.steps):
        kinds.add("a client that never reads")
    if kinds or strange:
        what = ", ".join(sorted(kinds)) or ", ".join(strange)
        raise UsageError(
            f"{record.requirement} needs more than sockets ({what}): no script can show it; "
            "torq-conformance replay plays it"
        )
    return tuple(checks)


_PLAYED = (Connect, Write, Finish, Sync, HalfClose, Close, Idle, Buffer)


def _head(record: Record, name: str) -> Iterator[str]:
    requirement = requirements()[record.requirement]
    yield "#!/usr/bin/env python3"
    yield f'"""{requirement.id} [{requirement.level}]: {_plain(requirement.text)}'
    yield ""
    yield f"Recorded as {_plain(name)} from: {_plain(record.target)}"
    yield f"There {record.failures} of {counted(record.runs, 'run')} failed. What was expected and what was seen:"
    for finding in record.findings[:10]:
        yield f"- {finding.kind}: expected {_plain(finding.expected)};"
        yield f"  seen: {_plain(finding.seen)}"
    yield ""
    yield "usage: python3 THIS_FILE SOCKET    (a socket path, or tcp:HOST:PORT)"
    yield "Exit code: 1 while the fault is there, 0 when it is not, 2 when the relay cannot be reached."
    yield "Needs Python 3.10 or newer and nothing else. The bytes stand at the end, behind the player."
    yield '"""'
    yield ""


def _plain(text: str) -> str:
    """Text that cannot end the docstring it stands in."""
    return text.replace("\\", "/").replace('"""', "'''")


def _data(record: Record) -> Iterator[str]:
    rules = record.rules
    yield "H = bytes.fromhex"
    yield ""
    yield "CASE = Case("
    yield f"    requirement={record.requirement!r},"
    yield f"    runs={runs_that_prove_a_fix(record)},  # so many passes prove a fix, as often as it failed"
    yield f"    domain={rules.number},"
    yield f"    fence_type={fence_type(rules)},"
    yield f"    echo={rules.echo},"
    yield f"    forwards={rules.forwards},"
    yield f"    closes={rules.on_framing_error == 'close'},  # a connection whose bytes cannot be framed"
    yield f"    limit={rules.max_message_size},"
    yield "    frames=("
    fates = fates_of(record.program, rules)
    for number, position, conn, frame in record.program.frames():
        fate, why = fates[number]
        sender = connection_name(conn)
        because = f", because {why}" if why else ""
        yield f"        # {sender}{number}, sent in step {position + 1}: the relay has to {_DUTY[fate.value]}{because}"
        yield f"        ({sender + str(number)!r}, {sender!r}, {fate.value!r}, {str(why or '')!r},"
        yield from _bytes(encode_frame(frame, conn=conn, number=number, sequence=number + 1), " " * 9)
        yield "        ),"
    yield "    ),"
    yield "    steps=("
    for description, step in zip(describe_steps(record.program), _steps(record.program), strict=True):
        yield f"        # {description}"
        yield f"        {step},"
    yield "    ),"
    yield ")"


_DUTY = {"forward": "forward it", "refuse": "refuse it", "break": "end the connection's framing at it"}


def _bytes(data: bytes, indent: str) -> Iterator[str]:
    """Bytes as hexadecimal: the header in a line of its own, long repetitions as a product."""
    yield f"{indent}H({data[:HEADER_SIZE].hex(' ')!r})"
    position = HEADER_SIZE
    while position < len(data):
        unit, count = _repetition(data, position)
        if count >= MIN_REPEATS:
            yield f"{indent}+ H({data[position : position + unit].hex(' ')!r}) * {count}"
            position += unit * count
            continue
        stop = position + 1
        while stop < len(data) and stop - position < WIDTH // 3 and _repetition(data, stop)[1] < MIN_REPEATS:
            stop += 1
        yield f"{indent}+ H({data[position:stop].hex(' ')!r})"
        position = stop


def _repetition(data: bytes, position: int) -> tuple[int, int]:
    """(length of a unit, how often it stands there in a row), for units of up to eight bytes and long rows only."""
    for unit in range(1, 9):
        piece = data[position : position + unit]
        if len(piece) < unit or data[position + unit * 15 : position + unit * 16] != piece:
            continue
        count = 1
        while data[position + unit * count : position + unit * (count + 1)] == piece:
            count += 1
        if count * unit >= WIDTH:
            return unit, count
    return 1, 1


def _steps(program: Program) -> Iterator[str]:
    number = 0
    for step in program.steps:
        yield _step(step, number)
        number += frames_in(step)


def _step(step: Step, number: int) -> str:
    match step:
        case Connect(conn=conn):
            return f"('connect', {connection_name(conn)!r})"
        case Write():
            return _write(step, number)
        case Finish(conn=conn):
            return f"('finish', {connection_name(conn)!r})"
        case Sync():
            return "('sync',)"
        case HalfClose(conn=conn):
            return f"('half_close', {connection_name(conn)!r})"
        case Close(conn=conn, reset=reset):
            return f"('leave', {connection_name(conn)!r}, {reset})"
        case Idle(milliseconds=milliseconds):
            return f"('idle', {milliseconds})"
        case Buffer(conn=conn, size=size):
            return f"('buffer', {connection_name(conn)!r}, {size})"
        case _:
            raise UsageError(f"no script can play this step: {type(step).__name__.lower()}")


def _write(step: Write, number: int) -> str:
    name = connection_name(step.conn)
    items: list[str] = []
    for item in step.items:
        if isinstance(item, Raw):
            items.append(f"H({item.bytes!r})")
        else:
            items.append(repr(f"{name}{number}"))
            number += 1
    pieces = tuple(stop - start for start, stop in step.pieces())
    rest = sum(item.size for item in step.items) - step.size
    text = f"('write', {name!r}, ({', '.join(items)},), {pieces!r}, {step.settle}, {rest})"
    return "\n        ".join(wrap(text, 110, break_long_words=False, break_on_hyphens=False))
