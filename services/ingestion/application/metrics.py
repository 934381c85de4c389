"""The metrics of ingestion. Durations are seconds."""

from services.chassis.telemetry.metrics import COUNTS, LATENCY, counter, gauge, histogram

ACCEPTED = counter("tocsin_ingestion_readings_accepted", "Readings that are durable.", ["lane"])
REJECTED = counter("tocsin_ingestion_readings_rejected", "Readings that were refused.", ["reason"])
BATCH_ROWS = histogram("tocsin_ingestion_batch_rows", "Readings in one published batch.", buckets=COUNTS)
PUBLISH_SECONDS = histogram("tocsin_ingestion_publish_seconds", "From sending a batch to its ack.", buckets=LATENCY)
PUBLISH_FAILED = counter("tocsin_ingestion_publish_failed", "Batches that JetStream did not take.")
WENT_BACK = counter("tocsin_ingestion_stream_went_back", "Acknowledgements with a number that had been given before.")
PENDING_BYTES = gauge("tocsin_ingestion_pending_bytes", "Accepted readings that wait for their acknowledgement.")
ADMISSION_REFUSED = counter("tocsin_ingestion_admission_refused", "Requests refused because too much was pending.")
SERIES_CACHED = gauge("tocsin_ingestion_series_cached", "Series in the cache of the hot path.")
QUARANTINED = counter("tocsin_ingestion_payloads_quarantined", "Payloads that no adapter understood.", ["format"])
ALERTS_REMOVED = counter("tocsin_ingestion_alert_retention_removed", "Alerts removed after their time.")
