"""Reminders: when they are due, what is decided each time, and how often they run."""
