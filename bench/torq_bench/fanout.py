"""``torq_bench fanout``: one sender, many receivers, nothing lost; the seed of the benchmarks."""

from __future__ import annotations

import click

from torq_protocol.build_info import build_info
from torq_protocol.constants import RelayDomain

from .relays import RelayError, relay_command, spawned_relay
from .traffic import FanOut, Load, fan_out

DOMAINS = {"market_data": RelayDomain.MARKET_DATA, "signal": RelayDomain.SIGNAL, "execution": RelayDomain.EXECUTION}


@click.command()
@click.option("--receivers", type=click.IntRange(1, 10_000), default=10, show_default=True)
@click.option("--frames", type=click.IntRange(1), default=5_000_000, show_default=True)
@click.option("--size", type=click.IntRange(32, 1_048_576), default=74, show_default=True, help="Bytes of a frame.")
@click.option("--batch", type=click.IntRange(1, 4096), default=64, show_default=True, help="Frames per send.")
@click.option("--domain", type=click.Choice(list(DOMAINS)), default="market_data", show_default=True)
@click.option("--target", metavar="PATH", help="A running relay's socket.  [default: a relay of the domain is spawned]")
def fanout(receivers: int, frames: int, size: int, batch: int, domain: str, target: str | None) -> None:
    """Send FRAMES through a relay to RECEIVERS and count what arrives.

    Exit code 0: every frame reached every receiver; 1: some were lost; 2: usage, or no relay.
    """
    if size == 33:
        raise click.UsageError("--size 33: a frame has 32 bytes, or 34 and more")
    load = Load(frames, size, batch, receivers)
    click.echo(f"{frames:,} frames of {size} bytes, {batch} a send, 1 sender, {receivers} receivers, echo on")
    try:
        if target is not None:
            result = fan_out(target, DOMAINS[domain], load)
        else:
            with spawned_relay(relay_command(domain)) as (path, _):
                result = fan_out(path, DOMAINS[domain], load)
    except RelayError as error:
        click.echo(f"torq_bench fanout: {error}", err=True)
        raise SystemExit(2) from None
    _report(result)


def _report(result: FanOut) -> None:
    click.echo(f"kernel     {build_info()}")
    click.echo(f"in         {result.frames_in_per_second / 1e6:.2f} M frames/s")
    megabytes = result.frames_out_per_second * result.load.size / 1e6
    click.echo(f"delivered  {result.frames_out_per_second / 1e6:.2f} M frames/s, {megabytes:,.0f} MB/s")
    if result.fault:
        click.echo(f"LOST       {result.fault}")
        raise SystemExit(1)
    click.echo("lost       nothing")
