"""The command line of a relay, made from the table of keys."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from ..logic import RelayLogic
from ..settings import Section
from .arguments import Parser, add_version
from .configuration import KEYS, Key
from .resolving import domain_defaults

CHECK = "check-config"
TAKEOVER = "--takeover"
_EXITS = (
    "Exit codes: 0 ended by one signal, after delivering what it had; 1 cannot listen or record; 2 wrong usage or"
    " configuration; 128 + its number: a second signal. A file and TORQ_... variables may set the same keys; flags win."
)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """The request of a command line: a file with settings or none, the keys given as flags, or a file to check.

    ``takeover`` says where the relay is that is to be taken over, empty at the usual place; None without one.
    """

    file: str
    flags: dict[str, object]
    check: str = ""
    takeover: str | None = None


def parse(logic: RelayLogic, arguments: list[str]) -> CommandLine:
    """Read a command line; ends the process with exit code 2 and a line of help when it cannot be read."""
    if arguments[:1] == [CHECK]:
        checker = Parser(
            prog=f"{logic.name}_relay {CHECK}",
            description="Say whether a file can be used, and all that is wrong with it; exit code 2 if it cannot.",
        )
        checker.add_argument("file", metavar="FILE")
        return CommandLine("", {}, checker.parse_args(arguments[1:]).file)
    given = vars(relay_parser(logic).parse_args(arguments))
    file = given.pop("config", "")
    takeover = given.pop("takeover", None)
    if given.pop("no_alias", False):
        given["aliases"] = []
    return CommandLine(file, given, takeover=takeover)


def relay_parser(logic: RelayLogic) -> Parser:
    """The parser of a relay's flags; only what was given is in its result."""
    name = f"{logic.name}_relay"
    parser = Parser(
        prog=name,
        usage=f"{name} [flags] | {name} {CHECK} FILE",
        description=f"Relay of the {logic.name} domain: every valid frame goes to every connection.",
        epilog=_EXITS,
        argument_default=argparse.SUPPRESS,
    )
    add_version(parser)
    parser.add_argument("--config", metavar="FILE", help="read settings from this TOML file (or from TORQ_CONFIG's)")
    parser.add_argument(
        TAKEOVER,
        nargs="?",
        const="",
        metavar="PATH",
        help="take the place of the relay that serves the socket, under its clients; it hears successors at PATH"
        " (default: the socket's path + .takeover). If that fails, that relay serves on, and the exit code is 1",
    )
    sections = {section: parser.add_argument_group(section) for section in Section}
    defaults = domain_defaults(logic)
    for key in KEYS.values():
        _add(sections[key.section], key, defaults.get(key.name, ""))
    sections[Section.LISTENING].add_argument("--no-alias", action="store_true", help="listen at --socket alone")
    return parser


def _add(group: argparse._ArgumentGroup, key: Key, domain_default: str) -> None:
    default = domain_default or key.shown_default or key.absent
    text = key.text + (f" (default: {default})" if default else "")
    text = text.replace("`", "").replace("%", "%%")
    if key.takes_bool:
        group.add_argument(key.flag, dest=key.name, action=argparse.BooleanOptionalAction, help=text)
    elif key.choices:
        group.add_argument(key.flag, dest=key.name, choices=key.choices, help=text)
    elif key.takes_list:
        text += "; may be repeated"
        group.add_argument(key.flag, dest=key.name, action="append", metavar=key.metavar, help=text)
    else:
        group.add_argument(key.flag, dest=key.name, metavar=key.metavar, help=text)
