"""The metrics of storage, defined once."""

from services.chassis.telemetry.metrics import counter, gauge

RELAYED = counter("tocsin_outbox_relayed", "Events that left the outbox.", ["schema"])
RELAY_FAILURES = counter(
    "tocsin_outbox_relay_failures", "Rounds of the outbox relay that left something undone.", ["schema"]
)
WAITING = gauge(
    "tocsin_outbox_waiting_rows",
    "Rows in the outbox, of which bundles hold many events; told by the process whose relay works, up to 10,000.",
    ["schema"],
    shared=True,
)
OLDEST = gauge(
    "tocsin_outbox_oldest_seconds",
    "How long the first row has been in the outbox; 0 for none.",
    ["schema"],
    shared=True,
)
