"""What is installed and how it runs: the version, and which modules are compiled.

Every compiled module runs interpreted as well, from the same file. :func:`interpreted_package` imports the package a
second time with compiled modules left aside, so that tests and benchmarks can hold the two against each other.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

COMPILED_MODULES = ("_scanner", "batch_kernel", "checksum", "decoder", "header", "message", "tlv")
"""The modules of this package that are compiled where a C compiler is there."""
_TWIN = f"{__package__}_interpreted"


@dataclass(frozen=True, slots=True)
class BuildInfo:
    """``version`` of the distribution and, by name, which of :data:`COMPILED_MODULES` run compiled or interpreted."""

    version: str
    compiled: tuple[str, ...]
    interpreted: tuple[str, ...]

    def __str__(self) -> str:
        if not self.interpreted:
            return f"torq {self.version} (compiled)"
        if not self.compiled:
            return f"torq {self.version} (interpreted)"
        return f"torq {self.version} (compiled, but {', '.join(self.interpreted)} interpreted)"


@cache
def build_info() -> BuildInfo:
    """What is running; ``str()`` of it is the line for ``--version`` and logs."""
    from importlib.metadata import PackageNotFoundError, version  # slow to import, and only this needs it

    try:
        installed = version("torq")
    except PackageNotFoundError:
        installed = "unknown"
    compiled = tuple(name for name in COMPILED_MODULES if _is_compiled(name))
    return BuildInfo(installed, compiled, tuple(name for name in COMPILED_MODULES if name not in compiled))


def _is_compiled(name: str) -> bool:
    try:
        file = import_module(f"{__package__}.{name}").__file__
    except ImportError:  # a module in C that was not built: its fallback has another name
        return False
    return file is not None and not file.endswith(".py")


def interpreted_package() -> ModuleType:
    """This package once more, every module interpreted, under the name ``torq_protocol_interpreted``.

    Its classes are others than those of the package itself: compare values and kinds, not types.
    """
    if _TWIN not in sys.modules:
        sys.meta_path.insert(0, _SourceFinder())
    return import_module(_TWIN)


class _SourceFinder:
    """Finds the modules of the twin in this package's .py files, whatever compiled modules lie beside them."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != _TWIN:
            return None
        from importlib import util  # slow to import, and a relay does without

        place = Path(__file__).parent.joinpath(*fullname.split(".")[1:])
        if place.is_dir():
            return util.spec_from_file_location(
                fullname, place / "__init__.py", submodule_search_locations=[str(place)]
            )
        source = place.with_suffix(".py")
        if not source.is_file():  # a module in C: its fallback is taken
            raise ModuleNotFoundError(f"{fullname} has no interpreted form", name=fullname)
        return util.spec_from_file_location(fullname, source)
