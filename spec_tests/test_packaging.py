"""The Debian package and the container hold what the units name, at the places that they name."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tomllib
from pathlib import Path

import debian_package
import pytest

from .test_distribution import _built, _run, _source_tree

ROOT = Path(__file__).resolve().parent.parent
UNITS = sorted((ROOT / "docs/systemd").glob("torq-*"))
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
INSTRUCTIONS = [
    line.split(" ", 1)
    for line in (ROOT / "Containerfile").read_text("utf-8").splitlines()
    if line and not line.startswith("#")
]


def told(instruction: str) -> list[str]:
    return [rest for name, rest in INSTRUCTIONS if name == instruction]


def programs_and_files(unit: Path) -> set[str]:
    """The absolute paths below /opt and /etc that a unit's commands name."""
    lines = re.findall(r"^Exec\w+=(.*)$", unit.read_text("utf-8"), re.M)
    return {word for line in lines for word in line.split() if word.startswith(("/opt/", "/etc/"))}


NAMED = set().union(*map(programs_and_files, UNITS))


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb on this machine")
def test_the_debian_package_has_all_that_its_units_name_and_runs(tmp_path: Path) -> None:
    wheel = _built(_source_tree(tmp_path / "tree"), tmp_path, TORQ_COMPILE="no")
    package = debian_package.build(wheel, tmp_path)
    unpacked = tmp_path / "unpacked"
    _run("dpkg-deb", "--raw-extract", package, unpacked)
    assert len(NAMED) == 4
    for path in NAMED:
        assert (unpacked / path[1:]).is_file(), path
    for unit in UNITS:
        assert (unpacked / "usr/lib/systemd/system" / unit.name).read_bytes() == unit.read_bytes()
    assert (unpacked / "DEBIAN/conffiles").read_text("ascii") == "/etc/torq/relays.toml\n"
    programs = unpacked / "opt/torq/.venv/bin"
    for link in (unpacked / "usr/bin").iterdir():
        script = unpacked / os.readlink(link)[1:]
        assert link.name in SCRIPTS
        assert script.read_text("utf-8").startswith("#!/opt/torq/.venv/bin/python")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert os.readlink(programs / "python") == f"/usr/bin/python{version}"
    assert not any(str(tmp_path).encode() in each.read_bytes() for each in programs.iterdir() if each.is_file())
    packages = unpacked / f"opt/torq/.venv/lib/python{version}/site-packages"
    checking = f"import sys; sys.path[:] = [p for p in sys.path if 'site-packages' not in p] + [{str(packages)!r}]\n"
    checking += f"sys.argv[1:] = ['check-config', {str(unpacked / 'etc/torq/relays.toml')!r}]\n"
    checking += "from torq_domains.command import main; main()"
    assert "can be used by market_data, signal, execution" in _run(sys.executable, "-S", "-c", checking, cwd=tmp_path)
    contents = _run("dpkg-deb", "--contents", package)
    for line in contents.splitlines():
        mode, owner = line.split()[:2]
        assert owner == "root/root"
        assert mode[0] == "l" or (mode[5], mode[8]) == ("-", "-"), f"others may write: {line}"


def test_the_user_the_folder_and_the_sockets_are_those_of_the_units() -> None:
    [user] = {name for unit in UNITS for name in re.findall(r"^(?:Socket)?User=(\w+)$", unit.read_text("utf-8"), re.M)}
    sysusers = (ROOT / "docs/packaging/sysusers.conf").read_text("utf-8").split()
    assert sysusers[:2] == ["u", user]
    sockets = [path for unit in UNITS for path in re.findall(r"^ListenStream=(.*)$", unit.read_text("utf-8"), re.M)]
    kind, folder, mode, *_ = (ROOT / "docs/packaging/tmpfiles.conf").read_text("utf-8").split()
    assert (kind, {folder}, mode) == ("d", {str(Path(path).parent) for path in sockets}, "0755")
    settings = tomllib.loads((ROOT / "docs/systemd/relays.toml").read_text("utf-8"))
    assert sorted(one["socket"] for one in settings.values() if isinstance(one, dict)) == sorted(sockets)


@pytest.mark.parametrize("name", debian_package.SCRIPTS)
def test_the_package_s_scripts_are_shell_and_touch_no_other_unit(name: str) -> None:
    script = ROOT / "docs/packaging" / name
    _run("sh", "-n", script)
    stems = {unit.name for unit in UNITS} | {unit.stem for unit in UNITS}
    assert set(re.findall(r"torq-[\w.]+", script.read_text("utf-8"))) <= stems


def test_the_container_copies_what_is_there_and_runs_what_the_guide_runs() -> None:
    guide = (ROOT / "docs/operations.md").read_text("utf-8")
    for copied in told("COPY"):
        *sources, _ = [word for word in copied.split() if not word.startswith("--")]
        if "--from=" not in copied:
            assert all((ROOT / source).exists() for source in sources), copied
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    for command in told("RUN"):
        for word in re.findall(r"\bmake ([a-z-]+)$", command):
            assert word in targets
            assert f"\nmake {word}" in guide
    assert "useradd --system --no-create-home torq" in told("RUN")
    assert "$ sudo useradd --system --no-create-home torq" in guide
    [[entry]], [words] = map(json.loads, told("ENTRYPOINT")), map(json.loads, told("CMD"))
    assert Path(entry).parent.as_posix() in {Path(path).parent.as_posix() for path in NAMED}
    assert Path(entry).name in SCRIPTS
    assert words[-1] in NAMED
    assert f"COPY docs/systemd/relays.toml {words[-1]}" in {" ".join(each) for each in INSTRUCTIONS}
    made = {word for command in told("RUN") for word in command.split() if word.startswith(("/run/", "/var/"))}
    settings = tomllib.loads((ROOT / "docs/systemd/relays.toml").read_text("utf-8"))
    for one in settings.values():
        if isinstance(one, dict):
            assert {str(Path(one[key]).parent) for key in ("socket", "control_socket")} <= made
    assert {json_path for each in told("VOLUME") for json_path in json.loads(each)} <= made
    assert dict(each.split("=") for each in told("ENV"))["STATE_DIRECTORY"] in made
