"""One play of a program in the time of a search. A relay that the program ends is started again."""

from __future__ import annotations

import time

from ..errors import CutShortError, TargetError
from ..generation.search import Clock, OutOfTime
from ..grey_box.feedback import Feedback
from ..impediments import told
from ..model.history import History
from ..model.program import Program
from ..play.executor import Executor
from ..play.target import Target


def played(
    program: Program,
    executor: Executor,
    target: Target,
    clock: Clock,
    *,
    patient: bool = False,
    feedback: Feedback | None = None,
) -> History:
    """Play a program. Raises OutOfTime, and TargetError where the suite cannot start the relay again.

    ``patient``: after a restart every wait has its full length again. ``feedback`` notices what the program reached.
    """
    began = time.monotonic()
    executor.deadline, executor.limit.moment = clock.until, clock.end
    try:
        with told("to play this program"):
            history = executor.play(program)
    except CutShortError as error:
        raise OutOfTime(str(error)) from None
    except TargetError as error:
        if not target.restartable:
            raise
        history = History(crash=str(error))
    if feedback is not None:
        feedback.notice(program, began)
    if history.crash or target.crash():
        history.crash = history.crash or target.crash()
        executor.restart(patient=patient)
    return history
