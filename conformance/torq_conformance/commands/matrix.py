"""Put several JSON reports into one table: requirements by relays."""

from __future__ import annotations

from pathlib import Path

import click

from ..counting import counted
from ..errors import UsageError
from ..exits import Exit
from ..files import write
from ..reports.model import load_report


@click.command("matrix")
@click.argument("files", nargs=-1, required=True, metavar="REPORT.json...", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to write it: a name ending in .html or .md.  [default: Markdown on the terminal]",
)
def command(files: tuple[Path, ...], output: Path | None) -> int:
    """Put several JSON reports into one table: requirements by relays.

    \b
    torq-conformance --exec 'relay_a {socket}' --domain signal --report json:a.json
    torq-conformance --exec 'relay_b {socket}' --domain signal --report json:b.json
    torq-conformance matrix a.json b.json -o matrix.html
    torq-conformance matrix a.json b.json -o matrix.md

    Exit codes: 0 it was written; 2 a file is no report, or cannot be written.
    """
    from ..reports.matrix import matrix_html, matrix_markdown

    if output is not None and output.suffix not in (".html", ".md"):
        raise UsageError(f"-o {output}: the name has to end in .html or .md")
    reports = [load_report(file) for file in files]
    text = matrix_html(reports) if output is not None and output.suffix == ".html" else matrix_markdown(reports)
    if output is None:
        click.echo(text, nl=False)
        return Exit.PASS
    write(output, text)
    click.echo(f"wrote {output}: {counted(len(reports), 'relay')}")
    return Exit.PASS
