"""The metrics of messaging, defined once. Durations are seconds."""

from services.chassis.telemetry.metrics import counter, gauge

CONNECTED = gauge("tocsin_nats_connected", "1 while the NATS connection stands.")
RECONNECTS = counter("tocsin_nats_reconnects", "Reconnects to NATS.")
ERRORS = counter("tocsin_nats_errors", "Errors that the NATS client reported, slow consumers among them.", ["kind"])

PUBLISHED = counter("tocsin_messages_published", "Events acknowledged by JetStream.", ["type"])
PUBLISH_FAILED = counter("tocsin_messages_publish_failed", "Events that JetStream did not acknowledge.", ["type"])

CONSUMED = counter(
    "tocsin_messages_consumed",
    "Deliveries by outcome: done, skipped, retry, dead_letter, handed_back, unsettled.",
    ["consumer", "outcome"],
)
IN_FLIGHT = gauge("tocsin_messages_in_flight", "Deliveries that wait for their outcome.", ["consumer"])
WAITING = gauge(
    "tocsin_consumer_waiting_messages",
    "Messages that have not been delivered to anybody yet. Each process that reads the consumer tells the same.",
    ["consumer"],
    shared=True,
)
RESUBSCRIBED = counter(
    "tocsin_consumer_resubscribed", "Times that the watchdog renewed a pull subscription.", ["consumer", "cause"]
)
