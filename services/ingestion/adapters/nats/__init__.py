"""The lanes on which readings leave, the payloads and reports that come in, and how events are encoded."""
