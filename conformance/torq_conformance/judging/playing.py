"""One play of a program within the time of a search, on a relay that is started again where the program ended it."""

from __future__ import annotations

from ..errors import CutShortError, TargetError
from ..generation.search import Clock, OutOfTime
from ..model.history import History
from ..model.program import Program
from ..play.executor import Executor
from ..play.target import Target


def played(program: Program, executor: Executor, target: Target, clock: Clock, *, patient: bool = False) -> History:
    """What a relay does with a program. Raises OutOfTime, and TargetError where the relay cannot be started again.

    ``patient`` says that a new relay gets the time of one that is not known yet.
    """
    executor.deadline = clock.until
    try:
        history = executor.play(program)
    except CutShortError as error:
        raise OutOfTime(str(error)) from None
    except TargetError as error:
        if not target.restartable:
            raise
        history = History(crash=str(error))
    if history.crash or target.crash():
        history.crash = history.crash or target.crash()
        executor.restart(patient=patient)
    return history
