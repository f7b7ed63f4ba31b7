"""``torq-relay``: the engine's command over the relays of the platform."""

from __future__ import annotations

from torq_engine.operations.commands import relay_commands
from torq_engine.operations.terminal import told_in_one_line

from .execution import ExecutionLogic
from .market_data import MarketDataLogic
from .signal import SignalLogic

RELAYS = {logic.name: logic for logic in (MarketDataLogic(), SignalLogic(), ExecutionLogic())}
"""Every relay of the platform, by name."""


def main() -> None:
    """Run and operate relays."""
    with told_in_one_line("torq-relay"):
        relay_commands(RELAYS, __name__ if __name__ != "__main__" else "torq_domains.command")(prog_name="torq-relay")


if __name__ == "__main__":
    main()
