"""The ports of media-probe on what there is: HTTP, libav in processes of their own, PostgreSQL, NATS, gRPC, and memory
for tests."""
