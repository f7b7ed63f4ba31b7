"""The module ``torq_protocol.compiled_numbers``: numbers of enumerations that compiled code looks at."""

from __future__ import annotations

from typing import Final

from ..constants import RelayDomain
from ..errors import ErrorKind

_HEAD: Final = '''\
"""Numbers of enumerations for compiled code: mypyc writes an imported integer into the machine code, where a member
would be an object to be looked up.

Written by python -m torq_protocol.generate python. Do not edit: ErrorKind and RelayDomain are the source.
"""

from __future__ import annotations

from typing import Final

'''


def compiled_numbers() -> str:
    """The text of the module."""
    numbers = {kind.name: kind.value for kind in ErrorKind} | {"LAST_DOMAIN": max(RelayDomain).value}
    return _HEAD + "".join(f"{name}: Final = {value}\n" for name, value in numbers.items())
