"""Manual pages and completions of the engine's commands, made from what their ``--help`` is made of.

Facts: argparse-manpage and shtab read the parsers. A page holds no date, and the width of no terminal.
"""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import shtab
from argparse_manpage.manpage import Manpage  # type: ignore[import-untyped]  # it has none

from torq_domains.command import RELAYS
from torq_engine.operations.audit_command import command_parser as audit_parser
from torq_engine.operations.commands import command_parser
from torq_engine.operations.flags import relay_parser

_FILES = ("config", "file", "socket")
"""What takes the name of a file."""
_TEXT = re.compile(r"^'|^\.(?![A-Z]{1,2}\b|br$|nf$|fi$)")
"""The start of a line that is text and would be a macro."""
PARSERS: dict[str, Callable[[], argparse.ArgumentParser]] = {
    "torq-relay": lambda: command_parser(RELAYS, ""),
    "torq-audit": audit_parser,
    **{f"{logic.name}_relay": lambda logic=logic: relay_parser(logic) for logic in RELAYS.values()},  # type: ignore[misc]  # no type for a default
}


def pages() -> dict[str, Callable[[Path], str]]:
    """Each page by its path."""
    found: dict[str, Callable[[Path], str]] = {}
    for name in PARSERS:
        found[f"docs/man/{name}.1"] = lambda _, name=name: manual(name)  # type: ignore[misc]  # no type for a default
        found[f"docs/completions/{name}"] = lambda _, name=name: completion(name)  # type: ignore[misc]
    return found


def manual(name: str) -> str:
    """The manual page of a command."""
    with _anywhere():
        page = Manpage(PARSERS[name]())
        page.date, page.source, page.manual = "", "Torq", "Torq Manual"
        lines = (_TEXT.sub(r"\&\g<0>", line.rstrip()) for line in str(page).splitlines())
        return "\n".join(lines) + "\n"


def completion(name: str) -> str:
    """The completion of a command in bash."""
    with _anywhere():
        parser = PARSERS[name]()
        for each in _parsers(parser):
            for action in each._actions:
                if action.dest in _FILES:
                    action.complete = shtab.FILE  # type: ignore[attr-defined]  # where shtab looks for it
        return "\n".join(line.rstrip() for line in str(shtab.complete(parser, "bash")).splitlines()) + "\n"


def _parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                yield from _parsers(inner)


@contextmanager
def _anywhere() -> Iterator[None]:
    with mock.patch.dict(os.environ, COLUMNS="100"):
        os.environ.pop("TORQ_CONFIG", None)
        yield
