"""The clean slate on which the suite and its targets start, whatever the suite has inherited.

Facts:
- exec keeps blocked and ignored signals; a relay that never gets SIGTERM would be accused of not ending at it;
- while SIGCHLD is ignored the kernel forgets how a child ended, and every relay seems to have ended with status 0;
- a socket that takes the number of a closed descriptor 0, 1 or 2 would get what somebody prints.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable

STANDARD_DESCRIPTORS = (0, 1, 2)
RESET_BY_SUBPROCESS = {signal.SIGPIPE, signal.SIGXFSZ}


def begin() -> None:
    """Let this process begin with its standard descriptors there, no signal blocked, and its children's ends told.

    Where its current directory has been deleted it goes to the one for temporary files, and says so.
    """
    for descriptor in STANDARD_DESCRIPTORS:
        _open_if_closed(descriptor)
    sys.stdin, sys.stdout, sys.stderr = (
        sys.stdin or os.fdopen(0, closefd=False),
        sys.stdout or os.fdopen(1, "w", closefd=False),
        sys.stderr or os.fdopen(2, "w", closefd=False),
    )
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    learn_how_children_end()
    if folder_is_gone():
        os.chdir(tempfile.gettempdir())
        print(f"the current directory has been deleted: relative paths begin at {os.getcwd()}", file=sys.stderr)


def learn_how_children_end() -> None:
    """Ignore SIGCHLD no longer: a program that uses the suite as a library may have inherited that."""
    if signal.getsignal(signal.SIGCHLD) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)


def cleaning() -> Callable[[], None] | None:
    """What a child has to do between fork and exec to start clean; None where it has inherited nothing."""
    ignored = [
        number for number in signal.valid_signals() - RESET_BY_SUBPROCESS if signal.getsignal(number) is signal.SIG_IGN
    ]
    if not ignored and not signal.pthread_sigmask(signal.SIG_BLOCK, ()):
        return None

    def clean() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())

    return clean


def folder_is_gone() -> bool:
    """Whether somebody has deleted the current directory: a relay started there would find none."""
    try:
        os.getcwd()
    except OSError:
        return True
    return False


def _open_if_closed(descriptor: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        opened = os.open(os.devnull, os.O_RDWR)
        if opened != descriptor:
            os.dup2(opened, descriptor)
            os.close(opened)
        os.set_inheritable(descriptor, True)
