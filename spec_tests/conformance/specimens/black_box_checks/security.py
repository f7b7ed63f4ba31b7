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
        refused_start = subject.start(path=path)
        try:
            assert refused_start.first_line == ""
            assert "writable by others" in refused_start.stderr()
        finally:
            refused_start.close()
