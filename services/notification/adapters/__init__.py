"""The ports of notification on what there is: PostgreSQL, NATS, gRPC, channels to people, rendering, and memory for
tests; no rules."""
