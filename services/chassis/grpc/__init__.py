"""Serving and calling gRPC: server, stages of a call, health, statuses; no method of any service."""
