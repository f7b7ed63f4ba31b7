"""SEC: who may reach a relay."""

import os
import stat

from spec_tests.conformance.specimens.black_box_checks.subject import Subject, check
from spec_tests.conformance.specimens.specimen_process import Specimen


@check("SEC-1")
def socket_and_directory_are_the_owners_alone(subject: Subject) -> None:
    with Specimen("legacy-sink") as room:
        path = os.path.join(room.directory, "new", "s.sock")
        with subject.start(path=path) as relay:
            relay.joined(1, subject.ping)
            assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
            assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
        os.chmod(os.path.dirname(path), 0o770)
        does_not_start(subject, path)
        os.chmod(os.path.dirname(path), 0o700)
        if os.geteuid() == 0:
            os.chown(os.path.dirname(path), 65_534, -1)
            does_not_start(subject, path)


def does_not_start(subject: Subject, path: str) -> None:
    second = subject.start(path=path)
    try:
        assert second.first_line == ""
        assert "belongs to another user or is writable by others" in second.stderr()
    finally:
        second.close()
