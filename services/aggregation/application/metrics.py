"""The metrics of aggregation, defined once."""

from services.chassis.telemetry.metrics import COUNTS, counter, gauge, histogram

READINGS = counter("tocsin_aggregation_readings", "Readings by what became of them.", ["outcome"])
WINDOWS = counter("tocsin_aggregation_windows_closed", "Windows that closed, corrections among them.", ["step", "kind"])
CORRECTIONS = counter("tocsin_aggregation_counter_corrections", "Counter readings not taken at their word.", ["kind"])
BATCH = histogram("tocsin_aggregation_batch_readings", "Readings of one transaction.", buckets=COUNTS)
COMMIT = histogram("tocsin_aggregation_commit_seconds", "Time of one transaction.")
COMPUTE = histogram("tocsin_aggregation_compute_seconds", "Time to work one batch out.")
LAG = histogram("tocsin_aggregation_lag_seconds", "From a message's acceptance to its commit.")
PARTITIONS = gauge("tocsin_aggregation_partitions_owned", "Partitions that this process owns.")
SERIES = gauge("tocsin_aggregation_series", "Series held in memory.")
RELOADS = counter("tocsin_aggregation_partition_reloads", "Times that a partition was started over.", ["cause"])
WATCHERS = gauge("tocsin_aggregation_watchers", "Live streams of windows.")
WATCHERS_ENDED = counter("tocsin_aggregation_watchers_too_slow", "Live streams ended since their reader was too slow.")
EMPTIED = counter("tocsin_aggregation_containers_emptied", "Containers emptied that have had their effect.")
LOST = counter("tocsin_aggregation_readings_lost", "Ranges of messages that the broker has lost.", ["cause"])
ALARMS = counter("tocsin_aggregation_alarms", "Alarms that were raised or cleared.", ["kind", "event"])
