"""The command ``torq-conformance``: a group whose commands are the files of ``commands/``, imported when used.

A command is a module of that folder with a click command named ``command``; the first line of the module's docstring is
its line in ``--help``. The exit codes are those of :class:`~torq_conformance.exits.Exit`.
"""

from __future__ import annotations

import ast
import contextlib
import difflib
import errno
import importlib
import io
import os
import sys
import traceback
from functools import cache
from pathlib import Path
from typing import Never

import click

from torq_protocol.build_info import build_info

from .errors import ConformanceError, ImpededError, OutputError
from .exits import Exit
from .impediments import impeded
from .interruption import Terminated, install
from .printable import visible

COMMANDS = Path(__file__).with_name("commands")
FIRST = ("run", "replay", "explain", "compare", "matrix")
"""Commands in the order in which a newcomer needs them; the others follow by name."""
TRACEBACK_VARIABLE = "TORQ_TRACEBACK"


@cache
def command_names() -> tuple[str, ...]:
    """The names of the commands, from the names of the files in ``commands/``."""
    found = {path.stem.replace("_", "-") for path in COMMANDS.glob("*.py") if not path.stem.startswith("_")}
    return tuple(sorted(found, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name)))


class CommandFolder(click.Group):
    """A group that finds its commands in a folder, and takes ``run`` when the line names none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(command_names())

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in command_names():
            return None
        module = importlib.import_module(f".commands.{cmd_name.replace('-', '_')}", __package__)
        command = module.command
        if not isinstance(command, click.Command):
            raise TypeError(f"commands/{cmd_name}.py exports no click command named 'command'")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands from their docstrings, so that ``--help`` imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, _first_line(name)) for name in command_names()])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args:
            args = ["--help"]
        elif args[0] not in (*command_names(), "--help", "--version", "-h"):
            if not args[0].startswith("-"):
                _unknown_command(args[0], ctx)
            args = ["run", *args]
        return super().parse_args(ctx, args)


def _first_line(name: str) -> str:
    source = (COMMANDS / f"{name.replace('-', '_')}.py").read_text("utf-8")
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]


def _unknown_command(name: str, ctx: click.Context) -> Never:
    if "/" in name or name.startswith(("unix:", "tcp:")):
        raise click.UsageError(f"{name!r} is no command; to judge the relay there: --target {name}", ctx)
    near = difflib.get_close_matches(name, command_names(), n=1)
    hint = f"did you mean {near[0]}?" if near else f"the commands are {', '.join(command_names())}"
    raise click.UsageError(f"no command is called {name!r}; {hint}", ctx)


@click.group(cls=CommandFolder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(str(build_info()), prog_name="torq-conformance", message="%(prog)s: %(version)s")
def cli() -> None:
    """Judge any relay of the Torq platform, in any language, by its requirements.

    \b
    Begin with one of these:
      torq-conformance --domain signal                      the built-in reference relay: shows what a run looks like
      torq-conformance --target /tmp/torq/signal.sock       a relay that runs already
      torq-conformance --exec 'my_relay {socket}' --domain signal
                                                            a relay that is started afresh, on a private socket

    \b
    Then, for what failed:
      torq-conformance explain FRAME-1                      what is required, why, and how it is tested
      torq-conformance replay torq-failures/my_relay/FRAME-1-signal-reference.json --target ...

    Options without a command go to run: torq-conformance run --help lists them. Colours are for terminals only, and
    none are shown with NO_COLOR=1 in the environment.

    \b
    Exit codes: 0 every MUST that was judged holds; 1 something fails or is flaky; 2 wrong usage, no target,
    output that cannot be written, or an error of the suite itself; 3 a MUST could not be judged; 130 interrupted;
    143 ended by SIGTERM or SIGHUP.
    """


def main() -> None:
    """Entry point: no traceback reaches the user of a command, and every exit code is one of :class:`Exit`."""
    install()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    code = _run()
    problem = _flush()
    if problem and code != Exit.USAGE:
        _say(OutputError(f"{problem}; give it a place that takes everything"))
    _forget_where_it_was_interrupted()
    sys.exit(Exit.USAGE if problem else code)


def _forget_where_it_was_interrupted() -> None:
    """Let the exit code count where Ctrl-C came while Python ran text as code, as dataclasses and attrs do at import.

    ``python -m`` ends by SIGINT then, whoever has caught the interruption since: until text is run again.
    """
    exec("")  # noqa: S102 - no code at all


def _run() -> int:
    """The exit code of the command that the line names, after what there is to say of its errors."""
    try:
        return int(cli(prog_name="torq-conformance", standalone_mode=False) or Exit.PASS)
    except SystemExit:  # no command ends so: click and rich do, where nobody takes the output, with what is FAIL here
        _say(OutputError())
    except (click.Abort, KeyboardInterrupt) as stop:
        _say("interrupted")
        ended = isinstance(stop, Terminated) or isinstance(stop.__cause__ or stop.__context__, Terminated)
        return Exit.TERMINATED if ended else Exit.INTERRUPTED
    except click.ClickException as error:
        with contextlib.suppress(OSError):
            error.show()
    except ImpededError as error:
        _say(error)
        return Exit.UNKNOWN
    except ConformanceError as error:
        _say(error)
    except Exception as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _say(f"cannot write: {error.strerror}; make room for the output and the reports")
        elif isinstance(error, OSError) and (lack := impeded(error)):
            _say(f"the suite lacks {lack}: {error}")
            return Exit.UNKNOWN
        else:
            _say_internal(error)
    return Exit.USAGE


def _flush() -> str:
    """Why standard output did not take everything; what the streams hold back would else decide on the exit code."""
    problem = ""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError as error:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            if stream is sys.stdout:
                problem = error.strerror or str(error)
    return problem


def _say(message: object) -> None:
    with contextlib.suppress(OSError):  # nobody has to hear it
        click.echo(f"torq-conformance: {visible(str(message))}", err=True)


def _say_internal(error: Exception) -> None:
    last = traceback.extract_tb(error.__traceback__)[-1]
    _say(
        f"an error of the suite itself, not of the relay: {type(error).__name__}: {error} "
        f"({Path(last.filename).name}, line {last.lineno}); please report it with the output of the same command "
        f"under {TRACEBACK_VARIABLE}=1"
    )
    if os.environ.get(TRACEBACK_VARIABLE):
        traceback.print_exception(error)


if __name__ == "__main__":
    main()
