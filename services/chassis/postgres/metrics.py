"""The metrics of storage, defined once."""

from prometheus_client import Counter

RELAYED = Counter("tocsin_outbox_relayed", "Events that left the outbox.", ["schema"])
RELAY_FAILURES = Counter(
    "tocsin_outbox_relay_failures", "Rounds of the outbox relay that left something undone.", ["schema"]
)
