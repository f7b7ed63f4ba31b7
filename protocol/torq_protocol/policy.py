"""What a relay accepts, as plain data: the input of the framing kernel beside the bytes.

Facts:
- the level says which checks a frame passes (VAL-1 to VAL-4): performance looks at the header's domain only,
  reliability adds checksum and TLVs, security adds version, source and the sizes of fixed-size types;
- the maximum message size bounds what a header may claim before a byte of the payload is kept (VAL-5, VAL-6).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

from .arguments import whole
from .constants import HEADER_SIZE, LARGEST_MESSAGE_SIZE_LIMIT, MAX_MESSAGE_SIZE, U8_MAX, RelayDomain
from .errors import FieldValueError
from .registry import REGISTRY


class ValidationLevel(Enum):
    """How much of a frame a relay looks at."""

    PERFORMANCE = "performance"
    RELIABILITY = "reliability"
    SECURITY = "security"


@dataclass(frozen=True, slots=True)
class FramePolicy:
    """Which frames are accepted.

    ``domain`` is the header byte that is served (DOM-1). ``types`` is the accepted range of TLV types, None for all
    of them, which also leaves the payload unread (DOM-2, DOM-3). ``verify_checksum`` is VAL-1 and VAL-2; a field of 0
    means "not computed" and passes then too, unless ``accept_zero_checksum`` is off and it is judged like any other
    (D9). ``check_tlvs`` demands a well-formed payload (VAL-3); ``strict`` adds version, source and fixed sizes (VAL-4).
    ``max_message_size`` is in bytes, header included (D10).
    """

    domain: int
    types: range | None = None
    verify_checksum: bool = False
    accept_zero_checksum: bool = True
    check_tlvs: bool = False
    strict: bool = False
    max_message_size: int = MAX_MESSAGE_SIZE
    known_sources: frozenset[int] = field(default_factory=lambda: REGISTRY.source_numbers)
    fixed_sizes: tuple[tuple[int, int], ...] = field(default_factory=lambda: REGISTRY.fixed_sizes)
    walks_tlvs: bool = field(init=False, repr=False, compare=False)
    """Whether the payload is read at all."""
    type_table: bytes = field(init=False, repr=False, compare=False)
    """256 bytes, 0 for a refused TLV type; empty when all are accepted."""
    size_table: bytes = field(init=False, repr=False, compare=False)
    """256 i32, little-endian: the size that a TLV type must have, -1 for any; empty when none is demanded."""
    source_table: bytes = field(init=False, repr=False, compare=False)
    """256 bytes, 0 for a source that is unknown (D11)."""

    def __post_init__(self) -> None:
        for name in ("domain", "max_message_size"):
            if type(value := getattr(self, name)) is not int and not isinstance(value, RelayDomain):
                object.__setattr__(self, name, whole(value, name))
        if not 1 <= self.domain <= U8_MAX:
            raise FieldValueError(f"domain {self.domain}: use 1 to 255", expected="1..255", got=self.domain)
        if not HEADER_SIZE <= self.max_message_size <= LARGEST_MESSAGE_SIZE_LIMIT:
            raise FieldValueError(
                f"max_message_size {self.max_message_size}: use {HEADER_SIZE} to {LARGEST_MESSAGE_SIZE_LIMIT} bytes",
                expected=f"{HEADER_SIZE}..{LARGEST_MESSAGE_SIZE_LIMIT}",
                got=self.max_message_size,
            )

        # The tables are asked for with each message: they are made once.
        types, sizes = self.types, dict(self.fixed_sizes)
        tables = {
            "walks_tlvs": self.check_tlvs or self.strict or types is not None,
            "type_table": b"" if types is None else bytes(number in types for number in range(256)),
            "size_table": b"".join([sizes.get(number, -1).to_bytes(4, "little", signed=True) for number in range(256)])
            if self.strict
            else b"",
            "source_table": bytes(number in self.known_sources for number in range(256)),
        }
        for name, table in tables.items():
            object.__setattr__(self, name, table)

    @classmethod
    def for_domain(cls, domain: RelayDomain, level: ValidationLevel) -> FramePolicy:
        """The policy of a domain at a level: its own types are accepted unless the level is performance.

        Only execution refuses a checksum that was not computed: the original's signals have none (VAL-1).
        """
        accept_zero_checksum = domain is not RelayDomain.EXECUTION
        if level is ValidationLevel.PERFORMANCE:
            return cls(domain, accept_zero_checksum=accept_zero_checksum)
        return cls(
            domain,
            types=domain.type_range,
            verify_checksum=True,
            accept_zero_checksum=accept_zero_checksum,
            check_tlvs=True,
            strict=level is ValidationLevel.SECURITY,
        )

    def with_max_message_size(self, size: int) -> FramePolicy:
        """The same policy with another size limit, in bytes, header included."""
        return replace(self, max_message_size=size)
