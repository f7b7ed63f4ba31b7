"""The Wireshark dissector, run by tshark on captures written here: every field, every error, every cut of a stream."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from spec_tests.protocol.generate.captures import ETHERNET, USER0, tcp_segments, write_pcapng
from torq_protocol import encode_message
from torq_protocol.generate.dissector import DEFAULT_TCP_PORT
from torq_protocol.names import TlvTypeNumber
from torq_protocol.schema import PAYLOADS, Header
from torq_protocol.schema.layout import rows_of
from torq_protocol.schema.vocabulary import FixedList, bare

DOCS = Path(__file__).parents[3] / "docs"
MESSAGES: list[dict[str, Any]] = json.loads((DOCS / "vectors" / "messages.json").read_text())["vectors"]
MALFORMED: list[dict[str, Any]] = json.loads((DOCS / "vectors" / "malformed.json").read_text())["vectors"]
FRAMES = [bytes.fromhex(vector["hex"]) for vector in MESSAGES]

needs_tshark = pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed (Debian: tshark)")


def tshark(capture: Path, fields: Sequence[str]) -> list[list[str]]:
    """The values of fields by packet, several of one packet joined by commas."""
    options = [option for field in fields for option in ("-e", field)]
    return [line.split("\t") for line in lines_of(capture, "-T", "fields", *options)]


def lines_of(capture: Path, *options: str) -> list[str]:
    """The lines that tshark writes about a capture."""
    command = ["tshark", "-X", f"lua_script:{DOCS / 'wireshark' / 'torq.lua'}", "-r", str(capture), *options]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert "Lua" not in run.stderr, run.stderr
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def filters_of(number: int) -> dict[str, str]:
    """Filter name by the dotted path of the field in a vector."""
    prefix = f"torq.{TlvTypeNumber(number).name.lower()}."
    paths: dict[str, str] = {}
    for part in bare(PAYLOADS[number]).subcons:
        declared = bare(part)
        if isinstance(declared, FixedList):
            names = [each.name for each in getattr(bare(declared.element), "subcons", ()) if each.name != "reserved"]
            paths |= {f"{part.name}.{name}": f"{prefix}{part.name}.{name}" for name in names}
            if not names:
                paths[part.name] = prefix + part.name
        elif part.name == "header":
            paths |= {f"header.{row.name}": prefix + row.name for row in rows_of(declared) if not row.filler}
        elif part.name and any(row.name == part.name and not row.filler for row in rows_of(PAYLOADS[number])):
            paths[part.name] = prefix + part.name
    return paths


def at_path(fields: Any, path: str) -> list[str]:
    """The values of a vector's field as tshark should show them."""
    name, _, rest = path.partition(".")
    if isinstance(fields, list):
        return [value for each in fields for value in at_path(each, path)]
    value = fields[name]
    if rest:
        return at_path(value, rest)
    return [str(each) for each in value] if isinstance(value, list) else [str(value)]


def numbers(shown: str) -> list[str]:
    """Shown values with hexadecimal numbers as decimal ones."""
    return [str(int(text, 16)) if text.startswith("0x") else text for text in shown.split(",") if text]


@needs_tshark
def test_every_field_of_every_vector_is_shown(tmp_path: Path) -> None:
    write_pcapng(tmp_path / "unix.pcapng", USER0, FRAMES)
    header = [row.name for row in rows_of(Header)]
    wanted = {number: filters_of(number) for number in PAYLOADS}
    columns = [f"torq.{name}" for name in header] + [name for paths in wanted.values() for name in paths.values()]
    packets = tshark(tmp_path / "unix.pcapng", columns)
    assert len(packets) == len(MESSAGES)
    compared = 0
    for vector, packet in zip(MESSAGES, packets, strict=True):
        shown = dict(zip(columns, packet, strict=True))
        assert {name: numbers(shown[f"torq.{name}"]) for name in header} == {
            name: [str(value)] for name, value in vector["header"].items()
        }
        typed = [tlv for tlv in vector["tlvs"] if "fields" in tlv]
        for number in {tlv["type"] for tlv in typed}:
            for path, name in wanted[number].items():
                values = [v for tlv in typed if tlv["type"] == number for v in at_path(tlv["fields"], path)]
                assert numbers(shown[name]) == [value for value in values if value], (vector["name"], name)
                compared += 1
    assert compared > 500


@needs_tshark
def test_every_error_that_a_capture_can_show_is_marked(tmp_path: Path) -> None:
    vectors = [vector for vector in MALFORMED if vector["hex"]]
    write_pcapng(tmp_path / "bad.pcapng", USER0, [bytes.fromhex(vector["hex"]) for vector in vectors])
    kinds = sorted({vector["error"].replace("-", "_") for vector in vectors})
    known = (DOCS / "wireshark" / "torq.lua").read_text()
    shown_kinds = [kind for kind in kinds if f"\n  {kind} = " in known]
    packets = tshark(tmp_path / "bad.pcapng", [f"torq.error.{kind}" for kind in shown_kinds])
    for vector, packet in zip(vectors, packets, strict=True):
        marked = {kind for kind, shown in zip(shown_kinds, packet, strict=True) if shown}
        if vector["error"] == "trailing-bytes":
            assert marked == {"truncated_header"}, "bytes behind a message begin the next one"
        elif vector["check"] == "relay" and vector["error"] not in ("bad-checksum", "bad-tlv-size"):
            assert marked == set(), "what only a relay refuses is no fault of the bytes"
        elif vector["name"] == "relay-checksum-not-computed":
            assert marked == set(), "what a relay may refuse is no fault of the bytes either"
        else:
            assert vector["error"].replace("-", "_") in marked, vector["name"]


@needs_tshark
def test_d9_a_checksum_that_was_not_computed_is_said_to_be_so(tmp_path: Path) -> None:
    frames = [encode_message(2, 20, [], sequence=1, timestamp=1, checksum=checksum) for checksum in (None, 0, 1)]
    write_pcapng(tmp_path / "zero.pcapng", USER0, frames)
    said = [line for line in lines_of(tmp_path / "zero.pcapng", "-O", "torq") if line.strip().startswith("checksum: ")]
    assert ["not computed" in line for line in said] == [False, True, False]


@needs_tshark
def test_valid_messages_have_no_error(tmp_path: Path) -> None:
    write_pcapng(tmp_path / "good.pcapng", USER0, FRAMES)
    assert all(packet in ([""], []) for packet in tshark(tmp_path / "good.pcapng", ["_ws.expert.message"]))


@needs_tshark
@pytest.mark.parametrize("port", [DEFAULT_TCP_PORT, 9999], ids=["registered-port", "any-port-by-magic"])
def test_messages_are_put_together_from_tcp_segments(tmp_path: Path, port: int) -> None:
    stream = b"".join(FRAMES)
    first = 7 if port == DEFAULT_TCP_PORT else 50
    packets = tcp_segments(stream, [first, *range(100, len(stream), 701)], port=port)
    write_pcapng(tmp_path / "tcp.pcapng", ETHERNET, packets)
    shown = tshark(tmp_path / "tcp.pcapng", ["torq.checksum", "torq.order_book.sequence", "_ws.expert.message"])
    checksums = [text for packet in shown for text in numbers(packet[0])]
    assert checksums == [str(vector["header"]["checksum"]) for vector in MESSAGES]
    books = [text for packet in shown for text in numbers(packet[1])]
    assert books == [
        tlv["fields"]["sequence"] for vector in MESSAGES for tlv in vector["tlvs"] if tlv.get("payload") == "OrderBook"
    ]
    assert not any(packet[2] for packet in shown)
