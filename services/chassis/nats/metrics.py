"""The metrics of messaging, defined once. Durations are seconds."""

from prometheus_client import Counter, Gauge, Histogram

CONNECTED = Gauge("tocsin_nats_connected", "1 while the NATS connection stands.")
RECONNECTS = Counter("tocsin_nats_reconnects", "Reconnects to NATS.")
ERRORS = Counter("tocsin_nats_errors", "Errors that the NATS client reported, slow consumers among them.", ["kind"])

PUBLISHED = Counter("tocsin_messages_published", "Events acknowledged by JetStream.", ["type"])
PUBLISH_FAILED = Counter("tocsin_messages_publish_failed", "Events that JetStream did not acknowledge.", ["type"])

CONSUMED = Counter(
    "tocsin_messages_consumed",
    "Deliveries by outcome: done, skipped, retry, dead_letter, handed_back.",
    ["consumer", "outcome"],
)
HANDLING = Histogram(
    "tocsin_message_handling_seconds",
    "Time from the start of a handler to its outcome.",
    ["consumer"],
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120, 600),
)
IN_FLIGHT = Gauge("tocsin_messages_in_flight", "Deliveries that wait for their outcome.", ["consumer"])
RESUBSCRIBED = Counter(
    "tocsin_consumer_resubscribed", "Times that the watchdog renewed a pull subscription.", ["consumer", "cause"]
)
