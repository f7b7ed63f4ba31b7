"""``make deb``: the relays with their units, user, configuration, manuals and completions, as one Debian package.

Facts:
- the environment is that of the units, ``/opt/torq/.venv``: Torq and the packages of ``torq[relay]``, pinned, and
  nothing from the machine that builds but the interpreter. The package depends on that interpreter's Debian version;
- ``/etc/torq/relays.toml`` is the administrator's once it is installed: dpkg keeps what was changed;
- dpkg-deb writes the archive, owned by root whoever builds it.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent
HOME = Path("opt/torq/.venv")
DOCS = {
    "docs/systemd/torq-*": "usr/lib/systemd/system",
    "docs/systemd/relays.toml": "etc/torq",
    "docs/man/*.1": "usr/share/man/man1",
    "docs/completions/*": "usr/share/bash-completion/completions",
    "docs/packaging/sysusers.conf": "usr/lib/sysusers.d/torq.conf",
    "docs/packaging/tmpfiles.conf": "usr/lib/tmpfiles.d/torq.conf",
    "LICENSE": "usr/share/doc/torq/copyright",
}
"""What of the tree goes where: into a folder, or to a file where a single one is named with its suffix."""
SCRIPTS = ("postinst", "prerm", "postrm")
CONTROL = """\
Package: torq
Version: {version}
Architecture: {architecture}
Maintainer: The Torq authors <torq@localhost>
Section: net
Priority: optional
Depends: python3 (>= {python}), python3 (<< {next_python}), systemd
Description: {description}
 The reference relays market_data_relay, signal_relay and execution_relay with
 their systemd units, torq-relay to operate them, and torq-audit.
"""


def build(wheel: Path, folder: Path) -> Path:
    """The package of a wheel, written into a folder. Raises CalledProcessError where pip or dpkg-deb fails."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    with tempfile.TemporaryDirectory() as staged:
        tree = Path(staged)
        tree.chmod(0o755)
        _install(wheel, tree)
        _link_commands(tree, sorted(project["scripts"]))
        for pattern, place in DOCS.items():
            for source in sorted(ROOT.glob(pattern)):
                target = (
                    tree / place if Path(place).suffix or place.endswith("copyright") else tree / place / source.name
                )
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                target.chmod(0o644)
        _write_control(tree, project)
        package = folder / f"torq_{project['version']}_{_architecture()}.deb"
        subprocess.run(["dpkg-deb", "--root-owner-group", "--build", tree, package], check=True, stdout=sys.stderr)
    return package


def _install(wheel: Path, tree: Path) -> None:
    """Make the environment at its staged place, its scripts naming the place where it will be."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--copies", tree / HOME], check=True)
    programs = tree / HOME / "bin"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", str(programs / "python")]
    wanted = f"torq[relay,inspect] @ {wheel.resolve().as_uri()}"
    subprocess.run([*pip, "install", "-q", "--no-compile", "-c", str(ROOT / "constraints.txt"), wanted], check=True)
    for script in programs.iterdir():
        if script.name.startswith("python"):
            script.unlink()
        elif script.read_bytes().startswith(b"#!") or script.name.lower().startswith("activate"):
            script.write_bytes(script.read_bytes().replace(bytes(tree), b""))
    for name in ("python", "python3"):
        (programs / name).symlink_to(f"/usr/bin/python{_python()}")
    configuration = tree / HOME / "pyvenv.cfg"
    configuration.write_text(f"home = /usr/bin\ninclude-system-site-packages = false\nversion = {_python()}\n", "utf-8")
    for record in (tree / HOME).rglob("direct_url.json"):
        record.unlink()


def _link_commands(tree: Path, names: list[str]) -> None:
    (tree / "usr/bin").mkdir(parents=True)
    for name in names:
        if not name.startswith(("torq-conformance", "torq-specimen")):
            (tree / "usr/bin" / name).symlink_to(f"/{HOME}/bin/{name}")


def _write_control(tree: Path, project: dict[str, str]) -> None:
    folder = tree / "DEBIAN"
    folder.mkdir()
    major, minor = sys.version_info[:2]
    text = CONTROL.format(
        version=project["version"],
        architecture=_architecture(),
        python=f"{major}.{minor}",
        next_python=f"{major}.{minor + 1}",
        description=project["description"][:80],
    )
    (folder / "control").write_text(text, "utf-8")
    (folder / "conffiles").write_text("/etc/torq/relays.toml\n", "utf-8")
    for name in SCRIPTS:
        shutil.copyfile(ROOT / "docs/packaging" / name, folder / name)
        (folder / name).chmod(0o755)


def _python() -> str:
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())


def main() -> int:
    """Build the wheel of this tree and its package in ``dist``; prints where it is."""
    if shutil.which("dpkg-deb") is None:
        print("make deb needs dpkg-deb (Debian: apt-get install dpkg)", file=sys.stderr)
        return 1
    folder = ROOT / "dist"
    folder.mkdir(exist_ok=True)
    building = "import sys; from setuptools.build_meta import build_wheel as build; print(build(sys.argv[1]))"
    words = [sys.executable, "-c", building, str(folder)]
    built = subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    print(build(folder / built.stdout.split()[-1], folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
