"""What docs/payload_classes.md says of importing the library."""

from __future__ import annotations

import subprocess
import sys


def test_clients_do_not_pay_for_the_schema_when_they_import_the_library() -> None:
    loaded = "import sys, torq_protocol; print(*(m for m in ('construct', 'torq_protocol.schema') if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "\n"
