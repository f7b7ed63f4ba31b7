"""The pages of docs/spec that follow from the schema, the registry and the list of requirements."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from construct import Construct

from .. import enumerations
from ..constants import RelayDomain
from ..registry import REGISTRY, Status, TlvType
from ..schema import PAYLOADS, RECORDS, ExtendedTlvHeader, Header, StandardTlvHeader
from ..schema.layout import Row, rows_of, size_of
from ..schema.vocabulary import bare
from .diagram import byte_diagram
from .levels import DEFAULT_LEVELS, LEVEL_CHECKS

NOTICE: Final = "<!-- Written by python -m torq_protocol.generate docs. Do not edit: {source} is the source. -->\n"
_SCHEMA: Final = "protocol/torq_protocol/schema"
_REGISTRY: Final = "protocol/torq_protocol/registry.toml"


def pages(requirements: Path) -> dict[str, str]:
    """The generated pages by path; the relay's requirements only if their source is there."""
    written = {
        "spec/envelope.md": _envelope(),
        "spec/payloads.md": _payloads(),
        "spec/registry.md": _registry(),
    }
    if requirements.exists():
        written["spec/relay.md"] = _relay(tomllib.loads(requirements.read_text(encoding="utf-8")))
    return written


def _page(title: str, source: str, parts: Iterable[str]) -> str:
    return "\n".join([NOTICE.format(source=source), f"# {title}\n", *parts]).rstrip("\n") + "\n"


def _envelope() -> str:
    parts = [
        "A message is a header and `payload_size` bytes of TLVs, back to back, with no filler between them. All "
        "numbers are little-endian. The decisions behind these tables are in [wire.md](wire.md).\n",
        *_layout("Message header", Header),
        *_layout("Standard TLV header", StandardTlvHeader),
        "`tlv_length` bytes of value follow, 0 to 255.\n",
        *_layout("Extended TLV header", ExtendedTlvHeader),
        "`tlv_length` bytes of value follow, 0 to 65 535. A first byte of 255 means this form, any other the standard "
        "one. A builder writes it for more than 255 bytes; a reader accepts it at any length.\n",
        "## Levels\n",
        "How much of a frame a relay looks at. Each level does what the one before does, and more. A frame that fails "
        "a check of the relay's level is forwarded to nobody; what a level does not check is forwarded as it is. "
        "There is no relay of the system domain. Where checksums are verified, a field of 0 passes as not computed; "
        "the execution relay judges it like any other, unless configured ([VAL-1](relay.md#val-validation)).\n",
        *_table(("level", "relay of", "checks"), _levels()),
        "## Checks, in order\n",
        "The first that fails names the error; its offset is the byte that is wrong. Where bytes are missing at the "
        "end it is the number of bytes there are, and for a TLV that is cut off the place where the TLV begins. The "
        "payload is checked TLV by TLV: all checks of the first TLV, its size included, before any of the second. "
        "For a relay `bad-magic` and `oversize` are framing errors, which end the stream; every other error refuses "
        "that one frame ([VAL-5](relay.md#val-validation)).\n",
        *_table(("check", "error", "offset", "who"), _CHECKS),
        'A *fixed-size type* is one for which the [registry](registry.md#tlv-types) gives one number of bytes; "24 to '
        '512" is a range and "any" is none, and no relay checks either. Parsers are readers of single messages, such '
        "as clients; decoders go on to the fields of a payload.\n",
    ]
    return _page("Envelope: header and TLVs", _SCHEMA, parts)


def _levels() -> Iterator[tuple[str, ...]]:
    for domain, level in DEFAULT_LEVELS.items():
        yield f"**{level.value}**", domain.name.lower().replace("_", " "), LEVEL_CHECKS[level]


_CHECKS: Final = (
    ("a header has 32 bytes", "`truncated-header`", "length", "all"),
    ("the magic is 0xDEADBEEF (D3)", "`bad-magic`", "0", "all"),
    ("32 + `payload_size` is at most the maximum message size (D10)", "`oversize`", "24", "all"),
    ("the domain is 1 to 4; for a relay, its own (D4)", "`bad-domain`", "4", "all"),
    ("`payload_size` bytes follow", "`truncated-payload`", "length", "parsers; a relay waits for them"),
    ("nothing follows them", "`trailing-bytes`", "32 + `payload_size`", "parsers; a relay begins the next message"),
    ("the version is 1 (D3)", "`bad-version`", "5", "relays at security level"),
    ("the source is in the registry (D11)", "`unknown-source`", "6", "relays at security level"),
    (
        "the checksum is right, or 0 where that passes as not computed (D9)",
        "`bad-checksum`",
        "28",
        "parsers; relays from reliability level",
    ),
    ("a TLV header is whole (D7)", "`truncated-tlv-header`", "TLV", "parsers; relays from reliability level"),
    ("the reserved byte of the extended form is 0 (D7)", "`bad-reserved-byte`", "TLV + 1", "as above"),
    ("the inner type is neither 0 nor 255 (D7)", "`bad-extended-type`", "TLV + 2", "as above"),
    ("the value is whole (D7)", "`truncated-tlv`", "TLV", "as above"),
    ("the type belongs to the domain (D5)", "`type-out-of-range`", "TLV", "relays from reliability level"),
    ("a fixed-size type has its size (D6)", "`bad-tlv-size`", "TLV", "relays at security level"),
    ("the size is one that the type allows (D6)", "`bad-tlv-size`", "value", "decoders of payloads"),
    ("a field holds what its type allows", "`bad-value`", "field", "decoders of payloads"),
)


def _payloads() -> str:
    parts = [
        "Every payload that has a layout. Sizes are exact, whichever TLV form carries them (D6). Rows marked as "
        "filler, the compiler's and the named ones alike, are written zero and ignored when read, whatever they hold; "
        'they are no fields of the test vectors. "1e-8" counts '
        'hundred-millionths, "native" is the token\'s own smallest unit, times are nanoseconds since the Unix epoch '
        "where a field says ns.\n",
        "A value that a table gives as a closed list or a bound is checked when a payload is decoded or built; any "
        "other is `bad-value` at the field's offset: its first byte, also of a u256 whose high 16 bytes are not zero "
        "and of a list whose count is too large. Venues, asset types and sources are open: an unknown number is "
        "kept.\n",
        *_contents(),
    ]
    for number, layout in PAYLOADS.items():
        parts += _layout(f"{number} {layout.name}", layout)
    parts.append("# Records\n\nParts of payloads, and records of the pool cache file that have no TLV number.\n")
    for name, record in RECORDS.items():
        parts += _layout(name, record)
    parts.append("# Enumerations\n")
    parts += _enumerations()
    return _page("Payloads", _SCHEMA, parts)


def _contents() -> Iterator[str]:
    rows = (
        (str(number), f"[{layout.name}](#{number}-{layout.name.lower()})", str(size_of(layout) or "32 to 1024"))
        for number, layout in PAYLOADS.items()
    )
    return _table(("type", "payload", "bytes"), rows)


def _layout(title: str, declared: Construct) -> Iterator[str]:
    size = size_of(declared)
    rows = list(rows_of(declared))
    yield f"## {title}\n"
    yield f"Size **{size} bytes**.\n" if size is not None else "Size **32 to 1024 bytes**: a header of 32, then data.\n"
    yield from _table(("offset", "size", "type", "field", "meaning"), map(_cells, rows))
    if any(part.name == "header" for part in bare(declared).subcons):
        yield "In the test vectors the fields in front of the data are members of `header`, a record of its own.\n"
    yield f"```text\n{byte_diagram(rows)}```\n"


def _cells(row: Row) -> tuple[str, ...]:
    name = "*(compiler padding)*" if row.compiler_padding else f"`{row.name}`"
    meaning = "**filler**: write zero, ignore on read" if row.filler else row.meaning
    type_name = f"{row.type} × {row.repeat}" if row.repeat > 1 else row.type
    return str(row.offset), str(row.size) if row.size is not None else "rest", type_name, name, meaning


def _enumerations() -> Iterator[str]:
    rows = []
    for name in sorted(vars(enumerations)):
        each = getattr(enumerations, name)
        if isinstance(each, type) and issubclass(each, IntEnum) and len(each):
            members = ", ".join(f"{int(member)} {member.name.lower().replace('_', ' ')}" for member in each)
            rows.append((f"`{name}`", members, _first_line(each)))
    return _table(("enumeration", "values", "use"), rows)


def _first_line(each: type) -> str:
    return (each.__doc__ or "").splitlines()[0].replace(":class:`", "`").replace("``", "`")


def _registry() -> str:
    parts = [
        "All numbers that have a name. Unknown ones are kept by parsers (D11, D14).\n",
        "## Domains and their TLV types\n",
        *_table(("domain", "name", "types"), _domain_rows()),
        "## TLV types\n",
        *_table(("type", "name", "domain", "bytes", "layout"), map(_type_row, REGISTRY.tlv_types.values())),
        f"Reserved: {', '.join(map(_span, REGISTRY.reserved))}. Free for vendors: "
        f"{_span(REGISTRY.types_with(Status.VENDOR))}. 0 is unassigned.\n",
        "## Sources\n",
        *_table(("source", "name"), ((str(each.number), each.name) for each in REGISTRY.sources.values())),
        "## Venues\n",
        *_table(
            ("venue", "name", "chain id", "blockchain"),
            (
                (str(each.number), each.name, str(each.chain_id or ""), each.blockchain or "")
                for each in REGISTRY.venues.values()
            ),
        ),
        "## Asset types\n",
        *_table(
            ("asset type", "name", "decimals"),
            ((str(each.number), each.name, str(each.decimals)) for each in REGISTRY.asset_types.values()),
        ),
    ]
    return _page("Registry", _REGISTRY, parts)


def _domain_rows() -> Iterator[tuple[str, ...]]:
    for domain in RelayDomain:
        types = domain.type_range
        yield str(int(domain)), domain.name.lower().replace("_", " "), f"{types[0]}–{types[-1]}"


def _type_row(tlv: TlvType) -> tuple[str, ...]:
    domain = tlv.domain.name.lower().replace("_", " ") if tlv.domain else ("marker" if tlv.number == 255 else "vendor")
    layout = f"[table](payloads.md#{tlv.number}-{tlv.name.lower()})" if tlv.number in PAYLOADS else ""
    size = "any" if tlv.size.variable else str(tlv.size)
    if tlv.size.variable and tlv.number in PAYLOADS:
        size += f"; as a payload {size_of(PAYLOADS[tlv.number])}"
    return str(tlv.number), tlv.name, domain, size, layout


def _span(numbers: Sequence[int]) -> str:
    return f"{numbers[0]}–{numbers[-1]}" if len(numbers) > 1 else f"{numbers[0]}"


def _relay(source: Mapping[str, Any]) -> str:
    requirements: list[Mapping[str, Any]] = source["requirement"]
    parts = [
        "One list for three uses: the reference relay is built to it, the conformance suite tests any relay against "
        "it, and this page publishes it. An id never changes its meaning and is never reused. MUST and SHOULD as in "
        "RFC 2119. Originals that do not hold a requirement are named: LM the legacy market data relay, LS legacy "
        "signal and execution, GC the first generic engine. The notes below each table answer what an implementer "
        "asks; a matter that they call left to the implementation is not judged. `torq-conformance explain ID` prints "
        "all of this for one requirement, and how it is tested.\n",
        "## Terms\n",
        *_table(("term", "means"), ((f"*{each['name']}*", _linked(each["means"])) for each in source["term"])),
        "## Bytes that arrive\n",
        "How the bytes of a connection are cut over reads means nothing. In this order:\n",
        *(f"{number}. {_linked(sentence)}" for number, sentence in enumerate(source["arrival"], 1)),
        "\n## Settings\n",
        "A relay is held to its own settings, its *profile*: what it does by default, or what it is started with. The "
        "suite learns them from a TOML file with these keys (`--profile FILE`), or finds out most of them "
        "(`torq-conformance probe`); one that is left out has the default. How a relay is told its settings, and "
        "whether it has any, is left to the implementation.\n",
        *_table(_SETTING_HEAD, (_setting(each) for each in source["setting"] if each.get("profile", True))),
        "Settings that requirements name and no profile has, because the suite does not need to know them; the "
        "defaults are the reference relay's:\n",
        *_table(_SETTING_HEAD, (_setting(each) for each in source["setting"] if not each.get("profile", True))),
    ]
    for name in dict.fromkeys(_section_of(each) for each in requirements):
        chosen = [each for each in requirements if _section_of(each) == name]
        parts.append(f"## {name} {source['sections'][name]['title']}\n")
        parts += _table(("id", "level", "the relay", "not held by"), map(_requirement, chosen))
        parts += _notes(chosen)
    return _page("What a relay must do", "conformance/torq_conformance/model/requirements.toml", parts)


_SETTING_HEAD: Final = ("setting", "values", "unit", "default", "meaning", "serves")


def _setting(each: Mapping[str, Any]) -> tuple[str, ...]:
    default = each.get("default")
    shown = each["unset"] if default is None else f"`{str(default).lower()}`" if default != "" else "empty"
    serves = ", ".join(each.get("serves", ()))
    return f"`{each['name']}`", each["values"], each.get("unit", ""), shown, each["meaning"], serves


def _section_of(each: Mapping[str, Any]) -> str:
    return str(each["id"].rpartition("-")[0])


def _notes(requirements: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    for each in requirements:
        notes = [_linked(note) for note in each.get("notes", ())]
        if len(notes) == 1:
            yield f"- **{each['id']}**: {notes[0]}"
        elif notes:
            yield "\n".join([f"- **{each['id']}**", *(f"  - {note}" for note in notes)])
    yield ""


def _linked(text: str) -> str:
    """A sentence of the requirement list with links where it names pages."""
    return text.replace("envelope.md", "[envelope.md](envelope.md)")


def _requirement(each: Mapping[str, Any]) -> tuple[str, ...]:
    domains = ", ".join(str(domain).replace("_", " ") for domain in each.get("domains", ()))
    level = f"{each['level']} ({domains})" if domains else str(each["level"])
    anchor = f'<a id="{each["id"].lower()}"></a>{each["id"]}'
    why = f"<br>*Why: {each['why']}*" if "why" in each else ""
    return anchor, level, f"{each['text']}{why}".replace("|", "\\|"), ", ".join(each.get("differ", ()))


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield f"| {' | '.join(row)} |"
    yield ""
