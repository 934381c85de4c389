"""The ports of ingestion on what there is: PostgreSQL, NATS, gRPC, and memory for tests; no rules."""
