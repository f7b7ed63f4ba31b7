"""The market data relay: the fastest, because it reads the header only (DOM-3, VAL-2)."""

from __future__ import annotations

import sys
from dataclasses import replace

from torq_engine.daemon import run_relay
from torq_engine.logic import RelayLogic
from torq_protocol.constants import SOCKET_PATHS, RelayDomain
from torq_protocol.policy import FramePolicy, ValidationLevel


class MarketDataLogic(RelayLogic):
    """Trades, quotes, books: TLV types 1-19."""

    name = "market_data"
    domain = RelayDomain.MARKET_DATA
    socket_path = SOCKET_PATHS[RelayDomain.MARKET_DATA]
    level = ValidationLevel.PERFORMANCE

    def policy(self, level: ValidationLevel) -> FramePolicy:
        """The level's checks, for any TLV type (DOM-3)."""
        return replace(super().policy(level), types=None)


def main() -> None:
    """Run the market data relay."""
    sys.exit(run_relay(MarketDataLogic()))
