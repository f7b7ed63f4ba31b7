"""Every fault by kind shows where its values say, and the correct relay keeps what it breaks there."""

from collections import Counter

import pytest

from spec_tests.conformance.specimens.by_kind import SHOWN, Fault
from spec_tests.conformance.specimens.relay_in_hand import RelayInHand
from spec_tests.conformance.specimens.specimen_process import DOMAIN_NAMES, Specimen, plain
from torq_conformance.specimens import mutants
from torq_conformance.specimens.correct.relay import Relay
from torq_conformance.specimens.mutants.table import TABLE, Mutant, relay_with

mutants.load()
ROWS = [row for row in TABLE.values() if row.family]
NUMBERS = {name: number for number, name in DOMAIN_NAMES.items()}
LEAST_VARIANTS = 3


def shows(relay: type[Relay], row: Mutant, patch: pytest.MonkeyPatch) -> bool:
    domain = NUMBERS["signal" if "signal" in row.domains else row.domains[0]]

    def start(**settings: int | float | str) -> RelayInHand:
        return RelayInHand(relay, patch, domain, **settings)

    return SHOWN[row.family](start, Fault(row.part))


@pytest.mark.parametrize("name", [row.name for row in ROWS])
def test_a_fault_shows_where_its_values_say(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shows(relay_with(TABLE[name].part), TABLE[name], monkeypatch)


@pytest.mark.parametrize("name", [row.name for row in ROWS])
def test_the_correct_relay_has_none_of_the_faults(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not shows(Relay, TABLE[name], monkeypatch)


def test_every_fault_has_variants_enough() -> None:
    families = Counter(row.family for row in ROWS)
    assert set(families) == set(SHOWN)
    assert min(families.values()) > LEAST_VARIANTS
    assert {row.name for row in ROWS if "{" in row.text} == set()


def test_the_command_takes_other_values_than_those_of_the_table() -> None:
    with Specimen("correct", "--mutant", "sizes-lost:least=51:most=53") as relay:
        sender, receiver = relay.joined(2, plain(1))
        sender.send(b"".join(plain(number, size=12 + number) for number in range(1, 11)))
        lost = {51, 53, 52}
        for number in range(1, 11):
            sent = plain(number, size=12 + number)
            assert len(sent) in lost or receiver.receive(len(sent)) == sent
