"""A counterexample as one Python file: it fails where the fault is, holds where it is not, and needs nothing."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings

from spec_tests.conformance.judged_relays import relay
from spec_tests.conformance.program_strategies import programs
from torq_conformance.errors import UsageError
from torq_conformance.judging.replaying import Case
from torq_conformance.judging.runner import replay
from torq_conformance.judging.scenarios import SCENARIOS
from torq_conformance.model.frames import Frame, Raw, Tlv
from torq_conformance.model.profile import load_profile
from torq_conformance.model.program import Program
from torq_conformance.model.steps import (
    Act,
    Buffer,
    Close,
    Connect,
    FailedTakeover,
    Finish,
    Flood,
    Freeze,
    HalfClose,
    Idle,
    Kill,
    Resume,
    Sip,
    Stall,
    Step,
    Sync,
    Takeover,
    Thaw,
    Write,
)
from torq_conformance.play.address import Address
from torq_conformance.play.target import Target
from torq_conformance.replay.record import Record
from torq_conformance.replay.script import script_for
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


def play(script: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script with the standard library alone, in a folder that holds nothing else."""
    command = (sys.executable, "-S", "-E", "-I", script.name, *arguments)
    return subprocess.run(command, cwd=script.parent, capture_output=True, text=True, timeout=60, check=False)


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
    addresses = [str(tmp_path / "none.sock"), "tcp:127.0.0.1:1", "tcp:nowhere", "/tmp/" + "x" * 200]
    for arguments in (*((address,) for address in addresses), ("--exec", "no_such_relay {socket}"), ("--exec", "a")):
        missing = play(script, *arguments)
        assert (missing.returncode, missing.stdout) == (2, ""), arguments
        assert "cannot judge" in missing.stderr
        assert "Traceback" not in missing.stderr
    for strange in ((), ("a.sock", "--exec", "their_relay {socket}")):
        without = play(script, *strange)
        assert (without.returncode, "usage:" in without.stderr) == (2, True)


def case_of(text: str) -> Case:
    """What a script plays; the script is imported but not run."""
    module: dict[str, object] = {"__name__": "replay_script"}
    exec(compile(text, "script.py", "exec"), module)
    made = module["case"]
    assert callable(made)
    case = made()
    assert isinstance(case, Case)
    return case


@settings(max_examples=40, deadline=None)
@given(programs())
def test_the_script_shows_the_program_as_python_that_makes_it_again(program: Program) -> None:
    record = record_of("FRAME-1", program.domain, program.steps)
    text = script_for(record, "stored.json")
    case = case_of(text)
    assert case == Case("FRAME-1", program, record.rules, SCENARIOS["FRAME-1"].judges)
    shown = " ".join(line.strip().removeprefix("# ") for line in text.splitlines() if line.strip().startswith("#"))
    for number, words in enumerate(program.words(), 1):
        assert " ".join(f"{number}. {words}".split()) in " ".join(shown.split())


@pytest.mark.parametrize("requirement", SCENARIOS)
def test_every_requirement_that_programs_judge_has_a_script(requirement: str) -> None:
    text = script_for(record_of(requirement, "signal", CASES[0][3]), "stored.json")
    assert case_of(text).oracles == SCENARIOS[requirement].judges
    imported = {
        module.partition(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for module in ([node.module or ""] if isinstance(node, ast.ImportFrom) else [each.name for each in node.names])
    }
    assert imported - {"torq_conformance"} <= set(sys.stdlib_module_names)


PLAYED: dict[type[Step], tuple[Step, ...]] = {
    Connect: (Connect(2, reads=False),),
    Write: (Write(0, (OWN, BIG), cuts=(1, 40)), Write(1, (OWN, Frame(1)))),
    Finish: (Write(0, (OWN,), stop=20), Finish(0)),
    Sync: (Write(0, (OWN,)), Sync()),
    HalfClose: (HalfClose(0), Write(1, (OWN,))),
    Close: (Close(0), Close(1, reset=True)),
    Idle: (Idle(1),),
    Buffer: (Buffer(0, 1), Write(0, (OWN,))),
    Stall: (Stall(1), Write(0, (OWN,))),
    Sip: (Stall(1), Write(0, (OWN,)), Sip(1, 10)),
    Resume: (Stall(1), Write(0, (OWN,)), Resume(1)),
    Flood: (Flood(0, OWN, 200),),
    Freeze: (Freeze(), Write(0, (OWN,), settle=False), Write(1, (OWN,), settle=False)),
    Thaw: (Freeze(), Write(0, (OWN,), settle=False), Thaw()),
    Kill: (Kill(), Connect(2), Write(2, (OWN,))),
    Takeover: (Takeover(), Write(0, (OWN,))),
    FailedTakeover: (FailedTakeover(holds=True), Write(0, (OWN,))),
    Act: (Act("look at it"), Write(0, (OWN,))),
}


@pytest.mark.parametrize("kind", get_args(Step))
def test_every_kind_of_step_is_played_by_a_script(kind: type[Step], tmp_path: Path, references: dict[str, str]) -> None:
    assert any(isinstance(step, kind) for step in PLAYED[kind])
    script = write(tmp_path, record_of("FWD-1", "signal", (*PAIR, *PLAYED[kind])))
    started = ["--exec", f"{Path(sys.executable).parent / 'signal_relay'} --socket {{socket}}"]
    started += ["--exec-successor", f"{started[1]} --takeover"] if kind.needs == "successor" else []
    held = play(script, *((references["signal"],) if kind.needs == "sockets" else started))
    assert (held.returncode, held.stdout) == (0, "HOLDS FWD-1: 10 runs, no fault\n"), held.stderr


@pytest.mark.parametrize("step", [Freeze(), Thaw(), Kill(), Takeover(), FailedTakeover()])
def test_a_step_that_needs_the_process_of_the_relay_is_refused_with_the_reason(
    step: Step, tmp_path: Path, references: dict[str, str]
) -> None:
    steps = (*PAIR, step)
    refused = play(write(tmp_path, record_of("FWD-1", "signal", steps)), references["signal"])
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr.startswith("cannot judge: step 3 (")
    assert "needs a relay that is started for it" in refused.stderr
    record = record_of("FWD-1", "signal", steps)
    target = Target(Address.parse(references["signal"]))
    with pytest.raises(UsageError, match=r"step 3 .* needs a relay that is started"):
        replay(record.program, "FWD-1", record.rules, target, 1)
    assert replay(record.program, "FWD-1", record.rules, target, 1, started=False)[0] == 0


@pytest.mark.parametrize("address", ["unix:/tmp/torq/signal.sock", "tcp:127.0.0.1:7001"])
def test_what_did_nothing_where_it_was_found_need_do_nothing_again(
    address: str, tmp_path: Path, references: dict[str, str]
) -> None:
    steps = (*PAIR, Freeze(), Write(0, (OWN,)), Kill())
    record = msgspec.structs.replace(record_of("FWD-1", "signal", steps), target=address)
    script = write(tmp_path, record)
    assert not case_of(script.read_text("utf-8")).started
    held = play(script, references["signal"])
    assert (held.returncode, held.stdout) == (0, "HOLDS FWD-1: 10 runs, no fault\n"), held.stderr


@pytest.mark.parametrize("size", [262_145, 1_000_000])
def test_a_script_with_a_large_frame_runs(size: int, tmp_path: Path, references: dict[str, str]) -> None:
    whole, rest = divmod(size - 32 - 1_000, 65_540)
    tlvs = (*[Tlv(30, 65_535)] * whole, Tlv(30, rest - 5, extended=True), Tlv(30, 995))
    frame = Frame(2, tlvs)
    assert frame.size == size
    garbled = Frame(2, tail=bytes(number * number % 251 for number in range(size - 32)).hex())
    script = write(tmp_path, record_of("FWD-7", "signal", (*PAIR, Write(0, (frame,)), Write(0, (garbled,)))))
    held = play(script, references["signal"])
    assert (held.returncode, held.stdout) == (0, "HOLDS FWD-7: 10 runs, no fault\n"), held.stderr


def test_an_error_of_the_script_itself_is_neither_fault_nor_fix(tmp_path: Path, references: dict[str, str]) -> None:
    script = write(tmp_path, record_of(*CASES[0][:2], CASES[0][3]))
    text = script.read_text("utf-8")
    for right, wrong in (
        ("    return Case(\n", "    raise RecursionError\n    return Case(\n"),
        ('PLAYER = """\n', 'PLAYER = """AAAA"""\nREST = """\n'),
        (
            "    from torq_conformance.model",
            "    from torq_conformance.model.nothing import x\n    from torq_conformance.model",
        ),
    ):
        assert right in text
        script.write_text(text.replace(right, wrong, 1), "utf-8")
        ended = play(script, references["signal"])
        assert (ended.returncode, ended.stdout) == (2, ""), wrong
        assert "cannot judge: an error of the script itself" in ended.stderr


def test_a_script_of_what_never_failed_again_proves_nothing(tmp_path: Path, references: dict[str, str]) -> None:
    record = msgspec.structs.replace(record_of("FWD-1", "signal", (*PAIR, Write(0, (OWN,)))), failures=0, runs=12)
    passed = play(write(tmp_path, record), references["signal"])
    assert (passed.returncode, passed.stdout) == (
        2,
        "NOT REPRODUCED FWD-1: 12 runs, no fault, and none when it was recorded\n",
    )
