"""What public calls take for bytes and for integers: the same kinds everywhere, compiled and interpreted.

Facts:
- for bytes stands whatever lends its bytes (the buffer protocol): bytes, bytearray, memoryview of any shape, mmap,
  arrays. An integer does not, nor a list or text: ``bytes(5)`` would be five zeros;
- for an integer stands whatever is one (``__index__``): bool, enumerations and NumPy's integers, never a float;
- what is of another kind is a :class:`TypeError`; a value out of range, or bytes that are wrong, a ``ProtocolError``;
- calls pass bytes and int on themselves, for speed, and ask here about the others.
"""

from __future__ import annotations

from operator import index
from typing import SupportsIndex, TypeAlias

Buffer: TypeAlias = bytes | bytearray | memoryview
"""What stands for bytes; at run time anything with the buffer protocol does."""


def octets(data: object, most: int | None = None) -> bytes:
    """The bytes that an object lends, in their order, or the ``most`` first. Raises :class:`TypeError`."""
    if isinstance(data, bytes):
        return data[:most]
    try:
        view = memoryview(data)  # type: ignore[arg-type]  # what is no buffer is refused below
    except TypeError:
        view = None
    if view is None or view.ndim == 0:  # a number of NumPy lends its bytes too
        raise TypeError(f"use bytes, bytearray or memoryview, not {type(data).__name__} ({data!r:.40})")
    return (view[:most] if view.itemsize == view.ndim == 1 else view).tobytes()[:most]


def whole(value: SupportsIndex, name: str) -> int:
    """The integer that a value is. Raises :class:`TypeError`."""
    try:
        return int(index(value))
    except TypeError:
        raise TypeError(f"{name} {value!r:.40}: use an integer, not {type(value).__name__}") from None
