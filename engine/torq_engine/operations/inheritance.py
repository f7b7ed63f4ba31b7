"""The state in which every command begins, whatever the process that started it left behind (LIFE-5).

Facts:
- exec keeps blocked and ignored signals, the umask, limits, the working directory, and all descriptors without
  FD_CLOEXEC. Virtual machines and thread pools block signals, nohup ignores one, ``&`` in a script two, a container may
  start with any of them; daemon(7) has a daemon set all of this right first;
- SIGHUP, SIGINT, SIGQUIT and those of job control stay ignored: that is nohup's and the shell's to say. A relay and a
  supervisor hear the first two all the same, as they handle them. Python itself ignores SIGPIPE and SIGXFSZ: what is
  written to a closed pipe, or past the largest file, is an error there;
- while SIGCHLD is ignored the kernel forgets how a child ended, and every relay seems to have failed;
- what Python opens has FD_CLOEXEC, so a descriptor above 2 without it was inherited. A relay that kept a pipe of its
  starter open would keep the pipe's reader waiting as long as it lives. Kept are the sockets that systemd passed, and
  descriptors that a word of the command line or of the environment names: ``<(...)`` of a shell is ``/dev/fd/63``.
  Where /proc is not mounted nobody knows what leaked, and it stays;
- a deleted working directory stays as it is: absolute paths do not need it, and a relative one would mean something
  else in any other.
"""

from __future__ import annotations

import fcntl
import os
import re
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress

from .signals import ASKING
from .systemd import passed_descriptors

OWN_USER_ONLY = 0o077
"""The umask of every command: what it creates is for its own user alone, unless a mode is set explicitly (SEC-1)."""
_LEFT_IGNORED = frozenset(
    {
        signal.SIGHUP,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGTSTP,
        signal.SIGTTIN,
        signal.SIGTTOU,
        signal.SIGPIPE,
        signal.SIGXFSZ,
    }
)
_STANDARD = 3
_NAMED = re.compile(r"/(?:dev|proc/self)/fd/([0-9]{1,9})(?![0-9])")


def begin_afresh(*, hears: bool) -> None:
    """Set right what this process inherited. Called once, by the process's own command, before it opens anything.

    ``hears``: the command acts on SIGHUP and SIGUSR1. They wait until it does, where they would end any other command.
    """
    _raise_descriptor_limit()
    _fill_standard_descriptors()
    _close_leaked_descriptors(sys.argv, os.environ)
    os.umask(OWN_USER_ONLY)
    for number in signal.valid_signals() - _LEFT_IGNORED:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ASKING if hears else ())


def _fill_standard_descriptors() -> None:
    """Let no socket get the number to which somebody prints."""
    with suppress(OSError):
        while (descriptor := os.open(os.devnull, os.O_RDWR)) < _STANDARD:
            pass
        os.close(descriptor)


def _close_leaked_descriptors(words: Sequence[str], environment: Mapping[str, str]) -> None:
    named = {int(number) for word in (*words, *environment.values()) for number in _NAMED.findall(word)}
    passed = passed_descriptors(environment)
    for descriptor in _open_descriptors():
        if descriptor < _STANDARD or descriptor in named or descriptor in passed:
            continue
        with suppress(OSError):  # the one that listed them is closed by now
            if not fcntl.fcntl(descriptor, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
                os.close(descriptor)


def _open_descriptors() -> list[int]:
    try:
        return [int(name) for name in os.listdir("/proc/self/fd")]
    except OSError:  # no /proc, as in some chroots: what leaked stays
        return []


def _raise_descriptor_limit() -> None:
    """As many descriptors as we may have, whether ``max_connections`` is set or not (CONN-10)."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
