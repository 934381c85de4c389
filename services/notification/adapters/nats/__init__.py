"""Alarms, debts and public events in, dead letters and documents; results leave by the outbox of `postgres`."""
