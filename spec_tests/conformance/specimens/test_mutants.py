"""The table of mutants is sound, and every mutant breaks the first requirement that it names."""

import json
import os
import re
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from spec_tests.conformance.specimens.black_box_checks import CHECKS, Check, Subject
from spec_tests.conformance.specimens.specimen_process import DOMAIN_NAMES, Specimen, plain
from torq_conformance.specimens import mutants
from torq_conformance.specimens.mutants.table import TABLE, Mutant

mutants.load()
NUMBERS = {name: number for number, name in DOMAIN_NAMES.items()}
MUTANT_PATIENCE_S = 0.4
THREADS = 4  # they mostly wait for what never comes

# Faults that show in the first exchange of all, so that not even one plain frame comes through as it should.
NO_TRIVIAL_FRAME = {
    "drop-first-after-join",
    "rewrite-sequence",
    "rewrite-timestamp",
    "rewrite-source",
    "echo-missing",
    "checksum-signed",
    "speakers-get-nothing",
}


def section_of(row: Mutant) -> str:
    return row.part.__module__.rpartition(".")[2]


def test_the_list_as_json_has_every_field_of_every_row() -> None:
    command = [sys.executable, "-m", "torq_conformance.specimens", "--list-mutants", "--json"]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert [row["name"] for row in rows] == list(TABLE)
    for row in rows:
        assert set(row) == {"name", "catches", "domains", "arguments", "text", "needs_root"}
        assert row["catches"]
        assert set(row["domains"]) <= set(NUMBERS)
        assert row["domains"]
        assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", row["name"])
        assert not row["text"].endswith(".")


def test_every_id_of_the_table_is_a_requirement() -> None:
    pages = Path(__file__).parents[3].joinpath("docs").rglob("relay*.md")
    published = {found for page in pages for found in re.findall(r"\b[A-Z]{3,5}-\d+\b", page.read_text())}
    cited = {requirement for row in TABLE.values() for requirement in row.catches}
    assert cited <= (published or set(CHECKS))


@pytest.mark.parametrize("section", sorted({section_of(row) for row in TABLE.values()}))
def test_each_mutant_is_caught_by_the_first_requirement_it_names(section: str) -> None:
    rows = [row for row in TABLE.values() if section_of(row) == section and shows_here(row)]
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


def test_a_mutant_is_otherwise_a_relay() -> None:
    for row in list(TABLE.values())[::9]:
        if row.name not in NO_TRIVIAL_FRAME:
            domain = row.domains[0]
            with Specimen("correct", "--mutant", row.name, "--domain", domain, *row.arguments) as relay:
                relay.joined(1, plain(1, NUMBERS[domain]))


def test_an_unknown_mutant_is_wrong_usage() -> None:
    relay = Specimen("correct", "--mutant", "no-such")
    try:
        assert "no mutant 'no-such'" in relay.stderr()
        assert relay.process.returncode == 2
    finally:
        relay.close()
