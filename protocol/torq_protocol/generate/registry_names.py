"""The module ``torq_protocol.names``: the numbers of ``registry.toml`` as enumerations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from ..constants import EXTENDED_MARKER
from ..registry import REGISTRY, AssetTypeEntry, Source, TlvType, VenueEntry

_HEAD: Final = '''\
"""The registry's numbers as enumerations for use in code (D11, D12): open sets, so fields that hold them are plain
integers and keep unknown numbers. The members are the registry's names in capitals.

Written by python -m torq_protocol.generate python. Do not edit: protocol/torq_protocol/registry.toml is the source.
"""

from __future__ import annotations

from enum import IntEnum
'''
_TLV_TYPES: Final = [tlv for tlv in REGISTRY.tlv_types.values() if tlv.number != EXTENDED_MARKER]
_ENUMERATIONS: Final = (
    ("TlvTypeNumber", "TLV types that have a name; 255, the extended marker, is not a type (D7).", _TLV_TYPES),
    ("SourceType", "Services that send messages: header byte 6.", REGISTRY.sources.values()),
    ("Venue", "Places of trade and chains.", REGISTRY.venues.values()),
    ("AssetType", "Kinds of assets.", REGISTRY.asset_types.values()),
)
_ONE_WORD: Final = ("DYdX", "KuCoin", "OKEx", "PancakeSwap", "QuickSwap", "SushiSwap")
"""Names of firms whose capitals begin no word."""
_WORD_ENDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


def registry_names() -> str:
    """The text of the module."""
    return _HEAD + "".join(line + "\n" for enumeration in _ENUMERATIONS for line in _lines(*enumeration))


def _lines(name: str, about: str, entries: Iterable[TlvType | Source | VenueEntry | AssetTypeEntry]) -> Iterator[str]:
    yield from ("", "", f"class {name}(IntEnum):", f'    """{about}"""', "")
    for entry in entries:
        yield f"    {member_name(entry.name)} = {entry.number}"


def member_name(name: str) -> str:
    """The member for a name of the registry: its words in capitals, joined by underscores."""
    for firm in _ONE_WORD:
        name = name.replace(firm, firm.capitalize())
    return _WORD_ENDS.sub("_", name).upper()
