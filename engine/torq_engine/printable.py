r"""What the operating system names, such as a path, as text that every reader takes.

Facts:
- a path is bytes; Python keeps those that are no UTF-8 as lone surrogates (PEP 383);
- JSON, systemd and most terminals take UTF-8 alone, so such a byte is shown to them as ``\xff``.
"""

from __future__ import annotations

import msgspec

_ESCAPES = {0xDC00 + byte: f"\\x{byte:02x}" for byte in range(0x80, 0x100)}


def printable(text: str) -> str:
    """``text`` with each byte that is no UTF-8 as a backslash, x and two hexadecimal digits."""
    return text if text.isascii() else text.translate(_ESCAPES)


def printable_within(value: object) -> object:
    """A value of JSON with all of its texts printable."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, dict):
        return {printable_within(key): printable_within(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [printable_within(each) for each in value]
    return value


def as_json(value: object) -> bytes:
    """``value`` as a JSON document."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return msgspec.json.encode(printable_within(msgspec.to_builtins(value)))
