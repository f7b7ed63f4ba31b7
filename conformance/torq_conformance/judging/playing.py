"""One play of a program in the time of a search. A relay that the program ends is started again."""

from __future__ import annotations

from ..errors import CutShortError, TargetError
from ..generation.search import Clock, OutOfTime
from ..impediments import told
from ..model.history import History
from ..model.program import Program
from ..play.executor import Executor
from ..play.target import Target


def played(program: Program, executor: Executor, target: Target, clock: Clock, *, patient: bool = False) -> History:
    """Play a program. Raises OutOfTime, and TargetError where the suite cannot start the relay again.

    ``patient``: after a restart every wait has its full length again.
    """
    executor.deadline, executor.end = clock.until, clock.end
    try:
        with told("to play this program"):
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
