"""Several things done at the same time, one on each relay of a comparison: most of a play is waiting.

Facts:
- what a thread of its own does is interrupted by no signal: it is told to give up, and waited for;
- nothing outlives the call, whatever ends it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

Done = TypeVar("Done")


def together(acts: Sequence[Callable[[], Done]], give_up: Callable[[], None]) -> list[Done]:
    """What each act returns, the first done here and the others in threads; raises what the first of them raised.

    Where an act ends with an exception, or a signal interrupts, ``give_up`` lets the other acts end soon.
    """
    here, *elsewhere = acts
    if not elsewhere:
        return [here()]
    with ThreadPoolExecutor(len(elsewhere)) as pool:
        try:
            others = [pool.submit(act) for act in elsewhere]
            done = here()
            ended, _ = wait(others, return_when=FIRST_EXCEPTION)
            for each in ended:
                each.result()
            return [done, *(each.result() for each in others)]
        except BaseException:
            give_up()
            raise
