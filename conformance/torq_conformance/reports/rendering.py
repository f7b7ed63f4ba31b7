"""Fills the templates of pages and drawings, which stand in ``templates/`` with the CSS and the script of HTML pages.

Facts: a page is one file and asks for no other, so the CSS and the script are written into it. The hidden
characters of a text that a template shows are made visible. A template of HTML or SVG escapes the text as well; one of
Markdown names the form that the text gets where it stands. A name that a template misspells is an error.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from ..counting import counted, grouped
from ..printable import visible
from .model import VERDICTS

if TYPE_CHECKING:
    from jinja2 import Environment

_IN_A_NUMBER = re.compile(r"(?<=\d) (?=\d{3}(?!\d)|%)")


def words(text: str) -> Markup:
    """Text of the suite, escaped, in which no number wraps: its inner spaces become narrow no-break ones."""
    return Markup(_IN_A_NUMBER.sub("\u202f", escape(visible(text))))  # noqa: S704 - it is escaped


def render(template: str, **values: object) -> str:
    """The template of this name, filled."""
    return _environment().get_template(template).render(values)


def _shown(value: object) -> object:
    """What a template shows of a value: its text as it is seen; markup stays as it is."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _ours(name: str) -> Markup:
    return Markup(files(__package__).joinpath("templates", name).read_text("utf-8"))  # noqa: S704 - our own file


@cache
def _environment() -> Environment:
    """What fills every template; jinja2 is imported here, for most runs write no page."""
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=select_autoescape(disabled_extensions=("md.j2",), default=True),
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"counted": counted, "grouped": grouped, "words": words}
    environment.globals |= {
        "verdicts": VERDICTS,
        "style": _ours("colours.css") + _ours("page.css"),
        "script": _ours("page.js"),
    }
    return environment
