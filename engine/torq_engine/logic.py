"""The description of a domain: all that the engine has to know of it."""

from __future__ import annotations

from collections.abc import Callable

from torq_protocol.constants import RelayDomain
from torq_protocol.header import MessageHeader
from torq_protocol.policy import FramePolicy, ValidationLevel


class RelayLogic:
    """A domain: its name, its sockets and the frames it serves. Subclass it and set the attributes without a default.

    The framing kernel works from :meth:`policy` alone. Only a logic that overrides :meth:`should_forward` costs a call
    per frame.
    """

    name: str
    """The domain's name in the names of its command, its logs and its metrics."""
    domain: RelayDomain
    """The domain byte of the frames that the relay serves (DOM-1)."""
    socket_path: str
    """The path of the socket unless configured (D16)."""
    alias_paths: tuple[str, ...] = ()
    """Further paths at which the same relay answers."""
    level: ValidationLevel
    """The validation level unless configured."""
    own_user_only: bool = False
    """Whether only the relay's own user may connect unless configured (SEC-2)."""
    audited: bool = False
    """Whether the relay records the metadata of every frame unless configured (SEC-3)."""

    def policy(self, level: ValidationLevel) -> FramePolicy:
        """The frames that the relay accepts at a validation level: the domain's own TLV types (DOM-2)."""
        return FramePolicy.for_domain(self.domain, level)

    def should_forward(self, header: MessageHeader) -> bool:
        """Whether the relay forwards an accepted frame. Override it for a rule that a policy cannot express."""
        return True

    def header_filter(self) -> Callable[[MessageHeader], bool] | None:
        """:meth:`should_forward` where a subclass overrides it, else None: then no frame costs a call."""
        overridden = type(self).should_forward is not RelayLogic.should_forward
        return self.should_forward if overridden else None
