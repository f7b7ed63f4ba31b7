"""The signal relay: it verifies checksums and serves TLV types 20-39 only (DOM-2, VAL-1, VAL-3)."""

from __future__ import annotations

import sys

from torq_engine.daemon import run_relay
from torq_engine.logic import RelayLogic
from torq_protocol.constants import SIGNAL_ALIAS_PATH, SOCKET_PATHS, RelayDomain
from torq_protocol.policy import ValidationLevel


class SignalLogic(RelayLogic):
    """Strategy signals: TLV types 20-39."""

    name = "signal"
    domain = RelayDomain.SIGNAL
    socket_path = SOCKET_PATHS[RelayDomain.SIGNAL]
    alias_paths = (SIGNAL_ALIAS_PATH,)
    level = ValidationLevel.RELIABILITY


def main() -> None:
    """Run the signal relay."""
    sys.exit(run_relay(SignalLogic()))
