"""Metrics of reminders."""

from services.chassis.telemetry.metrics import LATENCY, counter, gauge, histogram

DECISIONS = counter(
    "tocsin_reminder_decisions", "Occurrences of reminders, by decision and reason.", ["decision", "reason"]
)
LATE = histogram("tocsin_reminder_late_seconds", "From when an occurrence was due to its decision.", buckets=LATENCY)
CHECKS = counter("tocsin_reminder_checks", "Questions to servers of checks, by outcome.", ["origin", "outcome"])
CHECK_SECONDS = histogram("tocsin_reminder_check_seconds", "Time until a check answered, or was given up.", ["origin"])
CIRCUIT_OPEN = gauge("tocsin_reminder_circuit_open", "1 while a server of checks is taken for dead.", ["origin"])
ASKING = gauge("tocsin_reminder_checks_under_way", "Occurrences that are being asked about.", ["origin"])
