"""How messages, faults and breaks are written: lines for people, or one JSON object a line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

from ..checksum import message_checksum
from ..errors import ProtocolError
from ..payloads import PAYLOAD_CLASSES, Payload, decode_tlv
from ..schema import parse_header
from ..schema.as_json import Json, to_json
from ..schema.envelope import Header
from ..tlv import Tlv
from .fields import decimals, domain_text, fields_json, fields_of, plain, source_text, time_text, type_text
from .headline import headline
from .hexdump import dump_around, hexdump, spans
from .reader import Broken, Faulty, Found, Incomplete, Item


@dataclass(frozen=True, slots=True)
class TextView:
    """Lines for people: one a message, and what is asked for below it."""

    verbose: bool = False
    bytes_too: bool = False
    colour: bool = False

    def lines(self, item: Item) -> Iterator[str]:
        """The lines for standard output."""
        match item:
            case Found():
                yield self._found(item)
                if self.verbose:
                    yield from _details(item)
                if self.bytes_too:
                    data = item.message.to_bytes()
                    yield from hexdump(data, spans(item.message), first=item.offset, colour=self.colour)
            case Faulty():
                yield self._paint("31", f"{_place(item)}  not a message, {_fault(item.error)}")
                if self.bytes_too:
                    yield from hexdump(item.data, [], first=item.offset, colour=False)
            case Broken():
                yield from self._broken(item)
            case Incomplete():
                yield f"{_place(item)}  {item.size} bytes of a message; the capture ends here"

    def _found(self, item: Found) -> str:
        header = item.message.header
        where = f"{_place(item)}  {time_text(header.timestamp)}"
        sender = f"{domain_text(header.domain):<11} {source_text(header.source)} #{header.sequence}"
        line = f"{where}  {self._paint('36', sender)}  {headline(item.message)}"
        if item.gap is not None:
            line += self._paint("33", f"  [gap: {item.gap.count} missing after #{item.gap.last}]")
        for fault in item.faults:
            line += self._paint("31", f"  [{_fault(fault)}]")
        return line

    def _broken(self, item: Broken) -> Iterator[str]:
        name = f"{item.stream}: " if item.stream else ""
        label = f"{item.error.kind.label}: " if item.error else ""
        yield self._paint("31", f"{name}the stream breaks at byte {item.offset}: {label}{item.reason}")
        yield f"  the message begins at byte {item.begins} (0x{item.begins:x})"
        if item.error:
            yield f"  expected  {item.error.expected}"
            yield f"  got       {item.error.got}"
        for line in dump_around(item.around, item.around_offset, item.offset, colour=self.colour):
            yield f"  {line}"

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self.colour else text


class JsonView:
    """One JSON object a line, fields as in the test vectors: numbers of more than 32 bits are text."""

    def lines(self, item: Item) -> Iterator[str]:
        """The line for standard output."""
        content: dict[str, Json] = {"stream": item.stream, "offset": item.offset}
        match item:
            case Found():
                content |= _message_json(item)
            case Faulty():
                content |= {"size": len(item.data), "fault": _fault_json(item.error), "hex": item.data.hex()}
            case Broken():
                content |= {"break": item.reason, "begins": item.begins}
                content |= {"fault": _fault_json(item.error)} if item.error else {}
            case Incomplete():
                content |= {"incomplete": item.size}
        yield json.dumps(content, ensure_ascii=True, separators=(",", ":"))


def _message_json(item: Found) -> dict[str, Json]:
    data, header = item.message.to_bytes(), item.message.header
    right = message_checksum(data) == header.checksum
    content: dict[str, Json] = {
        "size": len(data),
        "domain": domain_text(header.domain),
        "source": source_text(header.source),
        "time": time_text(header.timestamp),
        "checksum_right": right if right or header.has_checksum else None,
        "header": to_json(Header, dict(parse_header(data[:32]))),
        "tlvs": [_tlv_json(tlv) for tlv in item.message.tlvs],
    }
    if item.gap is not None:
        content["gap"] = {"last": str(item.gap.last), "missing": str(item.gap.count)}
    if item.faults:
        content["faults"] = [_fault_json(fault) for fault in item.faults]
    return content


def _tlv_json(tlv: Tlv) -> dict[str, Json]:
    content: dict[str, Json] = {
        "type": tlv.type,
        "name": type_text(tlv.type),
        "extended": tlv.extended,
        "offset": tlv.value_offset,
        "value": tlv.value.hex(),
    }
    if tlv.type in PAYLOAD_CLASSES:
        try:
            payload = decode_tlv(tlv)
        except ProtocolError:
            return content
        content["fields"] = fields_json(tlv.type, tlv.value)
        content["decimals"] = {name: plain(value) for name, value in decimals(payload).items()}
    return content


def _fault_json(error: ProtocolError) -> dict[str, Json]:
    def plain_value(value: object) -> Json:
        return value if value is None or isinstance(value, str) else str(value)

    return {
        "kind": error.kind.label,
        "offset": error.stream_offset,
        "text": str(error),
        "expected": plain_value(error.expected),
        "got": plain_value(error.got),
    }


def _details(item: Found) -> Iterator[str]:
    header = item.message.header
    right = message_checksum(item.message.to_bytes())
    checksum = f"the bytes have 0x{right:08x}" if header.has_checksum else "not computed"
    if right == header.checksum:
        checksum = "right"
    yield (
        f"    header  domain {header.domain}, version {header.version}, source {header.source}, flags {header.flags},"
        f" timestamp {header.timestamp}, payload {header.payload_size} bytes,"
        f" checksum 0x{header.checksum:08x} ({checksum})"
    )
    for tlv in item.message.tlvs:
        form = ", extended form" if tlv.extended else ""
        yield f"    {type_text(tlv.type)}  type {tlv.type}, {tlv.size} bytes at {item.offset + tlv.value_offset}{form}"
        yield from _tlv_details(tlv)


def _tlv_details(tlv: Tlv) -> Iterator[str]:
    try:
        payload = decode_tlv(tlv)
    except ProtocolError as error:
        yield f"        {error}"
        return
    if isinstance(payload, Payload):
        for field in fields_of(payload, tlv.value):
            yield f"        {field.name:<26} {field.value:<22} {field.meaning}".rstrip()
    elif tlv.size:
        yield f"        {tlv.value.hex(' ')}"


def _place(item: Item) -> str:
    return f"{item.stream}: {item.offset:>10}" if item.stream else f"{item.offset:>10}"


def _fault(error: ProtocolError) -> str:
    return f"{error.kind.label} at byte {error.stream_offset}: {error}"
