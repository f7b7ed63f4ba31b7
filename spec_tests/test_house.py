"""The house itself: its arrows, its constraints, what it may not contain."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

from spec_tests import generated, traceability
from torq_conformance.model.requirements import requirements

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def _tracked_text_files() -> list[Path]:
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [ROOT / name for name in names.split("\0") if name and not name.endswith((".png", ".bin"))]


def test_arrows_point_down() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_every_room_of_the_suite_has_a_row_in_the_guide_and_every_row_a_room() -> None:
    page = (ROOT / "docs/conformance.md").read_text("utf-8")
    table = page.partition("| room | for |")[2].partition("\n\n")[0]
    rooms = {path.parent.name for path in (ROOT / "conformance/torq_conformance").glob("*/__init__.py")}
    assert sorted(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == sorted(rooms)
    assert "| the ground |" in table


def test_the_floors_in_the_guide_are_those_of_the_contract() -> None:
    page = (ROOT / "docs/conformance.md").read_text("utf-8")
    shown = page.partition("The rooms stand on floors.")[2].split("```")[1].splitlines()[1:]
    contracts = PROJECT["tool"]["importlinter"]["contracts"]
    [layers] = [each["layers"] for each in contracts if each.get("containers") == ["torq_conformance"]]
    assert shown == layers


def test_every_dependency_is_pinned_in_the_constraints() -> None:
    pins = {
        re.sub(r"[-_.]+", "-", line.split("==")[0]).lower()
        for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()
        if line and not line.startswith("#")
    }
    wanted = PROJECT["build-system"]["requires"] + PROJECT["project"]["dependencies"]
    for extra in PROJECT["project"]["optional-dependencies"].values():
        wanted += extra
    names = {re.sub(r"[-_.]+", "-", re.split(r"[\[<>=;\s]", each)[0]).lower() for each in wanted} - {"torq"}
    assert names <= pins, f"not in constraints.txt: {sorted(names - pins)}"


def test_constraints_are_plain_pins_without_download_addresses() -> None:
    for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines():
        assert re.fullmatch(r"(#.*|[A-Za-z0-9._-]+==[A-Za-z0-9.+!]+(; .*)?)?", line), line


def test_nothing_refers_to_a_place_outside_the_repository() -> None:
    outside = re.compile(r"\.\./shared|/root/|/home/[a-z]|/work/")
    for path in _tracked_text_files():
        found = outside.search(path.read_text("utf-8", errors="replace"))
        assert found is None or path == Path(__file__), f"{path.relative_to(ROOT)} names {found}"


def test_every_long_file_of_the_docs_has_a_reason(tmp_path: Path) -> None:
    assert generated.too_long(ROOT / "docs") == []
    for name, lines in (
        ("short.md", generated.MOST_LINES),
        ("long.md", generated.MOST_LINES + 1),
        ("traceability.md", 9999),
    ):
        (tmp_path / name).write_text("\n" * lines)
    [problem] = generated.too_long(tmp_path)
    assert problem.startswith(f"{tmp_path / 'long.md'} has 501 lines, 500 at most")


def test_every_requirement_has_a_test_named_after_it() -> None:
    tests = traceability.tests_by_requirement(ROOT)
    later = {"LIFE-3", "LIFE-4", "LIFE-5"}
    wanted = {each.id for each in requirements().values() if each.level != "FIGURE"} - later
    assert wanted <= set(tests), f"no test is named after {sorted(wanted - set(tests))}"
