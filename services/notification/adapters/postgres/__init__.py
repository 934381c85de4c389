"""Ports on PostgreSQL, and the rows and locks that they share; tables are made in `migrations`."""
