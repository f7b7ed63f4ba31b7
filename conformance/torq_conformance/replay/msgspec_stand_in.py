"""The little of msgspec that playing a program takes, made of the standard library: a replay script has it as msgspec.

A Struct is a dataclass here, and what its options say of encoding is left aside: a script reads and writes no JSON.
"""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace


class Struct:
    """Makes a dataclass of every class that is derived from it."""

    def __init_subclass__(cls, *, frozen: bool = False, kw_only: bool = False, **_encoding: object) -> None:
        super().__init_subclass__()
        dataclasses.dataclass(frozen=frozen, kw_only=kw_only)(cls)


class Meta:
    """What a field may hold; a script's values were checked when their record was read."""

    def __init__(self, **_limits: object) -> None: ...


structs = SimpleNamespace(replace=dataclasses.replace)
