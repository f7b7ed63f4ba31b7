"""The command line of a relay, made from the table of keys."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

import msgspec

from torq_protocol.build_info import build_info

from ..logic import RelayLogic
from .configuration import KEYS, Key
from .loading import alternatives

CHECK = "check-config"
_EXITS = (
    "Exit codes: 0 ended by one signal, after delivering what it had; 1 cannot listen or record; 2 wrong usage or"
    " configuration; 128 + its number: a second signal. A file and TORQ_... variables may set the same keys; flags win."
)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What was asked: a file with settings or none, the keys given as flags, or a file only to be checked."""

    file: str
    flags: dict[str, object]
    check: str = ""


def parse(logic: RelayLogic, arguments: list[str]) -> CommandLine:
    """Read a command line; ends the process with exit code 2 and a line of help when it cannot be read."""
    if arguments[:1] == [CHECK]:
        checker = argparse.ArgumentParser(
            prog=f"{logic.name}_relay {CHECK}", description="Say whether a file can be used; exit code 1 if it cannot."
        )
        checker.add_argument("file", metavar="FILE")
        return CommandLine("", {}, checker.parse_args(arguments[1:]).file)
    given = vars(relay_parser(logic).parse_args(arguments))
    file = given.pop("config", "")
    if given.pop("no_alias", False):
        given["aliases"] = []
    return CommandLine(file, given)


def relay_parser(logic: RelayLogic) -> argparse.ArgumentParser:
    """The parser of a relay's flags; only what was given is in its result."""
    parser = argparse.ArgumentParser(
        prog=f"{logic.name}_relay",
        usage=f"{logic.name}_relay [flags] | {logic.name}_relay {CHECK} FILE",
        description=f"Relay of the {logic.name} domain: every valid frame goes to every connection.",
        epilog=_EXITS,
        argument_default=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show what is installed and how it runs, and exit")
    parser.add_argument("--config", metavar="FILE", help="read settings from this TOML file (or from TORQ_CONFIG's)")
    sections: dict[str, argparse._ArgumentGroup] = {}
    for key in KEYS.values():
        if key.section not in sections:
            sections[key.section] = parser.add_argument_group(key.section)
        _add(sections[key.section], key, logic)
    sections[KEYS["aliases"].section].add_argument("--no-alias", action="store_true", help="listen at --socket alone")
    return parser


class _Version(argparse.Action):
    """Says the version; it is looked up only when asked for, which takes longer than all other parsing."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: object,
        option_string: str | None = None,
    ) -> None:
        print(f"{parser.prog}: {build_info()}")
        parser.exit()


def _add(group: argparse._ArgumentGroup, key: Key, logic: RelayLogic) -> None:
    text = key.text.replace("`", "").replace("%", "%%")
    if key.default not in (None, ""):
        text += f" (default: {str(key.default).lower() if isinstance(key.default, bool) else key.default})"
    elif key.name == "socket":
        text = f"{text.partition(';')[0]} (default: {logic.socket_path})"
    elif key.name == "aliases" and logic.alias_paths:
        text = f"{text.partition(';')[0]} (default: {', '.join(logic.alias_paths)}, unless --socket is given)"
    kinds = [kind for kind in alternatives(key.kind) if not isinstance(kind, msgspec.inspect.NoneType)]
    kind = kinds[0]
    if isinstance(kind, msgspec.inspect.BoolType):
        group.add_argument(key.flag, dest=key.name, action=argparse.BooleanOptionalAction, help=text)
    elif isinstance(kind, msgspec.inspect.LiteralType):
        group.add_argument(key.flag, dest=key.name, choices=kind.values, help=text)
    elif isinstance(kind, msgspec.inspect.ListType):
        group.add_argument(key.flag, dest=key.name, action="append", metavar="X", help=f"{text}; may be repeated")
    else:
        group.add_argument(key.flag, dest=key.name, metavar=_metavar(key), help=text)


def _metavar(key: Key) -> str:
    unit = key.unit.split()[0] if key.unit else "X"
    return {"path,": "PATH", "path": "PATH", "s": "SECONDS", "127.0.0.1:PORT,": "ADDRESS"}.get(unit, unit.upper())
