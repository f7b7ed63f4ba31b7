"""The module ``torq_protocol.payloads.fields``: the layouts of the schema as dataclasses that clients can import.

Clients read the schema in this form: to import construct takes longer than to import all that they need.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from construct import Bytes, BytesInteger, Construct, FormatField, GreedyBytes, Struct

from ..registry import REGISTRY
from ..schema import PAYLOADS, RECORDS
from ..schema.layout import number_type, record_name, size_of
from ..schema.vocabulary import (
    U128,
    AssetTypeNumber,
    Bounded,
    Closed,
    Filler,
    FixedList,
    Marker,
    SourceNumber,
    VenueNumber,
    bare,
    usual_value,
)

_NOTICE: Final = '''\
"""The fields of every payload and their places: base classes, to which :mod:`torq_protocol.payloads` adds meaning.

Written by python -m torq_protocol.generate python. Do not edit: protocol/torq_protocol/schema is the source.
"""
'''
_WIDTH: Final = 120
_CODES: Final = {"L": "I", "l": "i"}
"""The codes of the struct module where construct has others."""
_U128_MAX: Final = (1 << 128) - 1
_REGISTRIES: Final = ((VenueNumber, "Venue"), (AssetTypeNumber, "AssetType"), (SourceNumber, "SourceType"))
"""Open numbers, and the enumerations that name those of the registry."""


class _Field(NamedTuple):
    """A field of a class; ``default`` is empty where every caller must give it."""

    name: str
    annotation: str
    text: str
    default: str = ""


def payload_fields() -> str:
    """The text of the module."""
    layouts = [_Layout(None, RECORDS["OrderLevel"])]
    layouts += [_Layout(number, declared) for number, declared in PAYLOADS.items()]
    layouts += [_Layout(None, RECORDS["PoolCacheJournalEntry"])]
    enumerations = sorted({name for layout in layouts for name in layout.enumerations})
    imports = [
        "from __future__ import annotations\n",
        "from collections.abc import Mapping",
        "from dataclasses import dataclass, field",
        "from enum import IntEnum",
        "from typing import ClassVar\n",
        "from ..enumerations import (",
        *(f"    {name}," for name in enumerations),
        ")",
        "from ..instrument import InstrumentId",
        "from ..names import AssetType, SourceType, Venue",
        "from .layout import Layout, Slots",
        "from .payload import Payload, Record",
    ]
    text = "\n".join([_NOTICE, *imports]) + "\n"
    known: dict[tuple[object, ...], str] = {}
    for layout in layouts:
        twin = known.setdefault(layout.form, layout.name)
        text += "\n\n" + "\n".join(layout.lines() if twin == layout.name else layout.twin_lines(twin)) + "\n"
    return text


class _Layout:
    """A declaration taken apart: what the class of its fields and its struct format are made of."""

    def __init__(self, number: int | None, declared: Construct) -> None:
        self.number, self.declared, self.name = number, declared, str(declared.name)
        self.wire, self.size = "<", 0
        self.columns: list[str] = []
        self.rules: dict[str, str] = {}
        self.fields: list[_Field] = []
        """What the class has; a constant is a column only."""
        self.named: dict[str, str] = {}
        """The enumerations that name the numbers of open fields."""
        self.enumerations: set[str] = set()
        self.capacities: set[int] = set()
        self._add(declared)

    @property
    def form(self) -> tuple[object, ...]:
        """What is the same for layouts that differ in name, number and comments only."""
        names = tuple((each.name, each.annotation, each.default) for each in self.fields)
        return self.wire, tuple(self.columns), tuple(self.rules.items()), names

    def lines(self) -> Iterator[str]:
        """The class with its fields."""
        yield "@dataclass(frozen=True, slots=True, repr=False)"
        yield f"class {self.name}({'Record' if self.number is None else 'Payload'}):"
        varies = self.number is not None and size_of(self.declared) is None
        largest = REGISTRY.size_rule(self.number).maximum if self.number is not None else self.size
        yield f'    """{self._about(f"{self.size} to {largest} bytes" if varies else f"{self.size} bytes")}."""\n'
        if self.number is not None:
            yield f"    TLV_TYPE: ClassVar[int] = {self.number}"
        yield f"    SIZE: ClassVar[int] = {self.size}"
        if self.capacities:
            (capacity,) = self.capacities
            yield f"    CAPACITY: ClassVar[int] = {capacity}"
        if varies:
            yield f"    LARGEST: ClassVar[int] = {largest}"
        yield "    LAYOUT: ClassVar[Layout] = Layout("
        yield f'        "{self.name}",'
        yield f'        "{self.wire}",'
        yield _words(self.columns)
        yield from _mapping(self.rules)
        yield "    )"
        if self.named:
            items = ", ".join(f'"{name}": {names}' for name, names in self.named.items())
            yield f"    NAMED: ClassVar[Mapping[str, type[IntEnum]]] = {{{items}}}"
        yield ""
        for place, each in enumerate(self.fields):
            yield f"    {each.name}: {each.annotation}{self._assigned(place)}"
            yield textwrap.indent("\n".join(textwrap.wrap(f'"""{each.text}."""', _WIDTH - 4)), "    ")

    def _assigned(self, place: int) -> str:
        """The default of a field: by keyword only where a field behind it has none, as a value must be given there."""
        default = self.fields[place].default
        if default and not all(each.default for each in self.fields[place:]):
            return f" = field(default={default}, kw_only=True)"
        return f" = {default}" if default else ""

    def twin_lines(self, twin: str) -> Iterator[str]:
        """The class as one of the same form as another."""
        yield f"class {self.name}({twin}):"
        yield f'    """{self._about(f"the bytes of a {twin}")}."""\n'
        yield "    __slots__ = ()"
        yield f"    TLV_TYPE: ClassVar[int] = {self.number}"
        yield f'    LAYOUT: ClassVar[Layout] = {twin}.LAYOUT.named("{self.name}")'

    def _about(self, size: str) -> str:
        return f"Type {self.number}: {size}" if self.number is not None else f"No payload of its own: {size}"

    def _add(self, declared: Construct) -> None:
        for part in bare(declared).subcons:
            form = bare(part)
            if isinstance(form, Filler):
                self.wire += f"{form.sizeof()}x"
            elif isinstance(form, Struct) and part.name == "header":
                self._add(form)
                continue
            elif form is GreedyBytes:
                self.fields.append(_Field(part.name, "bytes", f"bytes from offset {self.size}: {part.docs}", 'b""'))
                continue
            else:
                self._add_field(part, form)
            self.size += form.sizeof()

    def _add_field(self, part: Construct, form: Construct) -> None:
        """A column; and a field of the class, unless the column holds a constant."""
        name, usual = str(part.name), usual_value(part)
        self.columns.append(name)
        for number, names in _REGISTRIES:
            if form is number:
                self.named[name] = names
        default = "" if usual is None else str(usual)
        kind = number_type(form)
        annotation = "int"
        match form:
            case Closed():
                annotation = self.rules[name] = form.enumeration.__name__
                self.enumerations.add(annotation)
                default = "" if usual is None else f"{annotation}.{form.enumeration(usual).name}"
            case Bounded(minimum=lowest, maximum=highest) if lowest == highest:
                self.rules[name], annotation = str(lowest), ""
            case Bounded(minimum=0, maximum=highest) if highest == _U128_MAX:
                pass  # what a u128 in 32 bytes is anyway
            case Bounded(minimum=lowest, maximum=highest):
                self.rules[name] = f"({lowest}, {highest})"
            case Marker():
                self.rules[name], annotation = f"0x{int.from_bytes(form.marker, 'little'):08X}", ""
            case FixedList():
                element = "int" if bare(form.element) is U128 else str(form.element.name)
                annotation, kind = f"tuple[{element}, ...]", self._add_list(name, form, element)
                default = "" if bare(form.subcon.subcons[0]).minimum else "()"
            case Struct():
                annotation = self.rules[name] = kind = str(record_name(part))
            case Bytes():
                annotation, kind = "bytes", f"bytes[{form.sizeof()}]"
        self.wire += _code(form)
        if annotation:
            text = f"{kind} at offset {self.size}: {part.docs}"
            self.fields.append(_Field(name, annotation, text, f"{int(default):_}" if default.isdecimal() else default))

    def _add_list(self, name: str, form: FixedList, element: str) -> str:
        """The rule of a list; returns what it holds in words."""
        count, *_ = form.subcon.subcons
        least, gap = bare(count).minimum, form.gap
        more = (f", least={least}" if least else "") + (f", gap={gap}" if gap else "")
        self.capacities.add(form.capacity)
        self.rules[name] = f"Slots({element}, {form.capacity}{more})"
        return f"{least} to {form.capacity} {number_type(form.element) or element}"


def _code(form: Construct) -> str:
    """The bytes of a field as struct writes them: a number if it has a code for it, otherwise bytes."""
    while isinstance(form, (Closed, Bounded)):
        form = bare(form.subcon)
    if isinstance(form, FormatField):
        code = str(form.fmtstr[-1])
        return _CODES.get(code, code)
    if isinstance(form, Marker):
        assert form.sizeof() == 4, "a marker is read as a u32"
        return "I"
    assert isinstance(form, (Bytes, BytesInteger, FixedList, Struct)), form
    return f"{form.sizeof()}s"


def _words(words: Iterable[str]) -> str:
    """A string of words, in as many pieces as lines need."""
    *most, last = textwrap.wrap(" ".join(words), _WIDTH - len('        " ",'))
    return "\n".join([*(f'        "{line} "' for line in most), f'        "{last}",'])


def _mapping(rules: dict[str, str]) -> Iterator[str]:
    if rules:
        items = [f'"{name}": {rule}' for name, rule in rules.items()]
        line = f"        {{{', '.join(items)}}},"
        yield (
            line
            if len(line) <= _WIDTH
            else "\n".join(["        {", *(f"            {each}," for each in items), "        },"])
        )
