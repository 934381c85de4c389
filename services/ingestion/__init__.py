"""Readings, the catalogue, vendor payloads, video alerts and debt files, taken in: what is accepted is durable; what it
means is worked out by others."""
