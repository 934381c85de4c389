"""What every service of Tocsin shares: serving, messaging, storage, telemetry, auth. Knows no service."""
