"""What a notification, a delivery, a subscription and an invoice are, and what follows from an attempt; no I/O."""
