"""Which messages are shown: by domain, TLV type, source and sequence, each given by number, name or range."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from ..constants import U64_MAX, RelayDomain
from ..message import Message
from ..registry import REGISTRY

_RANGE: Final = re.compile(r"(\d*)-(\d*)")


@dataclass(frozen=True, slots=True)
class Selection:
    """A message is shown if it matches one of each kind that is given; of types, one of its TLVs must."""

    domains: tuple[range, ...] = ()
    types: tuple[range, ...] = ()
    sources: tuple[range, ...] = ()
    sequences: tuple[range, ...] = ()

    def takes(self, message: Message) -> bool:
        """Whether the message is to be shown."""
        header = message.header
        return (
            _within(self.domains, [header.domain])
            and _within(self.sources, [header.source])
            and _within(self.sequences, [header.sequence])
            and (not self.types or _within(self.types, [tlv.type for tlv in message.tlvs]))
        )


def domains(text: str) -> tuple[range, ...]:
    """Domains by number or name, joined by commas. This and its neighbours raise :class:`ValueError`."""
    return _ranges(text, lambda name: RelayDomain[name.upper().replace("-", "_")])


def types(text: str) -> tuple[range, ...]:
    """TLV types."""
    return _ranges(text, lambda name: REGISTRY.tlv_type(name).number)


def sources(text: str) -> tuple[range, ...]:
    """Sources."""
    return _ranges(text, lambda name: REGISTRY.source(name).number)


def sequences(text: str) -> tuple[range, ...]:
    """Sequence numbers."""
    return _ranges(text, None)


def _ranges(text: str, by_name: Callable[[str], int] | None) -> tuple[range, ...]:
    return tuple(_range(part.strip(), by_name) for part in text.split(","))


def _range(part: str, by_name: Callable[[str], int] | None) -> range:
    if part.isascii() and part.isdigit():
        return range(int(part), int(part) + 1)
    bounds = _RANGE.fullmatch(part)
    if bounds and part != "-":
        first, last = int(bounds[1] or 0), int(bounds[2] or U64_MAX)
        if first > last:
            raise ValueError(f"{part!r} ends before it begins")
        return range(first, last + 1)
    if by_name is None:
        raise ValueError(f"{part!r} is no number and no range such as 5-9, 5- or -9")
    try:
        number = by_name(part)
    except LookupError:
        raise ValueError(f"{part!r} is no number, no range such as 5-9 and no name of the registry") from None
    return range(number, number + 1)


def _within(ranges: tuple[range, ...], numbers: Iterable[int]) -> bool:
    return not ranges or any(number in each for each in ranges for number in numbers)
