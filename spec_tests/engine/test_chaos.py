"""A short run of chaos on each domain: VAL-6, ISO-1, CONN-6, RES-2 under everything at once."""

import pytest

from torq_bench.chaos import run_chaos
from torq_protocol.constants import RelayDomain

from .daemons import daemon


@pytest.mark.parametrize("domain", [RelayDomain.MARKET_DATA, RelayDomain.SIGNAL, RelayDomain.EXECUTION])
def test_val_6_witness_is_served_whatever_others_do(domain: RelayDomain) -> None:
    with daemon(domain.name.lower(), "--log-level", "critical") as relay:
        result = run_chaos(str(relay.path), relay.process.pid, domain, seed=domain, ends=(1500, 0.0))
        assert result.faults == []
        assert result.witnessed > 1000
        relay.signal()
        assert relay.ends() == 0
