"""The check of a relay that runs out of descriptors (CONN-10).

Facts: the limit of a running process can be lowered from outside (prlimit) to just above what it holds; clients that it
cannot accept wait in its backlog, or are closed.
"""

from __future__ import annotations

import contextlib
import math
import resource
from collections.abc import Iterator

from ..errors import TargetError
from ..model.findings import Finding, Kind
from .bench import Bench, Client, UnsupportedCheckError
from .levels import busy_share, descriptors, pid_of

SPARE_DESCRIPTORS = 2
"""Descriptors that the relay may still open."""
TOO_MANY = 12
"""Clients that then connect; fewer where more would go beyond the limit for connections."""
MOST_BUSY = 0.2
"""Of one core: a relay that tries again now and then is far below, one that spins far above."""
MEASUREMENTS = 3


def survives_exhausted_descriptors(bench: Bench) -> Iterator[Finding]:
    """More clients than the relay has descriptors for, which then come back (CONN-10)."""
    with bench.relay() as target:
        pid = pid_of(target)
        clients = bench.joined(target, 2)
        try:
            usual = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        except OSError as error:
            raise UnsupportedCheckError(f"the limits of the relay's process cannot be set: {error.strerror}") from error
        most = bench.rules.max_connections
        crowded = TOO_MANY if most is None else max(SPARE_DESCRIPTORS + 1, min(TOO_MANY, most - len(clients) - 1))
        bench.act(
            f"let the relay's process have {SPARE_DESCRIPTORS} descriptors more than it holds; {crowded} more clients "
            f"connect; for {bench.timing.exhausted_seconds:g} s look at its "
            "processor time; then let it have as many as before"
        )
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors(pid) + SPARE_DESCRIPTORS, usual[1]))
        crowd: list[Client] = []
        with contextlib.suppress(TargetError):
            crowd += (bench.connect(target) for _ in range(crowded))
        busy = math.inf
        for _ in range(MEASUREMENTS):
            busy = min(busy, busy_share(pid, bench.timing.exhausted_seconds))
            if busy < MOST_BUSY:
                break
        served = bench.reaches(clients[0], clients)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, usual)
        for client in crowd:
            client.close()
        bench.evidence["percent of a core without descriptors"] = round(busy * 100)
        if not served:
            yield Finding(Kind.DISTURBED, "those who were there to be served without descriptors", "they are not")
        if busy >= MOST_BUSY:
            yield Finding(Kind.COSTLY, f"less than {MOST_BUSY:.0%} of a core while descriptors are out", f"{busy:.0%}")
        if not bench.reaches(clients[0], [bench.connect(target)]):
            yield Finding(Kind.UNSERVED, "a new client to be served when descriptors come back", "it is not")
