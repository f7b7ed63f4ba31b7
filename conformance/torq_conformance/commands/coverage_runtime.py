"""Print the C file that a relay in C, C++ or Rust is linked with, so that run --coverage map sees what it reaches."""

from __future__ import annotations

from importlib.resources import files

import click

from ..exits import Exit


@click.command("coverage-runtime")
def command() -> int:
    """Print the C file that a relay in C, C++ or Rust is linked with, so that run --coverage map sees what it reaches.

    \b
    torq-conformance coverage-runtime > torq_coverage.c
    gcc -c torq_coverage.c
    gcc -fsanitize-coverage=trace-pc -o my_relay my_relay.c torq_coverage.o
    torq-conformance --exec './my_relay {socket}' --domain signal --coverage map

    The file's first lines say how it is built with clang and rustc.

    \b
    Exit codes: 0 printed; 2 wrong usage.
    """
    click.echo(files("torq_conformance.grey_box").joinpath("torq_coverage.c").read_text("utf-8"), nl=False)
    return Exit.PASS
