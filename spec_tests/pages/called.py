"""A page run as ``make docs-run`` does, for the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from .reading import ROOT


def run(page: Path) -> subprocess.CompletedProcess[str]:
    words = (sys.executable, "-m", "spec_tests.pages", "--quick", str(page))
    return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
