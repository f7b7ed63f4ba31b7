"""What the suite lacks is told apart from what a relay does."""

import errno
import os
import resource
import socket

import pytest

from torq_conformance.errors import ImpededError
from torq_conformance.impediments import LACKS, SPARE_DESCRIPTORS, impeded, keep_spare, told, unjudged


@pytest.mark.parametrize("number", LACKS, ids=errno.errorcode.get)
def test_what_the_suite_lacks_is_no_failure_of_a_relay(number: int) -> None:
    with pytest.raises(ImpededError, match=f"lacks {LACKS[number].partition('(')[0]}") as lack, told("to connect"):
        raise OSError(number, os.strerror(number))
    assert "could not be judged, because the suite lacks" in unjudged(lack.value)
    assert os.strerror(number) in str(lack.value)


@pytest.mark.parametrize(
    "number",
    [errno.ECONNREFUSED, errno.ECONNRESET, errno.EPIPE, errno.ENOENT, errno.EACCES, errno.EPERM, errno.ETIMEDOUT],
    ids=errno.errorcode.get,
)
def test_what_a_relay_can_cause_stays_its_own(number: int) -> None:
    assert not impeded(OSError(number, ""))
    with pytest.raises(OSError, match="seen"), told("to connect"):
        raise OSError(number, "seen")


def test_a_client_leaves_descriptors_for_the_relay() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as sock:
        keep_spare(sock.fileno())
    keep_spare(soft - SPARE_DESCRIPTORS - 1)
    with pytest.raises(ImpededError, match=rf"may have {soft} \(ulimit -n\)"):
        keep_spare(soft - SPARE_DESCRIPTORS)
