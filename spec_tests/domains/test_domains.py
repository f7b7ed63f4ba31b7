"""The three domains through their relays: DOM, VAL, SEC at the domain's own edges."""

import asyncio
import json
import os
import struct
from contextlib import closing
from zlib import crc32

import pytest

from spec_tests.engine.daemons import daemon, receive
from spec_tests.engine.frames import EXECUTION, MAGIC, MARKET_DATA, SIGNAL, frame, tlv
from spec_tests.engine.relays import serving, short_directory
from torq_domains.execution import ExecutionLogic
from torq_domains.market_data import MarketDataLogic
from torq_domains.signal import SignalLogic
from torq_engine.logic import RelayLogic
from torq_engine.operations.control_client import ControlClient
from torq_protocol.policy import ValidationLevel

LOGICS: list[RelayLogic] = [MarketDataLogic(), SignalLogic(), ExecutionLogic()]
SIGNAL_TYPE, EXECUTION_TYPE = 28, 60
GREETING = MAGIC + bytes((MARKET_DATA, 1, 2)) + bytes(25)
"""What publishers of the original send first, on whichever relay: no TLVs, and no checksum computed (D9)."""


async def served(logic: RelayLogic, sent: list[bytes], level: ValidationLevel | None = None) -> list[bytes]:
    """Which of the frames come through a relay of a domain."""
    async with serving(logic.policy(level or logic.level)) as relay:
        sender, receiver = await relay.join(), await relay.join()
        fence = relay.fence(domain=logic.domain)
        sending = asyncio.create_task(sender.send(b"".join(sent) + fence))
        draining = asyncio.create_task(sender.until(fence))
        seen = await receiver.until(fence)
        await asyncio.gather(sending, draining)
        return seen[:-1]


def extended(number: int, value: bytes = b"") -> bytes:
    return bytes((255, 0, number)) + struct.pack("<H", len(value)) + value


@pytest.mark.parametrize("logic", LOGICS, ids=lambda logic: logic.name)
async def test_dom_1_a_relay_serves_its_own_domain_byte_alone(logic: RelayLogic) -> None:
    sent = [frame(domain=domain, sequence=domain) for domain in range(256)]
    assert await served(logic, sent) == [sent[logic.domain]]


@pytest.mark.parametrize(("logic", "inside"), [(SignalLogic(), range(20, 40)), (ExecutionLogic(), range(40, 80))])
@pytest.mark.parametrize("form", [tlv, extended])
async def test_dom_2_4_types_outside_the_range_reach_nobody_in_either_form(
    logic: RelayLogic, inside: range, form: type
) -> None:
    sent = [frame(form(number), domain=logic.domain, sequence=number) for number in range(1, 255)]
    assert await served(logic, sent, ValidationLevel.RELIABILITY) == [sent[number - 1] for number in inside]


async def test_dom_2_every_tlv_of_a_frame_is_looked_at() -> None:
    good = tlv(20, b"x") * 3
    sent = [frame(good, domain=SIGNAL), frame(good + tlv(19), domain=SIGNAL), frame(extended(40) + good, domain=SIGNAL)]
    assert await served(SignalLogic(), sent) == sent[:1]


@pytest.mark.parametrize("logic", LOGICS, ids=lambda logic: logic.name)
async def test_fwd_8_any_number_of_tlvs_in_either_form_is_forwarded(logic: RelayLogic) -> None:
    unknown = max(n for n in logic.domain.type_range if n not in dict(logic.policy(logic.level).fixed_sizes))
    payloads = [
        b"",
        tlv(unknown),
        tlv(unknown, bytes(255)) * 300,
        extended(unknown, bytes(65_535)),
        (extended(unknown, b"x") + tlv(unknown)) * 50,
    ]
    sent = [frame(payload, domain=logic.domain, sequence=at) for at, payload in enumerate(payloads)]
    assert await served(logic, sent) == sent


async def test_dom_3_market_data_does_not_filter_by_type() -> None:
    sent = [frame(tlv(number), sequence=number) for number in range(256)] + [frame(extended(0)), frame(b"\x01")]
    assert await served(MarketDataLogic(), sent) == sent


async def test_dom_3_market_data_at_reliability_still_takes_every_type() -> None:
    sent = [frame(tlv(number), sequence=number) for number in range(1, 255)]
    assert await served(MarketDataLogic(), sent, ValidationLevel.RELIABILITY) == sent


def test_dom_5_a_frame_of_one_relay_never_shows_up_on_another() -> None:
    with daemon("market_data") as market, daemon("signal") as signals:
        here, there = market.connect(), signals.connect()
        here.sendall(frame(domain=MARKET_DATA) + frame(domain=SIGNAL) + frame(domain=MARKET_DATA, sequence=2))
        assert receive(here, 64) == frame(domain=MARKET_DATA) + frame(domain=MARKET_DATA, sequence=2)
        there.sendall(frame(domain=SIGNAL, sequence=3))
        assert receive(there, 32) == frame(domain=SIGNAL, sequence=3)


@pytest.mark.parametrize(("name", "domain"), [("signal", SIGNAL), ("execution", EXECUTION)])
def test_dom_1_val_7_the_greeting_of_the_original_s_publishers_is_counted_and_disturbs_nobody(
    name: str, domain: int
) -> None:
    with short_directory() as directory:
        flags = ("--log-format", "json", "--log-level", "debug", "--control-socket", directory / "c")
        with daemon(name, *flags, path=directory / "s") as relay:
            receiver, *publishers = [relay.connect() for _ in range(21)]
            for round_number in range(2):  # the connection stays, so its later frames are served too
                sent = [frame(domain=domain, source=20, sequence=number) for number in range(20)]
                for number, publisher in enumerate(publishers):
                    publisher.sendall((b"" if round_number else GREETING) + sent[number])
                    assert receive(receiver, 32) == sent[number]
            with closing(ControlClient(str(directory / "c"))) as operator:
                assert json.loads(operator.ask("status"))["refused"] == {"bad-domain": 20}
            relay.signal()
            assert relay.ends() == 0
            logged = [json.loads(line) for line in relay.log().splitlines()]
    assert {line["level"] for line in logged} == {"debug", "info"}
    assert sum(line.get("refused", 0) for line in logged if line["event"] == "connection closed") == 20


@pytest.mark.parametrize(
    ("name", "flags", "forwarded"),
    [
        ("signal", (), True),
        ("signal", ("--zero-checksum", "refuse"), False),
        ("execution", (), False),
        ("execution", ("--zero-checksum", "accept"), True),
    ],
)
def test_val_1_fwd_3_the_original_s_arbitrage_signal_comes_through_byte_for_byte_where_0_is_accepted(
    name: str, flags: tuple[str, ...], forwarded: bool
) -> None:
    domain, payload = (SIGNAL, tlv(32, bytes(range(170)))) if name == "signal" else (EXECUTION, tlv(60, bytes(32)))
    right = frame(payload, domain=domain, source=20)
    uncomputed = right[:28] + bytes(4) + right[32:]
    with daemon(name, *flags) as relay:
        publisher, receiver = relay.connect(), relay.connect()
        publisher.sendall(GREETING + uncomputed + right)
        expected = uncomputed + right if forwarded else right
        assert receive(receiver, len(expected)) == expected


@pytest.mark.parametrize("logic", [SignalLogic(), ExecutionLogic()], ids=lambda logic: logic.name)
async def test_val_1_wrong_checksum_reaches_nobody(logic: RelayLogic) -> None:
    good = frame(domain=logic.domain)
    flipped = [good[:at] + bytes((good[at] ^ 1,)) + good[at + 1 :] for at in (5, 6, 7, 8, 16, 28, 31)]
    assert await served(logic, [*flipped, good]) == [good]


@pytest.mark.parametrize("logic", [SignalLogic(), ExecutionLogic()], ids=lambda logic: logic.name)
async def test_val_1_a_checksum_that_was_not_computed_passes_but_for_execution(logic: RelayLogic) -> None:
    good = frame(domain=logic.domain)
    uncomputed = good[:28] + bytes(4)
    expected = [good] if logic.name == "execution" else [uncomputed, good]
    assert await served(logic, [uncomputed, good]) == expected


async def test_val_2_market_data_does_not_verify_checksums() -> None:
    wrong = frame(b"\x04\x00")[:28] + b"\x01\x02\x03\x04" + b"\x04\x00"
    assert await served(MarketDataLogic(), [wrong]) == [wrong]
    assert await served(MarketDataLogic(), [wrong], ValidationLevel.RELIABILITY) == []


@pytest.mark.parametrize(
    ("logic", "number"), [(SignalLogic(), SIGNAL_TYPE), (ExecutionLogic(), EXECUTION_TYPE)], ids=["signal", "execution"]
)
async def test_val_3_malformed_tlvs_reach_nobody(logic: RelayLogic, number: int) -> None:
    malformed = [
        tlv(number, b"abc")[:-1],
        tlv(number) + b"\x01",
        b"\xff",
        b"\xff\x00\x1c\x01",
        bytes((255, 1, number, 0, 0)),
    ]
    good = frame(domain=logic.domain)
    assert await served(logic, [frame(payload, domain=logic.domain) for payload in malformed] + [good]) == [good]


async def test_val_4_execution_refuses_version_source_and_fixed_sizes() -> None:
    logic = ExecutionLogic()
    fixed = dict(logic.policy(logic.level).fixed_sizes)
    number, size = next((n, s) for n, s in fixed.items() if n in range(40, 80))
    good = [frame(domain=EXECUTION), frame(tlv(number, bytes(size)), domain=EXECUTION)]
    bad = [frame(domain=EXECUTION, source=250), frame(tlv(number, bytes(size - 1)), domain=EXECUTION)]
    version = bytearray(frame(domain=EXECUTION))
    version[5] = 2
    assert await served(logic, [*bad, *good]) == good
    assert await served(logic, [reseal(version)]) == []
    assert await served(logic, [reseal(version), *bad], ValidationLevel.RELIABILITY) == [reseal(version), *bad]


def reseal(data: bytearray) -> bytes:
    return bytes(data[:28]) + crc32(data[32:], crc32(data[:28])).to_bytes(4, "little") + bytes(data[32:])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_sec_2_execution_closes_connections_of_other_users_unread() -> None:
    with daemon("execution") as relay:
        relay.path.parent.chmod(0o755)
        relay.path.chmod(0o666)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.setuid(65534)
                sock = relay.connect()
                code = 0 if sock.recv(1) == b"" else 2
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        client = relay.connect()
        client.sendall(frame(domain=EXECUTION))
        assert receive(client, 32) == frame(domain=EXECUTION)


def test_each_domain_names_itself() -> None:
    assert [logic.name for logic in LOGICS] == ["market_data", "signal", "execution"]
    assert [logic.own_user_only for logic in LOGICS] == [False, False, True]
    assert SignalLogic().alias_paths == ("/tmp/torq/signals.sock",)
