"""How long the suite waits for a relay, at most: whoever has no time left may end it."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

from ..errors import CutShortError


@dataclass(slots=True)
class Limit:
    """The moment of the monotonic clock at which who waits for a relay gives up."""

    moment: float = math.inf

    def expire(self) -> None:
        """Let whoever waits give up now, in any thread."""
        self.moment = -math.inf

    def check(self) -> None:
        """Raises CutShortError when the moment has come."""
        if time.monotonic() >= self.moment:
            raise CutShortError("the time for it was over")
