"""Relays in C, and a program in Rust: edges as they are reached, and the figures that gcov itself has."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from spec_tests.conformance.grey_box.boxes import PLAIN_RELAY, box_in, compiled
from spec_tests.conformance.program_strategies import rules_of
from torq_conformance.grey_box.figures import reached_in
from torq_conformance.model.frames import Frame, Raw
from torq_conformance.model.program import Program
from torq_conformance.model.steps import Connect, Step, Write
from torq_conformance.play.executor import Executor
from torq_conformance.play.target import SpawnedTarget

PAIR: tuple[Step, ...] = (Connect(0), Connect(1))
FRAME = Frame(1)


def test_each_new_edge_of_a_relay_in_c_is_told_after_the_program_that_reached_it(tmp_path: Path) -> None:
    box = box_in(tmp_path, "map")
    feedback = box.feedback()
    command = compiled(tmp_path, "-O1", "-fsanitize-coverage=trace-pc")
    with SpawnedTarget(command, environment=box.environment()) as target:
        executor = Executor(target, rules_of("market_data"))

        def new_of(*steps: Step) -> int:
            executor.play(Program("market_data", (*PAIR, *steps)))
            return len(feedback.collect())

        assert feedback.collect()
        assert new_of(Write(0, (FRAME,)))
        while new_of(Write(0, (FRAME,))):  # there are only so many edges that time alone decides about
            pass
        assert new_of(Write(0, (Raw("00" * 40),)))  # no frame: the relay closes
    (reached,) = reached_in(box, 0)
    assert reached.figures.startswith("relay's code (map): ")
    assert " of " not in reached.figures.partition(" reached")[0]  # nobody knows of how many edges


def test_gcov_figures_are_those_of_gcov_itself(tmp_path: Path) -> None:
    box = box_in(tmp_path, "gcov")
    command = compiled(tmp_path, "-O0", "--coverage")
    with SpawnedTarget(command, environment=box.environment()) as target:
        Executor(target, rules_of("market_data")).play(Program("market_data", (*PAIR, Write(0, (FRAME,)))))
    (reached,) = reached_in(box, 0)
    (data,) = box.gcov_folder.rglob("*.gcda")
    own = subprocess.run(["gcov", "-b", str(data)], cwd=data.parent, capture_output=True, text=True, check=True).stdout
    for noun, words in (("line", "Lines executed"), ("branch", "Taken at least once")):
        found = re.search(rf"{words}:([\d.]+)% of (\d+)", own)
        assert found is not None
        share = reached.things[noun]
        assert share.of == int(found[2])
        assert f"{100 * share.reached / share.of:.2f}" == found[1]
    listing = next(data.parent.glob("*plain_relay.c.gcov")).read_text()
    unreached = tuple(int(number) for number in re.findall(r"^ *#####: *(\d+):", listing, re.MULTILINE))
    assert [each.lines for each in reached.never] == [unreached]
    assert reached.never[0].file.endswith(PLAIN_RELAY.name)


def test_a_program_in_rust_tells_how_many_edges_there_are(tmp_path: Path) -> None:
    if shutil.which("rustc") is None or shutil.which("gcc") is None:
        pytest.skip("there is no rustc, or no gcc")
    box = box_in(tmp_path, "map")
    compiled(tmp_path, "-O0")
    (tmp_path / "main.rs").write_text(
        'fn main() { if std::env::args().count() > 1 { println!("more"); } else { println!("one"); } }\n'
    )
    flags: tuple[str, ...] = ("-Cpasses=sancov-module", "-Cllvm-args=-sanitizer-coverage-level=3")
    flags += ("-Cllvm-args=-sanitizer-coverage-trace-pc-guard", "-Clink-arg=torq_coverage.o")
    subprocess.run(["rustc", *flags, "-o", "program", "main.rs"], cwd=tmp_path, check=True)
    environment = {**os.environ, **box.environment()}
    shares = []
    for words in ((), ("more",)):
        subprocess.run([tmp_path / "program", *words], env=environment, check=True, stdout=subprocess.DEVNULL)
        shares.append(reached_in(box, 0)[0].things["edge"])
    assert shares[0].of == shares[1].of
    assert shares[0].reached < shares[1].reached < (shares[1].of or 0)
