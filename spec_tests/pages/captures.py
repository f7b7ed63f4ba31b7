"""``python -m spec_tests.pages.captures``: what docs/inspect.md looks at; with a path, signals sent to that relay."""

from __future__ import annotations

import sys
import time
from decimal import Decimal
from pathlib import Path

from spec_tests.protocol.generate.captures import USER0, write_pcapng
from torq_protocol import InstrumentId, MessageBuilder, RawPayload, RelayDomain, Side, SourceType, Trade, Venue
from torq_protocol.client import connect_blocking

START_NS = 1_700_000_000_000_000_000
SENT_EACH_SECONDS = 0.2


def trade(sequence: int) -> bytes:
    """The trade that the page shows, as a message with this number."""
    price, volume = Decimal("45123.50"), Decimal("0.12345678")
    payload = Trade.from_decimal(InstrumentId.coin(Venue.KRAKEN, "BTC"), price, volume, Side.SELL, START_NS)
    builder = MessageBuilder(RelayDomain.MARKET_DATA, SourceType.BINANCE_COLLECTOR)
    return builder.add(payload).build(sequence=sequence, timestamp=START_NS)


def write() -> None:
    """Write the files into the working directory."""
    Path("trade.bin").write_bytes(trade(1))
    Path("capture.bin").write_bytes(trade(1))
    Path("damaged.bin").write_bytes(trade(1) + trade(2) + trade(3) + b"noise!" + trade(1))
    write_pcapng(Path("capture.pcapng"), USER0, [trade(1), trade(2)])


def publish(path: str) -> None:
    """Send signals to a relay until somebody ends it."""
    with connect_blocking(path) as relay:
        publisher = relay.publisher(SourceType.ARBITRAGE_STRATEGY)
        print("publishes", flush=True)
        while True:
            publisher.send(RawPayload(20, bytes(16)))
            time.sleep(SENT_EACH_SECONDS)


if __name__ == "__main__":
    publish(sys.argv[1]) if len(sys.argv) > 1 else write()
