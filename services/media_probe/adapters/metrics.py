"""The metrics of the service, defined once."""

from services.chassis.telemetry.metrics import counter, histogram

PROBE_SECONDS = histogram("tocsin_probe_seconds", "Time of one probe, by how it ended.", ("outcome",))
PROBE_BYTES = histogram(
    "tocsin_probe_fetched_bytes",
    "Bytes that one probe fetched.",
    buckets=(4096, 16384, 32768, 65536, 131072, 524288, 2097152, 8388608),
)
PROBE_REQUESTS = histogram("tocsin_probe_requests", "Requests that one probe made.", buckets=(1, 2, 3, 4, 6, 8, 16, 32))
FAILURES = counter("tocsin_probe_failures", "Probes that failed, by reason.", ("failure",))
REMOVED = counter("tocsin_probe_retention_removed", "Videos whose results were removed after their time.")
WORKERS_REPLACED = counter(
    "tocsin_probe_workers_replaced", "Probe workers lost: crashed, failed, hangs, idle.", ("cause",)
)
