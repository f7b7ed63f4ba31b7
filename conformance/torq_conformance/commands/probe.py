"""Learn what a relay does, write it down as a profile, and name the strongest guarantees that it gives."""

from __future__ import annotations

import time
from pathlib import Path

import click
from rich.text import Text

from .. import files
from ..exits import Exit
from ..learning.guarantees import Held, strongest_guarantees
from ..learning.learned_profile import learned_profile, probe_relay, profile_text
from ..learning.probing import Probe
from ..model.profile import domain_named
from ..play.naming import guess_domain, target_and_domain, target_for
from ..reports.narrate import contradictions, narrate
from ..reports.terminal import console, facts, say
from ._options import search_options, target_options


@click.command("probe")
@target_options
@click.option("--output", "-o", type=click.Path(path_type=Path, dir_okay=False), help="Write the profile to this file.")
@click.option("--name", help="Name of the profile.  [default: that of the file, else 'probed']")
@click.option(
    "--limits/--no-limits",
    default=None,
    help="Flood the relay and open a thousand connections, to learn its limits.  [default: only with --exec]",
)
@click.option(
    "--guarantees/--no-guarantees", default=True, show_default=True, help="Judge which guarantees the relay gives."
)
@search_options(examples=40, programs="Programs for each guarantee.", budget="2m", time="Time for the guarantees.")
def command(
    address: str | None,
    command_line: str | None,
    domain: str | None,
    output: Path | None,
    name: str | None,
    limits: bool | None,
    guarantees: bool,
    max_examples: int,
    time_budget: float,
    seed: int,
) -> int:
    """Learn a relay's settings by watching it, and which guarantees it gives.

    What was learned is a profile: each setting with the evidence for it. It says what the relay does, not what it
    should do; `torq-conformance run --profile FILE` then judges everything else.

    \b
    torq-conformance probe --exec 'my_relay --socket {socket}' --domain signal -o my_relay.toml
    torq-conformance probe --target tcp:127.0.0.1:7000 --domain signal --no-limits

    Exit codes: 0 the relay was probed; 2 wrong usage or no target. Which guarantees hold does not change it.
    """
    out = console()
    domain = domain or guess_domain(address or command_line)
    name = name or (output.stem if output else "probed")
    if output:
        files.require_folder(output)
    started = time.monotonic()
    with target_for(address, command_line, domain) as target:
        facts(out, [("target", target.description), ("domain", domain), ("seed", str(seed))])
        out.print()
        wanted = target.restartable if limits is None else limits
        probe = probe_relay(target, domain_named(domain), limits=wanted)
        profile = learned_profile(probe, name, f"What was seen of {target.description}, serving {domain}.")
        _show_learned(probe)
        held: list[Held] = []
        if guarantees:
            held = strongest_guarantees(
                target, domain, profile, max_examples=max_examples, seed=seed, time_budget=time_budget
            )
            _show_guarantees(held)
    text = profile_text(probe, profile, held)
    if output:
        files.write(output, text, advice="choose another file with -o")
    where = target_and_domain(address, command_line, domain)
    out.print(f"\n{time.monotonic() - started:.1f} s")
    if output:
        say(out, f"next: torq-conformance run {where} --profile {output}")
    else:
        say(out, f"\n{text}")
    return Exit.PASS


def _show_learned(probe: Probe) -> None:
    for each in probe.learned:
        line = Text.assemble((f"{each.key:<20}", "bold"), (f"{each.value!s:<13}", "cyan"), each.evidence)
        say(console(), line)


def _show_guarantees(held: list[Held]) -> None:
    console().print("\nguarantees")
    for one in held:
        _show_verdict(one)
    for one in held:
        _show_program(one)


def _show_verdict(held: Held) -> None:
    words, style = {True: ("HOLDS", "green"), False: ("DOES NOT", "bold red"), None: ("UNKNOWN", "yellow")}[held.holds]
    line = Text.assemble((f"{words:<12}", style), (f"{held.guarantee.name:<20}", "bold"), held.guarantee.text)
    say(console(), line.append(f": {held.bound}", style="dim"))


def _show_program(held: Held) -> None:
    out = console()
    if held.against is None:
        return
    out.print()
    out.print(Text(f"against {held.guarantee.name} ({held.requirement}):", style="bold"))
    for line in (
        *narrate(held.against.program, held.against.history, held.against.findings),
        *contradictions(held.against, most=1),
    ):
        say(out, line)
