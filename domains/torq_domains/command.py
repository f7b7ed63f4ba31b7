"""``torq-relay``: the engine's command over the relays of the platform."""

from __future__ import annotations

import sys

from torq_engine.operations.commands import torq_relay

from .execution import ExecutionLogic
from .market_data import MarketDataLogic
from .signal import SignalLogic

RELAYS = {logic.name: logic for logic in (MarketDataLogic(), SignalLogic(), ExecutionLogic())}
"""Every relay of the platform, by name."""


def main(arguments: list[str] | None = None) -> None:
    """Run and operate relays."""
    sys.exit(torq_relay(RELAYS, "torq_domains.command", arguments))


if __name__ == "__main__":
    main()
