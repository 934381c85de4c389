"""The metrics of storage, defined once."""

from services.chassis.telemetry.metrics import counter

RELAYED = counter("tocsin_outbox_relayed", "Events that left the outbox.", ["schema"])
RELAY_FAILURES = counter(
    "tocsin_outbox_relay_failures", "Rounds of the outbox relay that left something undone.", ["schema"]
)
