"""``python -m spec_tests.coverage_table [PACKAGE...]``: lines and branches covered; fails where a bound is not kept.

Reads what ``pytest --cov`` left behind. Exit code 1: fewer branches of engine and domains taken than promised.
"""

from __future__ import annotations

import sys
from pathlib import PurePath

from coverage import Coverage
from coverage.results import Numbers

PROMISED = {"torq_engine": 95.0, "torq_domains": 95.0}
"""Branches that must be covered, in per cent, by package; the others that were measured are printed only."""


def measured(data: Coverage, *only: str) -> dict[str, Numbers]:
    """Counts of every package that was measured, or of those named."""
    data.load()
    packages: dict[str, Numbers] = {}
    for file in sorted(data.get_data().measured_files()):
        package = next(part for part in PurePath(file).parts if part.startswith("torq_"))
        packages[package] = packages.get(package, Numbers()) + data._analyze(file).numbers
    return {package: numbers for package, numbers in packages.items() if not only or package in only}


def table(packages: dict[str, Numbers]) -> tuple[list[str], bool]:
    """One line for each package, and whether all keep what is promised."""
    lines = [f"{'coverage':18}{'lines':>16}{'branches':>16}"]
    kept = True
    for package, numbers in packages.items():
        branches = 100 * numbers.n_executed_branches / max(1, numbers.n_branches)
        statements = 100 * numbers.n_executed / max(1, numbers.n_statements)
        short = branches < PROMISED.get(package, 0.0)
        kept = kept and not short
        remark = f"  fewer than {PROMISED[package]:.0f} %; make coverage shows which" if short else ""
        lines.append(
            f"{package:18}{statements:8.1f} % {numbers.n_statements:5}{branches:8.1f} % {numbers.n_branches:5}{remark}"
        )
    missing = sorted(PROMISED.keys() - packages.keys())
    return lines + [f"{package}: nothing was measured" for package in missing], kept and not missing


if __name__ == "__main__":
    lines, kept = table(measured(Coverage(), *sys.argv[1:]))
    print("\n".join(lines))
    sys.exit(0 if kept else 1)
