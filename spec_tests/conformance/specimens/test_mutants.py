"""The table of mutants is sound, and every mutant breaks the first requirement that it names."""

import json
import os
import re
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spec_tests.conformance.specimens.black_box_checks import CHECKS, Check, Subject
from spec_tests.conformance.specimens.specimen_process import DOMAIN_NAMES, PATIENCE_S, Specimen, plain
from torq_conformance.judging.selftest_cases import SMALL_BOUNDS
from torq_conformance.model.requirements import requirements
from torq_conformance.specimens import mutants
from torq_conformance.specimens.mutants.table import TABLE, Mutant, relay_with

mutants.load()
NUMBERS = {name: number for number, name in DOMAIN_NAMES.items()}
MUTANT_PATIENCE_S = 0.4
SEEN_THROUGH_A_PROFILE = {"VAL-7", "ISO-6", "LIFE-5", "SEC-2", "SEC-3"}
"""Requirements whose mutants have their rows in checks/test_told_by_the_profile.py."""
SEEN_IN_A_TAKEOVER = {"LIFE-3", "LIFE-4"}
"""Requirements whose mutants have their rows in test_takeovers.py."""
SEEN_ELSEWHERE = SEEN_THROUGH_A_PROFILE | SEEN_IN_A_TAKEOVER
SEEN_AFTER_A_WAIT = {"never-read-closed", "never-read-forgotten"}
"""Mutants that do nothing wrong for 10 s; checks/test_checks.py shortens that."""
ROWS = [row for row in TABLE.values() if not row.family]
"""The mutants whose fault shows in a black-box check; test_by_kind.py has the others."""
THREADS = 4  # they mostly wait for what never comes

# Faults that show in the first exchange of all, so that not even one plain frame comes through as it should.
NO_TRIVIAL_FRAME = {
    "drop-first-after-join",
    "rewrite-timestamp",
    "rewrite-source",
    "echo-missing",
    "speakers-get-nothing",
}


def section_of(row: Mutant) -> str:
    return row.part.__module__.rpartition(".")[2]


def test_the_list_as_json_has_every_field_of_every_row() -> None:
    command = [sys.executable, "-m", "torq_conformance.specimens", "--list-mutants", "--json"]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert [row["name"] for row in rows] == list(TABLE)
    for row in rows:
        assert set(row) == {"name", "catches", "domains", "arguments", "text", "needs_root", "family"}
        assert row["catches"]
        assert set(row["domains"]) <= set(NUMBERS)
        assert row["domains"]
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*(:[a-z_]+=[a-z0-9.-]+)*", row["name"])
        assert row["name"].partition(":")[0] == row["family"] or (not row["family"] and ":" not in row["name"])
        assert not row["text"].endswith(".")


def test_every_id_of_the_table_is_a_requirement() -> None:
    assert {requirement for row in TABLE.values() for requirement in row.catches} <= set(requirements())


@pytest.mark.parametrize("section", sorted({section_of(row) for row in ROWS if row.catches[0] not in SEEN_ELSEWHERE}))
def test_each_mutant_is_caught_by_the_first_requirement_it_names(section: str) -> None:
    rows = [row for row in ROWS if section_of(row) == section and shows_here(row)]
    rows = [row for row in rows if row.catches[0] not in SEEN_ELSEWHERE and row.name not in SEEN_AFTER_A_WAIT]
    with ThreadPoolExecutor(THREADS) as threads:
        caught = dict(zip((row.name for row in rows), threads.map(is_caught, rows), strict=True))
    assert caught == {row.name: True for row in rows}


def shows_here(row: Mutant) -> bool:
    return not row.needs_root or os.geteuid() == 0


def is_caught(row: Mutant) -> bool:
    domain = NUMBERS[row.domains[zlib.crc32(row.name.encode()) % len(row.domains)]]
    subject = Subject(domain, ("--mutant", row.name, *row.arguments), MUTANT_PATIENCE_S)
    checks = [function for function, domains in CHECKS[row.catches[0]] if domain in domains]
    return any(not passes(function, subject) for function in checks)


def passes(function: Check, subject: Subject) -> bool:
    try:
        function(subject)
    except (AssertionError, OSError, subprocess.TimeoutExpired):
        return False
    return True


def one_of_each_kind() -> list[Mutant]:
    """One mutant of each section and part of the relay that it changes, such as a Framer among the rare states.

    To start all would take minutes; mutants of one section that change the same part are made by the same few lines.
    """
    chosen: dict[tuple[str, type], Mutant] = {}
    for row in ROWS:
        if row.name not in NO_TRIVIAL_FRAME and shows_here(row):
            chosen.setdefault((section_of(row), row.part.__mro__[1]), row)
    return list(chosen.values())


def forwards_a_plain_frame(row: Mutant) -> bool:
    domain = row.domains[0]
    arguments = ("correct", "--mutant", row.name, "--domain", domain, *SMALL_BOUNDS, *row.arguments)
    with Specimen(*arguments, patience_s=MUTANT_PATIENCE_S if row.name in NO_TRIVIAL_FRAME else PATIENCE_S) as relay:
        try:
            relay.joined(1, plain(1, NUMBERS[domain]))
        except (AssertionError, OSError):
            return False
    return True


@pytest.mark.parametrize("section", sorted({section_of(row) for row in ROWS}))
def test_a_mutant_is_otherwise_a_relay(section: str) -> None:
    rows = [row for row in one_of_each_kind() if section_of(row) == section]
    with ThreadPoolExecutor(THREADS) as threads:
        forwards = dict(zip((row.name for row in rows), threads.map(forwards_a_plain_frame, rows), strict=True))
    assert forwards
    assert forwards == dict.fromkeys(forwards, True)


@pytest.mark.parametrize("name", sorted(NO_TRIVIAL_FRAME))
def test_a_fault_that_shows_at_once_changes_the_first_frame(name: str) -> None:
    assert not forwards_a_plain_frame(TABLE[name])


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("no-such", "no mutant 'no-such'"),
        ("no-such:bits=3", "no mutant 'no-such:bits=3'"),
        ("drop-header-only:bits=3", "drop-header-only does not vary in 'bits' but in nothing"),
        ("claim-cut:bytes=3", "claim-cut does not vary in 'bytes' but in bits, whole, signed"),
        ("claim-cut:bits=few", "invalid literal for int() with base 10: 'few'"),
    ],
)
def test_an_unknown_mutant_is_wrong_usage(name: str, words: str) -> None:
    relay = Specimen("correct", "--mutant", name)
    try:
        assert words in relay.stderr()
        assert relay.process.returncode == 2
    finally:
        relay.close()


@given(first=st.sampled_from(tuple(TABLE.values())), second=st.sampled_from(tuple(TABLE.values())))
def test_two_faults_at_once_are_both_there_or_refused(first: Mutant, second: Mutant) -> None:
    try:
        relay = relay_with(first.part, second.part)
    except ValueError:
        return
    parts = [relay, *(value for name, value in vars(relay).items() if name.endswith("_part"))]
    assert all(any(issubclass(part, row.part) for part in parts) for row in (first, second))


def test_mutants_that_hide_each_other_are_refused_with_the_reason() -> None:
    command = [sys.executable, "-m", "torq_conformance.specimens", "correct", "--tcp", "127.0.0.1:0"]
    words = ["--mutant", "drop-every-10th", "--mutant", "drop-every-100th"]
    said = subprocess.run([*command, *words], capture_output=True, text=True)
    assert said.returncode == 2
    assert "both change 'copies'" in said.stderr
