"""Ports on PostgreSQL, a module for each, and the SQL that they share; tables are made in `migrations`."""
