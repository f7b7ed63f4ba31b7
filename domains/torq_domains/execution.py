"""The execution relay: everything checked, its own user only, every frame recorded (DOM-2, VAL-4, SEC-2, SEC-3)."""

from __future__ import annotations

import sys

from torq_engine.daemon import run_relay
from torq_engine.logic import RelayLogic
from torq_protocol.constants import SOCKET_PATHS, RelayDomain
from torq_protocol.policy import FramePolicy, ValidationLevel


class ExecutionLogic(RelayLogic):
    """Orders, fills, portfolio and risk: TLV types 40-79."""

    name = "execution"
    domain = RelayDomain.EXECUTION
    socket_path = SOCKET_PATHS[RelayDomain.EXECUTION]
    level = ValidationLevel.SECURITY
    own_user_only = True
    audited = True

    def policy(self, level: ValidationLevel) -> FramePolicy:
        """The level's checks, of the domain's own types."""
        return FramePolicy.for_domain(self.domain, level)


def main() -> None:
    """Run the execution relay."""
    sys.exit(run_relay(ExecutionLogic()))
