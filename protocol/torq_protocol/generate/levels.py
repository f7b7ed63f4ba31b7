"""The validation levels as the specification prints them, and the level that the relay of each domain has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..constants import RelayDomain
from ..policy import ValidationLevel

DEFAULT_LEVELS: Final[Mapping[RelayDomain, ValidationLevel]] = {
    RelayDomain.MARKET_DATA: ValidationLevel.PERFORMANCE,
    RelayDomain.SIGNAL: ValidationLevel.RELIABILITY,
    RelayDomain.EXECUTION: ValidationLevel.SECURITY,
}
"""The level of each domain's relay unless it is configured otherwise (DOM-2, DOM-3, VAL-1 to VAL-4)."""

LEVEL_CHECKS: Final[Mapping[ValidationLevel, str]] = {
    ValidationLevel.PERFORMANCE: "magic, size, domain: the payload is not looked at, the checksum not verified",
    ValidationLevel.RELIABILITY: "the same, then checksum, TLV headers and sizes, type range",
    ValidationLevel.SECURITY: "the same, version and source before the checksum, and the sizes of fixed-size types",
}
"""What a level looks at."""
