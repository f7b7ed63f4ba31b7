"""DOM-1 to 3 and DOM-5: frames of other domains, and types of other ranges."""

import os
import socket
from itertools import islice

from torq_conformance.specimens.correct.judging import RULES, Judge
from torq_conformance.specimens.correct.relay import Connection, Relay
from torq_conformance.specimens.correct.settings import Settings
from torq_conformance.specimens.mutants.table import ALL_DOMAINS, mutant, replacing

FOREIGN = "foreign domain"


def _forwarding_domain(number: int) -> type[Judge]:
    class ForwardsDomain(Judge):
        def domain_accepted(self, domain: int) -> bool:
            return domain == number or super().domain_accepted(domain)

    return ForwardsDomain


for _number in (0, 1, 2, 3, 4, 5, 255):
    mutant(
        f"domain-{_number}-forwarded",
        "DOM-1",
        f"forwards frames whose header names domain {_number}",
        " ".join(name for name in ALL_DOMAINS if RULES[name].domain != _number),
    )(_forwarding_domain(_number))


mutant("any-domain-forwarded", "DOM-1", "does not look at the header's domain")(
    replacing(Judge.domain_accepted, lambda judge, domain: True)
)


@mutant("foreign-behind-own-forwarded", "DOM-1", "forwards a foreign frame behind an own one in the same read")
class ForeignBehindOwnForwarded(Relay):
    own_seen = False

    def received(self, connection: Connection, data: bytes) -> None:
        self.own_seen = False
        super().received(connection, data)

    def forward(self, sender: Connection, frame: bytes) -> None:
        self.own_seen = True
        super().forward(sender, frame)

    def refused(self, connection: Connection, frame: bytes, reason: str) -> None:
        if self.own_seen and reason == FOREIGN:
            self.forward(connection, frame)


@mutant("foreign-swallows-next", "DOM-1", "loses the frame that its sender sends after a foreign one")
class ForeignSwallowsNext(Relay):
    def prepare(self) -> None:
        self.swallowing: set[Connection] = set()

    def refused(self, connection: Connection, frame: bytes, reason: str) -> None:
        if reason == FOREIGN:
            self.swallowing.add(connection)

    def forward(self, sender: Connection, frame: bytes) -> None:
        if sender not in self.swallowing:
            super().forward(sender, frame)
        self.swallowing.discard(sender)


@mutant("foreign-swallows-read", "DOM-1", "loses what came behind a foreign frame in the same read")
class ForeignSwallowsRead(Relay):
    def refused(self, connection: Connection, frame: bytes, reason: str) -> None:
        if reason == FOREIGN:
            connection.framer.buffer.clear()


@mutant("foreign-closes", "DOM-1", "closes the connection that sent a foreign frame")
class ForeignCloses(Relay):
    def refused(self, connection: Connection, frame: bytes, reason: str) -> None:
        if reason == FOREIGN:
            self.close(connection)


mutant("first-tlv-only", "DOM-2 VAL-3", "looks at the first TLV only", domains="signal execution")(
    replacing(Judge.tlvs, lambda judge, frame: islice(Judge.tlvs(judge, frame), 1))
)
mutant("last-tlv-only", "DOM-2", "looks at the last TLV only", domains="signal execution")(
    replacing(Judge.tlvs, lambda judge, frame: iter(list(Judge.tlvs(judge, frame))[-1:]))
)
mutant(
    "extended-type-ignored", "DOM-2", "does not look at the inner type of extended TLVs", domains="signal execution"
)(replacing(Judge.tlvs, lambda judge, frame: (tlv for tlv in Judge.tlvs(judge, frame) if not tlv.extended)))
mutant("any-type-forwarded", "DOM-2", "does not filter by TLV type", domains="signal execution")(
    replacing(Judge.type_accepted, lambda judge, number: True)
)


@mutant("market-data-filters-types", "DOM-3", "refuses types outside 1 to 19", domains="market_data")
class MarketDataFiltersTypes(Judge):
    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.rules = self.rules._replace(types=range(1, 20))


@mutant("siblings-fed", "DOM-5", "hands foreign frames to the other sockets in its directory")
class SiblingsFed(Relay):
    def refused(self, connection: Connection, frame: bytes, reason: str) -> None:
        if reason != FOREIGN or self.doorway.path is None:
            return
        with os.scandir(os.path.dirname(self.doorway.path)) as entries:
            others = [entry.path for entry in entries if entry.path != self.doorway.path]
        for path in others:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sibling:
                try:
                    sibling.connect(path)
                    sibling.sendall(frame)
                except OSError:  # not a relay
                    continue
