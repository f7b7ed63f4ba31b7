"""Fixed-point numbers of the wire as decimals, exactly: nothing here is or becomes a float.

"1e-8" fields count hundred-millionths: 4 512 350 000 000 units are 45123.50000000. Neither direction depends on the
precision of the current decimal context.
"""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Final, SupportsIndex

from .arguments import whole
from .errors import FieldValueError

PLACES: Final = 8
"""Decimal places of "1e-8" fields."""
UNIT: Final = 100_000_000
"""Units in 1.0 of a "1e-8" field."""
_MOST_DIGITS: Final = 100


def decimal_of(units: int, places: int = PLACES) -> Decimal:
    """The exact decimal value of a number of units of 10^-``places``."""
    return Decimal(f"{whole(units, 'units'):d}e{-places:d}")


def units_of(value: Decimal | int | str, places: int = PLACES, *, truncate: bool = False) -> int:
    """The number of units of 10^-``places`` in a decimal value.

    With ``truncate`` what is finer than a unit is cut off toward zero, as the original does; otherwise it is refused.

    :raises FieldValueError: a float, not a finite number, or not a whole number of units
    """
    number = _decimal(value)
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or number.adjusted() > _MOST_DIGITS or len(digits) > _MOST_DIGITS:
        raise FieldValueError(
            f"{value!s:.40}: use a finite number of ordinary size", expected="a finite number", got=value
        )
    whole, shift = int("".join(map(str, digits))), exponent + places
    units: int
    if shift >= 0:
        units, rest = whole * 10**shift, 0
    elif -shift > len(digits):
        units, rest = 0, whole
    else:
        units, rest = divmod(whole, 10**-shift)
    if rest and not truncate:
        raise FieldValueError(
            f"{value}: finer than 1e-{places}; round it first", expected=f"at most {places} decimal places", got=value
        )
    return -units if sign else units


def _decimal(value: object) -> Decimal:
    if isinstance(value, (Decimal, int, str)):
        try:
            return Decimal(value)
        except InvalidOperation:
            pass
    elif isinstance(value, SupportsIndex):
        return Decimal(whole(value, "value"))
    raise FieldValueError(
        f"{value!r}: use a Decimal, an int or decimal text, never a float", expected="Decimal, int or str", got=value
    )
