"""Notifications of a former system: its files, the runs that bring them in, and how a run is undone."""
