"""Logs, metrics, traces, and the endpoint that shows them; what is measured is declared where it happens."""
