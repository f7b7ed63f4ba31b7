"""What a domain tells the engine about itself."""

from __future__ import annotations

from abc import ABC, abstractmethod

from torq_protocol.constants import RelayDomain
from torq_protocol.header import MessageHeader
from torq_protocol.policy import FramePolicy, ValidationLevel


class RelayLogic(ABC):
    """A domain: what it is called, where it listens, which frames it serves.

    The framing kernel does the work from ``policy`` alone; only a logic that overrides :meth:`should_forward` costs a
    call per frame.
    """

    name: str
    """The name of the domain, as in its socket's name."""
    domain: RelayDomain
    """The header byte that is served (DOM-1)."""
    socket_path: str
    """Where clients look for it (D16)."""
    alias_paths: tuple[str, ...] = ()
    """Where else they do."""
    level: ValidationLevel
    """The validation level unless configured."""
    own_user_only: bool = False
    """Whether only the relay's own user may connect unless configured (SEC-2)."""
    audited: bool = False
    """Whether the metadata of every frame is recorded unless configured (SEC-3)."""

    @abstractmethod
    def policy(self, level: ValidationLevel) -> FramePolicy:
        """Which frames are accepted at a validation level."""

    def should_forward(self, header: MessageHeader) -> bool:
        """Whether an accepted frame is forwarded, judged by its header. Override it only where code is needed."""
        return True


def header_filter(logic: RelayLogic) -> bool:
    """Whether a logic overrides :meth:`RelayLogic.should_forward`."""
    return type(logic).should_forward is not RelayLogic.should_forward
