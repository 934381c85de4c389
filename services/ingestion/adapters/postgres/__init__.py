"""Ports on PostgreSQL, and the rows that they share; tables are made in `migrations`."""
