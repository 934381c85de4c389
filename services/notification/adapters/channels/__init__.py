"""The ways to a person or a subscriber, a module for each, and what they share; when it is tried again is for
`domain.retry_schedule`."""
