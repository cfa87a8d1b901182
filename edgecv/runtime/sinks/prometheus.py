"""The run as metrics, served to whoever scrapes them."""

from __future__ import annotations

import re
import time
from collections import Counter as Tally
from collections.abc import Iterator
from typing import TYPE_CHECKING

from edgecv.errors import SinkError, UsageError
from edgecv.runtime.results import Summary
from edgecv.runtime.sinks.base import Context, Item, Sink, Traits

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import Metric

BUCKETS_S = (0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0)
SUMMARY_S = 1.0  # that a summary is good for


def open_prometheus(text: str, context: Context) -> Sink:
    """[HOST:]PORT, on this machine only unless a host is given; raises UsageError, SinkError."""
    match = re.fullmatch(r"(?:(\[[0-9A-Fa-f:.]+\]|[^:\[\]/?@]+):)?(\d{1,5})", text, re.ASCII)
    if match is None or int(match[2]) > 65535:
        raise UsageError(f"prometheus:{text}: give prometheus:[HOST:]PORT, as prometheus:9100")
    try:
        import prometheus_client  # noqa: F401  whether it is there
    except ImportError as error:
        raise SinkError('prometheus: needs prometheus-client: pip install "edgecv[prometheus]"') from error
    return Prometheus(match[1] or "127.0.0.1", int(match[2]), context)


class Prometheus(Sink):
    """Counters and latencies of the run at http://host:port/metrics; port 0 takes any that is free."""

    def __init__(self, host: str, port: int, context: Context) -> None:
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Info, start_http_server

        registry = CollectorRegistry()
        self._times = [
            Histogram(f"edgecv_{name}_seconds", text, registry=registry, buckets=BUCKETS_S)
            for name, text in (
                ("latency", "From the capture of a frame to its result"),
                ("queue", "Of it, waiting for preprocessing and for the engine"),
                ("inference", "Of it, in the engine; frames that the motion gate let through"),
            )
        ]
        self._on = Gauge("edgecv_label_on", "Whether a label is on", ("label", "region"), registry=registry)
        self._events = Counter(
            "edgecv_events", "Labels that went on or off", ("label", "state"), registry=registry
        )
        info = Info("edgecv", "What runs here", registry=registry)
        info.info({"model": context.model, "device": context.device, "engine": context.engine})
        _RunMetrics(context, registry)
        self._shown: dict[str, tuple[str, ...]] = {}
        try:
            self._server, self._thread = start_http_server(port, host.strip("[]"), registry)
        except OSError as error:
            raise SinkError(
                f"prometheus: cannot listen on {host}:{port}: {error.strerror or error}"
            ) from error
        self.traits = Traits(f"prometheus:{host}:{self._server.server_port}")

    def write(self, item: Item) -> None:
        result = item.result
        latency, queue, inference = self._times
        latency.observe(result.latency_ms / 1e3)
        queue.observe(result.queue_ms / 1e3)
        if not result.still:
            inference.observe(result.infer_ms / 1e3)
        for event in result.events:
            self._events.labels(event.label, event.state).inc()
        before = self._shown.get(result.region, ())
        if before != result.on:
            self._shown[result.region] = result.on
            for label in {*before, *result.on}:
                self._on.labels(label, result.region).set(label in result.on)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _RunMetrics:
    """A collector: what the run counts itself, asked for when somebody scrapes."""

    def __init__(self, context: Context, registry: CollectorRegistry) -> None:
        self._ask = context.summary
        self._asked: tuple[float, Summary] | None = None
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        now_s = time.monotonic()
        if self._asked is None or now_s - self._asked[0] >= SUMMARY_S:
            self._asked = (now_s, self._ask())
        summary = self._asked[1]
        yield CounterMetricFamily("edgecv_frames", "Frames answered", value=summary.frames)
        dropped = CounterMetricFamily("edgecv_frames_dropped", "Frames nobody answered", labels=("where",))
        dropped.add_metric(("capture",), summary.dropped.capture)
        dropped.add_metric(("queue",), summary.dropped.queue)
        yield dropped
        yield CounterMetricFamily("edgecv_reconnects", "Of the source", value=summary.reconnects)
        yield CounterMetricFamily("edgecv_engine_failures", "Of the engine", value=summary.engine_failures)
        items = CounterMetricFamily("edgecv_sink_items", "What became of them", labels=("sink", "outcome"))
        waiting = GaugeMetricFamily("edgecv_sink_waiting_items", "In the buffer", labels=("sink",))
        ended: Tally[tuple[str, str]] = Tally()  # two sinks may have one name, a sample must not come twice
        queued: Tally[str] = Tally()
        for sink in summary.sinks:
            for outcome in ("delivered", "dropped", "failed"):
                ended[sink.name, outcome] += getattr(sink, outcome)
            queued[sink.name] += sink.waiting
        for labels, number in ended.items():
            items.add_metric(labels, number)
        for name, number in queued.items():
            waiting.add_metric((name,), number)
        yield items
        yield waiting
