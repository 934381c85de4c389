"""The gRPC services: message to use case and back; no rules and no SQL."""
