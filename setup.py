"""Build of the compiled modules: the same files run interpreted where they are not compiled.

``TORQ_COMPILE=yes`` demands compilation, ``no`` forbids it, ``auto`` (the default) compiles when a C compiler
works and otherwise installs the interpreted files with one line that says so. ``MYPYC_OPT_LEVEL=0`` compiles twice as
fast and runs slower (3 without it).
"""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
import tomllib
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.editable_wheel import EditableStrategy, editable_wheel

sys.path.insert(0, str(Path(__file__).parent))  # a build does not look beside setup.py by itself
from compiled_docstrings import write_documented_copies

with (Path(__file__).parent / "pyproject.toml").open("rb") as _project:
    PACKAGE_FOLDERS: list[str] = tomllib.load(_project)["tool"]["setuptools"]["packages"]["find"]["where"]

# Modules of one group call each other as C functions; calls from one group to another go through Python objects.
COMPILED_GROUPS = {
    "torq_protocol.compiled": (
        "protocol/torq_protocol/batch_kernel.py",
        "protocol/torq_protocol/checksum.py",
        "protocol/torq_protocol/decoder.py",
        "protocol/torq_protocol/header.py",
        "protocol/torq_protocol/message.py",
        "protocol/torq_protocol/tlv.py",
    ),
    "torq_engine.compiled": (
        "engine/torq_engine/backlog.py",
        "engine/torq_engine/connection.py",
        "engine/torq_engine/hub.py",
    ),
}
# What mypyc is the limit of, in C: each has a fallback in Python with the same calls.
C_MODULES = {
    "torq_protocol._scanner": "protocol/torq_protocol/_scanner.c",
    "torq_engine._sockets": "engine/torq_engine/_sockets.c",
}


class OptionalBuildExt(build_ext):
    """Falls back to the interpreted files when compiling fails and ``TORQ_COMPILE`` is ``auto``."""

    def finalize_options(self) -> None:
        super().finalize_options()
        self.parallel = self.parallel or True  # one compiler for each core: no two extensions share an object file

    def run(self) -> None:
        try:
            if self.extensions:
                _document(self.extensions)
            super().run()
        except Exception as error:
            if _wanted() == "yes":
                raise
            print(f"torq: compilation failed ({error}); installing interpreted modules", file=sys.stderr)
            self.extensions = []


class EditableWheel(editable_wheel):
    """Names the folders of the packages in a ``.pth`` file: type checkers and editors read that, and no import hook.

    setuptools does so for one folder, and writes an import hook for several.
    """

    def run(self) -> None:
        _remove_what_is_compiled_no_more({each.name for each in self.distribution.ext_modules or ()})
        super().run()

    def _select_strategy(self, name: str, tag: str, build_lib: str) -> EditableStrategy:
        try:
            from setuptools.command.editable_wheel import _StaticPth
        except ImportError:  # a setuptools of another make: Torq runs, though checkers do not find its types
            return super()._select_strategy(name, tag, build_lib)
        return _StaticPth(self.distribution, name, [Path(folder) for folder in PACKAGE_FOLDERS])


def _remove_what_is_compiled_no_more(names: set[str]) -> None:
    """A compiled module of an earlier build would be imported in the place of its source."""
    for folder in PACKAGE_FOLDERS:
        for compiled in Path(folder).rglob(f"*{sysconfig.get_config_var('EXT_SUFFIX')}"):
            if ".".join(compiled.relative_to(folder).parts).split(".cpython", 1)[0] not in names:
                compiled.unlink()


def _document(extensions: list[Extension]) -> None:
    """Have the copies compiled that have the docstrings of the sources."""
    sources = [source for group in COMPILED_GROUPS.values() for source in group]
    c_files = [source for each in extensions if each.name not in C_MODULES for source in each.sources]
    copies, left_out = write_documented_copies(c_files, sources)
    for extension in extensions:
        extension.sources = [copies.get(source, source) for source in extension.sources]
    if left_out:
        print(f"torq: no place in mypyc's code for the docstrings of {', '.join(left_out)}", file=sys.stderr)


def _wanted() -> str:
    wanted = os.environ.get("TORQ_COMPILE", "auto")
    if wanted not in ("auto", "yes", "no"):
        raise SystemExit(f"torq: TORQ_COMPILE={wanted!r}: use auto, yes or no")
    return wanted


def _compiler() -> str | None:
    configured = os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc"
    return shutil.which(configured.split()[0]) or shutil.which("cc")


def _extensions() -> list[Extension]:
    wanted = _wanted()
    if wanted == "no":
        print("torq: TORQ_COMPILE=no; installing interpreted modules", file=sys.stderr)
        return []
    if wanted == "auto" and _compiler() is None:
        print("torq: no C compiler found; installing interpreted modules", file=sys.stderr)
        return []
    from mypyc.build import mypycify

    extensions: list[Extension] = []
    for group, modules in COMPILED_GROUPS.items():
        extensions += mypycify(
            list(modules), opt_level=os.environ.get("MYPYC_OPT_LEVEL", "3"), debug_level="0", group_name=group
        )
    for name, source in C_MODULES.items():
        included = [str(header) for header in Path(source).parent.glob("*.h")]
        extensions.append(Extension(name, [source], depends=included, extra_compile_args=["-O3"]))
    return extensions


setup(ext_modules=_extensions(), cmdclass={"build_ext": OptionalBuildExt, "editable_wheel": EditableWheel})
