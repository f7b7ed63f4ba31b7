"""``python -m torq_bench``: the measurements, each a subcommand that is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

import click

COMMANDS = {
    "chaos": "chaos",
    "client": "client",
    "fanout": "fanout",
    "load": "load",
    "protocol": "protocol",
    "readers": "readers",
    "relay": "relay",
    "relay-report": "relay_report",
    "suite": "suite",
    "takeover": "takeover",
    "takeover-faults": "takeover_faults",
    "turns": "turns",
}
"""Subcommand to module of this package; the module holds a click command of the subcommand's name."""


class LazyGroup(click.Group):
    """A group that imports only the subcommand it runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"torq_bench.{COMMANDS[cmd_name]}"), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command


@click.group(cls=LazyGroup)
def main() -> None:
    """Measure the protocol, the relays and the suite."""


if __name__ == "__main__":
    main(prog_name="torq_bench")
