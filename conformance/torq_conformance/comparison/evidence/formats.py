"""The forms that a comparison can be reported in."""

from __future__ import annotations

from collections.abc import Callable

from ...files import json_text
from .badge import badge
from .html import page
from .junit import junit
from .markdown import markdown
from .report import Report

FORMATS: dict[str, Callable[[Report], bytes | str]] = {
    "json": json_text,
    "junit": junit,
    "html": page,
    "markdown": markdown,
    "badge": badge,
}
