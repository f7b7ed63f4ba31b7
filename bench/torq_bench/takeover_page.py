"""What takeovers under faults came to, as a page."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from statistics import median

from .handover_traffic import CONNECTIONS, RECEIVERS
from .results import load, this_machine
from .takeover_plot import part

PICTURE = "pictures/takeover_latency.svg"
"""Where the page looks for :func:`~torq_bench.takeover_plot.drawn`, from its own folder."""
AROUND = 0.25
"""Seconds before and after a takeover whose latencies are kept."""


@dataclass
class Tally:
    """What came of the takeovers that met one kind of fault."""

    tried: int = 0
    struck: int = 0
    taken: int = 0
    served_on: int = 0
    clients_lost: int = 0


@dataclass
class Outcome:
    """Of a run: by kind of fault, the freezes in seconds, the latencies around takeovers, and what was wrong."""

    tallies: dict[str, Tally] = field(default_factory=dict)
    frozen: list[float] = field(default_factory=list)
    latencies: list[tuple[float, float]] = field(default_factory=list)
    """Seconds from the nearest takeover of which nothing went wrong, negative before it, and the latency of a frame."""
    lives: int = 0
    longest_chain: int = 0
    frames: int = 0
    delivered: int = 0
    visitors: int = 0
    disconnected: Counter[str] = field(default_factory=Counter)
    descriptors: tuple[int, int] = (0, 0)
    resident: tuple[int, int] = (0, 0)
    wrong: list[str] = field(default_factory=list)

    @property
    def takeovers(self) -> int:
        """How many were tried."""
        return sum(tally.tried for tally in self.tallies.values())


def written(outcome: Outcome, seed: int, seconds: float) -> str:
    """The page."""
    return "\n".join([*_head(outcome, seed, seconds), *_kinds(outcome), *_times(outcome), *_ends(outcome)]) + "\n"


def _head(outcome: Outcome, seed: int, seconds: float) -> list[str]:
    machine = this_machine("python")
    verdict = (
        "; ".join(outcome.wrong) or "0 frames lost, doubled, torn or out of order; nobody disconnected but as below"
    )
    return [
        "# Takeovers under faults",
        "",
        "Written by `python -m torq_bench takeover-faults --page docs/takeover_faults.md`.",
        "",
        f"- **{outcome.takeovers} takeovers, a fault in most: {verdict}.**",
        f"- {outcome.frames:,} frames sent by 3 clients, {outcome.delivered:,} delivered to {RECEIVERS} and checked,"
        " each by its checksum and its sequence;",
        f"  {outcome.visitors:,} visitors came and went meanwhile, also while the relay stood still.",
        f"- {outcome.lives} relays were started; the longest chain of successors had {outcome.longest_chain}.",
        f"- Seed {seed}, {seconds:.0f} s; {machine.system}, Python {machine.python}, {machine.torq},"
        f" {machine.cores} cores, load {load():.1f} at the end.",
        "",
    ]


def _kinds(outcome: Outcome) -> list[str]:
    lines = [
        "| fault | takeovers | met | taken over | served on | nobody left |",
        "|-|-:|-:|-:|-:|-:|",
    ]
    for kind, tally in sorted(outcome.tallies.items()):
        lines.append(
            f"| {kind} | {tally.tried} | {tally.struck} | {tally.taken} | {tally.served_on} | {tally.clients_lost} |"
        )
    return [*lines, ""]


def _times(outcome: Outcome) -> list[str]:
    if not outcome.frozen:
        return []
    frozen = sorted(1000 * each for each in outcome.frozen)
    lines = [
        f"In the {len(frozen)} takeovers without a fault the relay stood still for {median(frozen):.1f} ms in the"
        f" median, p99 {part(frozen, 0.99):.1f}, most {frozen[-1]:.1f}.",
        "",
        "How long frames took, by when they were sent, from the moment at which the relay stood still. The clients, one"
        " process of Python",
        "that writes every 2 ms, add some 5 ms; before it the successor boots on the same cores; what was sent 100 ms"
        " after it may have met the next",
        "takeover, with its fault.",
        "",
        f"![Latency of frames around a takeover: median and p99, by when they were sent]({PICTURE})",
        "",
        "| sent, ms | frames | median, ms | p99, ms | most, ms |",
        "|-:|-:|-:|-:|-:|",
    ]
    bins: dict[int, list[float]] = {}
    for moment, latency in outcome.latencies:
        bins.setdefault(_place(moment), []).append(1000 * latency)
    for place in sorted(bins):
        found = sorted(bins[place])
        cells = len(found), *(f"{each:.2f}" for each in (median(found), part(found, 0.99), found[-1]))
        lines.append(f"| {_EDGES[place]} to {_EDGES[place + 1]} | {' | '.join(map(str, cells))} |")
    return [*lines, ""]


_EDGES = (-250, -100, -50, -20, -10, -5, 0, 5, 10, 20, 50, 100, 250)


def _place(moment: float) -> int:
    milliseconds = 1000 * moment
    return max(place for place, edge in enumerate(_EDGES[:-1]) if place == 0 or milliseconds >= edge)


def _ends(outcome: Outcome) -> list[str]:
    lines = [
        f"Descriptors of the last relay and of the first of its chain: {outcome.descriptors[1]} and"
        f" {outcome.descriptors[0]}; resident: {outcome.resident[1] / 1e6:.1f} and {outcome.resident[0] / 1e6:.1f} MB.",
        "",
    ]
    if outcome.disconnected:
        lines += [
            "Who owned the clients was killed, and nothing could keep them, because their sockets were open in that"
            " process alone,",
            "or only it knew what waits for them:",
            "",
            "| killed | times | clients |",
            "|-|-:|-:|",
        ]
        for what, clients in sorted(outcome.disconnected.items()):
            lines.append(f"| {what} | {clients // CONNECTIONS} | {clients} |")
        lines.append("")
    return lines
