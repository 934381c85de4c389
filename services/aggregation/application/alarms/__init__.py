"""Alarm rules and alarms for people, and the alarms of a partition in step with the rules; the rules' meaning is in
`domain.alarms`."""
