"""Protocol V2 of the Torq trading platform: the wire, without I/O.

Facts:
- a name is imported when it is first used: a relay needs a handful of modules, and starts faster without the others;
- a name that is also the name of its module is imported at once: importing the module would put it in the name's place.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from .build_info import BuildInfo, build_info

if TYPE_CHECKING:
    from .builder import MessageBuilder, TlvValue
    from .checksum import message_checksum
    from .constants import (
        HEADER_SIZE,
        LARGEST_MESSAGE_SIZE_LIMIT,
        MAGIC,
        MAGIC_BYTES,
        MAX_EXTENDED_VALUE,
        MAX_MESSAGE_SIZE,
        MAX_STANDARD_VALUE,
        SIGNAL_ALIAS_PATH,
        SOCKET_PATHS,
        VERSION,
        RelayDomain,
    )
    from .decoder import FrameDecoder, OnFault, Refusal
    from .enumerations import (
        CachePoolType,
        HealthStatus,
        InvalidationReason,
        JournalOperation,
        PoolProtocol,
        RecoveryRequestType,
        Side,
        SnapshotCompression,
        TraceStage,
    )
    from .errors import (
        ERROR_CLASSES,
        BadChecksumError,
        BadDomainError,
        BadExtendedTypeError,
        BadMagicError,
        BadReservedByteError,
        BadVersionError,
        ErrorKind,
        FieldValueError,
        OversizeError,
        ProtocolError,
        TlvError,
        TlvSizeError,
        TrailingBytesError,
        TruncatedHeaderError,
        TruncatedPayloadError,
        TruncatedTlvError,
        TruncatedTlvHeaderError,
        TypeOutOfRangeError,
        UnknownSourceError,
    )
    from .fixed_point import decimal_of, units_of
    from .header import MessageHeader
    from .instrument import InstrumentId, symbol_to_u64, u64_to_symbol
    from .message import Message, encode_message, encode_raw_message, parse_frame, parse_message
    from .names import AssetType, SourceType, TlvTypeNumber, Venue
    from .payloads import (
        PAYLOAD_CLASSES,
        ArbitrageEconomics,
        ArbitrageRoute,
        ArbitrageSignal,
        GasPrice,
        OrderBook,
        OrderLevel,
        Payload,
        PoolBurn,
        PoolCacheHeader,
        PoolCacheJournalEntry,
        PoolInfo,
        PoolLiquidity,
        PoolMint,
        PoolState,
        PoolSwap,
        PoolSync,
        PoolTick,
        Quote,
        QuoteUpdate,
        RawPayload,
        Record,
        RecoveryRequest,
        Snapshot,
        StateInvalidation,
        StateInvalidationReason,
        SystemHealth,
        TraceContext,
        Trade,
        decode_payload,
        decode_tlv,
    )
    from .policy import FramePolicy, ValidationLevel
    from .registry import REGISTRY, SizeRule, Status, TlvType
    from .scanner import FrameScanner, Scan
    from .sequence import Arrival, Gap, Observation, SequenceTracker
    from .tlv import Tlv, encode_extended_tlv, encode_tlv, iter_tlvs, join_values, split_value

_MODULES = {
    "builder": "MessageBuilder TlvValue",
    "checksum": "message_checksum",
    "constants": (
        "HEADER_SIZE LARGEST_MESSAGE_SIZE_LIMIT MAGIC MAGIC_BYTES MAX_EXTENDED_VALUE MAX_MESSAGE_SIZE "
        "MAX_STANDARD_VALUE SIGNAL_ALIAS_PATH SOCKET_PATHS VERSION RelayDomain"
    ),
    "decoder": "FrameDecoder OnFault Refusal",
    "enumerations": (
        "CachePoolType HealthStatus InvalidationReason JournalOperation PoolProtocol RecoveryRequestType Side "
        "SnapshotCompression TraceStage"
    ),
    "errors": (
        "ERROR_CLASSES BadChecksumError BadDomainError BadExtendedTypeError BadMagicError "
        "BadReservedByteError BadVersionError ErrorKind FieldValueError OversizeError ProtocolError TlvError "
        "TlvSizeError TrailingBytesError TruncatedHeaderError TruncatedPayloadError TruncatedTlvError "
        "TruncatedTlvHeaderError TypeOutOfRangeError UnknownSourceError"
    ),
    "fixed_point": "decimal_of units_of",
    "scanner": "FrameScanner Scan",
    "header": "MessageHeader",
    "instrument": "InstrumentId symbol_to_u64 u64_to_symbol",
    "message": "Message encode_message encode_raw_message parse_frame parse_message",
    "names": "AssetType SourceType TlvTypeNumber Venue",
    "payloads": (
        "PAYLOAD_CLASSES ArbitrageEconomics ArbitrageRoute ArbitrageSignal GasPrice OrderBook OrderLevel "
        "Payload PoolBurn PoolCacheHeader PoolCacheJournalEntry PoolInfo PoolLiquidity PoolMint PoolState "
        "PoolSwap PoolSync PoolTick Quote QuoteUpdate RawPayload Record RecoveryRequest Snapshot "
        "StateInvalidation StateInvalidationReason SystemHealth TraceContext Trade decode_payload decode_tlv"
    ),
    "policy": "FramePolicy ValidationLevel",
    "registry": "REGISTRY SizeRule Status TlvType",
    "sequence": "Arrival Gap Observation SequenceTracker",
    "tlv": "Tlv encode_extended_tlv encode_tlv iter_tlvs join_values split_value",
}
"""Which module has which names: the imports above, as they are when the program runs."""
_HOME = {name: module for module, names in _MODULES.items() for name in names.split()}

__all__ = [
    "ERROR_CLASSES",
    "HEADER_SIZE",
    "LARGEST_MESSAGE_SIZE_LIMIT",
    "MAGIC",
    "MAGIC_BYTES",
    "MAX_EXTENDED_VALUE",
    "MAX_MESSAGE_SIZE",
    "MAX_STANDARD_VALUE",
    "PAYLOAD_CLASSES",
    "REGISTRY",
    "SIGNAL_ALIAS_PATH",
    "SOCKET_PATHS",
    "VERSION",
    "ArbitrageEconomics",
    "ArbitrageRoute",
    "ArbitrageSignal",
    "Arrival",
    "AssetType",
    "BadChecksumError",
    "BadDomainError",
    "BadExtendedTypeError",
    "BadMagicError",
    "BadReservedByteError",
    "BadVersionError",
    "BuildInfo",
    "CachePoolType",
    "ErrorKind",
    "FieldValueError",
    "FrameDecoder",
    "FramePolicy",
    "FrameScanner",
    "Gap",
    "GasPrice",
    "HealthStatus",
    "InstrumentId",
    "InvalidationReason",
    "JournalOperation",
    "Message",
    "MessageBuilder",
    "MessageHeader",
    "Observation",
    "OnFault",
    "OrderBook",
    "OrderLevel",
    "OversizeError",
    "Payload",
    "PoolBurn",
    "PoolCacheHeader",
    "PoolCacheJournalEntry",
    "PoolInfo",
    "PoolLiquidity",
    "PoolMint",
    "PoolProtocol",
    "PoolState",
    "PoolSwap",
    "PoolSync",
    "PoolTick",
    "ProtocolError",
    "Quote",
    "QuoteUpdate",
    "RawPayload",
    "Record",
    "RecoveryRequest",
    "RecoveryRequestType",
    "Refusal",
    "RelayDomain",
    "Scan",
    "SequenceTracker",
    "Side",
    "SizeRule",
    "Snapshot",
    "SnapshotCompression",
    "SourceType",
    "StateInvalidation",
    "StateInvalidationReason",
    "Status",
    "SystemHealth",
    "Tlv",
    "TlvError",
    "TlvSizeError",
    "TlvType",
    "TlvTypeNumber",
    "TlvValue",
    "TraceContext",
    "TraceStage",
    "Trade",
    "TrailingBytesError",
    "TruncatedHeaderError",
    "TruncatedPayloadError",
    "TruncatedTlvError",
    "TruncatedTlvHeaderError",
    "TypeOutOfRangeError",
    "UnknownSourceError",
    "ValidationLevel",
    "Venue",
    "build_info",
    "decimal_of",
    "decode_payload",
    "decode_tlv",
    "encode_extended_tlv",
    "encode_message",
    "encode_raw_message",
    "encode_tlv",
    "iter_tlvs",
    "join_values",
    "message_checksum",
    "parse_frame",
    "parse_message",
    "split_value",
    "symbol_to_u64",
    "u64_to_symbol",
    "units_of",
]


def __getattr__(name: str) -> object:
    """Import a public name at its first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
