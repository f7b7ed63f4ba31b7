"""Text of others that is safe to show: what a relay is called or prints may hold anything.

Facts: an escape sequence steers a terminal, a bidirectional control turns a line around, a code point that is no
character is an error in HTML, and none can be seen; each stands as its escape, such as ``\\x1b``, so that it is seen
and does nothing.
"""

from __future__ import annotations

import re

_NO_CHARACTERS = "\ufdd0-\ufdef" + "".join(
    chr(plane * 0x10000 + last) for plane in range(17) for last in (0xFFFE, 0xFFFF)
)
_UNSEEN = re.compile(
    f"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff{_NO_CHARACTERS}]"
)


def visible(text: str) -> str:
    """The text with every character that is not seen, but for line ends and tabs, as its escape."""
    return _UNSEEN.sub(lambda match: ascii(match[0])[1:-1], text)


def encodable(text: str) -> str:
    """Text of the command line, which may hold bytes that are no UTF-8, with a question mark for each of these."""
    return text.encode("utf-8", "replace").decode()
