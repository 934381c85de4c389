"""Alerts in from JetStream; results leave by the outbox of `postgres`."""
