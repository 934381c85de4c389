"""Windows of readings: how they are folded, closed and looked at; nothing about what comes late or about alarms."""
