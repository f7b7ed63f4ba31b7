"""VAL-7 and ISO-6: what is counted wrongly."""

from torq_conformance.specimens.correct.counters import Counters
from torq_conformance.specimens.correct.outbox import Outbox
from torq_conformance.specimens.mutants.table import mutant, replacing

mutant("refused-uncounted", "VAL-7", "counts no refused frame")(
    replacing(Counters.refuse, lambda counters, reason: None)
)
mutant("refused-for-one-reason", "VAL-7", "counts all refused frames under one reason", domains="signal execution")(
    replacing(Counters.refuse, lambda counters, reason: Counters.refuse(counters, "refused"))
)
mutant("malformed-uncounted", "VAL-7", "does not count malformed payloads", domains="signal execution")(
    replacing(
        Counters.refuse,
        lambda counters, reason: None if reason == "malformed payload" else Counters.refuse(counters, reason),
    )
)
mutant("backlog-uncounted", "ISO-6", "does not count what a client that leaves had waiting")(
    replacing(
        Counters.drop, lambda counters, reason, frames: Counters.drop(counters, reason, frames * (reason != "closed"))
    )
)
mutant("dropped-for-one-reason", "ISO-6", "counts all dropped frames under one reason")(
    replacing(Counters.drop, lambda counters, reason, frames: Counters.drop(counters, "queue full", frames))
)


@mutant("drops-uncounted", "ISO-6", "does not count what overflow drops")
class DropsUncounted(Outbox):
    def drop_oldest(self, frame: bytes) -> None:
        before = self.dropped
        super().drop_oldest(frame)
        self.dropped = before


@mutant("delivered-when-begun", "ISO-6", "counts a frame as delivered in each write that holds a part of it")
class DeliveredWhenBegun(Outbox):
    def advance(self, taken: int) -> None:
        begun = self.written > 0
        super().advance(taken)
        self.delivered += begun
