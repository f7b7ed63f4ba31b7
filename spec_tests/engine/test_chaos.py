"""A short run of chaos on each domain: VAL-6, ISO-1, CONN-6, RES-2 under everything at once."""

import pytest

from torq_bench.chaos import Operator, run_chaos
from torq_protocol.constants import RelayDomain

from .daemons import daemon
from .relays import short_directory

pytestmark = pytest.mark.usefixtures("unmeasured_processes")


@pytest.mark.parametrize("domain", [RelayDomain.MARKET_DATA, RelayDomain.SIGNAL, RelayDomain.EXECUTION])
def test_val_6_witness_is_served_whatever_others_do(domain: RelayDomain) -> None:
    with short_directory() as directory, daemon(domain.name.lower(), *Operator.flags(directory)) as relay:
        process = relay.process.pid
        operator = Operator(process, directory, seed=domain)
        result = run_chaos(str(relay.path), process, domain, seed=domain, ends=(1500, 0.0), operator=operator)
        assert result.faults == []
        assert result.witnessed > 1000
        relay.signal()
        assert relay.ends() == 0
