"""What is valid, and what it is in canonical form; no I/O, nothing of transports or stores."""
