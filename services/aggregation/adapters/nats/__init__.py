"""Readings in and events out, as JetStream carries them; what becomes durable with data goes through the outbox of
`adapters.postgres`."""
