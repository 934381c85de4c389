"""The rules and values of aggregation, in standard library and numpy; no I/O, no clock, nothing of transports or
stores."""
