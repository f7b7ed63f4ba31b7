"""A counterexample as one Python file: it fails where the fault is, holds where it is not, and needs nothing."""

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from spec_tests.conformance.judged_relays import relay
from torq_conformance.errors import UsageError
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.model.profile import load_profile
from torq_conformance.model.program import (
    Buffer,
    Close,
    Connect,
    Finish,
    Frame,
    HalfClose,
    Program,
    Raw,
    Stall,
    Step,
    Sync,
    Tlv,
    Write,
    encode_frame,
)
from torq_conformance.replay.record import Record
from torq_conformance.replay.script import ALWAYS, COVERED, script_for
from torq_conformance.replay.standalone.case import Case
from torq_conformance.replay.standalone.checks import CHECKS
from torq_conformance.reports.model import Contradiction

OWN = Frame(2, (Tlv(30, 8),))
BIG = Frame(2, (Tlv(30, 40_000),))
BIG_TWICE = Frame(2, (Tlv(30, 40_000),) * 2)
EQUAL = Frame(2, sequence=1, timestamp=1)
SECOND_IS_FOREIGN = Frame(2, (Tlv(30, 8), Tlv(40, 8)))
PRICES = Frame(1, (Tlv(4, 8),))
PAIR = (Connect(0), Connect(1))
END = Finish(0)
LEAVES_INSIDE_A_FRAME = (Connect(2), Write(2, (OWN,), stop=36), Close(2))

CASES: list[tuple[str, str, str, tuple[Step, ...]]] = [
    ("FRAME-1", "signal", "first-generic", (Connect(0), Write(0, (OWN,), (1,)))),
    ("FRAME-2", "signal", "first-generic", (Connect(0), Write(0, (BIG, BIG)))),
    ("DOM-1", "signal", "first-generic", (Connect(0), Write(0, (OWN, Frame(1))))),
    ("FWD-7", "signal", "first-generic", (Connect(0), Write(0, (Frame(2, (Tlv(30, 65_500),)),)))),
    ("VAL-1", "signal", "first-generic", (Connect(0), Write(0, (Frame(2, checksum="inverted"),)))),
    ("VAL-5", "signal", "first-generic", (*PAIR, Write(0, (Raw(b"hello, relay, are you there?\n".hex() * 2),)))),
    ("FWD-6", "signal", "correct --mutant header-only-held", (*PAIR, Write(0, (Frame(2),)))),
    ("VAL-5", "signal", "correct --mutant garbage-loses-frames-before", (*PAIR, Write(0, (OWN, Raw("00" * 40))))),
    ("VAL-5", "signal", "correct --mutant garbage-frames-behind-forwarded", (*PAIR, Write(0, (Raw("00" * 40), OWN)))),
    ("FRAME-3", "market_data", "legacy-market-data", (*PAIR, Write(0, (PRICES,), stop=32), Write(1, (PRICES,)), END)),
    ("FRAME-4", "market_data", "legacy-market-data", (*PAIR, Write(0, (PRICES,), stop=33))),
    ("FWD-1", "signal", "correct --mutant repeat-ignored", (*PAIR, Write(0, (EQUAL, EQUAL)), Write(0, (EQUAL,)))),
    ("FWD-2", "signal", "correct --mutant echo-twice", (*PAIR, Write(0, (OWN,)))),
    ("FWD-3", "signal", "correct --mutant clear-flags", (*PAIR, Write(0, (Frame(2, flags=7),)))),
    ("FWD-4", "signal", "correct --mutant echo-missing", (*PAIR, Write(0, (OWN,)))),
    ("FWD-5", "signal", "correct --mutant replay-history", (*PAIR, Write(0, (OWN,)), Sync(), Connect(2))),
    ("ORD-1", "signal", "correct --mutant swap-in-batch", (*PAIR, Write(0, (OWN, OWN)))),
    ("DOM-2", "signal", "correct --mutant first-tlv-only", (*PAIR, Write(0, (SECOND_IS_FOREIGN,)))),
    ("CONN-7", "signal", "correct --mutant half-close-closes", (*PAIR, HalfClose(0), Write(1, (OWN,)))),
    ("FWD-7", "signal", "correct --mutant many-reads-lose-large", (*PAIR, Buffer(0, 1), Write(0, (BIG_TWICE,)))),
    ("CONN-6", "signal", "correct --mutant partial-at-end", (*PAIR, *LEAVES_INSIDE_A_FRAME, Write(0, (OWN,)))),
]  # fmt: skip


def record_of(requirement: str, domain: str, steps: tuple[Step, ...]) -> Record:
    program = Program(domain, steps)  # type: ignore[arg-type] # one of the three
    shown = (Contradiction("lost", 'frame A0 at """A""" \\', "it never came"),)
    return Record(requirement, load_profile("reference"), program, shown, 20, 20, 1, "a relay")


def play(script: Path, address: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-I", "-S", str(script), address)
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def write(folder: Path, record: Record) -> Path:
    path = folder / "script.py"
    path.write_text(script_for(record, "stored.json"), "utf-8")
    return path


@pytest.fixture(scope="module")
def references() -> Iterator[dict[str, str]]:
    """Addresses of the reference daemons."""
    domains = ("signal", "market_data")
    with ExitStack() as stack:
        yield {
            domain: str(stack.enter_context(relay(f"{domain}_relay --socket {{socket}}")).address) for domain in domains
        }


@pytest.mark.parametrize(("requirement", "domain", "faulty", "steps"), CASES, ids=[f"{c[0]} {c[2]}" for c in CASES])
def test_the_script_fails_on_the_faulty_relay_and_holds_on_the_reference(
    requirement: str, domain: str, faulty: str, steps: tuple[Step, ...], tmp_path: Path, references: dict[str, str]
) -> None:
    script = write(tmp_path, record_of(requirement, domain, steps))
    with relay(f"torq-specimen {faulty} --socket {{socket}} --domain {domain}") as target:
        broken = play(script, str(target.address))
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert broken.stdout.startswith(f"FAILS {requirement} (run 1 of 10):")
    held = play(script, references[domain])
    assert held.returncode == 0, held.stdout + held.stderr
    assert held.stdout == f"HOLDS {requirement}: 10 runs, no fault\n"


def test_the_script_ends_with_2_where_no_relay_answers_or_no_address_is_given(tmp_path: Path) -> None:
    script = write(tmp_path, record_of(*CASES[0][:2], CASES[0][3]))
    for address in (str(tmp_path / "none.sock"), "tcp:127.0.0.1:1", "tcp:nowhere", "/tmp/" + "x" * 200):
        missing = play(script, address)
        assert (missing.returncode, missing.stdout) == (2, ""), address
        assert "cannot judge" in missing.stderr
        assert "Traceback" not in missing.stderr
    without = subprocess.run([sys.executable, "-I", str(script)], capture_output=True, text=True, check=False)
    assert (without.returncode, "usage:" in without.stderr) == (2, True)


def case_of(script: Path) -> Case:
    """The data of a script, which is imported but not run."""
    spec = importlib.util.spec_from_file_location("replay_script", script)
    assert spec is not None
    assert spec.loader is not None
    sys.modules["replay_script"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    del sys.modules["replay_script"]
    case: Case = module.CASE
    return case


def test_the_script_imports_the_standard_library_alone_and_holds_the_bytes_in_hex(tmp_path: Path) -> None:
    for requirement, domain, _, steps in CASES:
        text = write(tmp_path, record_of(requirement, domain, steps)).read_text("utf-8")
        tree = ast.parse(text)
        imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        imported |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        assert {name.partition(".")[0] for name in imported} <= set(sys.stdlib_module_names) | {"__future__"}
        assert "sleep" not in text
        frames = case_of(tmp_path / "script.py").frames
        program = record_of(requirement, domain, steps).program
        encoded = [
            encode_frame(frame, conn=conn, number=number, sequence=number + 1)
            for number, _, conn, frame in program.frames()
        ]
        assert [data for *_, data in frames] == encoded


def test_every_check_of_the_script_bears_the_name_of_an_oracle() -> None:
    oracles = {oracle.__name__ for scenario in SCENARIOS.values() for oracle in scenario.oracles}
    assert set(CHECKS) <= oracles
    assert set(COVERED) <= oracles
    assert set(COVERED.values()) <= set(CHECKS)
    assert not set(ALWAYS) & set(CHECKS)


def test_a_program_that_needs_more_than_sockets_is_refused_with_the_reason() -> None:
    with pytest.raises(UsageError, match=r"needs more than sockets \(stall\)"):
        script_for(record_of("FWD-1", "signal", (*PAIR, Stall(0), Write(1, (OWN,)))), "stored.json")
