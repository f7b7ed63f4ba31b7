"""The test vectors: valid by their JSON Schema, complete, and read alike by schema, parser, kernel and classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from spec_tests.protocol.field_values import fields_of, without_constants
from torq_protocol import (
    REGISTRY,
    BadChecksumError,
    ErrorKind,
    FramePolicy,
    FrameScanner,
    InstrumentId,
    MessageBuilder,
    ProtocolError,
    RelayDomain,
    ValidationLevel,
    decode_tlv,
    message_checksum,
    parse_message,
    symbol_to_u64,
    u64_to_symbol,
)
from torq_protocol.generate.levels import DEFAULT_LEVELS
from torq_protocol.schema import PAYLOADS, RECORDS, FieldValue, build_payload, parse_record

DOCS = Path(__file__).parents[3] / "docs"
STORED: dict[str, dict[str, Any]] = {
    name: json.loads((DOCS / "vectors" / f"{name}.json").read_text()) for name in ("messages", "malformed", "values")
}
MESSAGES: list[dict[str, Any]] = STORED["messages"]["vectors"]
MALFORMED: list[dict[str, Any]] = STORED["malformed"]["vectors"]
WORKED_MESSAGE = "efbeadde00010100010000000000000000002a36fe9c97170600000094891ecdc80401020304"


def named(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def as_json(value: FieldValue) -> object:
    """The other direction, leaving out which numbers are written as text: all are compared as text."""
    if isinstance(value, dict):
        return {name: as_json(each) for name, each in value.items()}
    if isinstance(value, list):
        return [as_json(each) for each in value]
    return value.hex() if isinstance(value, bytes) else str(value)


def as_text(value: Any) -> object:
    if isinstance(value, dict):
        return {name: as_text(each) for name, each in value.items()}
    return [as_text(each) for each in value] if isinstance(value, list) else str(value)


@pytest.mark.parametrize("name", STORED)
def test_files_follow_their_json_schema(name: str) -> None:
    schema = json.loads((DOCS / "vectors" / "schema.json").read_text())
    Draft202012Validator.check_schema(schema)
    errors = [error.message[:200] for error in Draft202012Validator(schema).iter_errors(STORED[name])]
    assert errors == []


@pytest.mark.parametrize("name", ["messages", "malformed"])
def test_each_vector_is_one_line_that_a_search_shows_whole(name: str) -> None:
    lines = (DOCS / "vectors" / f"{name}.json").read_text("utf-8").splitlines()
    found = [json.loads(line.rstrip(",")) for line in lines if line.startswith("  {")]
    assert found == STORED[name]["vectors"]


def test_the_json_schema_refuses_what_is_no_vector() -> None:
    validator = Draft202012Validator(json.loads((DOCS / "vectors" / "schema.json").read_text()))
    damaged = json.loads((DOCS / "vectors" / "malformed.json").read_text())
    damaged["vectors"][0]["error"] = "no-such-error"
    assert not validator.is_valid(damaged)
    damaged = json.loads((DOCS / "vectors" / "messages.json").read_text())
    damaged["vectors"][0]["header"]["sequence"] = 1
    assert not validator.is_valid(damaged), "a u64 is text"


def test_every_registered_type_and_every_error_kind_has_vectors() -> None:
    assert {tlv["type"] for vector in MESSAGES for tlv in vector["tlvs"]} >= set(REGISTRY.tlv_types) - {255}
    typed = {tlv["type"] for vector in MESSAGES for tlv in vector["tlvs"] if "fields" in tlv}
    assert typed == set(PAYLOADS)
    assert {vector["error"] for vector in MALFORMED} == {kind.label for kind in ErrorKind}
    assert any(vector["hex"] == WORKED_MESSAGE for vector in MALFORMED)
    names = [vector["name"] for vector in (*MESSAGES, *MALFORMED)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("vector", MESSAGES, ids=named)
def test_parser_classes_and_builder_agree_with_the_message(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["hex"])
    message = parse_message(frame)
    header, stored = message.header, vector["header"]
    assert {name: str(getattr(header, name, value)) for name, value in stored.items()} == as_text(stored)
    assert [(tlv.type, tlv.extended, tlv.value_offset, tlv.value.hex()) for tlv in message.tlvs] == [
        (tlv["type"], tlv["extended"], tlv["offset"], tlv["value"]) for tlv in vector["tlvs"]
    ]
    builder = MessageBuilder(stored["relay_domain"], stored["source"])
    for tlv, expected in zip(message.tlvs, vector["tlvs"], strict=True):
        payload = decode_tlv(tlv)
        if "fields" in expected:
            plain = without_constants(expected["payload"], expected["fields"])
            assert as_json(fields_of(payload)) == as_text(plain)  # type: ignore[arg-type]  # it has fields, so it is typed
        if payload.tlv_type != 0:
            builder.add(payload)
    if stored["version"] == 1 and vector["name"] != "type-zero":
        built = builder.build(sequence=int(stored["sequence"]), timestamp=int(stored["timestamp"]))
        assert built.hex() == vector.get("rebuilt", vector["hex"])


@pytest.mark.parametrize("vector", [vector for vector in MALFORMED if vector["check"] == "parser"], ids=named)
def test_the_parser_refuses_with_kind_and_offset(vector: dict[str, Any]) -> None:
    with pytest.raises(ProtocolError) as refused:
        parse_message(bytes.fromhex(vector["hex"]))
    assert (refused.value.kind.label, refused.value.offset) == (vector["error"], vector["offset"])


@pytest.mark.parametrize("vector", [vector for vector in MALFORMED if vector["check"] == "relay"], ids=named)
def test_the_kernel_of_that_relay_refuses_with_the_kind(vector: dict[str, Any]) -> None:
    frame = bytes.fromhex(vector["hex"])
    domain, level = RelayDomain(vector["relay"]["domain"]), ValidationLevel(vector["relay"]["level"])
    assert level is DEFAULT_LEVELS[domain], "a vector is about a relay that the specification describes"
    policy = FramePolicy.for_domain(domain, level)
    assert policy.accept_zero_checksum == (vector["relay"]["zero_checksum"] == "accept")
    refused = FrameScanner(policy).scan(frame).refused
    assert [(start, stop, ErrorKind(kind).label) for start, stop, kind in refused] == [(0, len(frame), vector["error"])]


def test_d9_of_the_vectors_with_a_checksum_of_0_a_reader_may_refuse_the_one_that_was_not_computed() -> None:
    zeros = {vector["name"]: bytes.fromhex(vector["hex"]) for vector in MESSAGES if not vector["header"]["checksum"]}
    assert {name: message_checksum(frame) == 0 for name, frame in zeros.items()} == {
        "checksum-not-computed": False,
        "checksum-right-zero": True,
    }
    assert parse_message(zeros["checksum-right-zero"], accept_zero_checksum=False)
    with pytest.raises(BadChecksumError):
        parse_message(zeros["checksum-not-computed"], accept_zero_checksum=False)


@pytest.mark.parametrize("vector", [vector for vector in MALFORMED if vector["check"] == "payload"], ids=named)
def test_the_payload_class_refuses_with_kind_and_offset(vector: dict[str, Any]) -> None:
    message = parse_message(bytes.fromhex(vector["hex"]))
    with pytest.raises(ProtocolError) as refused:
        decode_tlv(message.tlvs[0])
    assert (refused.value.kind.label, refused.value.offset) == (vector["error"], vector["offset"])


def test_fields_of_the_vectors_build_their_bytes() -> None:
    for vector in MESSAGES:
        for tlv in vector["tlvs"]:
            if "fields" in tlv and "rebuilt" not in vector:
                assert build_payload(tlv["type"], typed_fields(tlv)).hex() == tlv["value"]


def typed_fields(tlv: dict[str, Any]) -> dict[str, FieldValue]:
    """The fields of a vector as values, the parse of its bytes saying which texts are bytes."""
    parsed = parse_record(PAYLOADS[tlv["type"]], bytes.fromhex(tlv["value"]), REGISTRY.size_rule(tlv["type"]))

    def like(model: Any, text: Any) -> Any:
        if isinstance(model, dict):
            return {name: like(model[name], text[name]) for name in model}
        if isinstance(model, list):
            return [like(*pair) for pair in zip(model, text, strict=True)]
        return bytes.fromhex(text) if isinstance(model, bytes) else int(text)

    fields = like(parsed, tlv["fields"])
    assert isinstance(fields, dict)
    return fields


def test_worked_values() -> None:
    values = STORED["values"]
    for row in values["symbols"]:
        assert symbol_to_u64(row["symbol"]) == int(row["number"], 16)
        assert u64_to_symbol(int(row["number"], 16)) == row["back"]
    for row in values["instruments"]:
        instrument = InstrumentId.from_bytes(bytes.fromhex(row["hex"]))
        assert (instrument.asset_id, instrument.u64_key, instrument.u128_key) == tuple(
            int(row[key], 16) for key in ("asset_id", "u64_key", "u128_key")
        )
        assert (instrument.venue, instrument.asset_type) == (row["venue"], row["asset_type"])
    assert values["checksums"] == [{"data": "313233343536373839", "crc32": "cbf43926"}]
    assert message_checksum(bytes.fromhex(WORKED_MESSAGE)) == 0xCD1E8994
    for row in values["records"]:
        record = parse_record(RECORDS[row["record"]], bytes.fromhex(row["hex"]))
        assert as_json(record) == as_text(row["fields"])


def test_sizes_and_sources_are_what_a_relay_of_the_security_level_holds_frames_to() -> None:
    sizes = {row["type"]: (row["minimum"], row["maximum"]) for row in STORED["values"]["sizes"]}
    policy = FramePolicy.for_domain(RelayDomain.EXECUTION, ValidationLevel.SECURITY)
    assert {number: low for number, (low, high) in sizes.items() if low == high} == dict(policy.fixed_sizes)
    assert {row["source"] for row in STORED["values"]["sources"]} == policy.known_sources
    for tlv in (tlv for vector in MESSAGES for tlv in vector["tlvs"] if tlv["type"] in sizes):
        low, high = sizes[tlv["type"]]
        assert low <= len(tlv["value"]) // 2 <= high


def test_worked_instruments_are_those_of_the_specification() -> None:
    assert [(row["hex"], row["u64_key"]) for row in STORED["values"]["instruments"]][:2] == [
        ("000000000043544265003300", "0065330000000000"),
        ("000000000048544565003300", "0065330000000000"),
    ]
