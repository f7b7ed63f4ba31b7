"""Grey boxes in folders of tests, and relays that tell what they reach."""

import dataclasses
import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import pytest

import torq_bench
from spec_tests.conformance.judged_relays import plan_for
from torq_conformance.grey_box.feedback import GreyBox, Kind
from torq_conformance.judging.plan import Plan

HIDDEN_FAULT = Path(__file__).with_name("hidden_fault.py")
HIDDEN_FAULT_COMMAND = f"{sys.executable} {HIDDEN_FAULT} {{socket}}"
PLAIN_RELAY = Path(torq_bench.__file__).with_name("plain_relay.c")


def box_in(folder: Path, *kinds: Kind, of: Sequence[Path] = ()) -> GreyBox:
    path = folder / "reached"
    path.mkdir()
    box = GreyBox(path, kinds, tuple(of))
    box.prepare()
    return box


def plan_in(box: GreyBox, *names: str, **settings: object) -> Plan:
    return dataclasses.replace(plan_for(*names, **settings), grey_box=box)  # type: ignore[arg-type] # as plan_for has it


def compiled(folder: Path, *flags: str) -> str:
    """The plain relay in C, built with the suite's file of C and these flags: its command."""
    if shutil.which("gcc") is None:
        pytest.skip("there is no gcc")
    runtime = folder / "torq_coverage.c"
    runtime.write_bytes(files("torq_conformance.grey_box").joinpath("torq_coverage.c").read_bytes())
    for words in (
        ("-Wall", "-Wextra", "-Werror", "-O1", "-c", "torq_coverage.c"),
        (*flags, "-o", "relay", str(PLAIN_RELAY), "torq_coverage.o"),
    ):
        subprocess.run(["gcc", *words], cwd=folder, check=True)
    return f"{folder / 'relay'} {{socket}} 1"
