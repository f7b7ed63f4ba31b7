"""The table of mutants is sound, and every mutant breaks a requirement that it says it breaks."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from spec_tests.conformance.specimens.black_box_checks import CHECKS, Subject
from spec_tests.conformance.specimens.specimen_process import DOMAIN_NAMES, Specimen, plain
from torq_conformance.specimens import mutants
from torq_conformance.specimens.mutants.table import TABLE, Mutant

mutants.load()
NUMBERS = {name: number for number, name in DOMAIN_NAMES.items()}
MUTANT_PATIENCE_S = 1.0

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


def test_the_list_as_json_has_every_field_of_every_row() -> None:
    command = [sys.executable, "-m", "torq_conformance.specimens", "--list-mutants", "--json"]
    rows = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert [row["name"] for row in rows] == list(TABLE)
    for row in rows:
        assert set(row) == {"name", "catches", "domains", "arguments", "text"}
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


@pytest.mark.parametrize("row", TABLE.values(), ids=TABLE)
def test_mutant_is_caught_by_a_requirement_it_names(row: Mutant) -> None:
    for domain in row.domains:
        arguments = ("--mutant", row.name, *row.arguments)
        subject = Subject(NUMBERS[domain], arguments, MUTANT_PATIENCE_S)
        for requirement in row.catches:
            for function, domains in CHECKS[requirement]:
                if subject.domain in domains and not passes(function, subject):
                    return
    pytest.fail(f"nothing that {row.name} names catches it")


def passes(function: object, subject: Subject) -> bool:
    assert callable(function)
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
    assert "no mutant 'no-such'" in relay.stderr()
    assert relay.process.returncode == 2
