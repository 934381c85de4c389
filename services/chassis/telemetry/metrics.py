"""Prometheus metrics: how to declare them, and the text that /metrics answers.

Declare at module level with `counter`, `gauge`, `histogram`: names start with `tocsin_`, units are base units and end
the name (`_seconds`, `_bytes`), labels are few and bounded (never an id of a room, a user or a message). Read
`.labels(...)` once and keep the child where the path is hot. With several worker processes the samples live in files
that the parent sums up (`PROMETHEUS_MULTIPROC_DIR`, set by `services.chassis.workers`); exemplars exist only without
workers.
"""

import os
import platform
from collections.abc import Sequence
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.openmetrics import exposition as openmetrics

LATENCY: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Buckets for latencies, in seconds."""
COUNTS: Final = (1, 10, 100, 1_000, 10_000, 100_000, 1_000_000)
"""Buckets for sizes of batches."""

# A time of creation beside each counter and histogram would double them, and nobody asks for it.
disable_created_metrics()
_build_info = Gauge(
    "tocsin_build_info", "What runs; always 1.", ("version", "commit", "python"), multiprocess_mode="livemax"
)


def set_build_info(version: str, commit: str) -> None:
    """Tells in `tocsin_build_info` which version runs, from which commit (may be empty), on which Python."""
    _build_info.labels(version, commit, platform.python_version()).set(1)


def counter(name: str, documentation: str, labels: Sequence[str] = ()) -> Counter:
    """A counter; `_total` is added to the name where it is missing."""
    return Counter(name, documentation, labels)


def gauge(name: str, documentation: str, labels: Sequence[str] = (), *, shared: bool = False) -> Gauge:
    """A gauge. Over workers it is the sum of the living ones; of what each tells alike (`shared`) the maximum."""
    return Gauge(name, documentation, labels, multiprocess_mode="livemax" if shared else "livesum")


def histogram(
    name: str, documentation: str, labels: Sequence[str] = (), buckets: Sequence[float] = LATENCY
) -> Histogram:
    """A histogram."""
    return Histogram(name, documentation, labels, buckets=buckets)


def exposition(accept: str = "") -> tuple[bytes, str]:
    """The metrics as text with their content type; OpenMetrics (with exemplars) where `accept` asks for it."""
    registry = REGISTRY
    if directory := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        from prometheus_client.multiprocess import MultiProcessCollector

        registry = CollectorRegistry()
        MultiProcessCollector(registry, directory)
    elif "application/openmetrics-text" in accept:
        return openmetrics.generate_latest(registry), openmetrics.CONTENT_TYPE_LATEST
    return generate_latest(registry), CONTENT_TYPE_LATEST
