"""A client's type checker sees wrong uses of the library where they stand, and nothing wrong in right ones."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

RIGHT = """
from collections.abc import Sequence
from decimal import Decimal

from torq_protocol import (
    InstrumentId, MessageBuilder, OrderBook, Payload, PoolSwap, Quote, RawPayload, RecoveryRequest, RecoveryRequestType,
    REGISTRY, RelayDomain, Side, SourceType, StateInvalidation, Trade, Venue, decode_payload, decode_tlv, parse_message,
)

btc: InstrumentId = InstrumentId.coin(Venue.KRAKEN, "BTC")
trade: Trade = Trade.from_decimal(btc, Decimal("45123.50"), Decimal("0.12345678"), Side.SELL, 1_700_000_000_000_000_000)
price: Decimal = trade.price_decimal
side: Side = trade.side
frame: bytes = (
    MessageBuilder(RelayDomain.MARKET_DATA, SourceType.KRAKEN_COLLECTOR)
    .add(trade)
    .add(RawPayload(205, b""))
    .build(sequence=1, timestamp=2)
)
again: Trade = Trade.from_bytes(trade.to_bytes())
number: int = Trade.TLV_TYPE
name: str = REGISTRY.venue(trade.venue_id).name
domain: RelayDomain | None = RelayDomain.of_type(Trade.TLV_TYPE)
request: RecoveryRequest = RecoveryRequest(1, 2, 3, RecoveryRequestType.SNAPSHOT)
for tlv in parse_message(frame).tlvs:
    payload: Payload | RawPayload = decode_tlv(tlv)
    if isinstance(payload, OrderBook):
        spread: int | None = payload.spread_bps
        levels: Sequence[object] = payload.bids
    elif isinstance(payload, PoolSwap):
        amount: Decimal = payload.amount_in_decimal
    elif isinstance(payload, StateInvalidation):
        first: InstrumentId = payload.instruments[0]
    elif isinstance(payload, RawPayload):
        value: bytes = payload.value
"""

WRONG = """
from decimal import Decimal

from torq_protocol import (
    InstrumentId, MessageBuilder, OrderLevel, Quote, REGISTRY, RecoveryRequest, RelayDomain, Side, Trade, Venue,
    decode_payload, units_of,
)

btc = InstrumentId.coin("Kraken", "BTC")  # E: arg-type
eth = InstrumentId.coin(Venue.KRAKEN, 5)  # E: arg-type
trade = Trade.from_decimal(btc, 45123.50, Decimal(1), Side.SELL, 1)  # E: arg-type
other = Trade.from_decimal(btc, Decimal(1), Decimal(1), 1, 1)  # E: arg-type
fourth = Trade(1, 2, 3, 4, 5, 6)  # E: call-arg
trade.price = 5  # E: misc
trade.prise  # E: attr-defined
floating: float = trade.price_decimal  # E: assignment
text: str = trade.price  # E: assignment
quote: Quote = trade  # E: assignment
bare: Trade = decode_payload(1, b"")  # E: assignment
MessageBuilder(RelayDomain.SIGNAL, 1).add(b"bytes")  # E: arg-type
MessageBuilder(RelayDomain.SIGNAL, 1).add(btc)  # E: arg-type
MessageBuilder(RelayDomain.SIGNAL, 1).add(OrderLevel(1, 2, 3))  # E: arg-type
RecoveryRequest(1, 2, 3, "snapshot")  # E: arg-type
units_of(1.5)  # E: arg-type
REGISTRY.venue(1).chain_id + 1  # E: operator
Trade.from_bytes("text")  # E: arg-type
"""


def check(tmp_path: Path, source: str) -> list[tuple[int, str]]:
    """(line, code) of what mypy --strict finds in a client's file."""
    client = tmp_path / "client.py"
    client.write_text(source)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--no-error-summary",
        "--no-pretty",
        "--config-file",
        os.devnull,
    ]
    command += ["--python-version", "3.11", "--cache-dir", str(ROOT / ".mypy_cache" / "client")]
    command += ["--ignore-missing-imports", str(client)]
    environment = os.environ | {"MYPYPATH": str(ROOT / "protocol")}
    run = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=180)
    found = re.findall(r"^(.*?):(\d+): error: .*\[([\w-]+)\]$", run.stdout, re.M)
    assert run.returncode in (0, 1), run.stdout + run.stderr
    assert {Path(path).name for path, _, _ in found} <= {"client.py"}, run.stdout
    return [(int(line), code) for _, line, code in found]


def test_right_uses_have_no_type_errors(tmp_path: Path) -> None:
    assert check(tmp_path, RIGHT) == []


def test_wrong_uses_have_type_errors_where_they_stand(tmp_path: Path) -> None:
    expected = [
        (number, line.partition("# E: ")[2])
        for number, line in enumerate(WRONG.splitlines(), start=1)
        if "# E: " in line
    ]
    assert len(expected) == 18
    assert check(tmp_path, WRONG) == expected
