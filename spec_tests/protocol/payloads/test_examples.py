"""The examples of docs/payload_classes.md run as they stand."""

from __future__ import annotations

import doctest
import subprocess
import sys
from pathlib import Path

PAGE = Path(__file__).parents[3] / "docs" / "payload_classes.md"


def test_every_example_of_the_page_gives_what_it_shows() -> None:
    failures, examples = doctest.testfile(str(PAGE), module_relative=False)
    assert examples >= 20
    assert failures == 0


def test_clients_do_not_pay_for_the_schema_when_they_import_the_library() -> None:
    loaded = "import sys, torq_protocol; print(*(m for m in ('construct', 'torq_protocol.schema') if m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "\n"
