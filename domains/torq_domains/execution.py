"""The execution relay: it checks everything, serves its own user only and records every frame (VAL-4, SEC-2, SEC-3)."""

from __future__ import annotations

import sys

from torq_engine.daemon import run_relay
from torq_engine.logic import RelayLogic
from torq_protocol.constants import SOCKET_PATHS, RelayDomain
from torq_protocol.policy import ValidationLevel


class ExecutionLogic(RelayLogic):
    """Orders, fills, portfolio and risk: TLV types 40-79."""

    name = "execution"
    domain = RelayDomain.EXECUTION
    socket_path = SOCKET_PATHS[RelayDomain.EXECUTION]
    level = ValidationLevel.SECURITY
    own_user_only = True
    audited = True


def main() -> None:
    """Run the execution relay."""
    sys.exit(run_relay(ExecutionLogic()))
