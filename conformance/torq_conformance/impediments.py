"""What the suite itself may lack, told apart from what a relay does: a lack of the suite is never a relay's failure.

Facts:
- a relay cannot cause these errors at the suite's end of a connection; the machine and its limits do;
- missing rights are not among them: a relay may take the rights of its socket away, and a command may be no program.
"""

from __future__ import annotations

import contextlib
import errno
import resource
from collections.abc import Iterator

from .errors import ImpededError

LACKS = {
    errno.EMFILE: "descriptors (ulimit -n)",
    errno.ENFILE: "descriptors of the whole system (fs.file-max)",
    errno.ENOMEM: "memory",
    errno.ENOBUFS: "memory for sockets",
    errno.ENOSPC: "room on the disk",
    errno.EDQUOT: "room on the disk",
    errno.EADDRNOTAVAIL: "free local ports or addresses",
}
SPARE_DESCRIPTORS = 24
"""Descriptors that stay free in the suite: a relay with the same limit needs its own for other things too."""


def impeded(error: OSError) -> str:
    """What the suite lacks, as the error says; "" for any other error."""
    return LACKS.get(error.errno or 0, "")


def unjudged(lack: ImpededError) -> str:
    """The reason of a verdict that a lack of the suite leaves open."""
    return f"could not be judged, because {lack}"


@contextlib.contextmanager
def told(what: str) -> Iterator[None]:
    """Raises ImpededError in place of an OSError which says that the suite lacks something for ``what``."""
    try:
        yield
    except OSError as error:
        tell(error, what)
        raise


def tell(error: OSError, what: str) -> None:
    """Raises ImpededError where an error says that the suite lacks something for ``what``."""
    lack = impeded(error)
    if lack:
        raise ImpededError(f"the suite lacks {lack} {what}: {error.strerror or error}") from error


def keep_spare(descriptor: int) -> None:
    """Raises ImpededError where a new descriptor leaves too few free; its number says how many are taken."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and descriptor + SPARE_DESCRIPTORS >= soft:
        raise ImpededError(
            f"the suite lacks descriptors for one more client: it and the relays that it starts may have {soft} "
            "(ulimit -n)"
        )
