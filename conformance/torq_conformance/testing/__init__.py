"""Testing a relay from pytest: the names that tests of a relay import.

These names, the fixture ``relay_target`` and the command ``torq-conformance`` are the suite's public interface. Every
other module may change in any release.
"""

from ..generation import features
from ..model.findings import Finding, Kind
from ..model.frames import Frame, Tlv
from ..model.history import History
from ..model.rules import Rules
from ..model.steps import Connect, FailedTakeover, Takeover, Write
from ..oracles import traffic as oracles
from .machine import RelayAssertionError, RelayStateMachine, RelayUnderTest

__all__ = [
    "Connect",
    "FailedTakeover",
    "Finding",
    "Frame",
    "History",
    "Kind",
    "RelayAssertionError",
    "RelayStateMachine",
    "RelayUnderTest",
    "Rules",
    "Takeover",
    "Tlv",
    "Write",
    "features",
    "oracles",
]
