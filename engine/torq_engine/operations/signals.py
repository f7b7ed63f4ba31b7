"""The signals that a relay hears.

Two end it, SIGHUP reloads its configuration, SIGUSR1 opens its logs anew, SIGUSR2 has a successor take over.
"""

from __future__ import annotations

import signal

ENDING = (signal.SIGTERM, signal.SIGINT)
ASKING = (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
HEARD = (*ENDING, *ASKING)


def block_signals() -> None:
    """Make the signals that a relay hears wait from now on."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)


def unblock_signals() -> None:
    """Deliver the signals that a relay hears from now on, and those that waited at once."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
