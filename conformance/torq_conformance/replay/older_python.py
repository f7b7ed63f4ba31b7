"""Gives Python 3.10 what the suite takes from the standard library of 3.11: a replay script imports it first."""

from __future__ import annotations

import enum
import sys
import typing

GIVEN = {"Self", "StrEnum", "assert_never"}
"""The names that it gives; a module that takes another one of 3.11 cannot be part of a script."""

if sys.version_info < (3, 11):  # noqa: UP036 - the suite never runs there, but a script does

    class StrEnum(str, enum.Enum):  # noqa: UP042 - it is what is missing
        """An enumeration whose members are texts."""

        __str__ = str.__str__
        _generate_next_value_ = staticmethod(lambda name, *_: name.lower())

    def assert_never(value: object) -> typing.NoReturn:
        """A case that was thought to be impossible."""
        raise AssertionError(f"nobody expected {value!r}")

    enum.StrEnum = StrEnum
    typing.assert_never = assert_never
    typing.Self = typing.Any
