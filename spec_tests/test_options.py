"""Every option that a page names in its text is one of the command that it names it with, or of one of ours."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from torq_bench.__main__ import main as torq_bench
from torq_conformance.cli import cli as torq_conformance
from torq_conformance.specimens import cli as specimens
from torq_protocol.inspect import cli as inspect

from .manuals import PARSERS
from .pages.reading import name_of, pages

_FENCE = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`([^`]+)`")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*(?<!-)(?![\w-])")
_QUOTED = re.compile(r"'[^']*'")
_MODULE = re.compile(r"python3? -m ([\w.]+)")
CLICK: dict[str, click.Command] = {"torq-conformance": torq_conformance, "torq_bench": torq_bench}
ARGPARSE: dict[str, Callable[[], argparse.ArgumentParser]] = {
    **PARSERS,
    "torq-inspect": inspect._parser,
    "torq-specimen": specimens._parser,
}


def words_of(command: click.Command) -> Iterator[str]:
    """The options of a command and of those below it, and what these are called."""
    context = click.Context(command)
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option):
            yield from (*parameter.opts, *parameter.secondary_opts)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            yield name
            below = command.get_command(context, name)
            assert below is not None
            yield from words_of(below)


def words_of_parser(parser: argparse.ArgumentParser) -> Iterator[str]:
    for action in parser._actions:
        yield from action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            for name, below in action.choices.items():
                yield name
                yield from words_of_parser(below)


def helped(*words: str) -> frozenset[str]:
    said = subprocess.run((sys.executable, "-m", *words, "--help"), capture_output=True, text=True, check=True).stdout
    return frozenset(_OPTION.findall(said))


@cache
def words_of_program(name: str) -> frozenset[str] | None:
    """What may stand behind a program of ours; None for another."""
    if name in CLICK:
        return frozenset(words_of(CLICK[name]))
    if name in ARGPARSE:
        return frozenset(words_of_parser(ARGPARSE[name]()))
    return helped(name) if name.startswith("spec_tests.") else None


@cache
def words_of_any() -> frozenset[str]:
    named = [words_of_program(name) or frozenset() for name in (*CLICK, *ARGPARSE)]
    return frozenset().union(*named, helped("pytest"))


def allowed_in(code: str, modules: Iterable[str] = ()) -> frozenset[str] | None:
    """The options that may stand in ``code``, those of ``modules`` too; None where another program is named."""
    module = _MODULE.match(code)
    first = module[1] if module else code.split(maxsplit=1)[0]
    if first.startswith("-") or first in words_of_any():
        return words_of_any().union(*(words_of_program(name) or () for name in modules))
    return words_of_program(first)


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_each_option_that_is_named_exists(page: Path) -> None:
    text = _FENCE.sub("", page.read_text("utf-8"))
    codes = [unquoted for code in _CODE.findall(text) if (unquoted := _QUOTED.sub("", code).strip())]
    modules = [module[1] for code in codes if (module := _MODULE.match(code))]
    found = [(option, code) for code in codes for option in _OPTION.findall(code)]
    wrong = []
    for option, code in found:
        allowed = allowed_in(code, modules)
        if allowed is not None and option not in allowed:
            wrong.append((option, code))
    assert not wrong


@pytest.mark.parametrize("code", ["--no-such x", "torq-relay ctl --no-such", "ctl --no-such", "signal_relay --runs 2"])
def test_an_option_that_is_none_is_seen(code: str) -> None:
    allowed = allowed_in(code)
    assert allowed is not None
    assert not allowed.issuperset(_OPTION.findall(code))
