"""Alarm rules, their evaluation and the alarms that come of it; whom it reaches is for the notification service."""
