"""Use cases of reminders: keeping them, and deciding about what is due."""
