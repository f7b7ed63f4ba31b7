"""The correct relay passes a black-box check of every requirement, in every domain."""

import pytest

from spec_tests.conformance.specimens.black_box_checks import CHECKS, Check, Subject
from spec_tests.conformance.specimens.specimen_process import DOMAIN_NAMES, SIGNAL, Specimen, plain

DISTINCT = {function: domains for checks in CHECKS.values() for function, domains in checks}
ONE_DOMAIN_SUFFICES = ("CONN", "ISO", "LIFE", "RES", "SEC")
GENERAL = {
    function
    for requirement, checks in CHECKS.items()
    for function, _ in checks
    if requirement.startswith(ONE_DOMAIN_SUFFICES)
}
CASES = [
    pytest.param(function, domain, id=f"{function.__name__}-{DOMAIN_NAMES[domain]}")
    for function, domains in DISTINCT.items()
    for domain in domains
    if domain == SIGNAL or function not in GENERAL
]


@pytest.mark.parametrize(("function", "domain"), CASES)
def test_correct_relay(function: Check, domain: int) -> None:
    function(Subject(domain))


def test_correct_relay_serves_tcp_too() -> None:
    with Specimen("correct", "--tcp", "127.0.0.1:0") as relay:
        clients = relay.joined(2, plain(1))
        clients[0].finish_sending()
        clients[1].send(plain(2) * 100)
        for client in clients:
            assert client.receive(len(plain(2)) * 100) == plain(2) * 100
        assert relay.terminate() == 0
