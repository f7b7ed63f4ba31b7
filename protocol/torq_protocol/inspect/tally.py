"""What was seen, counted: for the summary, the live counters and the exit code."""

from __future__ import annotations

from collections import Counter

from .fields import type_text
from .reader import Broken, Faulty, Found, Item


class Tally:
    """Counts of messages, types, gaps and faults."""

    def __init__(self) -> None:
        self.messages = 0
        self.shown = 0
        self.bytes = 0
        self.gaps = 0
        self.missing = 0
        self.faults: Counter[str] = Counter()
        self.breaks = 0
        self.types: Counter[int] = Counter()

    def note(self, item: Item) -> None:
        """Count an item."""
        match item:
            case Found():
                self.messages += 1
                self.bytes += len(item.message)
                self.types.update(tlv.type for tlv in item.message.tlvs)
                self.faults.update(fault.kind.label for fault in item.faults)
                if item.gap is not None:
                    self.gaps += 1
                    self.missing += item.gap.count
            case Faulty():
                self.faults[item.error.kind.label] += 1
            case Broken():
                self.breaks += 1

    @property
    def exit_code(self) -> int:
        """1 if a stream broke or something in it was wrong, else 0."""
        return int(bool(self.breaks or self.faults.total()))

    def line(self) -> str:
        """The counts in one line."""
        parts = [f"{self.messages} message{'s' * (self.messages != 1)}", f"{self.bytes} bytes"]
        if self.shown != self.messages:
            parts.append(f"{self.shown} shown")
        if self.gaps:
            parts.append(f"{self.gaps} gap{'s' * (self.gaps > 1)} ({self.missing} missing)")
        parts += [f"{count} {kind}" for kind, count in sorted(self.faults.items())]
        if self.breaks:
            parts.append(f"{self.breaks} break{'s' * (self.breaks > 1)}")
        return ", ".join(parts)

    def by_type(self) -> str:
        """How often each TLV type came, the most frequent first."""
        return ", ".join(f"{count} {type_text(number)}" for number, count in self.types.most_common())
