"""A relay's metrics in Prometheus's text format, read off the counters when they are asked for.

Facts:
- names start with ``torq_relay_``, units are base units, counters end in ``_total``; reasons are labels, connections
  are not, because their number has no bound: ``torq-relay ctl connections`` lists them;
- every sample says which ``relay`` it is of: several may be behind one address;
- every reason is there from the start, at 0, so that a rate over it has no hole;
- the server times forwarding only where metrics are on.
"""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector

from torq_protocol.build_info import build_info

from ..accounting import Totals
from .service import Service
from .status import closes, drops, refusals

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_COUNTERS = (
    ("received_frames", "Whole frames received, of any fate"),
    ("received_bytes", "Bytes received"),
    ("skipped_bytes", "Bytes skipped to find the next frame after a framing error"),
    ("offered_frames", "Accepted frames times the receivers each was meant for"),
    ("delivered_frames", "Frames that receivers' sockets took to their last byte"),
    ("delivered_bytes", "Bytes that receivers' sockets took"),
)
_GAUGES = (
    ("connections", "Connections now"),
    ("queued_frames", "Frames waiting for receivers"),
    ("queued_bytes", "Bytes waiting for receivers, counted for each"),
    ("held_bytes", "Bytes held for all receivers, shared ones once"),
    ("incomplete_bytes", "Bytes of frames of which the end has not come"),
)


class RelayCollector(Collector):
    """What a service's counters say, as metric families."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._latencies = service.latencies
        service.server.turn_timer = self._latencies.observe

    def collect(self) -> Iterator[Metric]:
        relay = self._service.source.logic.name
        for family in self._families():
            family.samples = [sample._replace(labels={"relay": relay, **sample.labels}) for sample in family.samples]
            yield family

    def _families(self) -> Iterator[Metric]:
        totals = self._service.server.hub.totals()
        yield from self._plain(totals)
        yield from self._by_reason(totals)
        yield from self._slowness()
        yield from self._process()
        yield HistogramMetricFamily(
            "torq_relay_forwarding_seconds",
            "Seconds from the read that brought frames to the end of their fan-out",
            buckets=self._latencies.cumulative(),
            sum_value=self._latencies.sum,
        )

    def _plain(self, totals: Totals) -> Iterator[Metric]:
        for name, text in _COUNTERS:
            yield CounterMetricFamily(f"torq_relay_{name}", text, value=getattr(totals, name))
        yield CounterMetricFamily("torq_relay_connections_joined", "Connections admitted", value=totals.joined)
        for name, text in _GAUGES:
            yield GaugeMetricFamily(f"torq_relay_{name}", text, value=getattr(totals, name))
        limit = self._service.server.max_connections
        yield GaugeMetricFamily("torq_relay_max_connections", "Connections that are admitted at most", value=limit)
        bound = self._service.config.total_queue_bytes
        yield GaugeMetricFamily("torq_relay_max_held_bytes", "Bound of held and incomplete bytes together", value=bound)

    def _by_reason(self, totals: Totals) -> Iterator[Metric]:
        families = (
            ("refused_frames", "Frames refused, by reason", refusals(totals)),
            ("dropped_frames", "Frames that a receiver did not get, by reason", drops(totals.dropped_frames)),
            ("connections_closed", "Connections ended or not admitted, by reason", closes(totals)),
        )
        for name, text, numbers in families:
            family = CounterMetricFamily(f"torq_relay_{name}", text, labels=["reason"])
            for reason, number in numbers.items():
                family.add_metric([reason], number)
            yield family

    def _slowness(self) -> Iterator[Metric]:
        """Who is slow among the clients that read: what others miss is no sign of trouble (ISO-7)."""
        service, hub = self._service, self._service.server.hub
        slow = {*service.slow_consumers.ids(), *hub.stalled, *hub.lagging}
        yield GaugeMetricFamily(
            "torq_relay_slow_consumers",
            "Clients that read and lose frames, lag, or hold up the others",
            value=len(slow),
        )
        oldest = min((one.backlog.oldest() for one in hub.connections.values() if one.reading), default=float("inf"))
        waited = max(0.0, time.monotonic() - oldest)
        yield GaugeMetricFamily(
            "torq_relay_oldest_queued_seconds", "How long the oldest frame waits for a client that reads", value=waited
        )

    def _process(self) -> Iterator[Metric]:
        service = self._service
        info = GaugeMetricFamily("torq_relay_info", "What is running", labels=["version"])
        info.add_metric([build_info().version], 1)
        yield info
        yield GaugeMetricFamily(
            "torq_relay_start_time_seconds", "When the relay started, since 1970", value=service.start_time
        )
        yield CounterMetricFamily(
            "torq_relay_log_lines_lost", "Log lines that could not be written", value=service.log.lines_lost
        )
        yield GaugeMetricFamily("torq_relay_ready", "1 while clients should come", value=float(not service.ready()))
        yield CounterMetricFamily("torq_relay_reloads", "Configurations taken while running", value=service.reloads)
        yield CounterMetricFamily(
            "torq_relay_takeovers", "Successors that took over, since the relay's start", value=service.takeovers
        )
        yield CounterMetricFamily(
            "torq_relay_takeovers_failed",
            "Takeovers that did not come about: the relay served on",
            value=service.failed_takeovers,
        )
        yield GaugeMetricFamily(
            "torq_relay_takeover_frozen_seconds",
            "How long clients waited in the last takeover",
            value=service.frozen,
        )
        yield CounterMetricFamily("torq_relay_cpu_seconds", "Processor time used", value=service.cpu_seconds())
        yield GaugeMetricFamily("torq_relay_resident_bytes", "Memory in use", value=_resident_bytes())
        if service.audit is not None:
            yield CounterMetricFamily("torq_relay_audit_records", "Audit records made", value=service.audit.records)
            failing = float(bool(service.audit.failure))
            yield GaugeMetricFamily("torq_relay_audit_failing", "1 while records cannot be written", value=failing)


class Exposition:
    """The metrics page of a service."""

    def __init__(self, service: Service) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(RelayCollector(service))

    def page(self) -> bytes:
        """All metrics, as text."""
        return generate_latest(self._registry)


def _resident_bytes() -> int:
    try:
        with open("/proc/self/statm", encoding="ascii") as stream:
            return int(stream.read().split()[1]) * resource.getpagesize()
    except OSError:  # no /proc: the most that it ever was
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
