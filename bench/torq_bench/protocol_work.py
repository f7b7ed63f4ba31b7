"""What ``torq_bench protocol`` measures: each row's work, done in every way there is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, Final

import numpy as np

from torq_protocol import schema
from torq_protocol.capture import read_capture
from torq_protocol.instrument import InstrumentId
from torq_protocol.instrument_arrays import (
    InstrumentIndex,
    instruments_of,
    pack_instruments,
    u64_keys,
    u128_keys,
    unpack_instruments,
)

from .rounds import Run

RUN: Final = 1000
"""Messages in a batch or chunk: about one read of 64 KiB."""
_IDS: Final = 1 << 18
_KNOWN: Final = 1000
_TRADE: Final = bytes.fromhex("000000000043544280d3049d1a0400004e61bc000000000000002a36fe9c97176500330001000000")
_TIME: Final = 1_700_000_000_000_000_000


_GOALS: Final = {
    "build": {"installed": 1.1, "batch": 5.6},
    "parse": {"installed": 1.65, "batch": 9.0},
    "ids, u64 key": {"batch": 117.0},
    "ids, u128 key": {"batch": 117.0},
    "ids, pack": {"batch": 117.0},
    "ids, unpack": {"batch": 117.0},
    "ids, look up": {"batch": 117.0},
}
"""Million operations a second that a row's ways are to reach."""


@dataclass(frozen=True, slots=True)
class Work:
    """A row of the table: its ways of doing one operation, and the goals of some of them."""

    name: str
    operation: str
    ways: dict[str, Run]

    @property
    def goals(self) -> dict[str, float]:
        """Million operations a second to reach, by way."""
        return _GOALS.get(self.name, {})


def protocol_work(installed: ModuleType, interpreted: ModuleType) -> list[Work]:
    """Every row; the modules are the package as installed and its interpreted twin."""
    packages = {"interpreted": interpreted, "installed": installed}
    message = schema.build_message(schema.build_tlv(1, _TRADE), sequence=1, timestamp=_TIME)
    run = message * RUN
    return [
        *_message_rows(packages, message, run),
        *_stream_rows(packages, run),
        *_instrument_rows(),
    ]


def _message_rows(packages: dict[str, ModuleType], message: bytes, run: bytes) -> list[Work]:
    batch = import_module("torq_protocol.batch")
    trades = np.frombuffer(_TRADE * RUN, np.uint8).reshape(RUN, len(_TRADE))

    def build_with_schema(times: int) -> int:
        for number in range(times):
            schema.build_message(schema.build_tlv(1, _TRADE), sequence=number, timestamp=_TIME)
        return times

    def build_run(times: int) -> int:
        for _ in range(times):
            batch.build_batch(1, 2, [(1, trades)], sequence=1, timestamp=_TIME)
        return times * RUN

    def parse_with_schema(times: int) -> int:
        for _ in range(times):
            schema.parse_message(message)
        return times

    return [
        Work(
            "build",
            "one message of its header fields and the Trade's 40 bytes, checksum computed",
            {"construct": build_with_schema, **{way: _builder(package) for way, package in packages.items()},
             "batch": build_run},
        ),
        Work(
            "parse",
            "one message: header, checksum and TLVs judged; batch: tables of headers and TLVs",
            {"construct": parse_with_schema, **{way: _parser(package, message) for way, package in packages.items()},
             "batch": _repeated(lambda: batch.parse_batch(run), RUN)},
        ),
        Work(
            "parse and read",
            "the same, then the sequence and the Trade's bytes are asked for",
            {way: _reader(package, message) for way, package in packages.items()},
        ),
        Work(
            "capture to table",
            "one message of a stream, parsed and its Trade in a structured array",
            {"batch": _repeated(lambda: read_capture(run)[1], RUN)},
        ),
    ]  # fmt: skip


def _builder(package: ModuleType) -> Run:
    encode = package.encode_message

    def build(times: int) -> int:
        tlvs = [(1, _TRADE)]
        for number in range(times):
            encode(1, 2, tlvs, sequence=number, timestamp=_TIME)
        return times

    return build


def _parser(package: ModuleType, message: bytes) -> Run:
    parse_message = package.parse_message

    def parse(times: int) -> int:
        for _ in range(times):
            parse_message(message)
        return times

    return parse


def _reader(package: ModuleType, message: bytes) -> Run:
    parse_message = package.parse_message

    def read(times: int) -> int:
        for _ in range(times):
            parsed = parse_message(message)
            _ = parsed.header.sequence, parsed.tlvs[0].value
        return times

    return read


def _stream_rows(packages: dict[str, ModuleType], run: bytes) -> list[Work]:
    rows = [
        Work(
            "decoder",
            "one message out of a stream fed in chunks",
            {way: _decoder(package, run) for way, package in packages.items()},
        )
    ]
    for level, text in [
        ("PERFORMANCE", "magic, size, domain"),
        ("RELIABILITY", "those, checksum, TLVs and their types"),
        ("SECURITY", "those, version, source, fixed sizes"),
    ]:
        ways = {way: _scanner(package, level, run) for way, package in packages.items()}
        rows.append(Work(f"kernel, {level.lower()}", f"one frame judged by the framing kernel: {text}", ways))
    return rows


def _decoder(package: ModuleType, run: bytes) -> Run:
    decoder = package.FrameDecoder()

    def decode(times: int) -> int:
        for _ in range(times):
            for _message in decoder.feed(run):
                pass
        return times * RUN

    return decode


def _scanner(package: ModuleType, level: str, run: bytes) -> Run:
    policy = package.FramePolicy.for_domain(package.RelayDomain.MARKET_DATA, package.ValidationLevel[level])
    scanner = package.FrameScanner(policy)
    return _repeated(lambda: scanner.scan(run), RUN)


def _instrument_rows() -> list[Work]:
    generator = np.random.default_rng(1)
    known = pack_instruments(
        generator.integers(0, 1 << 63, _KNOWN, dtype=np.uint64),
        generator.integers(0, 1000, _KNOWN),
        np.full(_KNOWN, 51),
    )
    ids = known[generator.integers(0, _KNOWN, _IDS)]
    fields = unpack_instruments(ids)
    index = InstrumentIndex(known)
    single = instruments_of(ids[:RUN])
    wire = [each.to_bytes() for each in single]
    positions = {each: place for place, each in enumerate(single)}
    rows: list[tuple[str, str, Callable[[InstrumentId], object] | None, Callable[[], object]]] = [
        ("ids, u64 key", "the lossy key of one id", lambda each: each.u64_key, lambda: u64_keys(ids)),
        ("ids, u128 key", "the lossless key of one id", lambda each: each.u128_key, lambda: u128_keys(ids)),
        ("ids, pack", "four fields to the 12 bytes of one id", lambda each: each.to_bytes(),
         lambda: pack_instruments(*fields)),
        ("ids, unpack", "the 12 bytes of one id to four fields", None, lambda: unpack_instruments(ids)),
        ("ids, look up", f"the position of one id among {_KNOWN} known ones", positions.__getitem__,
         lambda: index.find(ids)),
    ]  # fmt: skip
    works = []
    for name, operation, one, many in rows:
        singly = _each(wire, InstrumentId.from_bytes) if one is None else _each(single, one)
        works.append(
            Work(
                name,
                f"{operation}; interpreted: one InstrumentId at a time",
                {"interpreted": singly, "batch": _repeated(many, _IDS)},
            )
        )
    return works


def _repeated(work: Callable[[], object], operations: int) -> Run:
    def run(times: int) -> int:
        for _ in range(times):
            work()
        return times * operations

    return run


def _each(items: list[Any], work: Callable[[Any], object]) -> Run:
    def run(times: int) -> int:
        for _ in range(times):
            for item in items:
                work(item)
        return times * len(items)

    return run
