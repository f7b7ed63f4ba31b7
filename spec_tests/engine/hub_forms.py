"""The hub in both forms of its one file: as it is installed (compiled, where a compiler was there), and interpreted.

Only the modules that are compiled exist twice; all else is shared, so that reasons and settings are the same objects.
"""

from __future__ import annotations

import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import torq_engine
from torq_engine import accounting, handover, port, settings
from torq_engine.handover import state
from torq_engine.hub import Hub

COMPILED_MODULES = ("backlog", "connection", "hub")
"""The modules of the engine that are compiled, each before those that import it."""
_TWIN = f"{torq_engine.__name__}_interpreted"


def _interpreted_hub() -> type[Hub]:
    """The class of hub.py as Python runs it, under the package name ``torq_engine_interpreted``."""
    sys.modules[_TWIN] = ModuleType(_TWIN)
    for shared in (accounting, handover, state, port, settings):
        sys.modules[shared.__name__.replace(torq_engine.__name__, _TWIN)] = shared
    assert torq_engine.__file__ is not None
    for name in COMPILED_MODULES:
        source = Path(torq_engine.__file__).with_name(f"{name}.py")
        spec = spec_from_file_location(f"{_TWIN}.{name}", source)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[spec.name] = module = module_from_spec(spec)
        spec.loader.exec_module(module)
    twin: type[Hub] = module.Hub
    return twin


HUBS: dict[str, type[Hub]] = {"installed": Hub, "interpreted": _interpreted_hub()}
"""The class in each form, by what it is called in the names of tests."""
